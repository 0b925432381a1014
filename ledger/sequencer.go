package ledger

import (
	"context"
	"fmt"
)

// request is what one caller wants appended.
type request struct {
	drafts []*draft
	once   bool // from AppendOnce: one draft, whose "once" may be in the log
	cost   cost
	done   chan outcome // has room for the one answer
}

// outcome is the sequencer's answer to a request.
type outcome struct {
	first    uint64 // index of the first entry
	appended bool   // false when AppendOnce found it
	err      error
}

// Append appends entries, all or none, with consecutive indices in the order
// given, which it returns. When it returns without an error they are durable and
// the checkpoint that covers them is signed and in the anchor. Entries of
// concurrent calls share transactions and so their cost.
//
// Errors:
//   - *EntryError: an entry is wrong, has "once" (see AppendOnce), or the call is
//     too large for one transaction. Nothing was written.
//   - ErrNoSpace, ErrClosed: nothing was written.
//   - ctx's error: it ended while the call was waiting. Nothing was written.
//   - ErrUncertain: ctx ended while the entries were being written.
//   - ErrFailed: a write failed; the entries may be in the log or not, which the
//     next Open finds out. The log takes no more.
//
// The entries must not be changed until it returns, and after ErrUncertain never.
func (l *Log) Append(ctx context.Context, entries []Entry) ([]uint64, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	drafts := make([]*draft, len(entries))
	for i, entry := range entries {
		d, err := newDraft(entry)
		if err != nil {
			return nil, &EntryError{Position: i, Problem: err.Error()}
		}
		if d.once != nil {
			return nil, &EntryError{Position: i, Problem: `the leaf has "once": such an entry is appended with AppendOnce`}
		}
		drafts[i] = d
	}
	out := l.submit(ctx, &request{drafts: drafts})
	if out.err != nil {
		return nil, out.err
	}
	indices := make([]uint64, len(entries))
	for i := range indices {
		indices[i] = out.first + uint64(i)
	}
	return indices, nil
}

// AppendOnce appends an entry whose leaf has "once", unless the log has one with
// the same. It returns the index of the one in the log, and whether that is this
// one. Of racing calls exactly one appends. Whether the other members agree is
// the caller's to compare. Errors are those of Append.
func (l *Log) AppendOnce(ctx context.Context, entry Entry) (index uint64, appended bool, err error) {
	d, err := newDraft(entry)
	if err != nil {
		return 0, false, &EntryError{Position: 0, Problem: err.Error()}
	}
	if d.once == nil {
		return 0, false, &EntryError{Position: 0, Problem: `the leaf has no "once", the key by which AppendOnce tells entries apart`}
	}
	out := l.submit(ctx, &request{drafts: []*draft{d}, once: true})
	return out.first, out.appended, out.err
}

// submit hands a request to the sequencer and waits for its answer.
func (l *Log) submit(ctx context.Context, r *request) outcome {
	for _, d := range r.drafts {
		r.cost.add(d.cost())
	}
	if !r.cost.fits(l.limit) {
		return outcome{err: &EntryError{Position: -1, Problem: fmt.Sprintf(
			"the call has %d bytes in %d rows, and its entries must fit into one transaction of %d bytes in %d rows: split it, or make its blobs smaller",
			r.cost.bytes, r.cost.rows, l.limit.bytes, l.limit.rows)}}
	}
	r.done = make(chan outcome, 1)
	if err := ctx.Err(); err != nil {
		return outcome{err: unwritten(err)}
	}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return outcome{err: unwritten(ctx.Err())}
	case <-l.ended:
		return outcome{err: l.refusal()}
	}
	select {
	case out := <-r.done:
		return out
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("%w: %w", ErrUncertain, ctx.Err())}
	}
}

func unwritten(err error) error {
	return fmt.Errorf("the entry was not appended: %w", err)
}

// refusal is why the sequencer takes nothing any more.
func (l *Log) refusal() error {
	if err := l.Err(); err != nil {
		return err
	}
	return ErrClosed
}

// sequencer is what only the goroutine that appends touches.
type sequencer struct {
	key     *key
	edge    edge     // of the entries committed
	wal     walFiles // of the store
	space   uint64   // what the file system of the store must have free, in bytes
	minFree uint64   // what Options.MinFree says
	carried *request // taken, but too large for the batch before it
	steps   steps
}

// run appends what is requested until the log is closed or has failed.
func (l *Log) run() {
	defer close(l.ended)
	for {
		batch := l.gather()
		if batch == nil {
			return
		}
		l.process(batch)
		if l.Err() != nil {
			l.dismiss()
			return
		}
	}
}

// dismiss answers the request that was taken and will not be dealt with.
func (l *Log) dismiss() {
	if r := l.sequencer.carried; r != nil {
		r.done <- outcome{err: l.refusal()}
	}
}

// gather waits for a request and takes all that wait with it, as far as they
// fit into one transaction. It returns nil when the log is being closed.
func (l *Log) gather() []*request {
	select {
	case <-l.closing:
		l.dismiss()
		return nil
	default:
	}
	next := l.sequencer.carried
	l.sequencer.carried = nil
	if next == nil {
		select {
		case next = <-l.requests:
		case <-l.closing:
			return nil
		}
	}
	batch := []*request{next}
	for total := next.cost; ; {
		select {
		case next = <-l.requests:
		default:
			return batch
		}
		total.add(next.cost)
		if !total.fits(l.limit) {
			l.sequencer.carried = next
			return batch
		}
		batch = append(batch, next)
	}
}

// process answers every request of a batch.
func (l *Log) process(batch []*request) {
	if err := l.checkSpace(); err != nil {
		for _, r := range batch {
			r.done <- outcome{err: err}
		}
		return
	}
	p := newPlan(&l.sequencer.edge)
	type placed struct {
		*request
		out outcome
	}
	waiting := make([]placed, 0, len(batch))
	for _, r := range batch {
		out, settled := p.place(l.rows, r)
		if settled {
			r.done <- out
			continue
		}
		waiting = append(waiting, placed{r, out})
	}
	if len(waiting) == 0 {
		return
	}
	err := l.commit(p, l.sequencer.key)
	for _, r := range waiting {
		if err != nil {
			r.out = outcome{err: err}
		}
		r.done <- r.out
	}
}

// checkSpace makes sure that the disks have room for an append and for what
// Badger does after it.
func (l *Log) checkSpace() error {
	s := &l.sequencer
	if err := checkSpace(l.options.storeDir(), max(s.minFree, s.space)); err != nil {
		return err
	}
	return checkSpace(l.options.AnchorDir, s.minFree)
}
