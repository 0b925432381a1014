package outbox

import "time"

// Rules are how long is waited and how often is tried. A zero field is its default.
type Rules struct {
	// Voice and Secondary are how long a decision may be awaited before a channel
	// rings and before the next contacts are told; 180 s and 300 s.
	Voice, Secondary time.Duration
	// Base is the wait after the first failure; it doubles with each, up to Longest.
	// 1 s and 5 min. Each is shortened at random by up to a half.
	Base, Longest time.Duration
	// Fallback is how many attempts in a row a channel gets before the next of the
	// contact stands in for it; 3.
	Fallback int
	// Attempts is how many a delivery gets in all before it is a dead letter; 20.
	Attempts int
	// Unsure is how many attempts a channel may leave without an answer, after each of
	// which the message may have been accepted, before it is not used for this delivery
	// any more; 3.
	Unsure int
	// Stale is the age at which a message is not worth sending any more; 24 h.
	Stale time.Duration
	// Break is how many failures in a row open a channel's circuit breaker, and
	// CoolDown how long it stays open at first: 5 and 30 s. It doubles with each
	// failure that follows, up to Longest.
	Break    int
	CoolDown time.Duration
	// Diagnosis is how long the first message of an incident, and that of its validation,
	// waits for a diagnosis since it is due; 0 is not at all.
	Diagnosis time.Duration
	// Patience is the longest pause that a channel may ask for without the next one
	// standing in for it; 30 s. A pause is at most Pause; 1 h.
	Patience, Pause time.Duration
}

func (r Rules) withDefaults() Rules {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&r.Voice, 180 * time.Second}, {&r.Secondary, 300 * time.Second}, {&r.Base, time.Second}, {&r.Longest, 5 * time.Minute},
		{&r.Stale, 24 * time.Hour}, {&r.CoolDown, 30 * time.Second}, {&r.Patience, 30 * time.Second}, {&r.Pause, time.Hour},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, n := range []struct {
		field *int
		value int
	}{{&r.Fallback, 3}, {&r.Attempts, 20}, {&r.Unsure, 3}, {&r.Break, 5}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	return r
}

// backoff is the wait after the nth failure; jitter is at least 0 and below 1.
func (r Rules) backoff(n int, jitter float64) time.Duration {
	wait := doubled(r.Base, n-1, r.Longest)
	return wait - time.Duration(jitter*float64(wait/2))
}

// doubled is base doubled n times, at most limit.
func doubled(base time.Duration, n int, limit time.Duration) time.Duration {
	for ; n > 0 && base < limit; n-- {
		base *= 2
	}
	return min(base, limit)
}

// maxStride is the longest time that passes for the outbox between two looks at the
// clock. It looks far more often: what is beyond is the clock that was set.
const maxStride = time.Minute

// A stopwatch is a clock that a wall clock drives and that never jumps: it stands
// still while that goes back, and leaps at most maxStride when it is put forward. So
// no wait is endless and nothing grows old at once.
type stopwatch struct {
	last    time.Time
	elapsed time.Duration
}

// read is the time since the first reading.
func (w *stopwatch) read(now time.Time) time.Duration {
	if !w.last.IsZero() {
		w.elapsed += min(max(now.Sub(w.last), 0), maxStride)
	}
	w.last = now
	return w.elapsed
}
