package policy

import (
	"math"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

const (
	// usualTicks is how many healthy ticks what is usual follows: ten minutes, as
	// traffic is not the same all day.
	usualTicks = 120
	// loadTicks is over how many ticks load is measured: one alone has too few
	// requests to tell a rise from chance.
	loadTicks = 3
)

// Load is how much is asked of the service, and how much of it is served, of late, in
// requests a second.
type Load struct {
	// Offered are all requests that arrived, also those that nobody waited for.
	Offered float64 `json:"offered"`
	// Goodput are at most those that were answered without an error and no later than
	// the critical threshold of the P95.
	Goodput float64 `json:"goodput"`
	// Usual is what is offered while the service is healthy.
	Usual float64 `json:"usual"`
}

// Rates is what Load is made of.
type Rates struct {
	// Usual follows what healthy ticks offered, in requests a second; Ticks is how many
	// there were, at most 120.
	Usual float64 `json:"usual"`
	Ticks int     `json:"ticks"`
	// InFlight requests were being served at the last tick.
	InFlight int `json:"in_flight"`
	// Recent are the last ticks, oldest first.
	Recent []Rate `json:"recent,omitempty"`
}

// Rate is what one tick offered and served, in requests.
type Rate struct {
	Seconds float64 `json:"seconds"`
	Offered float64 `json:"offered"`
	Good    float64 `json:"good"`
}

// Known is what stays true over a pause.
func (r Rates) Known() Rates { return Rates{Usual: r.Usual, Ticks: r.Ticks} }

// follow takes in a tick that began when the one before was measured. What was
// before a pause says nothing of the moment.
func (r Rates) follow(before health.Tick, m health.Measurement, p health.Params) Rates {
	now := r
	now.InFlight, now.Recent = m.Window.InFlight, nil
	elapsed := float64(m.Tick.UnixMilli-before.UnixMilli) / 1000
	if before == (health.Tick{}) || !(elapsed > 0 && elapsed <= p.RateMaxAgeSeconds) {
		return now
	}
	ended := float64(max(m.Tick.Ended, m.Tick.Requests))
	rate := Rate{
		Seconds: elapsed,
		Offered: max(0, ended+float64(m.Window.InFlight-r.InFlight)),
		Good:    good(m.Tick, p.P95MS.Critical),
	}
	kept := r.Recent[max(0, len(r.Recent)-loadTicks+1):]
	now.Recent = append(append(make([]Rate, 0, loadTicks), kept...), rate)
	return now
}

// good is at most how many of a tick's requests were answered well: by what is known
// of its latencies, so many of them were late.
func good(t health.Tick, late float64) float64 {
	share := 0.0
	for _, q := range []struct{ ms, above float64 }{{t.P95MS, 0.05}, {t.P50MS, 0.5}, {t.P25MS, 0.75}, {t.P10MS, 0.9}} {
		if q.ms > late {
			share = q.above
		}
	}
	answered := float64(t.Requests - min(t.Errors, t.Requests))
	return min(answered, float64(t.Samples)*(1-share))
}

// learn takes the last tick for a usual one.
func (r Rates) learn() Rates {
	n := len(r.Recent)
	if n == 0 {
		return r
	}
	last := r.Recent[n-1]
	r.Ticks = min(r.Ticks+1, usualTicks)
	r.Usual += float64((last.Offered/last.Seconds - r.Usual) / float64(r.Ticks))
	return r
}

// load is nil while too little is known to compare with.
func (r Rates) load(p health.Params) *Load {
	if r.Ticks < min(p.MinBaselineTicks, usualTicks) || len(r.Recent) < loadTicks {
		return nil
	}
	var sum Rate
	for _, one := range r.Recent {
		sum.Seconds += one.Seconds
		sum.Offered += one.Offered
		sum.Good += one.Good
	}
	if sum.Offered < float64(p.MinSamples) {
		return nil
	}
	return &Load{Offered: perSecond(sum.Offered, sum.Seconds), Goodput: perSecond(sum.Good, sum.Seconds), Usual: perSecond(r.Usual, 1)}
}

func perSecond(n, seconds float64) float64 { return math.Round(n/seconds*1e4) / 1e4 }
