package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"
)

// formatPrefix begins the name of every version of the format.
const formatPrefix = "countersign-ledger/"

// Audit checks what only a store has and no bundle shows: that there is a row for everything below the size of the head
// and nothing else, that the rows that find entries by their idempotency key agree with the leaves in both directions,
// that blobs have the sum that they are found by and belong to the entry that they are said to, and that no row is set to
// vanish later. It does not check signatures, the tree, or what a leaf must be: that is done over the Handler, as for
// every other ledger.
//
// What is wrong is an *IntegrityError with the first bad index where there is one; the end of ctx and a store of a format
// that is not known are other errors. Memory is flat in the size of the store.
func (c *Copy) Audit(ctx context.Context) error {
	size, err := c.auditHead()
	if err != nil {
		return err
	}
	once := newTally()
	for p := range readPieces(ctx, c.rows, size, once) {
		if p.err != nil {
			return p.err
		}
		once.merge(p.once)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("auditing the store: %w", err)
	}
	if err := c.auditNodes(size); err != nil {
		return err
	}
	if err := checkOthers(ctx, c.rows, size, once); err != nil {
		return err
	}
	return c.rows.view(func(txn *badger.Txn) error { return auditItems(ctx, txn) })
}

// auditHead checks the format and returns the size that the head gives.
func (c *Copy) auditHead() (uint64, error) {
	format, err := c.rows.get(keyFormat)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, &IntegrityError{Index: -1, Problem: "the row that names the store's format is absent"}
	case err != nil:
		return 0, err
	case !strings.HasPrefix(string(format), formatPrefix):
		return 0, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the row that names the store's format says %q", format)}
	case string(format) != Format:
		return 0, fmt.Errorf("%w: %.60q, and it knows %q only", ErrFormat, format, Format)
	}
	head, err := c.rows.head()
	if errors.Is(err, ErrNotFound) {
		return 0, &IntegrityError{Index: -1, Problem: "the row of the store's head is absent"}
	}
	if err != nil {
		return 0, err
	}
	checkpoint, err := parseCheckpoint(head)
	if err != nil {
		return 0, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store's head: %v", err)}
	}
	if checkpoint.Size == 0 {
		return 0, &IntegrityError{Index: -1, Problem: "the store's head is that of an empty log"}
	}
	return checkpoint.Size, nil
}

// auditNodes checks that no tree hash is lacking.
func (c *Copy) auditNodes(size uint64) error {
	for level := 1; size>>(tileHeight*level) > 0; level++ {
		err := c.rows.eachNode(level, 0, int(size>>(tileHeight*level)), func(n uint64, val []byte) error {
			if len(val) != tlog.HashSize {
				return nodeLength(level, n, val)
			}
			return nil
		})
		if err != nil {
			return lost(err)
		}
	}
	return nil
}

// auditItems looks at every row for what a search by key passes over: that it stays, that it is no entry's under another
// key than its own, and that a blob is what it should be.
func auditItems(ctx context.Context, txn *badger.Txn) error {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("auditing the store: %w", err)
		}
		item := it.Item()
		key := item.Key()
		if item.ExpiresAt() != 0 {
			return &IntegrityError{Index: -1, Problem: fmt.Sprintf("the row %q is set to vanish, and no row of a ledger is", key)}
		}
		if key[0] == prefixLeaf && len(key) != len(keyLeaf(0)) {
			return &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store has a row %q that no ledger has", key)}
		}
		if key[0] != prefixBlob {
			continue
		}
		if err := item.Value(func(val []byte) error { return auditBlob(txn, [32]byte(key[1:]), val) }); err != nil {
			return err
		}
	}
	return nil
}

// auditBlob checks a blob's row, whose owner is known to be in the log.
func auditBlob(txn *badger.Txn, sum [32]byte, val []byte) error {
	first := binary.BigEndian.Uint64(val)
	if found := sha256.Sum256(val[8:]); found != sum {
		return blobSum(first, sum, found)
	}
	return value(txn, keyLeaf(first), func(val []byte) error {
		_, leaf, err := splitLeaf(first, val)
		if err != nil {
			return err
		}
		d, err := parseLeaf(leaf)
		if err != nil || !slices.ContainsFunc(d.evidence, func(e evidence) bool { return e.sum == sum }) {
			return &IntegrityError{Index: int64(first),
				Problem: fmt.Sprintf("the row of blob %x says that this entry brought it, whose evidence does not name it", sum)}
		}
		return nil
	})
}
