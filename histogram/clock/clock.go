// Package clock reads a monotonic clock cheaply enough to stamp every request
// twice.
//
// On amd64 Linux, where the processor's time-stamp counter is invariant and the
// kernel itself keeps time by it, Now reads the counter and scales it to
// nanoseconds: about half the price of time.Now, which goes through the vDSO.
// Everywhere else, and until Calibrate has been called, Now is time.Since.
//
// The scale is a straight line, good for about a second. The first reader after
// that draws the next one: it begins where the last line ended, so there is
// never a step, and its slope is the counter's rate over the last second,
// corrected so that it meets the runtime's monotonic clock again. Its error is
// a few parts per million, and what is left does not add up. The counter
// is read without a fence, so two readings may each be off by the few dozen
// instructions a processor keeps in flight.
package clock

import "time"

var origin = time.Now()

// runtimeNow is Go's own monotonic clock, the one Now follows.
func runtimeNow() int64 { return int64(time.Since(origin)) }
