package docket

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// changesTimeout is how long an incident waits for what came before it.
const changesTimeout = 500 * time.Millisecond

// observe records what follows from an observation. When it cannot, the next
// observation will find the state as it was, and the same will follow from it.
func (d *Docket) observe(ctx context.Context, k *desk, o incident.Observation) {
	if o.Instance == "" {
		o.Instance = d.cfg.Instance
	}
	now := d.now()
	o.Plan = d.plan(k)
	k.seen = &sight{at: d.cfg.Now(), decision: o.Decision, issue: o.Issue()}
	drafts, err := k.state.Step(o, now)
	if err == nil && opens(drafts) {
		o.Changes = d.changes(k.tenant.ID, o.Input.Time)
		if len(o.Changes) > 0 {
			drafts, err = k.state.Step(o, now)
		}
	}
	if err == nil {
		err = d.record(ctx, drafts)
	}
	k.unrecorded = ""
	if err != nil && ctx.Err() == nil {
		k.unrecorded = err.Error()
	}
}

func opens(drafts []incident.Draft) bool {
	for _, draft := range drafts {
		if draft.Entry.Kind == incident.KindOf(incident.Detected) {
			return true
		}
	}
	return false
}

// changes asks for what came before an incident, which may fail in any way: an
// incident without it is better than none.
func (d *Docket) changes(tenant string, before time.Time) []change.Change {
	if d.cfg.Changes == nil || !d.asking.CompareAndSwap(false, true) {
		return nil
	}
	answer := make(chan []change.Change, 1)
	go func() {
		var found []change.Change
		defer func() {
			if v := recover(); v != nil {
				d.cfg.Log.Error("panic while looking for changes; the incident is recorded without", "tenant", tenant, "panic", v, "stack", string(debug.Stack()))
				found = nil
			}
			d.asking.Store(false)
			answer <- found
		}()
		found = d.cfg.Changes(tenant, before)
	}()
	timer := time.NewTimer(changesTimeout)
	defer timer.Stop()
	select {
	case found := <-answer:
		return found
	case <-timer.C:
		d.cfg.Log.Warn("what changed before the incident was not found in time; it is recorded without", "tenant", tenant, "timeout", changesTimeout)
		return nil
	}
}
