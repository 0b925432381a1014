package ledger

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

// Badger writes through memory maps of files that have holes, so that on a full
// disk it dies of a signal. It must not get there: there has to be room not only
// for a batch but for all that Badger does afterwards on its own.
//
//   - Its write-ahead logs are 8 MiB with nothing in them, and fill up to one
//     memtable and a batch: 5 MiB.
//   - Of three memtables that wait (one being written, two behind it) it makes
//     tables, a little larger than the logs that it removes after each.
//   - Two merges of tables can be under way. Each writes what it reads before it
//     removes that: all tables of level 0 with what they overlap below, and one
//     table of another level with what that overlaps in the next.
//   - Its list of tables and the anchor are a few kilobytes.
//
// The merges are counted on the tables that there are. All together it is some
// 60 MiB for a log whose keys come in order, however long it is. Idempotency
// keys and blobs come in no order; with a million of them it is some 75 MiB.
const (
	// waitingSpace is that of the memtables that can wait at one time.
	waitingSpace = 3 * (memTable + memTable/4)
	// appendSpace is how much more must be free to append than to open a log, so
	// that one that has stopped for lack of space can be opened as it is.
	appendSpace = 16 << 20
)

// storeSpace is what Badger may need to make tables of what waits for it, and to
// merge them with those that there are, in bytes.
func storeSpace(tables []badger.TableInfo, waiting uint64) uint64 {
	levels := make(map[int][]badger.TableInfo)
	deepest := 0
	for _, t := range tables {
		levels[t.Level] = append(levels[t.Level], t)
		deepest = max(deepest, t.Level)
	}
	base := 1
	for base < deepest && len(levels[base]) == 0 {
		base++
	}
	top := span(levels[0])
	newest := top.size + waiting + overlap(top, levels[base])
	deeper := uint64(0)
	for level := 1; level < deepest; level++ {
		for _, t := range levels[level] {
			one := span([]badger.TableInfo{t})
			deeper = max(deeper, one.size+overlap(one, levels[level+1]))
		}
	}
	return waiting + newest + deeper
}

// keySpan is the range of the keys of some tables, and their size in bytes.
type keySpan struct {
	left, right []byte
	size        uint64
}

func span(tables []badger.TableInfo) keySpan {
	var s keySpan
	for _, t := range tables {
		if s.left == nil || bytes.Compare(t.Left, s.left) < 0 {
			s.left = t.Left
		}
		if bytes.Compare(t.Right, s.right) > 0 {
			s.right = t.Right
		}
		s.size += uint64(t.OnDiskSize)
	}
	return s
}

// overlap is the size of those tables, of a level without overlaps, that have
// keys within a range.
func overlap(s keySpan, tables []badger.TableInfo) (size uint64) {
	for _, t := range tables {
		if bytes.Compare(t.Right, s.left) >= 0 && bytes.Compare(t.Left, s.right) <= 0 {
			size += uint64(t.OnDiskSize)
		}
	}
	return size
}

// checkSpace fails with ErrNoSpace when the file system of a path has fewer
// than floor bytes free for this process.
func checkSpace(path string, floor uint64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", path, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < floor {
		return fmt.Errorf("%w: the file system of %s has %d bytes free and must keep %d", ErrNoSpace, path, free, floor)
	}
	return nil
}
