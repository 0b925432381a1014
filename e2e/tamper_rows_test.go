//go:build slow

package e2e

import (
	"bytes"
	"crypto/sha256"
	encoding "encoding/binary"
	"fmt"
	"iter"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// Keys of the store's rows.
func leafRow(i int) []byte { return encoding.BigEndian.AppendUint64([]byte{'e'}, uint64(i)) }
func nodeRow(level, n int) []byte {
	return encoding.BigEndian.AppendUint64([]byte{'t', byte(level)}, uint64(n))
}
func onceRow(once string) []byte { return sumRow('o', []byte(once)) }
func blobRow(blob []byte) []byte { return sumRow('b', blob) }
func sumRow(prefix byte, of []byte) []byte {
	sum := sha256.Sum256(of)
	return append([]byte{prefix}, sum[:]...)
}

var (
	headRow   = []byte{'h'}
	formatRow = []byte{'v'}
)

// indexValue is the value of a once row, or the beginning of a blob's.
func indexValue(i int) []byte { return encoding.BigEndian.AppendUint64(nil, uint64(i)) }

// leafValue is the value of an entry's row.
func leafValue(leaf []byte) []byte {
	hash := sha256.Sum256(append([]byte{0}, leaf...))
	return append(hash[:], leaf...)
}

// rowEditor edits the rows of a store.
type rowEditor struct {
	*badger.Txn
	err error
}

// set sets a row; a nil value deletes it.
func (e *rowEditor) set(key, value []byte) {
	switch {
	case e.err != nil:
	case value == nil:
		e.err = e.Delete(key)
	default:
		e.err = e.Set(key, value)
	}
}

// get is a row's value.
func (e *rowEditor) get(key []byte) []byte {
	item, err := e.Get(key)
	if err == nil {
		var value []byte
		if value, err = item.ValueCopy(nil); err == nil {
			return value
		}
	}
	e.err = fmt.Errorf("row %q: %w", key, err)
	return nil
}

// editRows edits the rows of the store in a data directory, through Badger
// itself. No process is started meanwhile: it would share Badger's lock on the
// directory for a moment.
func editRows(edit func(e *rowEditor)) func(data string) error {
	return func(data string) error {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		o := badger.DefaultOptions(filepath.Join(data, "store")).WithLogger(nil).WithCompression(options.None).
			WithBlockCacheSize(0).WithMemTableSize(8 << 20).WithValueThreshold(ledger.MaxBlob + 64).WithValueLogFileSize(1 << 20).
			WithNumCompactors(2).WithMetricsEnabled(false)
		db, err := badger.Open(o)
		if err != nil {
			return err
		}
		err = db.Update(func(txn *badger.Txn) error {
			e := &rowEditor{Txn: txn}
			edit(e)
			return e.err
		})
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
		return err
	}
}

// leafRowCases alter entries and what the store has of the tree.
func (s *tamperScene) leafRowCases() iter.Seq[tamperCase] {
	l, base := s.main, s.main.closed[tamperSize]
	forged := []byte(`{"kind":"forged"}`)
	return generated(func(add func(tamperCase)) {
		for _, i := range []int{0, 1, 255, 256, 300, tamperRotation, 402, 511, tamperSize - 1} {
			row := func(operation, name string, edit func(e *rowEditor)) tamperCase {
				return stored(base, objectLeaf, operation, editRows(edit), "row of entry %d %s", i, name)
			}
			was := leafValue(l.leaves[i])
			set := func(value []byte) func(e *rowEditor) { return func(e *rowEditor) { e.set(leafRow(i), value) } }
			add(row("edit", "with the hash it had", set(append(bytes.Clone(was[:32]), forged...))).at(i).openAt(i))
			add(row("edit", "in one bit", set(flippedAt(was, len(was)-9))).at(i).openAt(i))
			first, last := 256*(i/256), min(256*(i/256)+255, tamperSize-1)
			if i >= 512 {
				first, last = 0, tamperSize-1
			}
			add(row("edit", "with its hash", set(leafValue(forged))).within(first, last))
			add(row("edit", "in its hash", set(flippedAt(was, 3))).at(i).openAt(i))
			add(row("delete", "", set(nil)).says(verify.Incomplete).within(0, tamperSize-1).openAt(i))
			add(row("truncate", "by a byte", set(was[:len(was)-1])).at(i).openAt(i))
			add(row("truncate", "to its hash", set(was[:32])).at(i).openAt(i))
			add(row("truncate", "to less than its hash", set(was[:31])).says(verify.Tampered, verify.Incomplete).openAt(i))
			add(row("truncate", "to nothing", set([]byte{})).says(verify.Tampered, verify.Incomplete).openAt(i))
			add(row("zero", "", set(make([]byte, len(was)))).within(0, tamperSize-1).openAt(i))
			add(row("splice", "from another log", set(leafValue(s.foreign.leaves[i]))).within(first, last))
			add(row("edit", "set again as it was", set(was)).harmless().opens(opened))
			add(row("edit", "set to vanish in a century", func(e *rowEditor) {
				e.err = e.SetEntry(badger.NewEntry(leafRow(i), was).WithTTL(100 * 365 * 24 * time.Hour))
			}).opens(either))
			if i+1 < tamperSize {
				add(row("reorder", "and the next one", func(e *rowEditor) {
					e.set(leafRow(i), leafValue(l.leaves[i+1]))
					e.set(leafRow(i+1), was)
				}).within(0, tamperSize-1))
				add(row("duplicate", "over the next one", func(e *rowEditor) { e.set(leafRow(i+1), was) }).within(0, tamperSize-1))
				add(row("delete", "and all later ones moved", func(e *rowEditor) {
					for k := i; k+1 < tamperSize; k++ {
						e.set(leafRow(k), leafValue(l.leaves[k+1]))
					}
					e.set(leafRow(tamperSize-1), nil)
				}).says(verify.Tampered, verify.Incomplete))
			}
			add(row("insert", "and all later ones moved", func(e *rowEditor) {
				e.set(leafRow(i), leafValue(forged))
				for k := i; k < tamperSize; k++ {
					e.set(leafRow(k+1), leafValue(l.leaves[k]))
				}
			}))
			add(row("forge", "with its tree", func(e *rowEditor) {
				leaves := append([][]byte{}, l.leaves...)
				leaves[i] = forged
				e.set(leafRow(i), leafValue(forged))
				tiles, _ := treeOf(leaves)
				for n := range 2 {
					e.set(nodeRow(1, n), tiles["tile/1/000.p/2"][32*n:32*n+32])
				}
			}).within(0, tamperSize-1))
		}
		for name, key := range map[string][]byte{
			"entry 600": leafRow(600), "entry 601": leafRow(601), "entry 2^63": leafRow(-1 << 63), "the last possible entry": leafRow(-1),
			"an entry with a short key": leafRow(600)[:8], "an entry with a long key": append(leafRow(5), 0),
		} {
			add(stored(base, objectLeaf, "insert", editRows(func(e *rowEditor) { e.set(key, leafValue(forged)) }), "row of %s", name).
				says(verify.Tampered, verify.Incomplete))
		}
	})
}

func flippedAt(data []byte, i int) []byte {
	data = bytes.Clone(data)
	data[i] ^= 1
	return data
}

// nodeRowCases alter the tree hashes that the store has.
func (s *tamperScene) nodeRowCases() iter.Seq[tamperCase] {
	base := s.main.closed[tamperSize]
	return generated(func(add func(tamperCase)) {
		row := func(operation, name string, edit func(e *rowEditor)) tamperCase {
			return stored(base, objectHash, operation, editRows(edit), "%s", name)
		}
		for n := range 2 {
			name := fmt.Sprintf("row %d", n)
			hash := s.main.bundles[tamperSize]["tile/1/000.p/2"][32*n : 32*n+32]
			fork := s.fork.bundles[tamperSize]["tile/1/000.p/2"][32*n : 32*n+32]
			first, last := 256*n, 256*n+255
			for _, edit := range []struct {
				operation string
				value     []byte
			}{{"edit", flippedAt(hash, 0)}, {"flip", flippedAt(hash, 31)}, {"zero", make([]byte, 32)}, {"splice", fork}} {
				add(row(edit.operation, name, func(e *rowEditor) { e.set(nodeRow(1, n), edit.value) }).within(first, last).openAt(first))
			}
			add(row("delete", name, func(e *rowEditor) { e.set(nodeRow(1, n), nil) }).says(verify.Incomplete).within(0, 511).openAt(first))
			for _, length := range []int{0, 31} {
				add(row("truncate", fmt.Sprintf("%s to %d", name, length), func(e *rowEditor) { e.set(nodeRow(1, n), hash[:length:length]) }).
					says(verify.Tampered, verify.Incomplete))
			}
			add(row("insert", name+", a byte at its end", func(e *rowEditor) { e.set(nodeRow(1, n), append(bytes.Clone(hash), 0)) }).
				says(verify.Tampered, verify.Incomplete))
		}
		add(row("reorder", "both rows", func(e *rowEditor) {
			a, b := e.get(nodeRow(1, 0)), e.get(nodeRow(1, 1))
			e.set(nodeRow(1, 0), b)
			e.set(nodeRow(1, 1), a)
		}).within(0, 511).openAt(0))
		for _, extra := range [][2]int{{0, 0}, {1, 2}, {1, 3}, {2, 0}, {3, 0}, {7, 0}, {8, 0}, {255, 0}} {
			add(row("insert", fmt.Sprintf("row %d of level %d", extra[1], extra[0]), func(e *rowEditor) { e.set(nodeRow(extra[0], extra[1]), make([]byte, 32)) }))
		}
	})
}

// otherRowCases alter once rows, blobs, the head, the format, and bring rows that
// no log has.
func (s *tamperScene) otherRowCases(t *testing.T) iter.Seq[tamperCase] {
	base := s.main.closed[tamperSize]
	return generated(func(add func(tamperCase)) {
		row := func(object, operation, name string, edit func(e *rowEditor)) tamperCase {
			return stored(base, object, operation, editRows(edit), "%s", name)
		}
		for _, i := range []int{2, 252, 257, 597} {
			key := onceRow(fmt.Sprintf("main-%d", i))
			set := func(value []byte) func(e *rowEditor) { return func(e *rowEditor) { e.set(key, value) } }
			name := fmt.Sprintf("of entry %d", i)
			add(row(objectOnce, "edit", name+" to the one before", set(indexValue(i-1))).at(i).openAt(i))
			add(row(objectOnce, "edit", name+" to one with another", set(indexValue(302))).at(i).openAt(i))
			add(row(objectOnce, "edit", name+" to one beyond the log", set(indexValue(tamperSize))))
			add(row(objectOnce, "delete", name, set(nil)).at(i).openAt(i))
			add(row(objectOnce, "truncate", name, set(indexValue(i)[:7])))
			add(row(objectOnce, "insert", name+", a byte at its end", set(append(indexValue(i), 0))))
			add(row(objectOnce, "reorder", name+" and of entry 402", func(e *rowEditor) {
				e.set(key, indexValue(402))
				e.set(onceRow("main-402"), indexValue(i))
			}).at(min(i, 402)).openAt(min(i, 402)))
			add(row(objectOnce, "duplicate", name+" under another key", func(e *rowEditor) { e.set(onceRow("other"), indexValue(i)) }))
			add(row(objectOnce, "rename", name, func(e *rowEditor) {
				e.set(key, nil)
				e.set(onceRow("other"), indexValue(i))
			}).at(i).openAt(i))
		}
		blobs := map[int][]byte{100: tamperBlob("main", 70), 300: tamperBlob("main", 40_960), 500: {}}
		for _, i := range sortedKeys(blobs) {
			blob := blobs[i]
			set := func(owner int, content []byte) func(e *rowEditor) {
				return func(e *rowEditor) { e.set(blobRow(blob), append(indexValue(owner), content...)) }
			}
			name := fmt.Sprintf("of entry %d", i)
			add(row(objectBlob, "edit", name, set(i, flippedFirst(blob))).at(i).opens(either))
			add(row(objectBlob, "insert", name+", a byte at its end", set(i, append(bytes.Clone(blob), 'x'))).at(i).opens(either))
			add(row(objectBlob, "delete", name, func(e *rowEditor) { e.set(blobRow(blob), nil) }).says(verify.Incomplete).at(i).opens(either))
			add(row(objectBlob, "edit", name+" said to be of the entry before", set(i-1, blob)).opens(either))
			add(row(objectBlob, "edit", name+" said to be of one beyond the log", set(tamperSize, blob)))
			add(row(objectBlob, "truncate", name+" to less than its entry", func(e *rowEditor) { e.set(blobRow(blob), indexValue(i)[:7]) }).
				says(verify.Tampered, verify.Incomplete))
			if len(blob) > 0 {
				add(row(objectBlob, "truncate", name, set(i, blob[:len(blob)-1])).at(i).opens(either))
				add(row(objectBlob, "truncate", name+" to nothing", set(i, nil)).at(i).opens(either))
				add(row(objectBlob, "zero", name, set(i, make([]byte, len(blob)))).at(i).opens(either))
				add(row(objectBlob, "splice", name, set(i, tamperBlob("fork", len(blob)))).at(i).opens(either))
			}
		}
		add(row(objectBlob, "insert", "that no entry names", func(e *rowEditor) { e.set(blobRow([]byte("x")), append(indexValue(100), 'x')) }).opens(either))
		s.headRowCases(t, row, add)
		for _, format := range []string{"countersign-ledger/2", "countersign-ledger/10"} {
			add(row(objectFormat, "edit", format, func(e *rowEditor) { e.set(formatRow, []byte(format)) }).says(verify.Usage))
		}
		for _, format := range []string{"", "countersign-ledger/1\n", "Countersign-ledger/1", "x", "countersign-ledger/", "countersign-ledger/0"} {
			add(row(objectFormat, "edit", format, func(e *rowEditor) { e.set(formatRow, []byte(format)) }).says(verify.Tampered, verify.Usage))
		}
		add(row(objectFormat, "delete", "", func(e *rowEditor) { e.set(formatRow, nil) }).says(verify.Tampered, verify.Incomplete))
		for _, key := range []string{"a", "x", "z", "\x00", "\xff", "v2", "h2", "hh", "e", "t", "o", "b", "ox", "bx", "!x"} {
			add(row(objectRow, "insert", fmt.Sprintf("%q", key), func(e *rowEditor) { e.set([]byte(key), []byte("more")) }))
			add(row(objectRow, "insert", fmt.Sprintf("%q, empty", key), func(e *rowEditor) { e.set([]byte(key), []byte{}) }))
		}
		add(row(objectRow, "delete", "all of them", func(e *rowEditor) {
			for _, key := range rowKeys(e) {
				e.set(key, nil)
			}
		}).says(verify.Incomplete, verify.Tampered))
		s.cutCases(row, add)
		add(row(objectRow, "duplicate", "all of them set again", func(e *rowEditor) {
			for _, key := range rowKeys(e) {
				e.set(key, e.get(key))
			}
		}).harmless().opens(opened))
	})
}

// rowKeys are the keys of all rows.
func rowKeys(e *rowEditor) [][]byte {
	it := e.NewIterator(badger.DefaultIteratorOptions)
	defer it.Close()
	var keys [][]byte
	for it.Rewind(); it.Valid(); it.Next() {
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys
}

type rowCase func(object, operation, name string, edit func(e *rowEditor)) tamperCase

// headRowCases replace the head.
func (s *tamperScene) headRowCases(t *testing.T, row rowCase, add func(tamperCase)) {
	head := s.main.checkpoints[tamperSize]
	set := func(value []byte) func(e *rowEditor) { return func(e *rowEditor) { e.set(headRow, value) } }
	add(row(objectHead, "delete", "", set(nil)).says(verify.Incomplete))
	add(row(objectHead, "truncate", "to nothing", set([]byte{})))
	add(row(objectHead, "truncate", "by a byte", set(head[:len(head)-1])))
	add(row(objectHead, "truncate", "to its text", set([]byte(headText(head)))))
	add(row(objectHead, "zero", "", set(make([]byte, len(head)))))
	add(row(objectHead, "insert", "a line", set(append(bytes.Clone(head), "more\n"...))))
	for _, bit := range chosenBits("head", len(head), 0, 1) {
		if bit%7 == 0 {
			flipped := bytes.Clone(head)
			flipped[bit/8] ^= 1 << (bit % 8)
			add(row(objectHead, "flip", fmt.Sprintf("bit %d", bit), set(flipped)))
		}
	}
	for _, size := range []int{340, olderSize, 550} {
		add(row(objectHead, "restore", fmt.Sprintf("that of %d entries", size), set(s.main.checkpoints[size])).says(verify.Rollback))
	}
	for name, log := range map[string]*tamperLog{"a fork": s.fork, "the same entries under other keys": s.usurper, "another log": s.foreign} {
		add(row(objectHead, "splice", "that of "+name, set(log.checkpoints[tamperSize])))
	}
	add(row(objectHead, "splice", "signed by the replaced key", set(signNote(t, headText(head), s.main.keys[0]))))
	add(row(objectHead, "edit", "of an empty log", set(signNote(t, checkpointText(tamperOrigin, 0, sha256.Sum256(nil)), s.main.keys[0]))).
		says(verify.Incomplete, verify.Tampered))
	add(row(objectHead, "edit", "of an entry more, signed by its key", set(signNote(t, checkpointText(tamperOrigin, 601, [32]byte{1}), s.main.keys[1]))).
		says(verify.Incomplete, verify.Tampered))
}

// cutCases cut the log off at an earlier size, row by row.
func (s *tamperScene) cutCases(row rowCase, add func(tamperCase)) {
	cut := func(size int, head bool) func(e *rowEditor) {
		return func(e *rowEditor) {
			for _, key := range rowKeys(e) {
				switch value := e.get(key); {
				case key[0] == 'e' && encoding.BigEndian.Uint64(key[1:]) >= uint64(size),
					key[0] == 't' && (encoding.BigEndian.Uint64(key[2:])+1)<<8 > uint64(size),
					key[0] == 'o' && encoding.BigEndian.Uint64(value) >= uint64(size),
					key[0] == 'b' && encoding.BigEndian.Uint64(value) >= uint64(size):
					e.set(key, nil)
				case key[0] == 'h' && head:
					e.set(key, s.main.checkpoints[size])
				}
			}
		}
	}
	for _, size := range []int{340, olderSize, 550} {
		name := fmt.Sprintf("everything from entry %d on", size)
		add(row(objectRow, "truncate", name, cut(size, false)).says(verify.Incomplete, verify.Tampered).openAt(size))
		add(row(objectRow, "truncate", name+", with the head", cut(size, true)).rolledBack())
		whole := row(objectRow, "truncate", name+", with the head and the anchor", nil)
		whole.spoil = func(data string) error {
			if err := editRows(cut(size, true))(data); err != nil {
				return err
			}
			return bundleFiles{"checkpoint": s.main.checkpoints[size], "checkpoint.witnessed": nil}.apply(filepath.Join(data, "anchor"))
		}
		if size == 340 { // the key is that of later
			whole.spoil = inTurn(whole.spoil, writeFile("ledger.key", []byte(s.main.keys[0].secret+"\n")))
		}
		add(whole.undetectable().saysIn(withOldest, verify.Verified).opens(opened))
	}
}
