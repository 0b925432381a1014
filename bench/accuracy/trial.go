package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Trial is what a real program in front of a real server reported. Nobody knows
// the true duration of a request to the nanosecond, but for each one the server's
// time from having read it to answering it is shorter, and the client's from
// sending it to having its answer is longer: so the true P95 lies between theirs.
type Trial struct {
	Distribution string      `json:"distribution"`
	Program      string      `json:"program"`
	Requests     int         `json:"requests"`
	ServerMS     float64     `json:"server_p95_ms"`
	ClientMS     float64     `json:"client_p95_ms"`
	ReportedMS   float64     `json:"reported_p95_ms"`
	BracketMS    *[2]float64 `json:"bracket_ms,omitempty"`
	// Between says that what was reported, or a part of its bracket, lies between
	// the server's and the client's P95. OffBy is how far it lies outside, as a
	// share of the nearer one.
	Between bool    `json:"between"`
	OffBy   float64 `json:"off_by"`
}

// trialScale is the typical latency that servers of trials have: fast, where
// milliseconds are coarse.
const trialScale = 2 * time.Millisecond

// judge fills in what follows from the figures.
func (t *Trial) judge() {
	low, high := t.ReportedMS, t.ReportedMS
	if t.BracketMS != nil {
		low, high = t.BracketMS[0], t.BracketMS[1]
	}
	switch {
	case high < t.ServerMS:
		t.OffBy = (t.ServerMS - high) / t.ServerMS
	case low > t.ClientMS:
		t.OffBy = (low - t.ClientMS) / t.ClientMS
	default:
		t.Between = true
	}
}

// try runs every program once before a server of each distribution, with so many
// requests.
func try(ctx context.Context, binary string, requests int) ([]Trial, error) {
	var trials []Trial
	for n, d := range distributions {
		for _, p := range programs(binary) {
			t, err := attempt(ctx, d, p, requests, uint64(n))
			if err != nil {
				return nil, fmt.Errorf("%s before a server with %s latencies: %w", p.name(), d.name, err)
			}
			trials = append(trials, t)
		}
	}
	return trials, nil
}

func attempt(ctx context.Context, d distribution, p program, requests int, seed uint64) (Trial, error) {
	delays, r := make([]time.Duration, requests), rand.New(rand.NewPCG(seed, 95))
	for i := range delays {
		delays[i] = time.Duration(d.latency(r, trialScale, float64(i)/float64(requests)))
	}
	s, err := serve(delays)
	if err != nil {
		return Trial{}, err
	}
	defer s.close()
	defer p.stop() // also when it did not come as far as to answer
	url, err := p.start(ctx, s.address())
	if err != nil {
		return Trial{}, err
	}
	seen, err := load(ctx, url, requests)
	if err != nil {
		return Trial{}, err
	}
	e, err := p.p95(ctx, requests)
	if err != nil {
		return Trial{}, err
	}
	served, err := s.durations(requests)
	if err != nil {
		return Trial{}, err
	}
	t := Trial{
		Distribution: d.name, Program: p.name(), Requests: requests,
		ServerMS: ms(exact(served)), ClientMS: ms(exact(seen)), ReportedMS: e.Value / 1e6,
	}
	if e.bracketed() {
		t.BracketMS = &[2]float64{ms(e.Low), ms(e.High)}
	}
	t.judge()
	return t, nil
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

// trialTable is the trials as Markdown.
func trialTable(trials []Trial) string {
	var b strings.Builder
	b.WriteString("Real programs before a server with known delays; the true P95 lies between the server's and the client's:\n\n")
	b.WriteString("| Latencies | Program | server's P95 | reported | client's P95 | |\n|---|---|---:|---:|---:|---|\n")
	for _, t := range trials {
		verdict := "between"
		if !t.Between {
			verdict = "off by " + percent(t.OffBy)
		}
		reported := fmt.Sprintf("%.3f ms", t.ReportedMS)
		if t.BracketMS != nil {
			reported = fmt.Sprintf("%.3f to %.3f ms", t.BracketMS[0], t.BracketMS[1])
		}
		fmt.Fprintf(&b, "| %s | %s | %.3f ms | %s | %.3f ms | %s |\n", t.Distribution, t.Program, t.ServerMS, reported, t.ClientMS, verdict)
	}
	return b.String()
}
