package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/dirlock"
)

// Open opens the log in Options.Dir, and makes one where there is neither a
// store nor an anchor.
//
// It computes the tree anew from every leaf and compares it with the store's
// tree hashes, its signed head and the anchor, before anything is written: a
// log that does not hold what it has acknowledged is an *IntegrityError, and is
// left as it is, byte for byte. It never repairs and never signs anew. The check
// takes about a second for a million entries; ctx can interrupt it, and has no
// meaning for the Log afterwards.
//
// What is not damage: a store that is ahead of the anchor by entries that the
// log's key has signed is what a crash leaves between writing one and the
// other, and the anchor is moved forward.
//
// Other errors: ErrLocked, ErrNoSpace, a key that is not the log's.
func Open(ctx context.Context, o Options) (*Log, error) {
	l, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := l.startCosigning(); err != nil {
		return nil, errors.Join(fmt.Errorf("the ledger's witnesses: %w", err), l.closeStore())
	}
	go l.run()
	l.memory.Go(l.keepSmall)
	return l, nil
}

// open is Open without starting the sequencer.
func open(ctx context.Context, o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the ledger's directory: %w", err)
	}
	op := &opening{Options: o}
	l, err := op.run(ctx)
	if err != nil {
		return nil, errors.Join(err, unlock(op.locks))
	}
	return l, nil
}

// opening is an Open under way.
type opening struct {
	Options
	locks []*dirlock.Lock
	begun time.Time
}

func (op *opening) run(ctx context.Context) (*Log, error) {
	op.begun = time.Now()
	if err := op.lock(op.Dir); err != nil {
		return nil, err
	}
	if err := checkSpace(op.Dir, op.MinFree/2); err != nil {
		return nil, err
	}
	found, err := look(op.Options)
	if err != nil {
		return nil, err
	}
	if found.new() {
		return op.create(found)
	}
	if err := op.lock(op.storeDir()); err != nil {
		return nil, err
	}
	s, err := op.survey(ctx, found.anchor)
	if err != nil {
		return nil, err
	}
	if s.head == nil { // a crash while the log was being made
		return op.create(found)
	}
	return op.resume(s, found.anchor)
}

// lock takes the lock of a directory until the log is closed.
func (op *opening) lock(dir string) error {
	f, err := lockDir(dir, dirlock.Exclusive)
	if err == nil {
		op.locks = append(op.locks, f)
	}
	return err
}

// survey checks the store and compares it with the checkpoints that are kept
// outside it. It changes nothing.
func (op *opening) survey(ctx context.Context, anchor *Checkpoint) (*survey, error) {
	kept := []keptCheckpoint{{"the anchor", anchor}}
	path := filepath.Join(op.AnchorDir, witnessedName)
	witnessed, err := readCheckpoint(path)
	if err != nil {
		return nil, err
	}
	if witnessed != nil {
		kept = append(kept, keptCheckpoint{path, witnessed})
	}
	view, err := openShadow(op.storeDir(), filepath.Join(op.Dir, shadowName), op.Log)
	if err != nil {
		return nil, err
	}
	s, err := surveyRows(ctx, view.rows, anchor.Size, kept[len(kept)-1].Size)
	if err == nil {
		s.space = storeSpace(view.db.Tables(), view.waiting)
	}
	if closeErr := view.close(); err == nil {
		err = closeErr
	}
	for _, c := range kept {
		if err == nil {
			err = s.compare(c)
		}
	}
	if err != nil {
		return nil, err
	}
	s.witnessed = witnessed
	return s, nil
}

// keptCheckpoint is a checkpoint of the log that is kept outside the store.
type keptCheckpoint struct {
	name string
	*Checkpoint
}

// compare makes sure that the store continues what a checkpoint says.
func (s *survey) compare(kept keptCheckpoint) error {
	if s.head == nil {
		if kept.Size > 0 {
			return &IntegrityError{Index: 0, Rollback: true, Problem: fmt.Sprintf(
				"%s acknowledges %d entries and the store is empty", kept.name, kept.Size)}
		}
		return nil
	}
	if kept.Size > s.head.Size {
		return &IntegrityError{Index: int64(s.head.Size), Rollback: true, Problem: fmt.Sprintf(
			"%s acknowledges %d entries and the store has %d", kept.name, kept.Size, s.head.Size)}
	}
	if err := s.chain.check(kept.Checkpoint); err != nil {
		return &IntegrityError{Index: -1, Problem: fmt.Sprintf("%s, with a checkpoint of %d entries: %v", kept.name, kept.Size, err)}
	}
	if root := s.roots[kept.Size]; tlog.Hash(kept.Root) != root {
		return &IntegrityError{Index: -1, Rollback: true, Problem: fmt.Sprintf(
			"the first %d entries have the root %v in the store and %v in %s, both signed with the log's key: it is another log, or a fork of this one",
			kept.Size, root, tlog.Hash(kept.Root), kept.name)}
	}
	return nil
}

// resume opens a log that was found to be sound.
func (op *opening) resume(s *survey, anchor *Checkpoint) (*Log, error) {
	if err := checkSpace(op.Dir, s.space); err != nil {
		return nil, err
	}
	k, err := op.chooseKey(s.chain.last().vkey)
	if err != nil {
		return nil, err
	}
	if op.Origin != "" && op.Origin != s.head.Origin {
		op.Log.Warn("the ledger keeps the origin it was made with", "origin", s.head.Origin, "ignored", op.Origin)
	}
	if anchor.Size < s.head.Size {
		if err := op.writeAnchor(s.head); err != nil {
			return nil, err
		}
		op.Log.Info("the ledger was not closed: its anchor is moved forward", "from", anchor.Size, "to", s.head.Size)
	}
	l, err := op.start(k, s.edge, s.head)
	if err != nil {
		return nil, err
	}
	if head, err := l.rows.head(); err != nil || !bytes.Equal(head, s.head.Note) {
		return nil, errors.Join(errors.New("the store has changed since it was checked: something else writes to it"), err, guarded(l.rows.db.Close))
	}
	l.witnessed.Store(s.witnessed)
	op.Log.Info("ledger opened", "origin", l.origin, "entries", s.head.Size, "key", keyID(l.vkey), "took", time.Since(op.begun).Round(time.Millisecond))
	return l, nil
}

// writeAnchor writes a checkpoint to the anchor outside of a commit.
func (op *opening) writeAnchor(c *Checkpoint) error {
	if err := replaceFile(filepath.Join(op.AnchorDir, checkpointName), c.Note); err != nil {
		return fmt.Errorf("writing the anchor: %w", err)
	}
	return nil
}

// start opens the store for writing. The tables have just been read through,
// if there are any, so that their checksums need not be looked at again.
func (op *opening) start(k *key, e edge, published *Checkpoint) (*Log, error) {
	bo := badgerOptions(op.storeDir(), op.Log)
	bo.BypassLockGuard = true // the lock is ours, and the same as Badger's
	bo.ChecksumVerificationMode = options.NoVerification
	l := &Log{options: op.Options, origin: k.Name(), vkey: k.vkey,
		requests: make(chan *request), closing: make(chan struct{}), ended: make(chan struct{})}
	err := removeEmptyLogs(op.storeDir())
	if err == nil {
		err = guarded(func() (err error) {
			l.rows.db, err = badger.Open(bo)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("opening the ledger's store: %w", err)
	}
	l.sequencer = sequencer{key: k, edge: e, steps: realSteps, minFree: op.MinFree,
		space: appendSpace + storeSpace(l.rows.db.Tables(), waitingSpace)}
	l.sequencer.wal, err = findWAL(op.storeDir())
	if err == nil {
		err = syncDir(op.storeDir())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ledger's store: %w", err), guarded(l.rows.db.Close))
	}
	l.locks = op.locks
	l.limit = cost{rows: l.rows.db.MaxBatchCount(), bytes: l.rows.db.MaxBatchSize()}
	l.published.Store(published)
	return l, nil
}

// chooseKey finds the log's key.
//
// RotateKey writes the new key to ledger.key.next, then the entry that makes it
// the log's, then renames it to ledger.key. If it crashed before the entry,
// ledger.key is still the log's and the other was never used; after it,
// ledger.key.next is, and the rename is made up for.
func (op *opening) chooseKey(vkey string) (*key, error) {
	path, nextPath := filepath.Join(op.Dir, keyName), filepath.Join(op.Dir, nextKeyName)
	if op.Signer != "" {
		k, err := parseKey(op.Signer, "the key given")
		if err == nil && k.vkey != vkey {
			err = fmt.Errorf("the key given is %s, and the ledger's is %s: give that one", k.id(), keyID(vkey))
		}
		return k, err
	}
	k, err := optionalKey(path)
	if err != nil {
		return nil, err
	}
	if k != nil && k.vkey == vkey {
		return k, dropKey(nextPath)
	}
	next, err := optionalKey(nextPath)
	if err != nil {
		return nil, err
	}
	if next != nil && next.vkey == vkey {
		return next, adoptKey(op.Dir)
	}
	if k == nil {
		return nil, fmt.Errorf("the ledger's key %s is lost: put %s back, or give the key", keyID(vkey), path)
	}
	return nil, fmt.Errorf("%s is the key %s, and the ledger's is %s: put that one there, or give it", path, k.id(), keyID(vkey))
}
