package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"
)

// First bytes of the store's keys. docs/LEDGER.md lists the rows.
const (
	prefixFormat = 'v'
	prefixLeaf   = 'e'
	prefixNode   = 't'
	prefixOnce   = 'o'
	prefixBlob   = 'b'
	prefixHead   = 'h'
)

// tileHeight is the height of a tile in tlog-tiles, tileWidth the number of hashes of a full one.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

var (
	keyFormat = []byte{prefixFormat} // → the format's name
	keyHead   = []byte{prefixHead}   // → the signed checkpoint of all rows
)

// keyLeaf is the key of entry i, whose value is its leaf hash followed by the leaf.
func keyLeaf(i uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixLeaf}, i)
}

// keyNode is the key of the root of the full subtree over the entries [n·256^level, (n+1)·256^level), level ≥ 1.
func keyNode(level int, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixNode, byte(level)}, n)
}

// keyOnce is the key of the index of the entry whose "once" has the SHA-256 sum.
func keyOnce(sum [32]byte) []byte {
	return append([]byte{prefixOnce}, sum[:]...)
}

// keyBlob is the key of the blob with the SHA-256 sum. Its value is the index of the entry that brought it
// (8 bytes, big-endian) followed by the blob.
func keyBlob(sum [32]byte) []byte {
	return append([]byte{prefixBlob}, sum[:]...)
}

// rows reads the rows of a store. Safe for concurrent use, and beside a writer, but not beside the closing of the store.
// It judges no more than a row's shape: what is acknowledged is the caller's to know.
//
// A row that is absent is ErrNotFound, one that has an impossible length an *IntegrityError.
type rows struct{ db *badger.DB }

// view runs fn in a read transaction, guarded.
func (r rows) view(fn func(*badger.Txn) error) error {
	return guarded(func() error { return r.db.View(fn) })
}

// guarded runs fn, which uses Badger. Badger panics on some damage, and its files are mapped into memory, so that a disk
// that cannot be read is a fault: both become an *IntegrityError here, lest they end the process.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store's files cannot be read: %v", p)}
		}
	}()
	return fn()
}

// value calls fn with the value of the row at key, which is valid only during the call.
func value(txn *badger.Txn, key []byte, fn func([]byte) error) error {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("reading row %q: %w", key, err)
	}
	return item.Value(fn)
}

// get returns a copy of the value of the row at key.
func (r rows) get(key []byte) (val []byte, err error) {
	err = r.view(func(txn *badger.Txn) error {
		return value(txn, key, func(v []byte) error {
			val = append([]byte{}, v...)
			return nil
		})
	})
	return val, err
}

// leaf returns the leaf hash of entry i as it is stored, and the leaf.
func (r rows) leaf(i uint64) (hash tlog.Hash, leaf []byte, err error) {
	val, err := r.get(keyLeaf(i))
	if errors.Is(err, ErrNotFound) {
		return tlog.Hash{}, nil, absent(keyLeaf(0)[:1], i)
	}
	if err != nil {
		return tlog.Hash{}, nil, err
	}
	return splitLeaf(i, val)
}

// splitLeaf takes the value of an entry's row apart.
func splitLeaf(i uint64, val []byte) (hash tlog.Hash, leaf []byte, err error) {
	if len(val) < tlog.HashSize {
		return tlog.Hash{}, nil, &IntegrityError{Index: int64(i),
			Problem: fmt.Sprintf("the row of entry %d has %d bytes, fewer than a leaf hash", i, len(val))}
	}
	return tlog.Hash(val[:tlog.HashSize]), val[tlog.HashSize:], nil
}

// eachLeaf calls fn with the values of the rows of the entries [from, from+n), in order. A value is valid only during
// the call.
func (r rows) eachLeaf(from uint64, n int, fn func(i uint64, val []byte) error) error {
	return r.view(func(txn *badger.Txn) error {
		return consecutive(txn, keyLeaf(from), n, fn)
	})
}

// leafHashes returns the leaf hashes of the entries [from, from+n) as they are stored.
func (r rows) leafHashes(from uint64, n int) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, n)
	err := r.eachLeaf(from, n, func(i uint64, val []byte) error {
		hash, _, err := splitLeaf(i, val)
		hashes = append(hashes, hash)
		return err
	})
	return hashes, err
}

// eachNode calls fn with the values of n node rows of a level, from the one at from on, in order. A value is valid only
// during the call.
func (r rows) eachNode(level int, from uint64, n int, fn func(i uint64, val []byte) error) error {
	return r.view(func(txn *badger.Txn) error {
		return consecutive(txn, keyNode(level, from), n, fn)
	})
}

// nodes returns the roots of n full subtrees of a level ≥ 1, from the one at from on.
func (r rows) nodes(level int, from uint64, n int) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, n)
	err := r.eachNode(level, from, n, func(i uint64, val []byte) error {
		if len(val) != tlog.HashSize {
			return nodeLength(level, i, val)
		}
		hashes = append(hashes, tlog.Hash(val))
		return nil
	})
	return hashes, err
}

// nodeLength is the error of a tree hash that has the wrong length.
func nodeLength(level int, n uint64, val []byte) error {
	return &IntegrityError{Index: -1,
		Problem: fmt.Sprintf("the row of tree hash %d of level %d has %d bytes, not %d", n, level, len(val), tlog.HashSize)}
}

// once returns the index of the entry whose "once" has the SHA-256 sum; ok says whether there is one.
func (r rows) once(sum [32]byte) (index uint64, ok bool, err error) {
	val, err := r.get(keyOnce(sum))
	if errors.Is(err, ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if len(val) != 8 {
		return 0, false, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the once row %x has %d bytes, not 8", sum, len(val))}
	}
	return binary.BigEndian.Uint64(val), true, nil
}

// blob returns the blob with the SHA-256 sum as it is stored, and the index of the entry that brought it.
func (r rows) blob(sum [32]byte) (first uint64, data []byte, err error) {
	val, err := r.get(keyBlob(sum))
	if err != nil {
		return 0, nil, fmt.Errorf("blob %x: %w", sum, err)
	}
	if len(val) < 8 {
		return 0, nil, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the row of blob %x has %d bytes, fewer than an index", sum, len(val))}
	}
	return binary.BigEndian.Uint64(val), val[8:], nil
}

// head returns the signed checkpoint of all rows. Some of them may not be acknowledged yet.
func (r rows) head() ([]byte, error) {
	val, err := r.get(keyHead)
	if err != nil {
		return nil, fmt.Errorf("the head: %w", err)
	}
	return val, nil
}

// consecutive calls fn with the values of n rows whose keys end in consecutive numbers, from the row at first on.
// Every key is compared with the one expected: where an iterator ends proves nothing about what there is.
func consecutive(txn *badger.Txn, first []byte, n int, fn func(i uint64, val []byte) error) error {
	if n == 0 {
		return nil
	}
	prefix := first[:len(first)-8]
	from := binary.BigEndian.Uint64(first[len(prefix):])
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()

	it.Seek(first)
	key := append([]byte{}, first...)
	for i := from; i-from < uint64(n); i++ {
		binary.BigEndian.PutUint64(key[len(prefix):], i)
		if !it.Valid() || string(it.Item().Key()) != string(key) {
			return absent(prefix, i)
		}
		if err := it.Item().Value(func(val []byte) error { return fn(i, val) }); err != nil {
			return err
		}
		it.Next()
	}
	return nil
}

// absentError says that a row of the tree is absent. It is an ErrNotFound.
type absentError struct {
	entry int64 // whose row it is; -1 for a tree hash
	what  string
}

func (e *absentError) Error() string { return e.what + " has no row" }

func (e *absentError) Is(target error) bool { return target == ErrNotFound }

// absent is the error of a tree's row whose key would end in i.
func absent(prefix []byte, i uint64) error {
	if prefix[0] == prefixLeaf {
		return &absentError{entry: int64(i), what: fmt.Sprintf("entry %d", i)}
	}
	return &absentError{entry: -1, what: fmt.Sprintf("tree hash %d of level %d", i, prefix[1])}
}

// lost turns the absence of a row that must be there into an *IntegrityError. Other errors pass.
func lost(err error) error {
	var row *absentError
	if errors.As(err, &row) {
		return &IntegrityError{Index: row.entry, Problem: row.Error()}
	}
	return err
}
