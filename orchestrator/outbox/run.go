package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

const (
	// recordTime is how long one receipt may take.
	recordTime = 30 * time.Second
	// lastGasp is how long a carrier may take to notice that its context has ended.
	lastGasp = time.Second
)

// keeper is what a run needs of its journal.
type keeper interface {
	open() map[key]trace
	begin(key) error
	sent(Receipt) error
	failed(key) error
	recorded(key) error
	close() error
}

// Run sends what is due until ctx ends and what is under way has ended. The ledger
// must be open, and no other process may have it open. The error is that the journal
// cannot be kept.
func (o *Outbox) Run(ctx context.Context) error {
	j, damaged, err := openJournal(o.opts.Path)
	if err != nil {
		return err
	}
	if damaged > 0 {
		o.opts.Log.Error("some lines of what was sent cannot be read: a message may be repeated", "file", o.opts.Path, "lines", damaged)
	}
	return o.run(ctx, j)
}

func (o *Outbox) run(ctx context.Context, j keeper) error {
	o.mu.Lock()
	for k, t := range j.open() {
		o.box.restore(k, t)
	}
	o.mu.Unlock()
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &runner{Outbox: o, journal: j, sending: sending, done: make(chan func()), gone: make(chan struct{})}
	r.loop(ctx)
	r.drain(cancel)
	close(r.gone)
	return j.close()
}

// runner is one run. Its fields are owned by the goroutine of Run, which is the only
// one to touch the box but for those who look; what else is under way hands it a
// function to call.
type runner struct {
	*Outbox
	journal   keeper
	sending   context.Context // of attempts: outlives that of Run by the grace
	done      chan func()
	gone      chan struct{} // closed when nobody takes from done any more
	look      bool          // the ledger may have more
	tidy      bool          // the journal has nothing that the ledger makes void
	attempts  int           // under way
	reading   bool
	recording bool
	unread    bool // a receipt may be in the ledger, which was not read since
}

func (r *runner) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for r.look = true; ctx.Err() == nil; {
		if r.look && !r.reading {
			r.look, r.reading = false, true
			after := r.unread
			r.start(func() func() { return r.read(ctx, after) })
		}
		timer.Reset(min(r.act(ctx), r.opts.Poll))
		select {
		case <-ctx.Done():
		case then := <-r.done:
			then()
		case <-r.wake:
			r.look = true
		case <-timer.C:
			r.look = true
		}
	}
}

// start does something in a goroutine of its own, and then what it returns in that of
// Run.
func (r *runner) start(do func() func()) {
	go func() {
		then := do()
		select {
		case r.done <- then:
		case <-r.gone:
		}
	}()
}

// act begins what there is to do, and returns for how long there is nothing else.
func (r *runner) act(ctx context.Context) time.Duration {
	r.mu.Lock()
	if !r.ready {
		r.mu.Unlock()
		return r.opts.Poll
	}
	parcels, record, wait := r.box.Next(r.opts.Now())
	void := r.void()
	r.mu.Unlock()
	for _, k := range void {
		r.keep(r.journal.recorded(k))
	}
	for _, p := range parcels {
		r.attempts++
		r.start(func() func() { return r.attempt(p) })
	}
	if record != nil && !r.recording && !r.unread {
		r.recording = true
		r.start(func() func() { return r.record(ctx, *record) })
	}
	return wait
}

// void are the deliveries of which the journal has something that is of no more use,
// as their receipt is in the ledger or nobody is to get them any more. They can only be
// there at the start.
func (r *runner) void() []key {
	if r.tidy {
		return nil
	}
	r.tidy = true
	var list []key
	for k := range r.journal.open() {
		if r.box.marks[k] == nil || r.box.marks[k].ended {
			list = append(list, k)
		}
	}
	return list
}

// read takes in what the ledger has beyond what was read. The entries of one reading
// are taken in at once: what belongs together is never seen in parts. after says that it
// began after the last receipt was handed over, and so shows whether it is there.
func (r *runner) read(ctx context.Context, after bool) func() {
	r.mu.Lock()
	from, first := r.box.state.Next(), !r.ready
	r.mu.Unlock()
	var entries []incident.Indexed
	next, err := r.opts.Ledger.Read(ctx, from, func(e incident.Indexed) error {
		if first {
			// Nothing is decided before the end, and there may be very many.
			r.mu.Lock()
			defer r.mu.Unlock()
			r.box.Apply(e.Index, e.Entry)
			return ctx.Err()
		}
		entries = append(entries, e)
		return ctx.Err()
	})
	return func() {
		r.reading = false
		if err != nil {
			if ctx.Err() == nil {
				r.trouble("reading", "what is due cannot be read from the ledger; it is tried again", err)
			}
			return
		}
		r.mu.Lock()
		for _, e := range entries {
			r.box.Apply(e.Index, e.Entry)
		}
		r.box.state.skip(next)
		r.ready = true
		r.mu.Unlock()
		r.unread = r.unread && !after
		r.trouble("reading", "", nil)
	}
}

// attempt hands a parcel to its channel. What follows from each line is safe wherever
// the process dies: before begin nothing has left; from there to sent the message is
// in doubt; after it only its receipt is missing.
func (r *runner) attempt(p Parcel) func() {
	if r.opts.Shadow(p.Letter.Tenant) {
		return r.ended(p, egress.ErrShadow)
	}
	noted := func(what func() error) {
		if p.Letter.onRecord() { // else no later process can know of it
			r.keep(what())
		}
	}
	noted(func() error { return r.journal.begin(p.key()) })
	accepted, err := r.carry(p)
	if err != nil {
		if f := failure(err); r.sending.Err() == nil || !f.Unsure {
			noted(func() error { return r.journal.failed(p.key()) })
		}
		return r.ended(p, err)
	}
	proof := p.receipt(accepted.Reference, r.opts.Now())
	noted(func() error { return r.journal.sent(proof) })
	return func() {
		r.attempts--
		r.mu.Lock()
		defer r.mu.Unlock()
		r.box.Sent(p, proof)
	}
}

// keep notes whether the journal can be written. If not, messages are sent all the
// same: to be told twice after a crash is better than not to be told.
func (r *runner) keep(err error) {
	r.trouble("keeping", "a crash now could repeat a message", err)
}

// carry is the carrier's Carry with its panics contained.
func (r *runner) carry(p Parcel) (accepted notify.Receipt, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &notify.Error{Retry: true, Unsure: true, Text: fmt.Sprintf("sending panicked: %v", v)}
		}
	}()
	return r.opts.Carrier.Carry(r.sending, p)
}

func (r *runner) ended(p Parcel, err error) func() {
	return func() {
		r.attempts--
		r.mu.Lock()
		r.box.Failed(p, err, r.opts.Now(), r.opts.Random())
		r.mu.Unlock()
		r.opts.Log.Warn("a message was not accepted", "id", p.ID, "channel", p.Channel, "contact", p.Contact, "attempt", p.Attempt, "error", plain(err.Error()))
	}
}

func (r *runner) record(ctx context.Context, receipt Receipt) func() {
	ctx, cancel := context.WithTimeout(ctx, recordTime)
	defer cancel()
	err := r.opts.Receipts.Record(ctx, receipt)
	if err == nil {
		r.keep(r.journal.recorded(receipt.key()))
	}
	return func() {
		r.recording, r.unread, r.look = false, true, true
		r.mu.Lock()
		if err != nil {
			r.box.Unrecorded(receipt, r.opts.Now(), r.opts.Random())
		} else {
			r.box.Recorded()
		}
		r.mu.Unlock()
		r.trouble("recording", "a receipt cannot be recorded; it is tried again, and nothing is sent twice for it", err)
		if err == nil && receipt.Outcome == Dead {
			r.opts.Log.Error("a message was given up: see countersign outbox list", "id", receipt.ID, "event", receipt.Event, "contact", receipt.Contact, "reason", receipt.Reason)
		}
	}
}

// drain waits for what is under way: for the grace, and then until it has noticed that
// there is no more of it.
func (r *runner) drain(cancel context.CancelFunc) {
	if r.wait(r.opts.Grace) {
		return
	}
	cancel()
	if !r.wait(lastGasp) {
		r.opts.Log.Error("a channel does not end when it is told to: what it was sending may be repeated at the next start")
	}
}

// wait is true when all attempts and recordings have ended within the limit.
func (r *runner) wait(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for r.attempts > 0 || r.recording {
		select {
		case then := <-r.done:
			then()
		case <-timer.C:
			return false
		}
	}
	return true
}
