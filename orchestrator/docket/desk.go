package docket

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// maxSummaries is how many incidents of a tenant are kept in memory.
const maxSummaries = 500

// A desk is where one tenant's decisions are made.
type desk struct {
	tenant Tenant

	mail      atomic.Pointer[incident.Observation] // the latest that was not looked at
	view      atomic.Pointer[View]
	summaries atomic.Pointer[[]incident.Summary] // newest first
	blind     unrecorded

	// What follows is touched by Run's goroutine alone.
	state      *incident.State
	records    []record          // oldest first; the last maxSummaries are those that count
	stopped    string            // why nothing is decided until the next start
	unrecorded string            // why what was decided last could not be recorded
	shown      string            // the problem that was logged last
	changed    bool              // records have, since they were published
	seen       *sight            // what was observed last, nil at first
	running    string            // the key of the action that is being run
	receipt    *recovery.Receipt // of running, when it could not be recorded yet
}

// A record is an incident's summary and who gave its verdict.
type record struct {
	incident.Summary
	judge string
}

func newDesk(tenant Tenant) *desk {
	k := &desk{tenant: tenant, state: incident.NewState(tenant.ID)}
	k.view.Store(&View{Shadow: true})
	k.summaries.Store(&[]incident.Summary{})
	return k
}

// stop ends the tenant's decisions.
func (k *desk) stop(why string) { k.stopped = why }

// apply applies an entry that is the tenant's.
func (k *desk) apply(index uint64, e incident.Entry) error {
	if err := k.state.Apply(index, e); err != nil {
		return err
	}
	if s, ok := incident.Summarize(index, e); ok {
		// The oldest go many at a time, so that a long ledger does not move them for each.
		if len(k.records) == 2*maxSummaries {
			k.records = slices.Delete(k.records, 0, maxSummaries)
		}
		k.records = append(k.records, record{Summary: s})
		k.changed = true
	} else if r := k.record(e.IncidentID); r != nil {
		r.Follow(index, e)
		if e.Kind == incident.KindMarked {
			r.judge = e.Actor
		}
		k.changed = true
	}
	return nil
}

// record is that of an incident, nil when there is none. It looks for the newest first.
func (k *desk) record(id string) *record {
	if id == "" {
		return nil
	}
	newest := k.newest()
	for i := range slices.Backward(newest) {
		if newest[i].ID == id {
			return &newest[i]
		}
	}
	return nil
}

// newest are the records that count.
func (k *desk) newest() []record { return k.records[max(0, len(k.records)-maxSummaries):] }

// publish shows everybody what is known now.
func (d *Docket) publish() {
	for _, k := range d.desks {
		d.show(k)
	}
}

// show shows everybody what is known of a tenant now, and logs problems that
// come and go.
func (d *Docket) show(k *desk) {
	k.publish(d.clerk.ready, d.clerk.trouble)
	problem := k.view.Load().Problem
	switch {
	case problem == k.shown:
	case problem == "":
		d.cfg.Log.Info("decisions are recorded again", "tenant", k.tenant.ID)
	default:
		d.cfg.Log.Error("decisions are not recorded; nothing that depends on them happens, traffic goes on", "tenant", k.tenant.ID, "problem", problem)
	}
	k.shown = problem
}

func (k *desk) publish(ready bool, trouble string) {
	v := &View{Ready: ready, Shadow: true}
	for _, problem := range []string{k.stopped, trouble, k.unrecorded} {
		if v.Problem == "" {
			v.Problem = problem
		}
	}
	// Half of a ledger, or one that is not understood, says nothing.
	if ready && k.stopped == "" {
		v.Shadow, v.ShadowSince, v.Targets = k.state.Shadow, k.state.ShadowSince, maps.Clone(k.state.Targets)
		v.Incident, v.Open = k.open()
		v.Uncleared = k.state.After != nil
		if v.Incident != nil {
			v.Asked = k.state.Asked(v.Incident.IncidentID)
		}
	}
	k.view.Store(v)
	if ready && k.changed {
		newest := k.newest()
		list := make([]incident.Summary, 0, len(newest))
		for _, r := range slices.Backward(newest) {
			list = append(list, r.Summary)
		}
		k.summaries.Store(&list)
		k.changed = false
	}
}

// open is the open incident, in two forms.
func (k *desk) open() (*health.Incident, *incident.Summary) {
	o := k.state.Open
	if o == nil {
		return nil, nil
	}
	short := &health.Incident{IncidentID: o.ID, Stage: string(o.Stage), StartedAt: o.StartedAt.Unix()}
	if r := k.record(o.ID); r != nil {
		s := r.Summary
		return short, &s
	}
	return short, nil
}
