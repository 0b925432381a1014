package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"
)

// Entries reads this much at a time; whoever iterates holds nothing meanwhile, so that Close need not wait for it.
const (
	chunkEntries = 256
	chunkBytes   = 1 << 20
)

// Record is an entry that was read.
type Record struct {
	Index uint64
	Leaf  []byte // as it was appended; the reader's to keep
}

// Entry returns the leaf of an acknowledged entry, which is the caller's to keep.
//
// It fails with ErrNotFound for an index that the log does not have yet, with ErrClosed, and with an *IntegrityError when
// the row is lost or does not hash to what it should. A log that has stopped with ErrFailed can still be read.
// Safe for concurrent use.
func (l *Log) Entry(index uint64) ([]byte, error) {
	if err := l.acquire(); err != nil {
		return nil, err
	}
	defer l.release()
	if size := l.published.Load().Size; index >= size {
		return nil, fmt.Errorf("entry %d is %w: it has %d entries", index, ErrNotFound, size)
	}
	return l.entry(index)
}

// entry is Entry for an index known to be acknowledged, with the log acquired.
func (l *Log) entry(index uint64) ([]byte, error) {
	hash, leaf, err := l.rows.leaf(index)
	if err != nil {
		return nil, lost(err)
	}
	return leaf, checkLeaf(index, hash, leaf)
}

// Entries yields the acknowledged entries [from, to) in order; to 0 is the size at the time of the call. It reads a
// piece at a time, so that memory stays flat and the loop may take as long as it likes.
//
// After an error, which is one of those of Entry, it ends. A from beyond to, or a to beyond the size, is such an error.
// Safe for concurrent use, also from within the loop.
func (l *Log) Entries(from, to uint64) iter.Seq2[Record, error] {
	size := l.published.Load().Size
	return func(yield func(Record, error) bool) {
		end := to
		if end == 0 {
			end = size
		}
		if from > end || end > size {
			yield(Record{}, fmt.Errorf("entries %d to %d are %w: it has %d entries", from, end, ErrNotFound, size))
			return
		}
		for next := from; next < end; {
			chunk, err := l.chunk(next, end)
			for _, record := range chunk {
				if !yield(record, nil) {
					return
				}
			}
			if err != nil {
				yield(Record{}, err)
				return
			}
			next += uint64(len(chunk))
		}
	}
}

// errChunkFull ends the reading of a chunk.
var errChunkFull = errors.New("chunk full")

// chunk reads one or more of the entries [from, to). With an error it returns those before the one that is wrong.
func (l *Log) chunk(from, to uint64) ([]Record, error) {
	if err := l.acquire(); err != nil {
		return nil, err
	}
	defer l.release()

	var chunk []Record
	bytes := 0
	err := l.rows.eachLeaf(from, int(min(chunkEntries, to-from)), func(i uint64, val []byte) error {
		hash, leaf, err := splitLeaf(i, val)
		if err == nil {
			err = checkLeaf(i, hash, leaf)
		}
		if err != nil {
			return err
		}
		chunk = append(chunk, Record{Index: i, Leaf: append([]byte{}, leaf...)})
		if bytes += len(leaf); bytes >= chunkBytes {
			return errChunkFull
		}
		return nil
	})
	if errors.Is(err, errChunkFull) {
		err = nil
	}
	return chunk, lost(err)
}

// Blob returns the blob with the SHA-256 sum, which an acknowledged entry brought. It is the caller's to keep.
//
// It fails with ErrNotFound when the log has no such blob, with ErrClosed, and with an *IntegrityError when what is stored
// does not have this sum. Safe for concurrent use.
func (l *Log) Blob(sum [32]byte) ([]byte, error) {
	if err := l.acquire(); err != nil {
		return nil, err
	}
	defer l.release()
	return l.blob(sum)
}

// blob is Blob with the log acquired.
func (l *Log) blob(sum [32]byte) ([]byte, error) {
	first, data, err := l.rows.blob(sum)
	if err != nil {
		return nil, err
	}
	if first >= l.published.Load().Size {
		return nil, fmt.Errorf("blob %x is %w", sum, ErrNotFound)
	}
	if found := sha256.Sum256(data); found != sum {
		return nil, blobSum(first, sum, found)
	}
	return data, nil
}

// blobSum is the error of a blob that does not have the sum that it is found by.
func blobSum(first uint64, sum, found [32]byte) error {
	return &IntegrityError{Index: int64(first),
		Problem: fmt.Sprintf("the blob %x that it brought has the SHA-256 sum %x", sum, found)}
}

// checkLeaf compares a leaf with the hash stored beside it.
func checkLeaf(index uint64, hash tlog.Hash, leaf []byte) error {
	if found := tlog.RecordHash(leaf); found != hash {
		return &IntegrityError{Index: int64(index),
			Problem: fmt.Sprintf("its leaf has the hash %s, stored as %s", found, hash)}
	}
	return nil
}
