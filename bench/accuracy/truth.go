package main

import (
	"math"
	"slices"
)

// exact is the P95 of durations: the one at rank ⌈0.95·n⌉ of all n in ascending
// order, found by sorting them. It sorts durations, of which there is at least
// one.
func exact(durations []int64) int64 {
	slices.Sort(durations)
	return durations[(95*len(durations)+99)/100-1]
}

// estimate is a P95 as a tool reports it, in nanoseconds.
type estimate struct {
	Value float64
	// Low and High are the ends of the bracket of a tool that gives one, else 0.
	Low, High int64
}

// bracketed says whether the tool gives a bracket.
func (e estimate) bracketed() bool { return e.High > 0 }

// holds says whether the bracket contains a duration.
func (e estimate) holds(truth int64) bool { return e.Low <= truth && truth <= e.High }

// offBy is how far the estimate is from the truth, as a share of it.
func (e estimate) offBy(truth int64) float64 {
	return math.Abs(e.Value-float64(truth)) / float64(truth)
}
