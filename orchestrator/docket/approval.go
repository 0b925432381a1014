package docket

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

const (
	// maxRefusals is how many refusals may wait to be recorded; more are counted only.
	maxRefusals = 64
	// worthwhile is how long a link must be good for to be sent.
	worthwhile = time.Minute
)

// Look implements [approval.Desk]: what is shown of the question that a link is
// about. The error may be [approval.ErrNoRequest], ErrNotReady, that of ctx, or the
// ledger's.
func (d *Docket) Look(ctx context.Context, c approval.Claims) (approval.View, error) {
	var v approval.View
	_, err := d.place(&order{ctx: ctx, desk: d.desk(c.Tenant), draft: func(k *desk) ([]incident.Draft, error) {
		q := k.state.Asked(c.Incident)
		if q == nil {
			return nil, approval.ErrNoRequest
		}
		v = d.page(k, q, c)
		return nil, nil
	}}, c.Tenant)
	if errors.Is(err, ErrNotFound) {
		err = approval.ErrNoRequest
	}
	if err != nil {
		return approval.View{}, err
	}
	if d.cfg.Show != nil {
		d.cfg.Show(c.Tenant, &v)
	}
	return v, nil
}

// Decide implements [approval.Desk]: it has a tap recorded. The latest observation
// is looked at first, and nothing comes between the decision and its entry, so that
// of any number of taps one decides. When it returns without an error what it
// returns is durable. Errors are those of Look, and ErrInvalid.
func (d *Docket) Decide(ctx context.Context, c approval.Claims, v approval.Verdict) (approval.Outcome, error) {
	var out approval.Outcome
	_, err := d.place(&order{ctx: ctx, desk: d.desk(c.Tenant), fresh: true, draft: func(k *desk) ([]incident.Draft, error) {
		q := k.state.Asked(c.Incident)
		if q == nil {
			return nil, approval.ErrNoRequest
		}
		var steps []approval.Step
		out, steps = q.Request.Decide(c, v, d.circumstances(k, q))
		return k.state.Taps(d.about(k), steps)
	}}, c.Tenant)
	if errors.Is(err, ErrNotFound) {
		err = approval.ErrNoRequest
	}
	if errors.Is(err, approval.ErrNoRequest) {
		d.Denied(c.Tenant, "an approval of what was not asked", 404)
	}
	if err != nil {
		return approval.Outcome{}, err
	}
	return out, nil
}

// Refused has a decision recorded that was refused before Decide was asked: as a
// step of the question it is about, when its link is genuine, else among what was
// denied. It never waits.
func (d *Docket) Refused(r approval.Refusal) {
	if r.Claims.Tenant != "" {
		select {
		case d.refusals <- r:
			return
		default:
		}
	}
	d.deny(r)
}

func (d *Docket) deny(r approval.Refusal) {
	tenant := r.Claims.Tenant
	if tenant == "" && len(d.cfg.Tenants) > 0 {
		tenant = d.cfg.Tenants[0].ID
	}
	d.Denied(tenant, fmt.Sprintf("%s (%s)", r.What, r.Reason), r.Status)
}

// recordRefusal records one of Refused's.
func (d *Docket) recordRefusal(ctx context.Context, r approval.Refusal) {
	k := d.desk(r.Claims.Tenant)
	var q *incident.Asked
	if k != nil && d.prepare(ctx) == nil && k.stopped == "" {
		q = k.state.Asked(r.Claims.Incident)
	}
	if q == nil {
		d.deny(r)
		return
	}
	d.contain(k, "recording a refusal", func() {
		drafts, err := k.state.Taps(d.about(k), q.Request.Refuse(r.Claims, r.Reason, d.now()))
		if err == nil {
			err = k.legal(drafts)
		}
		if err == nil {
			err = d.record(ctx, drafts)
		}
		if err != nil {
			d.cfg.Log.Warn("a refused decision cannot be recorded as such", "tenant", k.tenant.ID, "incident", r.Claims.Incident, "err", err)
			d.deny(r)
		}
	})
	d.publish()
}

// Offer is the link of a contact about an incident that is being asked about: the
// one that was offered, while it is good for a minute or more, else another one. It
// is durable when it is returned. Errors: ErrNoLink, ErrNotFound for a contact or
// tenant that is not configured, and those of SetShadow.
func (d *Docket) Offer(ctx context.Context, tenant, id, contact string) (approval.Claims, error) {
	var claims approval.Claims
	_, err := d.place(&order{ctx: ctx, desk: d.desk(tenant), draft: func(k *desk) ([]incident.Draft, error) {
		if !slices.ContainsFunc(d.contacts(k), func(c Contact) bool { return c.ID == contact }) {
			return nil, fmt.Errorf("the contact %q of %q is %w: configure it under contacts", cut(contact), k.tenant.ID, ErrNotFound)
		}
		q := k.state.Asking()
		if q == nil || q.Request.Incident != id {
			return nil, ErrNoLink
		}
		r, n := q.Request, d.circumstances(k, q)
		if n.Recovered || n.ActionDigest != r.ActionDigest || n.PolicyDigest != r.PolicyDigest || !n.Time.Before(q.DecideBy) {
			return nil, ErrNoLink
		}
		for _, link := range r.Links {
			if link.Contact == contact && link.ExpiresAt.Sub(n.Time) >= worthwhile && link.ExpiresAt.After(claims.ExpiresAt) {
				claims = link
			}
		}
		if claims.ID != "" {
			return nil, nil
		}
		draft, made, err := k.state.Offer(d.about(k), contact)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		claims = made
		return []incident.Draft{draft}, nil
	}}, tenant)
	if err != nil {
		return approval.Claims{}, err
	}
	return claims, nil
}

// page is what is shown of a question to the holder of a link.
func (d *Docket) page(k *desk, q *incident.Asked, c approval.Claims) approval.View {
	r := q.Request
	head := d.clerk.ledger.Checkpoint()
	v := approval.View{
		Standing: r.Stand(c, d.circumstances(k, q)), Names: map[string]string{},
		Service: q.Service, Tenant: r.Tenant, Incident: r.Incident, Stage: string(q.Stage), StartedAt: q.StartedAt,
		Issue: q.Reason, Changes: q.Changes, Action: d.shown(q), Because: q.Because, Chart: approval.Chart{Errors: q.Errors}, SubmittedBy: r.SubmittedBy, AskedAt: r.AskedAt,
		Approvals: slices.Clone(r.Approvals), Expires: c.ExpiresAt, Policy: d.cfg.Policy.Version + " " + r.PolicyDigest,
		LedgerSize: head.Size, LedgerRoot: hex.EncodeToString(head.Root[:]),
	}
	for _, contact := range d.contacts(k) {
		if contact.Name != "" {
			v.Names[contact.ID] = contact.Name
		}
	}
	if k.seen != nil {
		verdict := k.seen.decision.Verdict
		score := verdict.HealthScore.Score
		v.Status, v.Score, v.P95MS, v.ErrorRate = string(verdict.Status), &score, verdict.Metrics.OverallP95MS, verdict.Metrics.ErrorRate
		if r.End == nil {
			v.Issue = cmp.Or(k.seen.issue, k.seen.decision.Why, v.Issue)
		}
	}
	return v
}

// shown is exactly what would be sent. Of an action that is not in the catalogue
// any more, and so cannot be sent, only the name is known.
func (d *Docket) shown(q *incident.Asked) approval.Action {
	out := approval.Action{Name: q.Action, Title: q.Title, Risk: q.Request.Risk, Digest: q.Request.ActionDigest}
	action, there := d.cfg.Actions.Find(q.Request.ActionDigest)
	if !there {
		return out
	}
	p := action.Preview(q.Variables())
	out.Method, out.URL, out.Body = p.Method, p.URL, p.Body
	for _, h := range p.Headers {
		out.Headers = append(out.Headers, approval.Header{Name: h.Name, Value: h.Value})
	}
	return out
}

var _ approval.Desk = (*Docket)(nil)
