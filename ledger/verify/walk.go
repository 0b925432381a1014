package verify

import (
	"bytes"
	"context"
	"errors"
	"sync"
)

// A walk goes over all entries of a log in order. Tiles and entry bundles are
// read and checked by workers; what they find is taken in by one goroutine, in
// the order of the log. In memory are at most memoryBudget bytes of entry bundles
// that are checked or wait, and one more that was longer than expected.
type walk struct {
	tree     *tree
	keys     *keyring
	checks   []Check
	progress func(done, total uint64)
	workers  int
	budget   *budget

	once  *sorter // by the SHA-256 of "once": the entries that have it
	blobs *sorter // by SHA-256 and length: the first entry that names the blob

	delivered uint64   // entries [0, delivered) hash into the tree's root
	rule      *failure // the first entry that breaks a rule
}

// A job is one level-0 tile and its entries.
type job struct {
	n     uint64
	width int
	want  []byte      // hash of a full tile
	tile  []byte      // the partial tile at the edge, known to be right
	room  int64       // bytes of the budget, and of the entry bundle at most
	done  chan *batch // takes the result; has room for it
}

// A batch is what was found in a job's entries.
type batch struct {
	first  uint64
	leaves [][]byte // from the first on, as far as they are right
	own    []int    // places among leaves of the ledger's own entries, and of entry 0
	kinds  []string // of own
	once   []record
	blobs  []record
	rule   *failure // the first leaf that breaks a rule
	broken *failure // what is wrong after leaves
	longer bool     // nothing was checked: the entry bundle has more than the job's room
	length int64    // of the entry bundle, in bytes
}

// run goes over the log. A failure is one after which nothing more is known.
func (w *walk) run(ctx context.Context) *failure {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	w.budget = newBudget(memoryBudget)
	jobs := make(chan job)
	order := make(chan job, w.workers)
	running.Go(func() {
		defer close(order)
		defer close(jobs)
		w.dispatch(ctx, jobs, order)
	})
	for range w.workers {
		running.Go(func() {
			c := &checker{reader: w.tree.reader, hasher: newLeafHasher()}
			for j := range jobs {
				b := c.check(ctx, j)
				w.budget.learn(b.length)
				w.budget.give(j.room - min(j.room, b.length))
				j.done <- b
			}
		})
	}
	again := &checker{reader: w.tree.reader, hasher: newLeafHasher()}
	for j := range order {
		var b *batch
		select {
		case b = <-j.done:
		case <-ctx.Done():
			return fail(Internal, "", "interrupted")
		}
		held := min(j.room, b.length)
		if b.longer {
			j.room = maxEntries(j.width)
			b = again.check(ctx, j)
			w.budget.learn(b.length)
		}
		if f := w.take(b); f != nil {
			return f
		}
		w.budget.give(held)
	}
	if ctx.Err() != nil {
		return fail(Internal, "", "interrupted")
	}
	return nil
}

// dispatch makes the jobs, in order. It alone uses the tree while it runs.
func (w *walk) dispatch(ctx context.Context, jobs, order chan<- job) {
	for n := uint64(0); ; n++ {
		j := job{n: n, width: widthAt(w.tree.size, 0, n), done: make(chan *batch, 1)}
		var err error
		switch j.width {
		case 0:
			return
		case tileWidth:
			j.want, err = w.tree.tileHash(ctx, 0, n)
		default:
			j.tile = w.tree.edge[0]
		}
		if err != nil {
			j.done <- &batch{first: n * tileWidth, broken: asFailure(err)}
		} else if j.room = w.budget.take(ctx, maxEntries(j.width)); j.room == 0 {
			return
		}
		select {
		case order <- j:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
		select {
		case jobs <- j:
		case <-ctx.Done():
			return
		}
	}
}

// take takes in the next batch.
func (w *walk) take(b *batch) *failure {
	w.delivered = b.first + uint64(len(b.leaves))
	w.broke(b.rule)
	for i, place := range b.own {
		f := w.keys.own(b.first+uint64(place), b.kinds[i], b.leaves[place])
		if f != nil && f.code != Invalid {
			return f
		}
		w.broke(f)
	}
	w.check(b)
	for _, r := range b.once {
		if err := w.once.add(r); err != nil {
			return asFailure(err)
		}
	}
	for _, r := range b.blobs {
		if err := w.blobs.add(r); err != nil {
			return asFailure(err)
		}
	}
	if w.progress != nil && b.broken == nil {
		w.progress(w.delivered, w.tree.size)
	}
	return b.broken
}

// broke keeps the first rule that is broken.
func (w *walk) broke(f *failure) {
	if f != nil && f.before(w.rule) {
		w.rule = f
	}
}

// check tells the checks of the entries, up to the first one that breaks a rule.
func (w *walk) check(b *batch) {
	for i, leaf := range b.leaves {
		index := b.first + uint64(i)
		for _, c := range w.checks {
			if w.rule != nil && w.rule.first() <= index {
				return
			}
			if err := c.Entry(index, leaf); err != nil {
				w.broke(ruleFailure(err, &index))
			}
		}
		if len(w.checks) == 0 {
			return
		}
	}
}

// end tells the checks that there are no more entries.
func (w *walk) end() {
	for _, c := range w.checks {
		if w.rule != nil {
			return
		}
		if err := c.End(); err != nil {
			w.broke(ruleFailure(err, nil))
		}
	}
}

// ruleFailure is the failure that a check's error makes, about the entry of that
// index, or about none.
func ruleFailure(err error, index *uint64) *failure {
	f := fail(Invalid, "", "%s", err)
	f.Index = index
	if r, ok := errors.AsType[*RuleError](err); ok {
		f.Expected, f.Found = r.Expected, r.Found
		if r.Index != nil {
			f.Index = r.Index
		}
	}
	return f
}

// reserved says whether a kind is one of the ledger's own.
func reserved(kind []byte) bool { return bytes.HasPrefix(kind, []byte(reservedPrefix)) }
