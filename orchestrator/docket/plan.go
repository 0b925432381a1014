package docket

import (
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

const (
	// secondary is how long each level of contacts is asked.
	secondary = 300 * time.Second
	// maxUnseen is how old the last observation may be when an action is run.
	maxUnseen = time.Minute
)

// Contact is somebody who may be asked.
type Contact struct {
	// ID names the contact in entries, Name on pages; the ID when it is empty.
	ID, Name string
	// Level is 0 for who is asked at once; each further one is asked Secondary later.
	Level int
	// Tenant is whose incidents it is asked about, of all when empty.
	Tenant string
}

// A sight is what was observed, and when it was looked at.
type sight struct {
	at       time.Time
	decision policy.Decision
	issue    string // what is wrong, in plain words; empty when there are none
}

// plan is what can be done about a tenant's incidents.
func (d *Docket) plan(k *desk) incident.Plan {
	p := incident.Plan{Actions: d.cfg.Actions, Own: k == d.desks[0]}
	highest := 0
	for _, c := range d.contacts(k) {
		if c.Level <= 0 {
			p.Contacts = append(p.Contacts, c.ID)
		} else {
			p.Later = append(p.Later, c.ID)
		}
		highest = max(highest, c.Level)
	}
	p.Patience = time.Duration(highest)*d.cfg.Secondary + approval.LinkLife
	return p
}

// contacts are those of a tenant.
func (d *Docket) contacts(k *desk) []Contact {
	var list []Contact
	for _, c := range d.cfg.Contacts {
		if c.Tenant == "" || c.Tenant == k.tenant.ID {
			list = append(list, c)
		}
	}
	return list
}

// circumstances are those of a decision about a question that is made now. What
// shadow mode has withdrawn cannot be decided until people are asked anew.
func (d *Docket) circumstances(k *desk, q *incident.Asked) approval.Circumstances {
	n := approval.Circumstances{Time: d.now(), PolicyDigest: d.digest, Shadow: k.state.Shadow, Withdrawn: q.Withdrawn}
	if _, there := d.cfg.Actions.Find(q.Request.ActionDigest); there {
		n.ActionDigest = q.Request.ActionDigest
	}
	n.Recovered = k.seen != nil && k.seen.decision.Recovered
	return n
}
