package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
)

// found is what there is of a log before it is opened.
type found struct {
	anchor *Checkpoint // nil when there is none
	store  bool        // Badger has made a store
}

// new says that a log is to be made: there is none, or a crash came before it
// had a store.
func (f found) new() bool { return !f.store && (f.anchor == nil || f.anchor.Size == 0) }

// look finds out what there is, and whether it can be a log at all.
//
// A log is made in this order: key, anchor of the empty log, store, entry 0,
// anchor of that. So nothing but a loss leads to a store without an anchor, or
// to an anchor with entries and no store.
func look(o Options) (found, error) {
	anchor, err := readAnchor(o.AnchorDir)
	if err != nil {
		return found{}, err
	}
	f := found{anchor: anchor}
	files, err := storeFiles(o.storeDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found{}, err
	}
	for _, file := range files {
		f.store = f.store || file.Name() == manifestName
	}
	switch {
	case !f.store && hasTables(files):
		return f, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store %s has lost its file %s", o.storeDir(), manifestName)}
	case f.store && anchor == nil:
		return f, &IntegrityError{Index: -1, Problem: fmt.Sprintf(
			"the store %s has no anchor: %s is not there. If the anchor is kept elsewhere, say where; else put it back from a copy",
			o.storeDir(), filepath.Join(o.AnchorDir, checkpointName))}
	case !f.store && anchor != nil && anchor.Size > 0:
		return f, &IntegrityError{Index: 0, Rollback: true, Problem: fmt.Sprintf(
			"the anchor in %s acknowledges %d entries, and there is no store in %s", o.AnchorDir, anchor.Size, o.storeDir())}
	}
	return f, nil
}

// hasTables says whether Badger has got as far as to write rows.
func hasTables(files []fs.FileInfo) bool {
	for _, file := range files {
		if ext := filepath.Ext(file.Name()); ext == walSuffix || ext == tableSuffix {
			return true
		}
	}
	return false
}

// create makes a log, or goes on where a crash has stopped that.
func (op *opening) create(f found) (*Log, error) {
	k, err := op.newKey(f.anchor)
	if err != nil {
		return nil, err
	}
	var none edge
	empty := f.anchor
	if empty == nil {
		if err := op.makeDir(op.AnchorDir); err != nil {
			return nil, err
		}
		if empty, err = signCheckpoint(k.Name(), 0, none.root(), k); err != nil {
			return nil, err
		}
		if err := op.writeAnchor(empty); err != nil {
			return nil, err
		}
	}
	if k.from == filepath.Join(op.Dir, nextKeyName) {
		if err := adoptKey(op.Dir); err != nil {
			return nil, err
		}
	}
	if !f.store {
		if err := op.makeDir(op.storeDir()); err != nil {
			return nil, err
		}
		if err := op.lock(op.storeDir()); err != nil {
			return nil, err
		}
	}
	l, err := op.start(k, none, empty)
	if err != nil {
		return nil, err
	}
	if err := l.writeCreated(); err != nil {
		return nil, errors.Join(err, guarded(l.rows.db.Close))
	}
	op.Log.Info("ledger created", "origin", l.origin, "verifier_key", l.vkey)
	return l, nil
}

// writeCreated writes entry 0.
func (l *Log) writeCreated() error {
	leaf, err := createdLeaf(l.options.Now(), l.sequencer.key)
	if err != nil {
		return fmt.Errorf("making the ledger's first entry: %w", err)
	}
	p := newPlan(&l.sequencer.edge)
	p.add(ownDraft(leaf), nil)
	return l.commit(p, l.sequencer.key)
}

// makeDir makes a directory whose name is durable.
func (op *opening) makeDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = syncDir(filepath.Dir(dir))
	}
	if err != nil {
		return fmt.Errorf("making the ledger's directory: %w", err)
	}
	return nil
}

// newKey returns the key of a log that is being made. A key file of its own
// name is there only once the log's anchor is: without it, it is the rest of a
// log that was lost, and another log with the same key and name would look to
// everybody like that one, forged.
func (op *opening) newKey(anchor *Checkpoint) (*key, error) {
	path, nextPath := filepath.Join(op.Dir, keyName), filepath.Join(op.Dir, nextKeyName)
	if op.Signer != "" {
		k, err := parseKey(op.Signer, "the key given")
		if err != nil {
			return nil, err
		}
		if op.Origin != "" && op.Origin != k.Name() {
			return nil, errOrigin(k, op.Origin)
		}
		if err := checkOrigin(k.Name()); err != nil {
			return nil, err
		}
		return k, checkSigned(anchor, k)
	}
	if anchor != nil {
		k, err := optionalKey(path)
		if k == nil && err == nil {
			k, err = readKey(nextPath)
		}
		if err != nil {
			return nil, err
		}
		return k, checkSigned(anchor, k)
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, errOrphanKey(path)
	}
	if err := checkOrigin(op.Origin); err != nil {
		return nil, err
	}
	if err := dropKey(nextPath); err != nil { // of a first start that crashed before it used the key
		return nil, err
	}
	k, err := generateKey(op.Origin)
	if err != nil {
		return nil, err
	}
	k.from = nextPath
	return k, writeKey(nextPath, k)
}

func errOrigin(k *key, origin string) error {
	return fmt.Errorf("%s is that of %s, and the origin is to be %s: they must be the same", k.from, k.Name(), origin)
}

func errOrphanKey(path string) error {
	return &IntegrityError{Index: -1, Rollback: true, Problem: fmt.Sprintf(
		"%s is the key of a ledger of which neither store nor anchor is there: put them back, or move the key away to begin another ledger", path)}
}

// checkSigned makes sure that a key has signed the anchor of the log that is
// being made, if there is one already.
func checkSigned(anchor *Checkpoint, k *key) error {
	if anchor == nil {
		return nil
	}
	verifier, err := note.NewVerifier(k.vkey)
	if err != nil {
		return err
	}
	c := chain{{vkey: k.vkey, Verifier: verifier}}
	if err := c.check(anchor); err != nil {
		return fmt.Errorf("the ledger was begun with another key than %s (%s): %w", k.from, k.id(), err)
	}
	return nil
}
