package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

const testOrigin = "example.com/read-side"

// stored is a log whose rows a test has written, by code of its own and with the second Merkle implementation.
type stored struct {
	*Log
	tree     *testonly.Tree
	leaves   [][]byte
	signer   note.Signer
	verifier note.Verifier
}

// newStored writes n entries into a store in memory, and publishes them all.
func newStored(t testing.TB, n int) *stored {
	t.Helper()
	options := badgerOptions("", slog.New(slog.DiscardHandler)).WithInMemory(true)
	options.MemTableSize = 64 << 20
	return newStoredIn(t, options, n)
}

func newStoredIn(t testing.TB, options badger.Options, n int) *stored {
	t.Helper()
	db, err := badger.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	private, public, err := note.GenerateKey(nil, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	s := &stored{Log: &Log{origin: testOrigin, rows: rows{db}}, tree: testonly.New(rfc6962.DefaultHasher)}
	if s.signer, err = note.NewSigner(private); err != nil {
		t.Fatal(err)
	}
	if s.verifier, err = note.NewVerifier(public); err != nil {
		t.Fatal(err)
	}
	s.write(t, n)
	s.publish(t, uint64(n))
	return s
}

var large *stored

// largeStored is a store of 70,001 entries that tests share; they must not change its rows.
func largeStored(t testing.TB) *stored {
	t.Helper()
	if large == nil {
		large = newStored(unclean{t}, 70_001)
	}
	return large
}

// unclean is a test that leaves behind what it has opened.
type unclean struct{ testing.TB }

func (unclean) Cleanup(func()) {}

// testLeaf is the leaf of entry i: every third has a once key, every tenth evidence.
func testLeaf(i int) []byte {
	leaf := fmt.Sprintf(`{"kind":"test","n":%d`, i)
	if i%3 == 1 {
		leaf += fmt.Sprintf(`,"once":"key %d"`, i)
	}
	if i%10 == 5 {
		sum := sha256.Sum256(testBlob(i))
		leaf += fmt.Sprintf(`,"evidence":[{"name":"blob","sha256":"%x","len":%d}]`, sum, len(testBlob(i)))
	}
	return []byte(leaf + "}")
}

// testBlob is the blob that entry i and the ones ten and twenty after it have as evidence.
func testBlob(i int) []byte { return fmt.Appendf(nil, "blob %d", i/30) }

// testBlobFirst is the entry that brought testBlob(i).
func testBlobFirst(i int) int { return i/30*30 + 5 }

// write writes the rows of n entries.
func (s *stored) write(t testing.TB, n int) {
	t.Helper()
	batch := s.rows.db.NewWriteBatch()
	defer batch.Cancel()
	set := func(key, val []byte) {
		if err := batch.Set(key, val); err != nil {
			t.Fatal(err)
		}
	}
	set([]byte("v"), []byte("countersign-ledger/1"))
	var level [][]byte
	for i := range n {
		leaf := testLeaf(i)
		hash := rfc6962.DefaultHasher.HashLeaf(leaf)
		s.tree.Append(hash)
		s.leaves = append(s.leaves, leaf)
		level = append(level, hash)
		index := binary.BigEndian.AppendUint64(nil, uint64(i))
		set(append([]byte("e"), index...), append(append([]byte{}, hash...), leaf...))
		if i%3 == 1 {
			sum := sha256.Sum256(fmt.Appendf(nil, "key %d", i))
			set(append([]byte("o"), sum[:]...), index)
		}
		if i%10 == 5 && i == testBlobFirst(i) {
			sum := sha256.Sum256(testBlob(i))
			set(append([]byte("b"), sum[:]...), append(index, testBlob(i)...))
		}
	}
	for l := byte(1); len(level) >= 256; l++ {
		var above [][]byte
		for len(level) >= 256 {
			subtree := testonly.New(rfc6962.DefaultHasher)
			subtree.Append(level[:256]...)
			set(binary.BigEndian.AppendUint64([]byte{'t', l}, uint64(len(above))), subtree.Hash())
			above = append(above, subtree.Hash())
			level = level[256:]
		}
		level = above
	}
	set([]byte("h"), s.checkpoint(t, uint64(n)).Note)
	if err := batch.Flush(); err != nil {
		t.Fatal(err)
	}
}

// checkpoint signs the tree of the first entries.
func (s *stored) checkpoint(t testing.TB, size uint64) *Checkpoint {
	t.Helper()
	root := s.tree.HashAt(size)
	text := fmt.Sprintf("%s\n%d\n%s\n", testOrigin, size, base64.StdEncoding.EncodeToString(root))
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	if err != nil {
		t.Fatal(err)
	}
	return &Checkpoint{Origin: testOrigin, Size: size, Root: [32]byte(root), Note: signed}
}

// publish acknowledges the first entries.
func (s *stored) publish(t testing.TB, size uint64) {
	t.Helper()
	s.published.Store(s.checkpoint(t, size))
}

// set overwrites a row; a nil value deletes it.
func (s *stored) set(t testing.TB, key, val []byte) {
	t.Helper()
	setRow(t, s.rows.db, key, val)
}

func setRow(t testing.TB, db *badger.DB, key, val []byte) {
	t.Helper()
	err := db.Update(func(txn *badger.Txn) error {
		if val == nil {
			return txn.Delete(key)
		}
		return txn.Set(key, val)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// value returns the value of a row.
func (s *stored) value(t testing.TB, key []byte) []byte {
	t.Helper()
	val, err := s.rows.get(key)
	if err != nil {
		t.Fatal(err)
	}
	return val
}

// wantDamage checks that an error is an *IntegrityError at an index.
func wantDamage(t testing.TB, err error, index int64) {
	t.Helper()
	var damage *IntegrityError
	if !errors.As(err, &damage) {
		t.Fatalf("error %v, want an *IntegrityError", err)
	}
	if damage.Index != index {
		t.Errorf("damage at entry %d, want %d: %v", damage.Index, index, err)
	}
}

func TestKeys(t *testing.T) {
	sum := sha256.Sum256([]byte("x"))
	for _, test := range []struct {
		key  []byte
		want string
	}{
		{keyFormat, "76"},
		{keyHead, "68"},
		{keyLeaf(0), "650000000000000000"},
		{keyLeaf(0x0102030405060708), "650102030405060708"},
		{keyNode(1, 0), "74010000000000000000"},
		{keyNode(7, 258), "74070000000000000102"},
		{keyOnce(sum), "6f" + hex.EncodeToString(sum[:])},
		{keyBlob(sum), "62" + hex.EncodeToString(sum[:])},
	} {
		if got := hex.EncodeToString(test.key); got != test.want {
			t.Errorf("key %s, want %s", got, test.want)
		}
	}
}

func TestRows(t *testing.T) {
	s := newStored(t, 600)
	r := s.rows

	hash, leaf, err := r.leaf(599)
	if err != nil || string(leaf) != string(s.leaves[599]) || hash != tlog.Hash(s.tree.LeafHash(599)) {
		t.Errorf("leaf: %s, %q, %v", hash, leaf, err)
	}
	hashes, err := r.leafHashes(250, 20)
	if err != nil || len(hashes) != 20 || hashes[19] != tlog.Hash(s.tree.LeafHash(269)) {
		t.Errorf("leafHashes: %v, %v", hashes, err)
	}
	if hashes, err := r.leafHashes(700, 0); err != nil || len(hashes) != 0 {
		t.Errorf("no leaf hashes: %v, %v", hashes, err)
	}
	nodes, err := r.nodes(1, 0, 2)
	if err != nil || len(nodes) != 2 || nodes[0] != tlog.Hash(s.tree.HashAt(256)) || tlog.NodeHash(nodes[0], nodes[1]) != tlog.Hash(s.tree.HashAt(512)) {
		t.Errorf("nodes: %v, %v", nodes, err)
	}
	if index, ok, err := r.once(sha256.Sum256([]byte("key 301"))); index != 301 || !ok || err != nil {
		t.Errorf("once: %d, %v, %v", index, ok, err)
	}
	if _, ok, err := r.once(sha256.Sum256([]byte("key 300"))); ok || err != nil {
		t.Errorf("once that was not: %v, %v", ok, err)
	}
	if first, data, err := r.blob(sha256.Sum256(testBlob(45))); first != 35 || string(data) != "blob 1" || err != nil {
		t.Errorf("blob: %d, %q, %v", first, data, err)
	}
	if head, err := r.head(); err != nil || string(head) != string(s.published.Load().Note) {
		t.Errorf("head: %q, %v", head, err)
	}
}

func TestRowsAbsent(t *testing.T) {
	s := newStored(t, 300)
	s.set(t, keyLeaf(100), nil)
	s.set(t, keyHead, nil)
	reads := map[string]func() error{
		"leaf":                 func() error { _, _, err := s.rows.leaf(300); return err },
		"leaf lost":            func() error { _, _, err := s.rows.leaf(100); return err },
		"leaf hashes over end": func() error { _, err := s.rows.leafHashes(299, 2); return err },
		"leaf hashes over gap": func() error { _, err := s.rows.leafHashes(99, 3); return err },
		"leaf hashes from gap": func() error { _, err := s.rows.leafHashes(100, 1); return err },
		"nodes over end":       func() error { _, err := s.rows.nodes(1, 0, 2); return err },
		"nodes of no level":    func() error { _, err := s.rows.nodes(2, 0, 1); return err },
		"blob":                 func() error { _, _, err := s.rows.blob([32]byte{1}); return err },
		"head":                 func() error { _, err := s.rows.head(); return err },
	}
	for name, read := range reads {
		if err := read(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: error %v, want ErrNotFound", name, err)
		}
	}
}

func TestRowsOfWrongLength(t *testing.T) {
	s := newStored(t, 300)
	sum := sha256.Sum256([]byte("x"))
	s.set(t, keyLeaf(7), make([]byte, 31))
	s.set(t, keyNode(1, 0), make([]byte, 33))
	s.set(t, keyOnce(sum), make([]byte, 9))
	s.set(t, keyBlob(sum), make([]byte, 7))

	_, _, err := s.rows.leaf(7)
	wantDamage(t, err, 7)
	_, err = s.rows.leafHashes(0, 10)
	wantDamage(t, err, 7)
	_, err = s.rows.nodes(1, 0, 1)
	wantDamage(t, err, -1)
	_, _, err = s.rows.once(sum)
	wantDamage(t, err, -1)
	_, _, err = s.rows.blob(sum)
	wantDamage(t, err, -1)
}

func TestPanicsAreErrors(t *testing.T) {
	err := guarded(func() error { panic("slice bounds out of range") })
	wantDamage(t, err, -1)
}

// TestFaultsAreErrors reads a mapped file beyond its end, which is a fault as a disk's read error is.
func TestFaultsAreErrors(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "table"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(page)
	err = guarded(func() error { return fmt.Errorf("read %d", page[0]) })
	wantDamage(t, err, -1)
}
