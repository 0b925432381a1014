package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
)

// RotateKey gives a log that nobody has open another key, and returns its
// verifier key. An entry signed by both keys says so; the checkpoints of the
// entries before it stay signed by the old key, those to come are signed by the
// new one. Whoever trusts the old key follows that entry to the new one.
//
// newSigner is a note signer key whose name is the log's origin. When it is
// empty a key is made and kept in Dir/ledger.key, in place of the old one. When
// it is given it is kept nowhere: from now on it is for Options.Signer, and
// Dir/ledger.key, if there is one, is removed.
//
// It first opens the log as Open does, with the same errors, but makes none.
// After a crash one of the two keys is the log's, and Open finds out which.
func RotateKey(ctx context.Context, o Options, newSigner string) (vkey string, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return "", err
	}
	found, err := look(o)
	if err != nil {
		return "", err
	}
	if found.new() {
		return "", fmt.Errorf("there is no ledger in %s whose key could be rotated", o.Dir)
	}
	l, err := open(ctx, o)
	if err != nil {
		return "", err
	}
	vkey, err = l.rotate(newSigner)
	return vkey, errors.Join(err, l.closeStore())
}

// rotate appends the entry and puts the key in place.
func (l *Log) rotate(newSigner string) (vkey string, err error) {
	if err := l.checkSpace(); err != nil {
		return "", err
	}
	dir, nextPath := l.options.Dir, filepath.Join(l.options.Dir, nextKeyName)
	next, err := l.nextKey(newSigner)
	if err != nil {
		return "", err
	}
	if newSigner == "" {
		if err := writeKey(nextPath, next); err != nil {
			return "", err
		}
	}
	err = l.writeRotated(next)
	switch {
	case errors.Is(err, ErrFailed): // the entry may be there: both keys stay
		return "", err
	case err != nil:
		return "", errors.Join(err, dropKey(nextPath))
	case newSigner == "":
		err = adoptKey(dir)
	default:
		err = dropKey(filepath.Join(dir, keyName))
	}
	l.options.Log.Info("the ledger has another key", "verifier_key", next.vkey, "before", keyID(l.vkey))
	return next.vkey, err
}

// nextKey makes or reads the new key.
func (l *Log) nextKey(newSigner string) (*key, error) {
	if newSigner == "" {
		return generateKey(l.origin)
	}
	next, err := parseKey(newSigner, "the new key")
	switch {
	case err != nil:
		return nil, err
	case next.Name() != l.origin:
		return nil, fmt.Errorf("the new key is that of %s: it must have the ledger's origin %s as its name", next.Name(), l.origin)
	case next.vkey == l.vkey:
		return nil, fmt.Errorf("the new key %s is the one that the ledger has", next.id())
	}
	return next, nil
}

// writeRotated appends the entry, under a checkpoint signed by the new key.
func (l *Log) writeRotated(next *key) error {
	p := newPlan(&l.sequencer.edge)
	leaf, err := rotatedLeaf(l.options.Now(), p.first, l.sequencer.key, next)
	if err != nil {
		return err
	}
	p.add(ownDraft(leaf), nil)
	return l.commit(p, next)
}
