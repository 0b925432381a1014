package docket

import (
	"context"
	"fmt"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// An order is what a person wants recorded.
type order struct {
	ctx  context.Context // of whoever waits for it
	desk *desk
	// draft makes the entries from the state as it is when the order's turn has
	// come: none when what is wanted is so already.
	draft func(*desk) ([]incident.Draft, error)
	// fresh has the latest observation looked at before.
	fresh bool
	done  chan outcome // has room for the one answer
}

type outcome struct {
	recorded bool
	err      error
}

// SetShadow switches a tenant's shadow mode. who does it is required; why may be
// empty. changed is false when it was so already, in which case nothing is
// recorded. When it returns without an error the switch is durable and in View.
//
// Errors: ErrNotFound, ErrInvalid, ErrNotReady, that of ctx, after which the
// switch may be recorded or not, and the ledger's.
func (d *Docket) SetShadow(ctx context.Context, tenant string, on bool, who, why string) (changed bool, err error) {
	return d.give(ctx, tenant, func(k *desk) ([]incident.Draft, error) {
		draft, err := incident.ShadowSwitch(d.about(k), k.state.Shadow, on, who, why)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		case k.state.Shadow == on:
			return nil, nil
		}
		return []incident.Draft{draft}, nil
	})
}

// Mark records a person's verdict on one of Incidents: incident.FalseAlarm or
// incident.Confirmed, and the cause that they have found, one of package diagnosis or
// empty. who says so is required; note may be empty. The same verdict by the same
// person is recorded once. Errors are those of SetShadow.
func (d *Docket) Mark(ctx context.Context, tenant, id, verdict, cause, who, note string) error {
	if cause != "" && !diagnosis.Cause(cause).Valid() {
		return fmt.Errorf("%w: %q is no cause that there is: countersign diagnosis causes lists them", ErrInvalid, cut(cause))
	}
	_, err := d.give(ctx, tenant, func(k *desk) ([]incident.Draft, error) {
		r := k.record(id)
		if r == nil {
			return nil, unknownIncident(tenant, id)
		}
		draft, err := incident.Mark(d.about(k), id, verdict, cause, who, note)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		case r.Verdict == verdict && r.Cause == cause && r.judge == draft.Entry.Actor:
			return nil, nil
		}
		return []incident.Draft{draft}, nil
	})
	return err
}

// Diagnosed records a diagnosis of the open incident. One of an incident that has
// ended meanwhile is ErrInvalid: it comes too late. Errors are those of SetShadow.
func (d *Docket) Diagnosed(ctx context.Context, tenant, id string, g incident.Diagnosis) error {
	_, err := d.give(ctx, tenant, func(k *desk) ([]incident.Draft, error) {
		draft, err := k.state.Diagnosed(d.about(k), id, g)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return []incident.Draft{draft}, nil
	})
	return err
}

// Ask has a contact ask for an action of the catalogue about the open incident, in
// the place of what the policy proposes, and returns the incident's stage. People
// are asked at the next observation, or at the validation when the incident is not
// VALIDATED yet. Asked once more by the same contact nothing is recorded, and
// recorded is false. Errors: ErrRefused, with a sentence that says why, and those of
// SetShadow.
func (d *Docket) Ask(ctx context.Context, tenant, id, action, who, reason string) (at incident.Stage, recorded bool, err error) {
	var stage incident.Stage // written by Run, which may do so after ctx has ended
	recorded, err = d.place(&order{ctx: ctx, desk: d.desk(tenant), fresh: true, draft: func(k *desk) ([]incident.Draft, error) {
		if !k.state.Has(id) {
			return nil, fmt.Errorf("the incident %q of %q is %w: countersign incident list has those there are", cut(id), cut(tenant), ErrNotFound)
		}
		drafts, err := k.state.Request(d.about(k), d.plan(k), id, action, who, reason)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		stage = k.state.Open.Stage
		return drafts, nil
	}}, tenant)
	if err != nil {
		return "", false, err
	}
	return stage, recorded, nil
}

// about is what an entry of a tenant says when it is recorded now.
func (d *Docket) about(k *desk) incident.About {
	return incident.About{
		Tenant: k.tenant.ID, Service: k.tenant.Service, Instance: d.cfg.Instance,
		PolicyVersion: d.cfg.Policy.Version, PolicyDigest: d.digest, Time: d.now(),
	}
}

// legal says why drafts may not be recorded: what is in the ledger stays there,
// and nothing is decided with an entry that is not legal.
func (k *desk) legal(drafts []incident.Draft) error {
	state := k.state.Clone()
	for _, draft := range drafts {
		if draft.Entry.TenantID != k.tenant.ID {
			continue // of a tenant that is not configured any more
		}
		if err := state.Apply(0, draft.Entry); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return nil
}

func unknownIncident(tenant, id string) error {
	return fmt.Errorf("the incident %q of %q is %w: countersign incident list has those there are, and the newest %d of them can be marked", cut(id), cut(tenant), ErrNotFound, maxSummaries)
}

// give has Run carry out an order, and waits for it.
func (d *Docket) give(ctx context.Context, tenant string, draft func(*desk) ([]incident.Draft, error)) (recorded bool, err error) {
	return d.place(&order{ctx: ctx, desk: d.desk(tenant), draft: draft}, tenant)
}

// place has Run carry out an order of a tenant's, and waits for it.
func (d *Docket) place(o *order, tenant string) (recorded bool, err error) {
	if o.desk == nil {
		return false, fmt.Errorf("the tenant %q is %w", cut(tenant), ErrNotFound)
	}
	if err := d.notReady(); err != nil {
		return false, err
	}
	ctx := o.ctx
	o.done = make(chan outcome, 1)
	select {
	case d.orders <- o:
	case <-d.ended:
		return false, d.notReady()
	case <-ctx.Done():
		return false, fmt.Errorf("nothing was recorded, as the ledger did not answer in time: %w", ctx.Err())
	}
	select {
	case out := <-o.done:
		return out.recorded, out.err
	case <-ctx.Done():
		return false, fmt.Errorf("gave up waiting for the ledger: it may be recorded yet: %w", ctx.Err())
	case <-d.ended:
	}
	// Run answers what it has taken before it ends, unless it panics.
	select {
	case out := <-o.done:
		return out.recorded, out.err
	default:
		return false, d.notReady()
	}
}

// obey carries out an order.
func (d *Docket) obey(ctx context.Context, o *order) (out outcome) {
	if err := o.ctx.Err(); err != nil {
		return outcome{err: fmt.Errorf("nothing was recorded: %w", err)}
	}
	k := o.desk
	defer d.publish()
	if err := d.prepare(ctx); err != nil {
		return outcome{err: fmt.Errorf("%w: %w", ErrNotReady, err)}
	}
	d.contain(k, "carrying out an order", func() {
		if k.stopped != "" {
			return
		}
		if mail := k.mail.Load(); o.fresh && mail != nil && k.mail.CompareAndSwap(mail, nil) {
			d.observe(ctx, k, *mail)
		}
		drafts, err := o.draft(k)
		if err == nil && len(drafts) > 0 {
			if err = k.legal(drafts); err == nil {
				err = d.record(ctx, drafts)
			}
		}
		out = outcome{recorded: err == nil && len(drafts) > 0, err: err}
	})
	if k.stopped != "" {
		out.err = fmt.Errorf("%w: %s", ErrNotReady, k.stopped)
	}
	return out
}
