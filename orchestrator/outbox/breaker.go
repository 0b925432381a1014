package outbox

import "time"

// breaker keeps a channel from being asked while it does not answer or has asked
// for a pause. Times are those of the box's stopwatch.
type breaker struct {
	failures int           // in a row
	until    time.Duration // it is not asked before
	paused   bool          // until is the end of a pause that it asked for
	busy     bool          // an attempt is under way; one at a time, which is also the probe
}

// wait is how long the channel is still not to be asked.
func (b *breaker) wait(at time.Duration) time.Duration { return max(b.until-at, 0) }

// state is closed, open, half-open while a probe may tell, or paused as the channel asked.
func (b *breaker) state(at time.Duration, r Rules) string {
	switch {
	case b.wait(at) > 0 && b.paused:
		return "paused"
	case b.wait(at) > 0:
		return "open"
	case b.failures >= r.Break:
		return "half-open"
	}
	return "closed"
}

func (b *breaker) succeeded() { b.failures, b.paused = 0, false }

// failed takes in a failure that another message could meet as well.
func (b *breaker) failed(at time.Duration, r Rules) {
	b.failures++
	if b.failures >= r.Break {
		b.hold(at+doubled(r.CoolDown, b.failures-r.Break, max(r.Longest, r.CoolDown)), false)
	}
}

// pause takes in that the channel asked to be left alone.
func (b *breaker) pause(at, wait time.Duration, r Rules) { b.hold(at+min(wait, r.Pause), true) }

func (b *breaker) hold(until time.Duration, paused bool) {
	if until > b.until {
		b.until, b.paused = until, paused
	}
}
