package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/countersign-dev/countersign/bench/peer"
	"github.com/countersign-dev/countersign/bench/stats"
)

// Claim is one that was asked for, and what the figures say of it.
type Claim struct {
	Text    string        `json:"text"`
	Verdict stats.Verdict `json:"verdict"`
	Says    string        `json:"says"` // the ratio with its interval, or why there is none
}

// notMeasured is the verdict on what a run has no figures for.
const notMeasured stats.Verdict = "not measured"

// wanted is a claim about the ratio of one figure of two peers.
type wanted struct {
	text     string
	scenario string
	figure   string
	a, b     string
	want     float64
	atLeast  bool
}

var allWanted = []wanted{
	{"saturated, small answers: throughput at least that of nginx with log", saturated, answersPerSecond, peer.Countersign, peer.NginxLog, 1.0, true},
	{"saturated, small answers: throughput at least 1.2 times that of HAProxy with log", saturated, answersPerSecond, peer.Countersign, peer.HAProxyLog, 1.2, true},
	{"saturated, small answers: CPU a request at most that of nginx with log", saturated, cpu, peer.Countersign, peer.NginxLog, 1.0, false},
	{"at 3,000 requests a second: CPU a request at most 1.2 times that of nginx with log", steadyRate, cpu, peer.Countersign, peer.NginxLog, 1.2, false},
	{"at half of saturation: added P50 at most that of nginx with log", halfSaturation, addedP50, peer.Countersign, peer.NginxLog, 1.0, false},
	{"at half of saturation: added P99 at most that of HAProxy with log", halfSaturation, addedP99, peer.Countersign, peer.HAProxyLog, 1.0, false},
	{"answers of 1 MiB: throughput at least 0.9 times that of nginx without log", saturatedLarge, answersPerSecond, peer.Countersign, peer.Nginx, 0.9, true},
	{"measuring costs at most 2 % of the proxy's throughput", measuring, answersPerSecond, peer.Countersign, peer.CountersignOff, 0.98, true},
	{"the upstream with the eBPF probe beside it: throughput at least 0.95 times that without", probing, answersPerSecond, peer.Probe, peer.Direct, 0.95, true},
}

const megabyte = 1e6

var errNoFigures = errors.New("this run has no figures for it")

// judge makes the claims of a report.
func judge(r *Report) (all []Claim) {
	for _, w := range allWanted {
		all = append(all, w.judge(r))
	}
	most := 0.0
	for _, m := range r.Memory {
		most = max(most, float64(m.Is.Peak))
	}
	all = append(all, within("memory of the sidecar with ledger and orchestrator: at most 30 MB", most, 30*megabyte))
	return append(all, within("size of the binary: at most 30 MB", float64(r.Binary), 30*megabyte))
}

func (w wanted) judge(r *Report) Claim {
	i, err := ratioIn(r.find(w.scenario), w.figure, w.a, w.b)
	if err != nil {
		return Claim{w.text, notMeasured, err.Error()}
	}
	verdict := i.Claim(w.text, w.want, w.atLeast).Verdict()
	if verdict == stats.TooWide {
		return Claim{w.text, verdict, between(i) + ", no claim"}
	}
	return Claim{w.text, verdict, fmt.Sprintf("%.3f (%.3f–%.3f)", i.Value, i.Low, i.High)}
}

// ratioIn is that of a figure of two peers in a scenario.
func ratioIn(s *ScenarioResult, figure, a, b string) (i stats.Interval, err error) {
	if s == nil || s.Broken != "" {
		return i, errNoFigures
	}
	pa, pb := s.find(a), s.find(b)
	if pa == nil || pb == nil {
		return i, fmt.Errorf("%s and %s were not both there", a, b)
	}
	return stats.Ratio(pa.Figures[figure], pb.Figures[figure])
}

func within(text string, is, most float64) Claim {
	verdict := stats.Holds
	switch {
	case is == 0:
		return Claim{text, notMeasured, errNoFigures.Error()}
	case is > most:
		verdict = stats.Fails
	}
	return Claim{text, verdict, fmt.Sprintf("%.1f MB", is/megabyte)}
}

// comparison is the sidecar beside another peer by one figure of one scenario.
type comparison struct {
	scenario, peer string
	figure         figure
	ratio          stats.Interval // of the sidecar's figure to the peer's
	own, other     float64        // medians
}

// compare puts the sidecar beside every other proxy. What has no ratio is left out.
func compare(r *Report) (all []comparison) {
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		own := s.find(peer.Countersign)
		if s.Broken != "" || own == nil || s.find(peer.Direct) == nil {
			continue
		}
		for _, p := range s.Peers {
			if p.Name == peer.Direct || p.Name == peer.Countersign || p.Name == peer.CountersignOff {
				continue
			}
			for _, f := range compared(s.Scenario) {
				if ratio, err := stats.Ratio(own.Figures[f.key], p.Figures[f.key]); err == nil {
					all = append(all, comparison{s.Name, p.Name, f, ratio, own.median(f.key), p.median(f.key)})
				}
			}
		}
	}
	return all
}

// worse says whether the peer is better, and the noise of rounds does not explain it.
func (c comparison) worse() bool {
	if c.figure.more {
		return c.ratio.High < 1
	}
	return c.ratio.Low > 1
}

// telling says whether the interval is narrow enough for a ratio to be shown: a tenth of it.
func telling(i stats.Interval) bool {
	return !math.IsInf(i.Low, 0) && !math.IsInf(i.High, 0) && i.High-i.Low <= 0.1*math.Abs(i.Value)
}

// show writes a ratio, or the interval alone where a ratio would claim too much.
func show(i stats.Interval) string {
	if telling(i) {
		return fmt.Sprintf("%.2f (%.2f–%.2f)", i.Value, i.Low, i.High)
	}
	return between(i)
}

func between(i stats.Interval) string {
	if math.IsInf(i.High, 0) {
		return fmt.Sprintf("above %.2f", i.Low)
	}
	return fmt.Sprintf("between %.2f and %.2f", i.Low, i.High)
}
