package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/countersign-dev/countersign/bench/peer"
	"github.com/countersign-dev/countersign/bench/plot"
	"github.com/countersign-dev/countersign/bench/stats"
)

// chart draws a scenario: throughput as bars where it is what was asked, else latencies by quantile.
func chart(s *ScenarioResult) string {
	if s.open() {
		var lines []plot.Line
		for _, p := range s.Peers {
			lines = append(lines, plot.Line{Label: p.Name, Values: p.Latencies, Marked: p.Name == peer.Countersign})
		}
		return plot.Quantiles(s.Name+": latency from when a request was due", "µs, all rounds together", curve, lines)
	}
	var bars []plot.Bar
	for _, p := range s.Peers {
		values := p.Figures[answersPerSecond]
		bars = append(bars, plot.Bar{Label: p.Name, Value: stats.Median(values), Low: stats.Quantile(values, 0.25), High: stats.Quantile(values, 0.75),
			Marked: strings.HasPrefix(p.Name, peer.Countersign)})
	}
	return plot.Bars(s.Name+": answers a second", "median of the rounds; the line is where the middle half of them lies", bars)
}

// writeCharts writes one for each scenario that has results, and returns their names by scenario.
func writeCharts(dir string, r *Report) (map[string]string, error) {
	names := map[string]string{}
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.Broken != "" {
			continue
		}
		names[s.Name] = s.Name + ".svg"
		if err := os.WriteFile(filepath.Join(dir, names[s.Name]), []byte(chart(s)), 0o644); err != nil {
			return nil, err
		}
	}
	return names, nil
}
