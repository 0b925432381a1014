package policy

import (
	"fmt"
	"time"
)

// become is the target in a state. The first state that becomes known is no
// change: nothing oscillated.
func (t Target) become(s TargetState, at time.Time, f Flap) Target {
	if t.State == s {
		return t
	}
	if t.State == Up || t.State == Down {
		t.Changes = append(append(make([]time.Time, 0, len(t.Changes)+1), t.Changes...), at)
		t.QuietSince = at
	}
	t.State, t.LastStateChangeAt = s, at
	return t.settle(at, f)
}

// settle forgets the changes that are too long ago, and says whether what is
// left is flapping. A flapping target is steady when it has been quiet for
// long enough.
func (t Target) settle(now time.Time, f Flap) Target {
	within := seconds(f.WithinSeconds)
	old := 0
	for old < len(t.Changes) && (now.Sub(t.Changes[old]) > within || len(t.Changes)-old > f.Changes) {
		old++
	}
	t.Changes = t.Changes[old:]
	if len(t.Changes) == 0 {
		t.Changes = nil // as it comes back from JSON
	}
	if !t.Flapping {
		t.Flapping = len(t.Changes) >= f.Changes
	} else if now.Sub(t.QuietSince) >= seconds(f.QuietSeconds) {
		t.Flapping, t.Changes = false, nil
	}
	return t
}

// jumped is the target after the clock went by leaps: no time that is to
// come, and a quiet that begins anew, as nobody knows how long it was.
func (t Target) jumped(now time.Time) Target {
	kept := make([]time.Time, 0, len(t.Changes))
	for _, c := range t.Changes {
		if !c.After(now) {
			kept = append(kept, c)
		}
	}
	if t.Changes = kept; len(kept) == 0 {
		t.Changes = nil
	}
	if !t.QuietSince.IsZero() {
		t.QuietSince = now
	}
	t.LastStateChangeAt, t.LastCheckedAt = earlier(t.LastStateChangeAt, now), earlier(t.LastCheckedAt, now)
	return t
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

func flapReason(f Flap) string {
	return fmt.Sprintf("%d changes of state within %s; steady after %s without one", f.Changes, seconds(f.WithinSeconds), seconds(f.QuietSeconds))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
