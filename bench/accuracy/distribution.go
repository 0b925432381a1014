package main

import (
	"math"
	"math/rand/v2"
	"time"
)

// distribution draws latencies around a typical one, in nanoseconds.
type distribution struct {
	name, what string
	// history is how long before the measured minute the service has run already,
	// at its typical latency.
	history time.Duration
	// draw is a latency; into is how much of the measured minute is over, 0 to 1,
	// and below 0 before it.
	draw func(r *rand.Rand, typical, into float64) float64
}

// longest bounds every latency drawn, in nanoseconds.
const longest = 60e9

var distributions = []distribution{
	{
		name: "normal", what: "mean m, standard deviation 0.15 m",
		draw: func(r *rand.Rand, m, _ float64) float64 { return m * (1 + 0.15*r.NormFloat64()) },
	},
	{
		name: "bimodal", what: "nine in ten around m, one in ten around 10 m",
		draw: func(r *rand.Rand, m, _ float64) float64 {
			if r.Float64() < 0.9 {
				return m * (1 + 0.1*r.NormFloat64())
			}
			return 10 * m * (1 + 0.15*r.NormFloat64())
		},
	},
	{
		name: "heavy-tailed", what: "Pareto with α = 2 and median m",
		draw: func(r *rand.Rand, m, _ float64) float64 { return m / math.Sqrt2 / math.Sqrt(1-r.Float64()) },
	},
	{
		name: "shifting", what: "nine minutes around m, then a minute in which the mean climbs to 3 m", history: 9 * time.Minute,
		draw: func(r *rand.Rand, m, into float64) float64 {
			return m * (1 + 2*max(0, into)) * (1 + 0.15*r.NormFloat64())
		},
	},
}

// latency is a draw within what can be measured, in whole nanoseconds.
func (d distribution) latency(r *rand.Rand, typical time.Duration, into float64) int64 {
	m := float64(typical)
	return int64(min(max(d.draw(r, m, into), m/20), longest))
}
