package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// checkOthers goes through the rows that are not entries. It looks for what a
// log of a size does not have, entries and tree hashes beyond it, blobs brought
// by no entry, keys of no known form, and makes sure that the rows of
// idempotency keys are those of the leaves, whose tally is given. A store of
// size 0 has no rows at all.
func checkOthers(ctx context.Context, stored rows, size uint64, leaves tally) error {
	found := tally{secret: leaves.secret}
	formats := 0
	end := keyLeaf(size)
	err := stored.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			if key := item.Key(); len(key) == len(end) && key[0] == prefixLeaf && bytes.Compare(key, end) < 0 {
				it.Seek(end) // those before have been read
				if !it.Valid() {
					break
				}
				item = it.Item()
			}
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("checking the ledger: %w", err)
			}
			err := item.Value(func(value []byte) error {
				key := item.Key()
				if problem := stray(key, value, size); problem != nil {
					return problem
				}
				switch key[0] {
				case prefixFormat:
					formats++
				case prefixOnce:
					found.add([32]byte(key[1:]), binary.BigEndian.Uint64(value))
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case formats == 0 && size > 0:
		return &IntegrityError{Index: -1, Problem: "the row that names the store's format is absent"}
	case found != leaves:
		return findOnce(ctx, stored, size)
	}
	return nil
}

// stray says what is wrong with a row, other than its content, in a log of a size.
func stray(key, value []byte, size uint64) error {
	problem := func(index uint64, format string, args ...any) error {
		return &IntegrityError{Index: int64(index), Problem: fmt.Sprintf(format, args...)}
	}
	form := [2]int{len(key), len(value)}
	switch prefix := key[0]; {
	case size == 0:
		return problem(0, "the store has a row %q, but no head", key)
	case prefix == prefixLeaf && len(key) == 9:
		return problem(size, "the store has entry %d, beyond its head of %d entries", binary.BigEndian.Uint64(key[1:]), size)
	case prefix == prefixHead && len(key) == 1:
		return nil
	case prefix == prefixFormat && len(key) == 1:
		if string(value) != Format {
			return fmt.Errorf("%w: %.60q, and it knows %q only", ErrFormat, value, Format)
		}
		return nil
	case prefix == prefixNode && form == [2]int{10, 32} && key[1] > 0:
		if level, n := int(key[1]), binary.BigEndian.Uint64(key[2:]); level > 7 || n >= size>>(tileHeight*level) {
			return problem(size, "the store has tree hash %d of level %d, beyond its head of %d entries", n, level, size)
		}
		return nil
	case prefix == prefixOnce && form == [2]int{33, 8}:
		if index := binary.BigEndian.Uint64(value); index >= size {
			return problem(size, "the store has an idempotency key of entry %d, beyond its head of %d entries", index, size)
		}
		return nil
	case prefix == prefixBlob && len(key) == 33 && len(value) >= 8:
		if index := binary.BigEndian.Uint64(value); index >= size {
			return problem(size, "the store has a blob of entry %d, beyond its head of %d entries", index, size)
		}
		return nil
	}
	return &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store has a row %q with %d bytes that no ledger has", key, len(value))}
}

// findOnce finds the idempotency key for which the leaves and the rows differ.
func findOnce(ctx context.Context, stored rows, size uint64) error {
	for i := range size {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("checking the ledger: %w", err)
		}
		_, leaf, err := stored.leaf(i)
		if err != nil {
			return lost(err)
		}
		sum := onceOf(leaf)
		if sum == nil {
			continue
		}
		index, ok, err := stored.once(*sum)
		switch {
		case err != nil:
			return err
		case !ok:
			return &IntegrityError{Index: int64(i), Problem: "its idempotency key has no row, so that it could be used again"}
		case index != i:
			return &IntegrityError{Index: int64(i), Problem: fmt.Sprintf("the row of its idempotency key points to entry %d", index)}
		}
	}
	return &IntegrityError{Index: -1, Problem: "the store has the row of an idempotency key that no entry has"}
}
