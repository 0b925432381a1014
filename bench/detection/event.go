package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// condition is what a second is like.
type condition struct {
	load    float64 // as a share of the mean
	slower  float64 // the factor of all latencies
	addedMS float64 // to each latency
	errors  float64 // the share that fails
	hangs   bool    // nothing is answered
	dead    bool    // nothing can be reached
}

// happening is something that belongs to a healthy service's life. Size is drawn
// for each, 0 to 1.
type happening struct {
	name string
	// perDay is how many there are, on average and spread over the day; or at is
	// the hour at which there is one each day.
	perDay, at float64
	worktime   bool // from nine to six on weekdays only
	lasts      func(size float64) time.Duration
	act        func(c *condition, into time.Duration, size float64)
}

// longestEvent is more than any of them lasts.
const longestEvent = time.Hour

var usualLife = []happening{
	{
		name: "deployment", perDay: 3, worktime: true,
		lasts: func(float64) time.Duration { return 90 * time.Second },
		act: func(c *condition, into time.Duration, size float64) {
			// Cold caches, and for a few seconds some errors as instances change.
			c.slower *= 1 + (0.5+size)*math.Exp2(-into.Seconds()/20)
			if into < 5*time.Second {
				c.errors += 0.005 + 0.015*size
			}
		},
	},
	{
		name: "rush", perDay: 4,
		lasts: func(size float64) time.Duration { return time.Minute + time.Duration(size*float64(4*time.Minute)) },
		act: func(c *condition, _ time.Duration, size float64) {
			c.load *= 2 + size
			c.slower *= 1.15
		},
	},
	{
		name: "pause", perDay: 24,
		lasts: func(float64) time.Duration { return time.Second },
		act:   func(c *condition, _ time.Duration, size float64) { c.addedMS += 100 + 400*size },
	},
	{
		name: "nightly batch", at: 3,
		lasts: func(size float64) time.Duration { return time.Duration((15 + 15*size) * float64(time.Minute)) },
		act:   func(c *condition, _ time.Duration, size float64) { c.slower *= 1.2 + 0.3*size },
	},
	{
		name: "hiccup of a dependency", perDay: 2,
		lasts: func(size float64) time.Duration { return time.Second + time.Duration(size*float64(2*time.Second)) },
		act:   func(c *condition, _ time.Duration, _ float64) { c.errors += 0.1 },
	},
}

// event is a happening at its time.
type event struct {
	happening happening
	from      time.Time
	lasts     time.Duration
	size      float64
}

// happenings draws what happens in so many days, in the order of time.
func happenings(r *rand.Rand, days int) []event {
	var all []event
	for _, h := range usualLife {
		for d := range days {
			day := monday.AddDate(0, 0, d)
			from, span, n := 0.0, 24.0, poisson(r, h.perDay)
			switch weekend := day.Weekday() == time.Saturday || day.Weekday() == time.Sunday; {
			case h.worktime && weekend:
				continue
			case h.worktime:
				from, span = 9, 9
			case h.perDay == 0:
				from, span, n = h.at, 0, 1
			}
			for range n {
				size := r.Float64()
				at := day.Add(time.Duration((from + span*r.Float64()) * float64(time.Hour))).Truncate(time.Second)
				all = append(all, event{happening: h, from: at, lasts: h.lasts(size), size: size})
			}
		}
	}
	slices.SortFunc(all, func(a, b event) int {
		return cmp.Or(a.from.Compare(b.from), cmp.Compare(a.happening.name, b.happening.name))
	})
	return all
}

// near says what was happening at a time or had just ended.
func (s *service) near(at time.Time) string {
	var names []string
	for _, e := range slices.Concat(s.past, s.events) {
		if !e.from.After(at) && at.Before(e.from.Add(e.lasts+90*time.Second)) && !slices.Contains(names, e.happening.name) {
			names = append(names, e.happening.name)
		}
	}
	return strings.Join(names, ", ")
}
