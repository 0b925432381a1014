package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// rate is the requests a second of a fed run; they come independently of each
// other.
const rate = 200

// scales are the typical latencies: of a fast API, a usual one and a slow one.
var scales = []time.Duration{2 * time.Millisecond, 100 * time.Millisecond, time.Second}

// request is one that ended at a time since the start, both in nanoseconds.
type request struct{ end, duration int64 }

// run is what all tools are fed with: requests in the order in which they end,
// of which those from the one at first on are of the measured minute.
type run struct {
	requests []request
	first    int
	truth    int64
	from     int64 // when the measured minute begins
}

// draw makes a run. The same seed gives the same one.
func draw(d distribution, typical time.Duration, seed uint64) run {
	r := rand.New(rand.NewPCG(seed, 95))
	out := run{from: int64(d.history), first: -1}
	var measured []int64
	for at := 0.0; ; {
		at += r.ExpFloat64() / rate * 1e9
		end := int64(at)
		if end >= out.from+int64(window) {
			break
		}
		q := request{end, d.latency(r, typical, (at-float64(out.from))/float64(window))}
		if end >= out.from {
			if out.first < 0 {
				out.first = len(out.requests)
			}
			measured = append(measured, q.duration)
		}
		out.requests = append(out.requests, q)
	}
	out.truth = exact(measured)
	return out
}

// ask feeds a tool and asks it.
func (r run) ask(n named) (estimate, error) {
	t, err := n.make(r.from + int64(window))
	if err != nil {
		return estimate{}, fmt.Errorf("%s cannot be set up: %w", n.name, err)
	}
	for i, q := range r.requests {
		if i == r.first {
			t.begin()
		}
		t.observe(q.end, q.duration)
	}
	e, err := t.p95()
	if err != nil {
		return e, fmt.Errorf("%s gives no P95: %w", n.name, err)
	}
	return e, nil
}

// feed has all tools report on so many runs of each distribution at each scale.
func feed(runs int) ([]Case, error) {
	var cases []Case
	for _, d := range distributions {
		for _, typical := range scales {
			c := newCase(d.name, typical)
			for seed := range uint64(runs) {
				r := draw(d, typical, seed)
				for i, n := range tools {
					e, err := r.ask(n)
					if err != nil {
						return nil, err
					}
					c.add(i, e, r.truth)
				}
				c.TruthMS = append(c.TruthMS, float64(r.truth)/1e6)
			}
			cases = append(cases, c.done())
		}
	}
	return cases, nil
}
