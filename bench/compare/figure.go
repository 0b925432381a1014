package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/countersign-dev/countersign/bench/load"
	"github.com/countersign-dev/countersign/bench/meter"
)

// Keys of the figures of a round.
const (
	answersPerSecond = "answers_per_second"
	p50              = "p50_us"
	p95              = "p95_us"
	p99              = "p99_us"
	p999             = "p999_us"
	addedP50         = "added_p50_us"
	addedP95         = "added_p95_us"
	addedP99         = "added_p99_us"
	addedP999        = "added_p999_us"
	cpu              = "cpu_us_per_request"
	upstreamCPU      = "upstream_cpu_us_per_request"
	generatorCPU     = "generator_cpu_us_per_request"
	voluntary        = "voluntary_switches_per_request"
	involuntary      = "involuntary_switches_per_request"
	lagP99           = "generator_lag_p99_us"
)

// figure is how a key is shown.
type figure struct {
	key, name, unit string
	more            bool // is better
}

// compared are the figures by which one peer can be better than another.
func compared(s Scenario) []figure {
	if s.open() {
		return []figure{
			{addedP50, "added P50", "µs", false}, {addedP95, "added P95", "µs", false}, {addedP99, "added P99", "µs", false},
			{addedP999, "added P99.9", "µs", false}, {cpu, "CPU", "µs/request", false},
		}
	}
	return []figure{
		{answersPerSecond, "answers", "1/s", true}, {p50, "P50", "µs", false}, {p99, "P99", "µs", false}, {cpu, "CPU", "µs/request", false},
	}
}

// added has the figures that are above those of the direct way, by the figure they are of.
var added = map[string]string{addedP50: p50, addedP95: p95, addedP99: p99, addedP999: p999}

// spent is what a round cost.
type spent struct {
	peer, upstream meter.Usage
	generator      time.Duration
}

// figuresOf makes the figures of one round.
func figuresOf(o outcome, latency, lag *hdrhistogram.Histogram, cost spent) map[string]float64 {
	per := func(n float64) float64 { return n / float64(max(o.Requests, 1)) }
	at := func(h *hdrhistogram.Histogram, q float64) float64 { return float64(load.Quantile(h, q)) / 1e3 }
	return map[string]float64{
		answersPerSecond: o.Answers,
		p50:              at(latency, 0.5),
		p95:              at(latency, 0.95),
		p99:              at(latency, 0.99),
		p999:             at(latency, 0.999),
		lagP99:           at(lag, 0.99),
		cpu:              per(float64(cost.peer.CPU) / 1e3),
		upstreamCPU:      per(float64(cost.upstream.CPU) / 1e3),
		generatorCPU:     per(float64(cost.generator) / 1e3),
		voluntary:        per(float64(cost.peer.Voluntary)),
		involuntary:      per(float64(cost.peer.Involuntary)),
	}
}
