package history

import (
	"cmp"
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Lookback is how much of the history a state is made of: as much as the
// longest window of a burn rate, and several times the baseline.
const Lookback = 6 * time.Hour

// pause is how long after a tick the next one may come and still continue it.
const pause = 4 * Interval

// Restore is the state in which a process that starts at now goes on: p
// decides again on every recorded tick of the last Lookback, so that the
// baseline learns exactly what it learned live. Then it is as after a pause,
// which Continue describes.
//
// The error tells of records that could not be read, or of a history that
// could not be; the state is made of the others, and is always usable.
func Restore(dir, tenant string, p *policy.Policy, now time.Time) (policy.State, error) {
	var s policy.State
	var last time.Time
	var first error
	unread := 0
	for m, err := range Read(dir, tenant, now.Add(-Lookback), now) {
		if err != nil {
			first = cmp.Or(first, err)
			unread++
			continue
		}
		for _, t := range m.Ticks {
			s, _ = policy.Decide(Continue(s, last, t.Input.Time), t.Input, p)
			last = t.Input.Time
		}
	}
	if first != nil {
		first = fmt.Errorf("the history of the last %s is restored without %d records or files, the first: %w", Lookback, unread, first)
	}
	return paused(s), first
}

// Continue is the state to decide on a tick at a time when the last was at
// another. After a pause, as when the sidecar was not running, only what stays
// true is left: what is usual for the service, and the requests of the minutes
// that burn rates look back on. Whether targets are up, and everything that
// compares with the moment before, begins anew. After more than Lookback
// nothing is left. With a zero last, before the first tick, s is the state to
// start in.
func Continue(s policy.State, last, at time.Time) policy.State {
	switch gap := at.Sub(last); {
	case last.IsZero():
	case gap > Lookback:
		return policy.State{}
	case gap > pause:
		return paused(s)
	}
	return s
}

func paused(s policy.State) policy.State {
	return policy.State{Health: health.State{BaselineMS: s.Health.BaselineMS}, Burn: s.Burn, Rates: s.Rates.Known()}
}
