package orchestrator

import (
	"slices"
	"time"
)

// trailLength is how many ticks a trail has: ten minutes.
const trailLength = int(10 * time.Minute / TickInterval)

// Step is the P95 and the error rate, 0 to 1, of the window at one tick; nil when
// nothing was measured.
type Step struct {
	At               time.Time
	P95MS, ErrorRate *float64
}

// follow puts a step behind the trail, in a slice of its own: others may be
// reading the one before.
func follow(trail []Step, s Step) []Step {
	return append(slices.Clone(trail[max(0, len(trail)-trailLength+1):]), s)
}

// Trail is how latency and errors went in the last ten minutes, the oldest step first.
// It is shared and must not be written to.
func (o *Orchestrator) Trail() []Step { return o.published.Load().trail }
