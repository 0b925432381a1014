package main

import (
	"math/rand/v2"
	"time"
)

// kind is a way in which a simulated service fails.
type kind struct {
	name string
	act  func(*condition)
}

var kinds = []kind{
	{name: "a third of requests fails", act: func(c *condition) { c.errors = 0.33 }},
	{name: "8 % of requests fail", act: func(c *condition) { c.errors = 0.08 }},
	{name: "four seconds slower", act: func(c *condition) { c.addedMS += 4000 }},
	{name: "four times slower", act: func(c *condition) { c.slower *= 4 }},
	{name: "no answers", act: func(c *condition) { c.hangs = true }},
	{name: "gone", act: func(c *condition) { c.dead = true }},
}

// fault is one at its time.
type fault struct {
	kind     kind
	from, to time.Time
}

// Faults begin every so often and last a while, so that the one before is over and
// has left the window and the incident has recovered.
const (
	faultEvery = 2 * time.Hour
	faultLasts = 10 * time.Minute
)

// plan draws which fault begins when: all kinds equally often, each at any second
// of a tick and, in a week, at any hour of a day.
func plan(r *rand.Rand, days int) []fault {
	var all []fault
	var next []int
	for at := settling; at+faultEvery <= time.Duration(days)*24*time.Hour; at += faultEvery {
		if len(next) == 0 {
			next = r.Perm(len(kinds))
		}
		from := monday.Add(at + time.Duration(r.Int64N(int64(faultEvery/4/time.Second)))*time.Second)
		all = append(all, fault{kind: kinds[next[0]], from: from, to: from.Add(faultLasts)})
		next = next[1:]
	}
	return all
}
