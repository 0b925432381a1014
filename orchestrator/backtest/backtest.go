// Package backtest tries a policy over recorded history: what would it have
// opened an incident for, and what did the policies that were in force?
//
// It is pure: the same policy and the same records give the same result. It
// decides with policy.Decide, as the sidecar does.
package backtest

import (
	"errors"
	"iter"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Result is what came out.
type Result struct {
	Policy health.Policy `json:"policy"`
	// From and To are the first and the last tick that were decided on; ticks
	// before, which only say what is usual for the service, are not in Ticks.
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Ticks int       `json:"ticks"`
	// Gaps are where nothing was recorded for longer than a few ticks.
	// MissingSeconds is how long they are together.
	Gaps           int     `json:"gaps"`
	MissingSeconds float64 `json:"missing_seconds"`
	// Damaged counts records and files that could not be read; FirstDamage is
	// what is wrong with the first.
	Damaged     int    `json:"damaged"`
	FirstDamage string `json:"first_damage,omitempty"`
	// Unchecked are targets of the policy that no recorded check asked, so that
	// nothing can be said of them.
	Unchecked []string `json:"unchecked"`
	// Policies are the digests of those that were in force, as they came.
	Policies []string `json:"policies"`

	Would    []Interval `json:"would"`
	Recorded []Recorded `json:"recorded"`
	// Shadowed are the gates that are only watched by this policy.
	Shadowed []Shadowed `json:"shadowed"`
	Summary  Summary    `json:"summary"`
}

// Interval is a time in which an incident would have been open.
type Interval struct {
	From time.Time `json:"from"`
	// To is the tick in which it would have recovered, or the last one before
	// the recording ends or pauses; End says which.
	To  time.Time `json:"to"`
	End End       `json:"end"`
	// Validated says that it held for as long as validating takes.
	Validated bool `json:"validated"`
	// Gates fired in it, in the order in which they began to.
	Gates []string `json:"gates"`
	// WorstScore is the lowest.
	WorstScore float64 `json:"worst_score"`
	// Why is the policy's reason for opening.
	Why string `json:"why"`
	// Recorded are the incidents that were open at the same time. "" is for
	// ticks that were breached without one, as when the ledger was not kept.
	Recorded []string `json:"recorded"`
}

// Seconds is how long it lasts.
func (i Interval) Seconds() float64 { return i.To.Sub(i.From).Seconds() }

// End is how an interval ends.
type End string

// The ends. After a pause in the recording the incident is not held to go on:
// when the condition still holds, another interval begins.
const (
	Recovered End = "recovered"
	Paused    End = "recording_paused"
	StillOpen End = "still_open"
)

// Recorded is an incident that was recorded.
type Recorded struct {
	IncidentID string    `json:"incident_id"` // empty: breached without one
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	// Would says that the policy would have had one open at the same time.
	Would bool `json:"would"`
}

// Shadowed is a gate that is only watched.
type Shadowed struct {
	Gate  string    `json:"gate"`
	Ticks int       `json:"ticks"` // in which its condition held
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Summary compares.
type Summary struct {
	Would    int `json:"would_open"`
	Both     int `json:"would_open_and_recorded"`
	New      int `json:"would_open_and_not_recorded"`
	Recorded int `json:"recorded"`
	Missed   int `json:"recorded_and_would_not_open"`
}

// Run decides by p on the ticks of minutes, in their order. Those before from
// only prepare the state, as Restore does for a sidecar that starts at from.
// Records that are damaged are passed over and counted; any other error ends
// it. Memory grows with the incidents, not with the ticks.
func Run(p *policy.Policy, from time.Time, minutes iter.Seq2[history.Minute, error]) (Result, error) {
	r := newRun(p, from)
	for m, err := range minutes {
		if err != nil {
			if _, ok := errors.AsType[*history.Damage](err); !ok {
				return Result{}, err
			}
			r.damaged(err)
			continue
		}
		for _, t := range m.Ticks {
			r.tick(t)
		}
	}
	return r.finish(), nil
}
