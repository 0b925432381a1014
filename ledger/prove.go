package ledger

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// proofHeader is the first line of a C2SP tlog-proof.
const proofHeader = "c2sp.org/tlog-proof@v1"

// ProveInclusion returns the RFC 6962 inclusion proof of an entry in the tree of the first size entries, from the leaf's
// sibling up. The tree of one entry has an empty proof.
//
// Every hash was checked against the signed root of the log before it is given away: damage to the store is an
// *IntegrityError, never a wrong proof. An index not below size, or a size beyond the acknowledged one, is ErrNotFound.
// Safe for concurrent use.
func (l *Log) ProveInclusion(index, size uint64) ([][32]byte, error) {
	if err := l.acquire(); err != nil {
		return nil, err
	}
	defer l.release()
	path, err := l.prove(l.published.Load(), index, size)
	return plain(path), err
}

// prove makes an inclusion proof out of the tree of a checkpoint, with the log acquired.
func (l *Log) prove(now *Checkpoint, index, size uint64) (tlog.RecordProof, error) {
	if size > now.Size {
		return nil, fmt.Errorf("a tree of %d entries is %w: it has %d", size, ErrNotFound, now.Size)
	}
	if index >= size {
		return nil, fmt.Errorf("entry %d cannot be in a tree of %d entries: %w", index, size, ErrNotFound)
	}
	path, err := tlog.ProveRecord(int64(size), int64(index), l.tree(now))
	return path, unproven(err)
}

// ProveConsistency returns the RFC 6962 proof that the tree of the first old entries is a prefix of that of the first
// size. It is empty when the two are equal, and when old is 0: every tree begins with the empty one.
//
// Every hash was checked against the signed root of the log before it is given away: damage to the store is an
// *IntegrityError, never a wrong proof. A size beyond the acknowledged one is ErrNotFound, an old beyond size an error.
// Safe for concurrent use.
func (l *Log) ProveConsistency(old, size uint64) ([][32]byte, error) {
	if err := l.acquire(); err != nil {
		return nil, err
	}
	defer l.release()
	now := l.published.Load()
	if size > now.Size {
		return nil, fmt.Errorf("a tree of %d entries is %w: it has %d", size, ErrNotFound, now.Size)
	}
	if old > size {
		return nil, fmt.Errorf("a tree of %d entries cannot be the beginning of one of %d: give the smaller size first", old, size)
	}
	if old == 0 || old == size {
		return [][32]byte{}, nil
	}
	path, err := tlog.ProveTree(int64(size), int64(old), l.tree(now))
	return plain(path), unproven(err)
}

// Proof returns a C2SP tlog-proof of an acknowledged entry, which can be verified with nothing but the log's verifier
// key. Its extra data is the leaf; its checkpoint the last one that witnesses have cosigned, when that one has the entry,
// else the last acknowledged one. A leaf beyond 48 KiB makes a line longer than the 64 KiB that some readers take.
//
// It fails as ProveInclusion does. Safe for concurrent use.
func (l *Log) Proof(index uint64) ([]byte, error) {
	if err := l.acquire(); err != nil {
		return nil, err
	}
	defer l.release()
	now := l.published.Load()
	if index >= now.Size {
		return nil, fmt.Errorf("entry %d is %w: it has %d entries", index, ErrNotFound, now.Size)
	}
	in := now
	if cosigned := l.witnessed.Load(); cosigned != nil && index < cosigned.Size && cosigned.Size <= now.Size {
		in = cosigned
	}
	leaf, err := l.entry(index)
	if err != nil {
		return nil, err
	}
	path, err := l.prove(now, index, in.Size)
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(path, int64(in.Size), in.Root, int64(index), tlog.RecordHash(leaf)); err != nil {
		return nil, &IntegrityError{Index: int64(index),
			Problem: fmt.Sprintf("it is not what the checkpoint of size %d was signed over", in.Size)}
	}
	return marshalProof(index, leaf, path, in.Note), nil
}

// marshalProof writes a tlog-proof.
func marshalProof(index uint64, extra []byte, path tlog.RecordProof, note []byte) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\nextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(extra), index)
	for _, hash := range path {
		fmt.Fprintln(&text, hash)
	}
	text.WriteByte('\n')
	text.Write(note)
	return text.Bytes()
}

// tree reads the hashes of the tree that a checkpoint was signed over, each of them authenticated by its root. They
// serve for all smaller trees too, whose proofs are made of the same subtrees.
func (l *Log) tree(c *Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: int64(c.Size), Hash: c.Root}, tileReader{l.rows})
}

// unproven makes the failure to prove something of which the log has signed that it holds an *IntegrityError.
func unproven(err error) error {
	err = lost(err)
	var damaged *IntegrityError
	if err == nil || errors.As(err, &damaged) {
		return err
	}
	return &IntegrityError{Index: -1, Problem: fmt.Sprintf("the tree hashes stored do not give the signed root: %v", err)}
}

// plain frees a proof of tlog's types.
func plain(path []tlog.Hash) [][32]byte {
	if path == nil {
		return nil
	}
	hashes := make([][32]byte, len(path))
	for i, hash := range path {
		hashes[i] = hash
	}
	return hashes
}
