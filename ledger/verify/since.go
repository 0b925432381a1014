package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// A kept is an earlier checkpoint of the log that was kept somewhere.
type kept struct {
	Checkpoint
	note     []byte
	resource string // names it in a report
	wrong    Code   // the verdict when it is no checkpoint of this log at all
}

// parseKept reads a kept checkpoint.
func parseKept(note []byte, resource string, wrong Code) (kept, *failure) {
	c, err := ParseCheckpoint(note)
	if err != nil {
		return kept{}, fail(wrong, resource, "it is not a signed checkpoint: %s", err)
	}
	return kept{Checkpoint: c, note: note, resource: resource, wrong: wrong}, nil
}

// parseSince reads the checkpoints of the options.
func parseSince(notes [][]byte) ([]kept, *failure) {
	var list []kept
	for i, note := range notes {
		resource := "the checkpoint kept earlier"
		if len(notes) > 1 {
			resource = fmt.Sprintf("checkpoint %d of those kept earlier", i+1)
		}
		k, f := parseKept(note, resource, Usage)
		if f != nil {
			return nil, f
		}
		list = append(list, k)
	}
	return list, nil
}

// of says whether the kept checkpoint is one of the log called origin.
func (k kept) of(origin string) *failure {
	if k.Origin == origin {
		return nil
	}
	f := fail(k.wrong, k.resource, "it is a checkpoint of another log")
	f.Expected, f.Found = origin, k.Origin
	return f
}

// check says whether the log continues the kept checkpoint, and whether that is
// signed by the log.
func (k kept) check(ctx context.Context, t *tree, keys *keyring) *failure {
	if f := k.of(keys.origin); f != nil {
		return f
	}
	if k.Size > t.size {
		return k.larger(t, keys)
	}
	by, f := k.signer(keys)
	if f != nil {
		return f
	}
	// Which key was in force is for the log to say: what it continues comes first.
	f = k.prefix(ctx, t)
	if f != nil && f.code == Rollback && by == nil {
		f = k.notSigned(nil, keys)
		f.Text += fmt.Sprintf(", and the log's first %s are not those of it either: either this is another log of the same name, or somebody wrote it anew",
			plural(k.Size, "entry", "entries"))
	}
	return cmp.Or(f, k.inForce(by, keys))
}

// signer is the key of the log that has signed the kept checkpoint. It is nil
// when it is signed in the log's name by a key that the log does not name.
func (k kept) signer(keys *keyring) (*key, *failure) {
	by, wrong := signer(k.note, keys.known())
	_, signatures, _ := splitNote(k.note)
	ours := slices.ContainsFunc(signatures, func(s signature) bool { return s.name == keys.origin })
	if by == nil && (wrong != nil || !ours) {
		return nil, k.notSigned(wrong, keys)
	}
	return by, nil
}

// inForce says whether the key that the log had at that size has signed the kept
// checkpoint, which is by one of its keys or by none.
func (k kept) inForce(by *key, keys *keyring) *failure {
	force := keys.at(k.Size)
	switch {
	case by == nil:
		return k.notSigned(nil, keys)
	case force == nil || signedBy(k.note, force) == signed:
		return nil
	}
	f := fail(k.wrong, k.resource, "it is signed by another key than the log had at that size")
	f.Expected, f.Found = force.id(), by.id()
	return f
}

// larger judges a checkpoint of more entries than the log has. It may be signed
// by a key that the log got only after where it ends now.
func (k kept) larger(t *tree, keys *keyring) *failure {
	by, f := k.signer(keys)
	if f != nil {
		return f
	}
	f = fail(Rollback, k.resource, "the log has fewer entries than it had when this checkpoint was signed")
	if by == nil {
		f.Text += ", by a key that the log does not name; it may have got that key after where it ends now"
	}
	f.Expected, f.Found = fmt.Sprintf("at least %d entries", k.Size), fmt.Sprintf("%d entries", t.size)
	return f
}

func (k kept) notSigned(wrong *key, keys *keyring) *failure {
	if wrong != nil {
		return fail(k.wrong, k.resource, "its signature by the log's key %s does not verify", wrong.id())
	}
	f := fail(k.wrong, k.resource, "it is not signed by a key of the log")
	f.Expected = "a signature by " + names(keys.known())
	return f
}

// prefix says whether the first entries of the log are those of the kept
// checkpoint, by a consistency proof (RFC 6962, section 2.1.2) from the tiles.
func (k kept) prefix(ctx context.Context, t *tree) *failure {
	root, err := t.rootAt(ctx, k.Size)
	if err != nil {
		return asFailure(err)
	}
	steps, err := t.consistency(ctx, k.Size)
	if err != nil {
		return asFailure(err)
	}
	if proof.VerifyConsistency(rfc6962.DefaultHasher, k.Size, t.size, steps, k.Root[:], t.root[:]) == nil &&
		bytes.Equal(root, k.Root[:]) {
		return nil
	}
	f := fail(Rollback, k.resource, "the log does not continue this checkpoint: its first %d entries were others", k.Size)
	f.Expected = "root " + base64.StdEncoding.EncodeToString(k.Root[:])
	f.Found = "root " + base64.StdEncoding.EncodeToString(root)
	return f
}

// rootAt is the root that the tree had at an earlier size.
func (t *tree) rootAt(ctx context.Context, size uint64) ([]byte, error) {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	nodes, err := t.nodes(ctx, compact.RangeNodes(0, size, nil))
	if err != nil {
		return nil, err
	}
	r, err := ranges.NewRange(0, size, nodes)
	if err != nil {
		return nil, err
	}
	return r.GetRootHash(nil)
}

// consistency is the proof that the tree continues the one of an earlier size.
func (t *tree) consistency(ctx context.Context, size uint64) ([][]byte, error) {
	if size == 0 {
		return nil, nil
	}
	plan, err := proof.Consistency(size, t.size)
	if err != nil {
		return nil, err
	}
	nodes, err := t.nodes(ctx, plan.IDs)
	if err != nil {
		return nil, err
	}
	return plan.Rehash(nodes, hashChildren)
}

func (t *tree) nodes(ctx context.Context, ids []compact.NodeID) ([][]byte, error) {
	hashes := make([][]byte, 0, len(ids))
	for _, id := range ids {
		h, err := t.node(ctx, id)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}
