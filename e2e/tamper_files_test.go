//go:build slow

package e2e

import (
	"bufio"
	"bytes"
	encoding "encoding/binary"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// storeFileCases damage the files of a store, which are Badger's: what it does
// not read may be damaged without harm. older is the same store at an earlier
// size. Only every so many of the many cases of small files is tried, and a
// number of bits of large ones.
func storeFileCases(what string, base, older *dirImage, each, flips int) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		var names []string
		for _, name := range sortedKeys(base.files) {
			if strings.HasPrefix(name, "store/") {
				names = append(names, name)
			}
		}
		for _, name := range names {
			f := base.files[name]
			damage := func(operation, text string, spoil func(path string) error) tamperCase {
				c := stored(base, objectStoreFile, operation, func(data string) error { return spoil(filepath.Join(data, name)) }, "%s, %s %s", what, name, text)
				switch operation {
				case "delete", "rename", "truncate", "flip", "zero", "restore":
					if strings.HasSuffix(name, ".sst") { // Badger reads all of a table, and there is nothing in it that means nothing
						return c.says(verify.Tampered, verify.Incomplete, verify.Rollback)
					}
				}
				return c.anyhow()
			}
			add(damage("delete", "", os.Remove))
			add(damage("rename", "to another number", func(path string) error { return os.Rename(path, renumbered(path)) }))
			add(damage("duplicate", "under another number", func(path string) error { return f.write(renumbered(path)) }))
			add(damage("insert", "a page at its end", func(path string) error { return os.Truncate(path, f.size+imageBlock) }))
			add(damage("insert", "a byte at its end", func(path string) error { return writeAt(path, f.size, []byte("x")) }))
			for i, length := range f.lengths() {
				c := damage("truncate", fmt.Sprintf("at %d of %d", length, f.size), func(path string) error { return os.Truncate(path, length) })
				if f.size > smallFile || i%each == 0 {
					add(c.openOnly(i%6 != 0))
				}
			}
			content := f.content()
			for i, bit := range f.bits(what+name, flips) {
				flipped := []byte{content[bit/8] ^ 1<<(bit%8)}
				c := damage("flip", fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), func(path string) error { return writeAt(path, bit/8, flipped) })
				if f.used() > smallFile || i%each == 0 {
					add(c.openOnly(i%(18*each) != 0))
				}
			}
			for i, part := range f.parts {
				if i%max(1, len(f.parts)/8) == 0 {
					c := damage("zero", fmt.Sprintf("page at %d", part.at), func(path string) error { return writeAt(path, part.at, make([]byte, len(part.data))) })
					add(c.openOnly(i%3 != 0))
				}
			}
			if was, ok := older.files[name]; ok && was.size != f.size {
				add(damage("restore", "that of before", was.write))
			}
			for _, other := range names {
				if other > name && filepath.Ext(other) == filepath.Ext(name) {
					c := stored(base, objectStoreFile, "reorder", func(data string) error {
						return inTurn(func(data string) error { return base.files[other].write(filepath.Join(data, name)) },
							func(data string) error { return f.write(filepath.Join(data, other)) })(data)
					}, "%s, %s and %s", what, name, other)
					add(c.anyhow())
				}
			}
		}
		for _, name := range []string{"x", "000099.sst", "99999.mem", "000099.vlog", "MANIFEST-REWRITE", "LOCK", ".hidden"} {
			for text, content := range map[string][]byte{"empty": {}, "garbage": bytes.Repeat([]byte("garbage "), 600)} {
				add(stored(base, objectStoreFile, "insert", writeFile("store/"+name, content), "%s, %s, %s", what, name, text).anyhow())
			}
		}
		for name, file := range older.files {
			if _, present := base.files[name]; !present && strings.HasPrefix(name, "store/") {
				add(stored(base, objectStoreFile, "insert", func(data string) error { return file.write(filepath.Join(data, name)) },
					"%s, %s of before", what, name).anyhow())
			}
		}
	})
}

// smallFile is the length of files every bit of which may be flipped, and which
// may be cut anywhere, in bytes.
const smallFile = 100

// renumbered is the name of a file of the store with another number.
func renumbered(path string) string {
	dir, name := filepath.Split(path)
	return dir + "9" + strings.TrimPrefix(name, "0")
}

func writeAt(path string, at int64, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		return err
	}
	return f.Close()
}

// lengths are those that a file is cut to: every one of a small file, and else
// those at its ends, at the end of what is used of it, and at some pages.
func (f imageFile) lengths() []int64 {
	var lengths []int64
	near := func(at int64) {
		for _, length := range []int64{at - 1, at, at + 1} {
			if length >= 0 && length < f.size {
				lengths = append(lengths, length)
			}
		}
	}
	for _, at := range []int64{0, f.used(), f.size} {
		near(at)
	}
	for at := int64(0); at < f.size && f.size <= smallFile; at++ {
		near(at)
	}
	for i, part := range f.parts {
		if i%max(1, len(f.parts)/4) == 0 {
			near(part.at)
		}
	}
	slices.Sort(lengths)
	return slices.Compact(lengths)
}

// bits are those of a file that are flipped: all of a small file, and else some
// of the first and last bytes that are used and some of those between.
func (f imageFile) bits(seed string, sampled int) []int64 {
	used := f.used()
	var bits []int64
	if used <= smallFile {
		for bit := range 8 * min(f.size, smallFile) {
			bits = append(bits, bit)
		}
		return bits
	}
	random := seeded(seed)
	for i := range int64(8) {
		bits = append(bits, 8*i+random.Int64N(8), 8*(used-1-i)+random.Int64N(8))
	}
	for range sampled {
		bits = append(bits, random.Int64N(8*used))
	}
	if f.size > used {
		bits = append(bits, 8*used, 8*f.size-1)
	}
	slices.Sort(bits)
	return slices.Compact(bits)
}

const walFile = "store/00001.mem"

// walCases damage the write-ahead log of a store that was not closed.
func (s *tamperScene) walCases(t *testing.T) iter.Seq[tamperCase] {
	base := s.main.crashed[tamperSize]
	file := base.files[walFile]
	records, ends := walRecords(t, file.content())
	return generated(func(add func(tamperCase)) {
		damage := func(operation, text string, spoil func(path string) error) tamperCase {
			c := stored(base, objectStoreFile, operation, func(data string) error { return spoil(filepath.Join(data, walFile)) }, "the write-ahead log %s", text)
			return c.anyhow()
		}
		last := ends[len(ends)-1]
		content := file.content()
		for i, at := range records {
			for _, place := range []int64{at - 1, at, at + 1} {
				c := damage("truncate", fmt.Sprintf("at %d, record %d", place, i), func(path string) error { return os.Truncate(path, place) })
				c = c.rolledBack().opens(refused)
				if place >= last {
					c = c.harmless().opens(opened)
					c.store.rollback = false
				}
				add(c.openOnly((i+int(place-at))%12 != 0))
			}
			bit := 8*at + int64(i*37%(8*12))
			flipped := []byte{content[bit/8] ^ 1<<(bit%8)}
			c := damage("flip", fmt.Sprintf("bit %d of record %d", bit-8*at, i), func(path string) error { return writeAt(path, bit/8, flipped) })
			add(c.rolledBack().opens(refused).openOnly(i%12 != 0))
		}
		for i, end := range ends {
			zeros := make([]byte, file.used()-end)
			c := damage("zero", fmt.Sprintf("from the end of transaction %d on", i), func(path string) error { return writeAt(path, end, zeros) })
			if end == last {
				add(c.harmless().opens(opened))
				continue
			}
			add(c.rolledBack().opens(refused).openOnly(i%9 != 0))
		}
		add(damage("insert", "garbage behind its end", func(path string) error { return writeAt(path, last, bytes.Repeat([]byte("garbage "), 100)) }).harmless().opens(opened))
		first := content[records[0]:records[1]]
		add(damage("duplicate", "its first record behind its end", func(path string) error { return writeAt(path, last, first) }))
		whole := content[records[0]:last]
		add(damage("duplicate", "all of it behind its end", func(path string) error { return writeAt(path, last, whole) }).harmless().opens(opened))
		add(damage("delete", "", os.Remove).rolledBack().opens(refused))
	})
}

// walRecords is where the records of one of Badger's write-ahead logs begin, and
// where its transactions end. A record is a byte of flags and one of the user's,
// the lengths of key and value and an expiry as varints, key, value and a
// checksum of four bytes.
func walRecords(t *testing.T, data []byte) (records, ends []int64) {
	t.Helper()
	const header, endsTransaction = 20, 1 << 7
	for at := int64(header); ; {
		r := bufio.NewReader(bytes.NewReader(data[at:min(at+64, int64(len(data)))]))
		flags, _ := r.ReadByte()
		_, _ = r.ReadByte()
		key, _ := encoding.ReadUvarint(r)
		value, _ := encoding.ReadUvarint(r)
		expiry, err := encoding.ReadUvarint(r)
		if err != nil {
			t.Fatal(err)
		}
		if key == 0 {
			return records, ends
		}
		length := 2 + varintLength(key) + varintLength(value) + varintLength(expiry) + int64(key) + int64(value) + 4
		records = append(records, at)
		at += length
		if flags&endsTransaction != 0 {
			ends = append(ends, at)
		}
	}
}

func varintLength(v uint64) int64 {
	return int64(len(encoding.AppendUvarint(nil, v)))
}

func (s *tamperScene) tamperStores(t *testing.T, m *tamperMatrix) {
	main, long := s.main, s.long
	m.run(t, "store rows", 340, 6, sequence(s.leafRowCases(), s.nodeRowCases(), s.otherRowCases(t)), s.storeTrial(main, tamperSize))
	m.run(t, "data directory", 4_400, 30, sequence(s.restoreCases(), s.anchorCases(t), s.keyFileCases()), s.storeTrial(main, tamperSize))
	// Badger merges tables when it has time to, so that there are more files or fewer.
	m.run(t, "store files", 1_500, 12, sequence(
		storeFileCases("closed", main.closed[tamperSize], main.closed[olderSize], 3, 24),
		storeFileCases("crashed", main.crashed[tamperSize], main.crashed[olderSize], 12, 24),
		s.walCases(t),
	), s.storeTrial(main, tamperSize))
	m.run(t, "long store files", 240, 10, storeFileCases("long", long.closed[longSize], long.closed[longOlder], 40, 8), s.storeTrial(long, longSize))
}
