package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/bench/page"
	"github.com/countersign-dev/countersign/bench/peer"
	"github.com/countersign-dev/countersign/bench/stats"
)

// markdown is RESULTS.md. charts has the file of a scenario's chart by its name.
func markdown(r *Report, charts map[string]string) string {
	var b strings.Builder
	b.WriteString(r.Head("What was measured", r.Short))
	fmt.Fprintf(&b, "%d rounds of %v each, in turn.\n\n", r.Rounds, r.Each)
	for _, l := range r.LeftOut {
		fmt.Fprintf(&b, "Left out: %s: %s.\n\n", page.Cell(l.What), page.Cell(strings.TrimSuffix(l.Why, ".")))
	}
	writeClaims(&b, r)
	writeNoise(&b, r)
	writeWorse(&b, r)
	for i := range r.Scenarios {
		if r.Against != "" || r.Scenarios[i].find(peer.CountersignTwo) == nil {
			writeScenario(&b, &r.Scenarios[i], charts[r.Scenarios[i].Name])
		}
	}
	writeStarts(&b, r)
	writeMemory(&b, r)
	return b.String()
}

func writeClaims(b *strings.Builder, r *Report) {
	b.WriteString("## What was asked for\n\n")
	var rows [][]string
	for _, c := range r.Claims {
		rows = append(rows, []string{c.Text, "**" + string(c.Verdict) + "**", c.Says})
	}
	page.Table(b, []string{"Claim", "", "Measured"}, rows)
}

// writeNoise shows A against A.
func writeNoise(b *strings.Builder, r *Report) {
	var rows [][]string
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		one, two := s.find(peer.Countersign), s.find(peer.CountersignTwo)
		if one == nil || two == nil {
			continue
		}
		for _, key := range []string{answersPerSecond, p50, p99, cpu} {
			ratio, err := stats.Ratio(one.Figures[key], two.Figures[key])
			says := "no ratio"
			if err == nil {
				says = show(ratio)
			}
			rows = append(rows, []string{s.Name, key, says})
		}
	}
	if len(rows) == 0 {
		return
	}
	if r.Against != "" {
		fmt.Fprintf(b, "## Against another build\n\nThe figure by that of %s.\n\n", page.Cell(r.Against))
	} else {
		b.WriteString("## Noise: A against A\n\nTwo sidecars that were started alike. As far as these are from 1, so far is everything below.\n\n")
	}
	page.Table(b, []string{"Scenario", "Figure", "Ratio (95 %)"}, rows)
}

// writeWorse says plainly where another is better.
func writeWorse(b *strings.Builder, r *Report) {
	b.WriteString("## Where another is better\n\nIn these the whole interval of the ratio is on their side. One row in forty would be here by chance.\n\n")
	var rows [][]string
	for _, c := range compare(r) {
		if c.worse() {
			rows = append(rows, []string{c.scenario, c.peer, c.figure.name, number(c.other) + " " + c.figure.unit, number(c.own) + " " + c.figure.unit, show(c.ratio)})
		}
	}
	if len(rows) == 0 {
		b.WriteString("Nowhere that this run could tell: see what it left out.\n\n")
		return
	}
	page.Table(b, []string{"Scenario", "Who", "In", "Theirs", "Ours", "Ours to theirs (95 %)"}, rows)
}

func writeScenario(b *strings.Builder, s *ScenarioResult, chart string) {
	fmt.Fprintf(b, "## %s\n\n%s", s.Name, s.About)
	if s.open() && s.Rate > 0 {
		fmt.Fprintf(b, " %.0f requests a second; latencies count from when a request was due.", s.Rate)
	}
	b.WriteString("\n\n")
	if s.Broken != "" {
		fmt.Fprintf(b, "Given up: %s.\n\n", page.Cell(s.Broken))
		return
	}
	if chart != "" {
		fmt.Fprintf(b, "![%s](%s)\n\n", s.Name, chart)
	}
	latencies := []string{p50, p95, p99, p999}
	title := "P50 / P95 / P99 / P99.9, µs"
	direct := s.find(peer.Direct)
	if s.open() && direct != nil {
		latencies, title = []string{addedP50, addedP95, addedP99, addedP999}, "added P50 / P95 / P99 / P99.9, µs"
	}
	var rows [][]string
	for i := range s.Peers {
		p := &s.Peers[i]
		of := latencies
		if p == direct {
			of = []string{p50, p95, p99, p999}
		}
		var quantiles []string
		for _, key := range of {
			quantiles = append(quantiles, number(p.median(key)))
		}
		syscalls := "–"
		if p.Syscalls > 0 {
			syscalls = number(p.Syscalls)
		}
		rows = append(rows, []string{p.Name, number(p.median(answersPerSecond)), strings.Join(quantiles, " / "),
			number(p.median(cpu)), number(p.median(upstreamCPU)), syscalls,
			number(p.median(voluntary)) + " / " + number(p.median(involuntary)), number(mib(p.Memory.Proportional)), failures(p)})
	}
	page.Table(b, []string{"", "Answers/s", title, "CPU, µs/request", "of the upstream", "System calls/request", "Switches/request, vol. / invol.", "Memory, MiB", "Failed"}, rows)
	if s.open() && direct != nil {
		fmt.Fprintf(b, "Added is what is above direct in the same round; direct has its own latencies. The generator got to 99 %% of the requests within %s µs.\n\n",
			number(direct.median(lagP99)))
	}
	writeRatios(b, s)
}

func failures(p *PeerResult) string {
	text := strconv.FormatUint(p.Failed, 10)
	if p.Failed > 0 {
		text += fmt.Sprintf(" of %d", p.Done+p.Failed)
	}
	return text
}

// writeRatios puts one peer beside each other: the sidecar, or the probe.
func writeRatios(b *strings.Builder, s *ScenarioResult) {
	own := s.find(peer.Countersign)
	if own == nil {
		own = s.find(peer.Probe)
	}
	if own == nil {
		return
	}
	head, figures := []string{own.Name + " to"}, compared(s.Scenario)
	for _, f := range figures {
		head = append(head, f.name)
	}
	var rows [][]string
	for _, p := range s.Peers {
		if p.Name == own.Name {
			continue
		}
		row := []string{p.Name}
		for _, f := range figures {
			ratio, err := stats.Ratio(own.Figures[f.key], p.Figures[f.key])
			if err != nil {
				row = append(row, "–")
			} else {
				row = append(row, show(ratio))
			}
		}
		rows = append(rows, row)
	}
	page.Table(b, head, rows)
}

func writeStarts(b *strings.Builder, r *Report) {
	if len(r.Starts) == 0 {
		return
	}
	b.WriteString("## From being started to the first answer\n\n")
	var rows [][]string
	for _, s := range r.Starts {
		rows = append(rows, []string{s.Name, number(stats.Median(s.MS)), number(stats.Quantile(s.MS, 0)) + "–" + number(stats.Quantile(s.MS, 1)), strconv.Itoa(len(s.MS))})
	}
	page.Table(b, []string{"", "Median, ms", "Range", "Starts"}, rows)
}

func writeMemory(b *strings.Builder, r *Report) {
	if len(r.Memory) == 0 {
		return
	}
	b.WriteString("## Memory of a sidecar\n\nEach a process of its own, with its ledger and all that watches.\n\n")
	var rows [][]string
	for _, m := range r.Memory {
		rows = append(rows, []string{m.Doing, fmt.Sprintf("%.1f", mib(m.Is.Resident)), fmt.Sprintf("%.1f", mib(m.Is.Peak))})
	}
	page.Table(b, []string{"Doing", "Resident afterwards, MiB", "At most, MiB"}, rows)
	fmt.Fprintf(b, "The binary has %.1f MB.\n", float64(r.Binary)/megabyte)
}

// number writes three significant figures, and whole numbers whole.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
