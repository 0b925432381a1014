package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/countersign-dev/countersign/bench/load"
	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/meter"
	"github.com/countersign-dev/countersign/bench/peer"
	"github.com/countersign-dev/countersign/bench/stats"
)

// Report is all that was found: LATEST.json is it, and RESULTS.md and the charts are made from it.
type Report struct {
	machine.Setting
	Short     bool             `json:"short"`             // shows that everything works, and nothing else
	Against   string           `json:"against,omitempty"` // another build, which was measured beside
	Rounds    int              `json:"rounds"`
	Each      time.Duration    `json:"each_ns"`
	LeftOut   []LeftOut        `json:"left_out,omitempty"`
	Scenarios []ScenarioResult `json:"scenarios"`
	Starts    []Start          `json:"starts,omitempty"`
	Memory    []MemoryResult   `json:"memory,omitempty"`
	Binary    int64            `json:"binary_bytes"`
	Claims    []Claim          `json:"claims"`
}

// LeftOut is what was not measured, and why.
type LeftOut struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// ScenarioResult is what came of a scenario.
type ScenarioResult struct {
	Scenario
	Rounds int          `json:"rounds"`
	Peers  []PeerResult `json:"results"`
	Broken string       `json:"broken,omitempty"` // why it was given up; there are no results then
}

// PeerResult is one peer in one scenario. What is at the same place of two peers' Figures was measured in the same round.
type PeerResult struct {
	Name     string               `json:"name"`
	Figures  map[string][]float64 `json:"figures"`  // by key, one a round
	Syscalls float64              `json:"syscalls"` // a request, of the peer's processes; 0 if not counted
	Memory   meter.Memory         `json:"memory"`   // after the last round
	Done     uint64               `json:"done"`
	Failed   uint64               `json:"failed"`
	Late     uint64               `json:"late"` // see load.Result
	Errors   map[string]uint64    `json:"errors,omitempty"`
	// Latencies are those of all rounds together at the quantiles of curve, in µs.
	Latencies []float64 `json:"latencies_us"`

	all *hdrhistogram.Histogram
}

// curve are the quantiles of charts.
var curve = []float64{0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999}

// find is one peer's result.
func (s *ScenarioResult) find(name string) *PeerResult {
	for i := range s.Peers {
		if s.Peers[i].Name == name {
			return &s.Peers[i]
		}
	}
	return nil
}

// find is one scenario's result.
func (r *Report) find(name string) *ScenarioResult {
	for i := range r.Scenarios {
		if r.Scenarios[i].Name == name {
			return &r.Scenarios[i]
		}
	}
	return nil
}

// median of a figure over the rounds; NaN if there is none.
func (p *PeerResult) median(key string) float64 { return stats.Median(p.Figures[key]) }

// finish makes what follows from all rounds of a scenario.
func (s *ScenarioResult) finish() {
	direct := s.find(peer.Direct)
	for i := range s.Peers {
		p := &s.Peers[i]
		for _, q := range curve {
			p.Latencies = append(p.Latencies, float64(load.Quantile(p.all, q))/1e3)
		}
		if direct == nil || p == direct {
			continue
		}
		for key, of := range added {
			for round, v := range p.Figures[of] {
				p.Figures[key] = append(p.Figures[key], v-direct.Figures[of][round])
			}
		}
	}
}

// Start is how long a peer took from being started to its first answer, in milliseconds, each time.
type Start struct {
	Name string    `json:"name"`
	MS   []float64 `json:"ms"`
}

// MemoryResult is what a sidecar of its own has had at most, doing one thing.
type MemoryResult struct {
	Doing string       `json:"doing"`
	Is    meter.Memory `json:"is"`
}
