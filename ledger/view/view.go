package view

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// View is a log at one size. It is safe for concurrent use as far as its
// source is.
type View struct {
	Checkpoint verify.Checkpoint
	Note       []byte // the signed checkpoint
	Key        string // the verifier key that has signed it

	own    bool // Key was not given, but named by the log itself
	source verify.Source
	tiles  *tiles
}

// Record is an entry of a log.
type Record struct {
	Index uint64
	Leaf  []byte
}

// ErrNoEntry says that the log has no entry of an index.
var ErrNoEntry = errors.New("the log has no such entry")

// ErrForeign says that a log does not begin as those of Countersign do, so that
// it names no key to read it by.
var ErrForeign = errors.New("this is not a Countersign log")

// KeyError says that no key that is known has signed the log's checkpoint. The
// log may have changed its key since, which the whole of it shows: package
// verify follows it.
type KeyError struct{ Own bool }

func (e *KeyError) Error() string {
	if e.Own {
		return "the log's checkpoint is not signed by the key that its entry 0 names"
	}
	return "the log's checkpoint is not signed by a key that was given"
}

// Open reads the log's present checkpoint. It must be signed by one of the
// verifier keys given, which must bear the log's name; when none is given, by
// the one that its entry 0 names, and then nothing shows whose log it is.
// Otherwise it is a [*KeyError]. A key that is malformed is another error.
func Open(ctx context.Context, src verify.Source, keys []string) (*View, error) {
	signed, err := src.Get(ctx, verify.CheckpointPath, verify.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("this is no log: it has no checkpoint: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the log's checkpoint: %w", err)
	}
	v, err := parse(src, signed)
	if err != nil {
		return nil, err
	}
	own := len(keys) == 0
	if own {
		first, err := v.Entry(ctx, 0)
		if err != nil {
			return nil, err
		}
		key, err := claimedKey(first)
		if err != nil {
			return nil, err
		}
		keys = []string{key}
	}
	if v.Key, err = signer(signed, v.Checkpoint.Origin, keys); err != nil {
		return nil, err
	}
	if v.Key == "" {
		return nil, &KeyError{Own: own}
	}
	v.own = own
	return v, nil
}

// parse makes a view of a checkpoint whose signature is still to be checked.
func parse(src verify.Source, signed []byte) (*View, error) {
	c, err := verify.ParseCheckpoint(signed)
	if err != nil {
		return nil, fmt.Errorf("the log's checkpoint is malformed: %w", err)
	}
	if c.Size == 0 || c.Size > math.MaxInt64/4 {
		return nil, fmt.Errorf("the log's checkpoint speaks of %d entries", c.Size)
	}
	return &View{Checkpoint: c, Note: signed, source: src, tiles: &tiles{source: src, size: c.Size}}, nil
}

// hashReader gives hashes of the tree that are proven to be in it.
func (v *View) hashReader(ctx context.Context) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: int64(v.Checkpoint.Size), Hash: v.Checkpoint.Root}, &tileReader{ctx, v.tiles})
}

// claimedKey is the key that entry 0 names.
func claimedKey(first []byte) (string, error) {
	var created struct{ Kind, Vkey string }
	if json.Unmarshal(first, &created) != nil || created.Kind != "ledger.created" || created.Vkey == "" {
		return "", fmt.Errorf("%w: its entry 0 is not ledger.created; to read it, give its verifier key", ErrForeign)
	}
	return created.Vkey, nil
}

// signer is the one of the keys that has signed a checkpoint of the log called
// origin, empty when none has. It is an error when one is malformed.
func signer(signed []byte, origin string, keys []string) (by string, err error) {
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return "", fmt.Errorf("%.120q is not the verifier key of a log (<name>+<id>+<base64>, Ed25519): %w", key, err)
		}
		if verifier.Name() != origin || by != "" {
			continue
		}
		if _, err := note.Open(signed, note.VerifierList(verifier)); err == nil {
			by = key
		}
	}
	return by, nil
}

// Entry reads one entry. When there is none the error wraps [ErrNoEntry].
func (v *View) Entry(ctx context.Context, index uint64) ([]byte, error) {
	if index >= v.Checkpoint.Size {
		return nil, fmt.Errorf("%w: its %d entries begin with number 0, and number %d was asked for", ErrNoEntry, v.Checkpoint.Size, index)
	}
	leaves, err := v.bundle(ctx, index/tileWidth)
	if err != nil {
		return nil, err
	}
	return leaves[index%tileWidth], nil
}

// Entries reads the entries from, from+1, …, to-1 in order, as far as there
// are any. It ends after an error.
func (v *View) Entries(ctx context.Context, from, to uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		to := min(to, v.Checkpoint.Size)
		for from := from; from < to; {
			n := from / tileWidth
			leaves, err := v.bundle(ctx, n)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for ; from < to && from/tileWidth == n; from++ {
				if !yield(Record{from, leaves[from%tileWidth]}, nil) {
					return
				}
			}
		}
	}
}

// bundle reads an entry bundle and compares it with the tree.
func (v *View) bundle(ctx context.Context, n uint64) ([][]byte, error) {
	leaves, err := v.tiles.entries(ctx, n)
	if err != nil {
		return nil, err
	}
	leaves = leaves[:min(uint64(len(leaves)), v.Checkpoint.Size-n*tileWidth)]
	indexes := make([]int64, len(leaves))
	for i := range leaves {
		indexes[i] = tlog.StoredHashIndex(0, int64(n*tileWidth)+int64(i))
	}
	hashes, err := v.hashReader(ctx).ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the tree over the entries from %d: %w", n*tileWidth, err)
	}
	for i, leaf := range leaves {
		if tlog.RecordHash(leaf) != hashes[i] {
			return nil, fmt.Errorf("entry %d is not the one that was signed: verify the log", n*tileWidth+uint64(i))
		}
	}
	return leaves, nil
}

// Continues says whether the log begins with what an earlier checkpoint of it
// signs. That checkpoint's signature is not looked at.
func (v *View) Continues(ctx context.Context, old verify.Checkpoint) error {
	switch {
	case old.Origin != v.Checkpoint.Origin:
		return fmt.Errorf("the checkpoint is of another log, %s", old.Origin)
	case old.Size > v.Checkpoint.Size:
		return &RollbackError{old.Size, v.Checkpoint.Size, "it has fewer"}
	case old.Size == 0:
		return nil
	}
	size, before := int64(v.Checkpoint.Size), int64(old.Size)
	proof, err := tlog.ProveTree(size, before, v.hashReader(ctx))
	if err != nil {
		return fmt.Errorf("cannot read the tree: %w", err)
	}
	if tlog.CheckTree(proof, size, v.Checkpoint.Root, before, old.Root) != nil {
		return &RollbackError{old.Size, v.Checkpoint.Size, "its first entries are others"}
	}
	return nil
}

// RollbackError says that a log does not continue an earlier checkpoint of it.
type RollbackError struct {
	Old, New uint64 // entries
	Problem  string
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("the log, of %d entries, does not continue the checkpoint of %d entries: %s", e.New, e.Old, e.Problem)
}

// Update reads the log's checkpoint again. It returns v itself when nothing
// has changed, else the view of the new one, which must be signed by the same
// key and continue v.
func (v *View) Update(ctx context.Context) (*View, error) {
	signed, err := v.source.Get(ctx, verify.CheckpointPath, verify.MaxCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("cannot read the log's checkpoint: %w", err)
	}
	if bytes.Equal(signed, v.Note) {
		return v, nil
	}
	next, err := parse(v.source, signed)
	if err != nil {
		return nil, err
	}
	if next.Key, err = signer(signed, v.Checkpoint.Origin, []string{v.Key}); err != nil {
		return nil, err
	}
	if next.Key == "" {
		return nil, &KeyError{Own: v.own}
	}
	next.own = v.own
	if err := next.Continues(ctx, v.Checkpoint); err != nil {
		return nil, err
	}
	return next, nil
}

// Witnessed returns the view of the log's last checkpoint with cosignatures of
// witnesses, which v continues; nil when there is none that the same key has
// signed. Whose the cosignatures are is not looked at.
func (v *View) Witnessed(ctx context.Context) (*View, error) {
	signed, err := v.source.Get(ctx, verify.WitnessedPath, verify.MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the log's witnessed checkpoint: %w", err)
	}
	w, err := parse(v.source, signed)
	if err != nil {
		return nil, err
	}
	if w.Key, err = signer(signed, v.Checkpoint.Origin, []string{v.Key}); err != nil || w.Key == "" {
		return nil, err
	}
	w.own, w.tiles.size = v.own, v.Checkpoint.Size
	if err := v.Continues(ctx, w.Checkpoint); err != nil {
		return nil, err
	}
	return w, nil
}
