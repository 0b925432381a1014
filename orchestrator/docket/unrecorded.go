package docket

import (
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// While the ledger takes no entries nothing is authorized or run, but people are told
// all the same that their service is in trouble: by messages that are on no record,
// as there is nowhere to record them.

const (
	// unrecordedTicks is how many ticks in a row a breach must have gone without its
	// entry: what can be recorded at the next is told in the usual way.
	unrecordedTicks = 2
	// unrecordedRest is the least time between two of these messages about trouble.
	unrecordedRest = 10 * time.Minute
)

// A Notice is what people are told beside the ledger.
type Notice struct {
	Tenant, Service string
	// Event is [incident.EventIncident] or [incident.EventRecovered].
	Event, Text string
	At          time.Time
}

// unrecorded is what is remembered of a time in which nothing could be recorded. Safe
// for concurrent use.
type unrecorded struct {
	mu    sync.Mutex
	ticks int       // with a breach and a problem, in a row
	last  time.Time // when people were told of trouble
	told  bool      // of trouble, and not of its end
	known bool      // since then, that the ledger has an incident, of whose end it tells
}

// notice is what people must be told because of an observation, empty when nothing.
func (u *unrecorded) notice(v View, o incident.Observation) (event, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !v.Ready || v.Shadow {
		u.ticks, u.told = 0, false
		return "", ""
	}
	lost := v.Problem != ""
	if lost && o.Decision.Breached {
		u.ticks++
	} else {
		u.ticks = 0
	}
	now := o.Input.Time
	rested := now.Before(u.last) || now.Sub(u.last) >= unrecordedRest
	followed := v.Incident != nil || v.Uncleared
	u.known = u.known || followed
	switch {
	case u.ticks >= unrecordedTicks && !u.told && rested:
		u.told, u.last, u.known = true, now, followed
		// What counts comes first: a message has little room.
		return incident.EventIncident, "the ledger takes no entries, so that nothing can be approved or run: " + o.Decision.Why
	case u.told && u.known && !lost:
		u.told = false // what follows is told by the ledger
	case u.told && !u.known && o.Decision.Recovered:
		u.told = false
		return incident.EventRecovered, "it is healthy again: " + o.Decision.Why
	}
	return "", ""
}

// tell has people told what cannot be recorded.
func (d *Docket) tell(k *desk, o incident.Observation) {
	if d.cfg.Unrecorded == nil {
		return
	}
	v, _ := d.View(k.tenant.ID)
	event, text := k.blind.notice(v, o)
	if event == "" {
		return
	}
	d.cfg.Log.Error("people are told beside the ledger, as it takes no entries", "tenant", k.tenant.ID, "event", event, "problem", v.Problem)
	d.cfg.Unrecorded(Notice{Tenant: k.tenant.ID, Service: k.tenant.Service, Event: event, Text: k.tenant.Service + ": " + text, At: o.Input.Time})
}
