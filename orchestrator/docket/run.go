package docket

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

const (
	// rounds is how often Run looks for denials that are due, when nothing else wakes it.
	rounds = 15 * time.Second
	// farewell is the time the last denials have to become durable.
	farewell = time.Second
)

// Run folds the whole ledger, for which memory stays flat, and then decides and
// records until ctx ends. A million entries of others take about a second,
// those of ours some ten times as long. It is called once, when the ledger is
// open; the ledger must stay so until it has returned, at most a second after
// the end of ctx if the ledger heeds its contexts. Trouble with the ledger is
// logged, shown in every View, and over when the ledger takes entries again.
// A panic is contained: it is the error, and nothing is decided any more.
func (d *Docket) Run(ctx context.Context, l Ledger) (err error) {
	if d.began.Swap(true) {
		return errors.New("the docket has been run before: make a new one")
	}
	defer close(d.ended)
	defer d.reading.Store(nil)
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the docket has stopped after a panic, nothing is decided until the next start: %v", v)
			d.cfg.Log.Error("panic in the docket; nothing is decided any more, traffic goes on", "panic", v, "stack", string(debug.Stack()))
			d.refuse(err.Error())
			for _, k := range d.desks {
				k.view.Store(&View{Shadow: true, Problem: err.Error()})
			}
		}
	}()
	executing, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	d.clerk.ledger, d.clerk.executing = l, executing
	d.reading.Store(&l)
	d.refuse("the ledger is being read")
	// Why it could not be done is in the views, and each observation tries again.
	_ = d.prepare(ctx)
	d.publish()
	d.carryAll(ctx)
	d.work(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	d.awaitExecutions(last)
	d.recordDenials(last, true)
	d.refuse("the sidecar is stopping")
	return nil
}

// work does what there is to do until ctx ends.
func (d *Docket) work(ctx context.Context) {
	ticker := time.NewTicker(rounds)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-d.wake:
			d.observeAll(ctx)
			d.recordDenials(ctx, false)
		case <-ticker.C:
			d.recordDenials(ctx, false)
			d.carryAll(ctx)
		case o := <-d.orders:
			o.done <- d.obey(ctx, o)
			d.carry(ctx, o.desk)
		case r := <-d.refusals:
			d.recordRefusal(ctx, r)
		case x := <-d.executed:
			d.settle(ctx, x)
		}
	}
}

// prepare brings the state up to what the ledger has, and makes sure that the
// policy in force is in it: entries name the policy that they follow from.
// Before that nothing may be decided.
func (d *Docket) prepare(ctx context.Context) error {
	err := d.catchUp(ctx)
	if err == nil {
		if !d.clerk.ready {
			d.clerk.ready = true
			d.refusal.Store(nil)
			d.resume()
		}
		err = d.clerk.ledger.Err()
	}
	if err == nil {
		err = d.recordPolicy(ctx)
	}
	d.clerk.trouble = ""
	if err != nil && ctx.Err() == nil {
		d.clerk.trouble = err.Error()
	}
	return err
}

// observeAll looks at the latest observation of each tenant.
func (d *Docket) observeAll(ctx context.Context) {
	for _, k := range d.desks {
		o := k.mail.Swap(nil)
		if o == nil {
			continue
		}
		if d.prepare(ctx) == nil && k.stopped == "" {
			d.contain(k, "deciding on an observation", func() { d.observe(ctx, k, *o) })
			d.carry(ctx, k)
		}
		d.show(k)
		if ctx.Err() != nil {
			return
		}
	}
	d.publish()
}

// contain runs what may be at fault for one tenant; a panic stops that one's
// decisions.
func (d *Docket) contain(k *desk, doing string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			d.cfg.Log.Error("panic in the docket; nothing is decided for this tenant any more, traffic goes on",
				"tenant", k.tenant.ID, "doing", doing, "entries", d.clerk.folded, "panic", v, "stack", string(debug.Stack()))
			k.stop(fmt.Sprintf("a panic while %s, with %d entries of the ledger applied: nothing is decided until the next start: %v", doing, d.clerk.folded, v))
		}
	}()
	f()
}
