package backtest

import (
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// lag is how much later an incident may be recorded than the tick that opened
// it: it is in the ledger first.
const lag = 2 * history.Interval

// gap is how long after a tick the next one may come without anything missing.
const gap = 4 * history.Interval

// run is a backtest on its way.
type run struct {
	policy *policy.Policy
	from   time.Time
	result Result

	state policy.State
	last  time.Time // of the last tick, also one before from

	open bool // the last of result.Would has not ended

	recorded map[string]int // the incident's index in result.Recorded
	shadowed map[string]int // the gate's index in result.Shadowed
	checked  map[string]bool
}

func newRun(p *policy.Policy, from time.Time) *run {
	return &run{
		policy: p, from: from, recorded: map[string]int{}, shadowed: map[string]int{},
		checked: map[string]bool{policy.UpstreamTarget: true}, // the traffic tells of it
		result: Result{
			Policy: p.Identity(), Unchecked: []string{}, Policies: []string{},
			Would: []Interval{}, Recorded: []Recorded{}, Shadowed: []Shadowed{},
		},
	}
}

func (r *run) damaged(err error) {
	if r.result.Damaged++; r.result.Damaged == 1 {
		r.result.FirstDamage = err.Error()
	}
}

// tick decides on one tick.
func (r *run) tick(t history.Tick) {
	at := t.Input.Time
	r.state = history.Continue(r.state, r.last, at)
	before := r.last
	r.last = at
	var d policy.Decision
	r.state, d = policy.Decide(r.state, t.Input, r.policy)
	for _, c := range t.Input.Checks {
		r.checked[c.Target] = true
	}
	if at.Before(r.from) {
		return
	}
	if r.result.Ticks > 0 {
		r.pass(before, at)
	}
	if r.result.Ticks++; r.result.Ticks == 1 {
		r.result.From = at
	}
	r.result.To = at
	if !slices.Contains(r.result.Policies, t.PolicyDigest) {
		r.result.Policies = append(r.result.Policies, t.PolicyDigest)
	}
	r.compare(t)
	r.watch(at, d)
	r.step(at, d)
}

// pass looks at the time between two ticks. What was open before a pause is
// not held to have gone on in it.
func (r *run) pass(before, at time.Time) {
	between := at.Sub(before)
	if between >= 0 && between <= gap {
		return
	}
	if between > gap {
		r.result.Gaps++
		r.result.MissingSeconds += (between - history.Interval).Seconds()
	}
	if r.open {
		r.end(before, Paused)
	}
}

// step opens, goes on with, or ends what would be an incident.
func (r *run) step(at time.Time, d policy.Decision) {
	if d.Breached && !r.open {
		r.open = true
		r.result.Would = append(r.result.Would, Interval{
			From: at, To: at, Gates: []string{}, WorstScore: d.Verdict.HealthScore.Score, Why: d.Why, Recorded: []string{},
		})
	}
	if !r.open {
		return
	}
	i := &r.result.Would[len(r.result.Would)-1]
	i.To = at
	i.WorstScore = min(i.WorstScore, d.Verdict.HealthScore.Score)
	for _, b := range d.Breaches {
		if !slices.Contains(i.Gates, b.Key) {
			i.Gates = append(i.Gates, b.Key)
		}
	}
	if d.Breached && at.Sub(i.From).Seconds() >= r.policy.Incident.ValidateAfterSeconds {
		i.Validated = true
	}
	if d.Recovered {
		r.end(at, Recovered)
	}
}

func (r *run) end(at time.Time, how End) {
	i := &r.result.Would[len(r.result.Would)-1]
	i.To, i.End = at, how
	r.open = false
}

// watch counts for the gates that are only watched.
func (r *run) watch(at time.Time, d policy.Decision) {
	for _, b := range d.Shadowed {
		n, known := r.shadowed[b.Key]
		if !known {
			n = len(r.result.Shadowed)
			r.shadowed[b.Key] = n
			r.result.Shadowed = append(r.result.Shadowed, Shadowed{Gate: b.Key, First: at})
		}
		s := &r.result.Shadowed[n]
		s.Ticks++
		s.Last = at
	}
}

// compare notes what was recorded of a tick.
func (r *run) compare(t history.Tick) {
	at := t.Input.Time
	if t.IncidentID == "" && !t.Breached {
		return
	}
	n, known := r.recorded[t.IncidentID]
	// Without an incident, what is apart is not the same.
	if known && t.IncidentID == "" && at.Sub(r.result.Recorded[n].To) > gap {
		known = false
	}
	if !known {
		n = len(r.result.Recorded)
		r.recorded[t.IncidentID] = n
		r.result.Recorded = append(r.result.Recorded, Recorded{IncidentID: t.IncidentID, From: at})
	}
	r.result.Recorded[n].To = at
}

// finish compares the two lists and counts.
func (r *run) finish() Result {
	if r.open {
		r.end(r.result.To, StillOpen)
	}
	res := r.result
	res.Recorded = settle(res.Recorded)
	first := 0
	for n := range res.Would {
		w := &res.Would[n]
		// Both lists are in the order of time, unless the clock was put back.
		for first < len(res.Recorded) && res.Recorded[first].To.Add(lag).Before(w.From) {
			first++
		}
		for m := first; m < len(res.Recorded); m++ {
			rec := &res.Recorded[m]
			if !rec.From.Add(-lag).After(w.To) && !rec.To.Add(lag).Before(w.From) {
				rec.Would = true
				w.Recorded = append(w.Recorded, rec.IncidentID)
			}
		}
		if len(w.Recorded) > 0 {
			res.Summary.Both++
		}
	}
	for _, rec := range res.Recorded {
		if !rec.Would {
			res.Summary.Missed++
		}
	}
	res.Summary.Would, res.Summary.Recorded = len(res.Would), len(res.Recorded)
	res.Summary.New = res.Summary.Would - res.Summary.Both
	for _, c := range r.policy.Checks {
		if !r.checked[c.Name] {
			res.Unchecked = append(res.Unchecked, c.Name)
		}
	}
	return res
}

// settle leaves out the ticks that were breached before the incident that they
// opened was in the ledger.
func settle(all []Recorded) []Recorded {
	opens := func(unnamed Recorded) bool {
		return slices.ContainsFunc(all, func(i Recorded) bool {
			after := i.From.Sub(unnamed.To)
			return i.IncidentID != "" && after > 0 && after <= lag
		})
	}
	kept := []Recorded{}
	for _, rec := range all {
		if rec.IncidentID != "" || rec.To.Sub(rec.From) > lag || !opens(rec) {
			kept = append(kept, rec)
		}
	}
	return kept
}
