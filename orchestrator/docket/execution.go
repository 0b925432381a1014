package docket

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// An execution is an action that was run, and what has become of it.
type execution struct {
	desk    *desk
	receipt recovery.Receipt
}

// Through is how actions are run: by an executor, through the gate that alone
// leads out.
func Through(g *egress.Gate, e recovery.Executor) func(context.Context, string, recovery.Action, recovery.Vars, string) recovery.Receipt {
	return func(ctx context.Context, tenant string, a recovery.Action, v recovery.Vars, key string) recovery.Receipt {
		// What is wrong is in the receipt.
		r, _ := e.Execute(ctx, g.HTTP(tenant, a.HTTP()), a, v, key)
		return r
	}
}

// carryAll does for each tenant what there is to do about what was authorized.
func (d *Docket) carryAll(ctx context.Context) {
	for _, k := range d.desks {
		if d.waiting(k) && d.prepare(ctx) == nil {
			d.carry(ctx, k)
		}
	}
	d.publish()
}

// waiting says whether there is anything to do.
func (d *Docket) waiting(k *desk) bool {
	return k.receipt != nil || k.state.Pending() != nil || k.state.Open != nil && k.state.Open.Stage == incident.Authorized
}

// carry does what there is to do about what was authorized, as the ledger has it:
// it enters the execution of an incident that is AUTHORIZED, once the service was
// looked at again, and runs what was entered; and it records what became of it.
//
// If the process ends before the EXECUTED entry is durable, nothing was sent, and
// the next one finds the incident AUTHORIZED. If it ends after, the next finds an
// execution without a receipt: see pickUp.
func (d *Docket) carry(ctx context.Context, k *desk) {
	if d.clerk.trouble != "" || k.stopped != "" || !d.waiting(k) || ctx.Err() != nil {
		return
	}
	defer d.show(k)
	d.contain(k, "carrying out what was authorized", func() {
		var err error
		switch {
		case k.receipt != nil:
			err = d.recordOutcome(ctx, k, *k.receipt)
		case k.running != "":
		case k.state.Pending() != nil:
			err = d.pickUp(ctx, k, *k.state.Pending())
		case d.looked(k):
			err = d.execute(ctx, k)
		}
		if err != nil && ctx.Err() == nil {
			d.cfg.Log.Error("what was authorized cannot be carried out or recorded now; it is tried again", "tenant", k.tenant.ID, "err", err)
		}
	})
}

// looked says whether the service was observed of late.
func (d *Docket) looked(k *desk) bool {
	return k.seen != nil && d.cfg.Now().Sub(k.seen.at) <= maxUnseen
}

// execute enters an execution, and runs it when the entry is durable.
func (d *Docket) execute(ctx context.Context, k *desk) error {
	q := k.state.Asked(k.state.Open.ID)
	if q == nil {
		return nil // which no ledger that was folded has
	}
	drafts, err := k.state.Carry(d.about(k), d.cfg.Actions, d.circumstances(k, q))
	if err != nil || len(drafts) == 0 {
		return err
	}
	if err := d.record(ctx, drafts); err != nil {
		return err
	}
	if run := k.state.Pending(); run != nil {
		if action, there := d.cfg.Actions.Find(run.ActionDigest); there {
			d.run(k, action, *run)
		}
	}
	return nil
}

// pickUp goes on with an execution that an earlier process has entered and that has
// no receipt: it may have been sent, or not. One that the other side does once for
// a key is sent again with the same key, while its incident waits for it. What
// became of any other is recorded as unknown, and people are told.
func (d *Docket) pickUp(ctx context.Context, k *desk, run incident.Run) error {
	action, there := d.cfg.Actions.Find(run.ActionDigest)
	awaited := k.state.Open != nil && k.state.Open.ID == run.Incident && !k.state.Shadow
	if there && action.Idempotent && awaited {
		if !d.looked(k) {
			return nil // the next observation may be that the service has recovered
		}
		d.cfg.Log.Warn("an action was entered and its receipt was not: it is sent again with the same key", "tenant", k.tenant.ID, "incident", run.Incident, "action", run.Action, "key", run.Key)
		d.run(k, action, run)
		return nil
	}
	why := "the sidecar ended while it was run, and it may not be sent twice"
	switch {
	case !awaited:
		why = "the sidecar ended while it was run, and nothing waits for it any more"
	case !there:
		why = "the sidecar ended while it was run, and the action is not in the catalogue any more"
	}
	now := d.now()
	return d.recordOutcome(ctx, k, recovery.Receipt{
		Action: run.Action, ActionDigest: run.ActionDigest, Key: run.Key, RequestDigest: run.RequestDigest,
		Outcome: recovery.Unknown, Started: run.At, Ended: now, Note: why,
	})
}

// run runs an action beside everything else.
func (d *Docket) run(k *desk, action recovery.Action, run incident.Run) {
	k.running = run.Key
	ctx := d.clerk.executing
	go func() {
		receipt := d.contained(ctx, k.tenant.ID, action, run)
		select {
		case d.executed <- execution{k, receipt}:
		case <-d.ended:
		}
	}()
}

// contained is Execute with its panics contained.
func (d *Docket) contained(ctx context.Context, tenant string, action recovery.Action, run incident.Run) (r recovery.Receipt) {
	began := d.cfg.Now()
	defer func() {
		if v := recover(); v != nil {
			d.cfg.Log.Error("panic while an action was run", "tenant", tenant, "action", action.Name, "panic", v, "stack", string(debug.Stack()))
			r = recovery.Receipt{
				Action: action.Name, ActionDigest: run.ActionDigest, Key: run.Key, RequestDigest: run.RequestDigest,
				Outcome: recovery.Unknown, Started: began, Ended: d.cfg.Now(), Note: fmt.Sprintf("it panicked: %v", v),
			}
		}
	}()
	return d.cfg.Execute(ctx, tenant, action, run.Vars, run.Key)
}

// settle records what has become of an action.
func (d *Docket) settle(ctx context.Context, x execution) {
	x.desk.receipt = &x.receipt
	if d.prepare(ctx) == nil {
		d.carry(ctx, x.desk)
	}
	d.publish()
}

// recordOutcome records the receipt of the execution that is pending.
func (d *Docket) recordOutcome(ctx context.Context, k *desk, r recovery.Receipt) error {
	drafts, err := k.state.Executed(d.about(k), r)
	if err == nil {
		err = d.record(ctx, drafts)
	}
	if err == nil {
		k.running, k.receipt = "", nil
	}
	return err
}

// awaitExecutions waits for actions that are being run, until ctx ends. Those that
// take longer are found without a receipt at the next start.
func (d *Docket) awaitExecutions(ctx context.Context) {
	running := func(k *desk) bool { return k.running != "" && k.receipt == nil }
	for ctx.Err() == nil {
		open := false
		for _, k := range d.desks {
			open = open || running(k)
		}
		if !open {
			return
		}
		select {
		case x := <-d.executed:
			d.settle(ctx, x)
		case <-ctx.Done():
		}
	}
}
