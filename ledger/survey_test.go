package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/tlog"
)

const surveyed = 1000 // entries of surveyedLog

// surveyedLog makes a log with what a store can hold: two kinds of tiles, a
// blob and idempotency keys. It returns the checkpoints on the way.
func surveyedLog(t testing.TB) (o Options, checkpoints map[uint64]Checkpoint) {
	t.Helper()
	o = testOptions(t)
	l := openLog(t, o)
	checkpoints = map[uint64]Checkpoint{}
	for l.Checkpoint().Size < surveyed {
		size := l.Checkpoint().Size
		checkpoints[size] = l.Checkpoint()
		switch size {
		case 301, 302, 903:
			leaf := fmt.Appendf(nil, `{"kind":"k","once":"key %d"}`, size)
			if _, appended, err := l.AppendOnce(t.Context(), Entry{Leaf: leaf}); err != nil || !appended {
				t.Fatal(err)
			}
		case 303:
			blob := []byte("a blob")
			leaf := fmt.Appendf(nil, `{"kind":"k","evidence":[{"name":"n","sha256":"%x","len":6}]}`, sha256.Sum256(blob))
			if _, err := l.Append(t.Context(), []Entry{{Leaf: leaf, Blobs: [][]byte{blob}}}); err != nil {
				t.Fatal(err)
			}
		case 1:
			appendLeaves(t, l, 300)
		case 304:
			appendLeaves(t, l, 599)
		default:
			appendLeaves(t, l, int(surveyed-size))
		}
	}
	closeLog(t, l)
	return o, checkpoints
}

// tamper changes rows of a closed store. A nil value deletes a row.
func tamper(t testing.TB, o Options, change func(set func(key, value []byte), get func(key []byte) []byte)) {
	t.Helper()
	db, err := badger.Open(badgerOptions(o.storeDir(), slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	s := rows{db}
	change(func(key, value []byte) { setRow(t, db, key, value) }, func(key []byte) []byte {
		value, err := s.get(key)
		if err != nil {
			t.Fatal(err)
		}
		return value
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkOpenRefused makes sure that Open finds damage, changes nothing, and leaves
// nothing behind.
func checkOpenRefused(t *testing.T, o Options, index int64, rollback bool, words string) {
	t.Helper()
	before := snapshot(t, o.Dir)
	l, err := Open(t.Context(), o)
	if err == nil {
		l.Close()
		t.Fatal("the log was opened")
	}
	damage, ok := errors.AsType[*IntegrityError](err)
	switch {
	case !ok:
		t.Errorf("%v, want an *IntegrityError", err)
	case damage.Index != index || damage.Rollback != rollback:
		t.Errorf("index %d, rollback %v; want %d, %v: %v", damage.Index, damage.Rollback, index, rollback, err)
	}
	if !strings.Contains(err.Error(), words) {
		t.Errorf("%v, want %q in it", err, words)
	}
	if after := snapshot(t, o.Dir); after != before {
		t.Errorf("Open has changed the log from\n%s\nto\n%s", before, after)
	}
}

// rowValue is the value of an entry's row whose hash fits its leaf.
func rowValue(leaf string) []byte {
	hash := tlog.RecordHash([]byte(leaf))
	return append(hash[:], leaf...)
}

func TestTamperedRows(t *testing.T) {
	original, checkpoints := surveyedLog(t)
	once := func(size int) []byte { return keyOnce(sha256.Sum256(fmt.Appendf(nil, "key %d", size))) }
	index := func(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }
	type (
		setter = func(key, value []byte)
		getter = func(key []byte) []byte
	)
	flip := func(set setter, get getter, key []byte, at int) {
		value := get(key)
		value[at] ^= 1
		set(key, value)
	}
	for _, test := range []struct {
		name     string
		change   func(set setter, get getter)
		index    int64
		rollback bool
		words    string
	}{
		{"entry deleted", func(set setter, _ getter) { set(keyLeaf(300), nil) }, 300, false, "has no row"},
		{"last entry deleted", func(set setter, _ getter) { set(keyLeaf(999), nil) }, 999, false, "has no row"},
		{"first entry deleted", func(set setter, _ getter) { set(keyLeaf(0), nil) }, 0, false, "has no row"},
		{"leaf altered", func(set setter, get getter) { flip(set, get, keyLeaf(300), 40) }, 300, false, "its leaf has the hash"},
		{"leaf hash altered", func(set setter, get getter) { flip(set, get, keyLeaf(300), 4) }, 300, false, "its leaf has the hash"},
		{"leaf cut to nothing", func(set setter, _ getter) { set(keyLeaf(300), []byte("short")) }, 300, false, "fewer than a leaf hash"},
		{"leaf and hash altered", func(set setter, _ getter) { set(keyLeaf(300), rowValue(`{"kind":"x"}`)) }, 256, false, "one of the entries 256 to 511"},
		{"leaf and hash in the last tile altered", func(set setter, _ getter) { set(keyLeaf(998), rowValue(`{"kind":"x"}`)) }, -1, false, "one of 768 to 999"},
		{"entries exchanged", func(set setter, get getter) {
			a, b := get(keyLeaf(600)), get(keyLeaf(601))
			set(keyLeaf(600), b)
			set(keyLeaf(601), a)
		}, 512, false, "one of the entries 512 to 767"},
		{"entry 0 altered", func(set setter, _ getter) { set(keyLeaf(0), rowValue(`{"kind":"x"}`)) }, 0, false, `the kind "x" cannot be here`},
		{"own kind forged", func(set setter, _ getter) { set(keyLeaf(7), rowValue(`{"kind":"ledger.rotated"}`)) }, 7, false, "does not replace the key"},
		{"own kind unknown", func(set setter, _ getter) { set(keyLeaf(7), rowValue(`{"\u006bind":"ledger.x"}`)) }, 7, false, "cannot be here"},
		{"tree hash altered", func(set setter, get getter) { flip(set, get, keyNode(1, 1), 0) }, 256, false, "the entries themselves are sound"},
		{"tree hash deleted", func(set setter, _ getter) { set(keyNode(1, 2), nil) }, 512, false, "has no row; the entries themselves are sound"},
		{"tree hash cut", func(set setter, _ getter) { set(keyNode(1, 2), []byte("x")) }, -1, false, "has 1 bytes"},
		{"entry beyond the head", func(set setter, _ getter) { set(keyLeaf(1000), rowValue(`{"kind":"x"}`)) }, 1000, false, "entry 1000, beyond"},
		{"entry far beyond the head", func(set setter, _ getter) { set(keyLeaf(1<<40), rowValue(`{"kind":"x"}`)) }, 1000, false, "beyond"},
		{"tree hash beyond the head", func(set setter, _ getter) { set(keyNode(1, 3), make([]byte, 32)) }, 1000, false, "tree hash 3 of level 1, beyond"},
		{"tree hash of a level beyond the head", func(set setter, _ getter) { set(keyNode(2, 0), make([]byte, 32)) }, 1000, false, "tree hash 0 of level 2, beyond"},
		{"tree hash of a mad level", func(set setter, _ getter) { set(keyNode(200, 0), make([]byte, 32)) }, 1000, false, "beyond"},
		{"idempotency key deleted", func(set setter, _ getter) { set(once(302), nil) }, 302, false, "could be used again"},
		{"idempotency key moved", func(set setter, _ getter) { set(once(302), index(301)) }, 302, false, "points to entry 301"},
		{"idempotency keys exchanged", func(set setter, _ getter) { set(once(301), index(302)); set(once(302), index(301)) }, 301, false, "points to entry 302"},
		{"idempotency key added", func(set setter, _ getter) { set(once(1), index(1)) }, -1, false, "no entry has"},
		{"idempotency key beyond the head", func(set setter, _ getter) { set(once(1), index(1000)) }, 1000, false, "beyond"},
		{"idempotency key cut", func(set setter, _ getter) { set(once(302), index(302)[:7]) }, -1, false, "no ledger has"},
		{"blob beyond the head", func(set setter, _ getter) { set(keyBlob([32]byte{1}), index(1000)) }, 1000, false, "blob of entry 1000"},
		{"blob without an owner", func(set setter, _ getter) { set(keyBlob([32]byte{1}), []byte("x")) }, -1, false, "no ledger has"},
		{"unknown row", func(set setter, _ getter) { set([]byte("x"), []byte("y")) }, -1, false, "no ledger has"},
		{"unknown row before all", func(set setter, _ getter) { set([]byte{0}, emptyValue) }, -1, false, "no ledger has"},
		{"unknown row of a known letter", func(set setter, _ getter) { set([]byte("h2"), []byte("y")) }, -1, false, "no ledger has"},
		{"format deleted", func(set setter, _ getter) { set(keyFormat, nil) }, -1, false, "names the store's format"},
		{"head deleted", func(set setter, _ getter) { set(keyHead, nil) }, 0, false, "but no head"},
		{"head of nonsense", func(set setter, _ getter) { set(keyHead, []byte("x")) }, -1, false, "not a signed note"},
		{"head altered", func(set setter, get getter) {
			set(keyHead, []byte(strings.Replace(string(get(keyHead)), "\n1000\n", "\n1001\n", 1)))
		}, 1000, false, "has no row"},
		{"head's signature altered", func(set setter, get getter) {
			head := get(keyHead)
			digit := &head[len(head)-20]
			if *digit == 'A' {
				*digit = 'B'
			} else {
				*digit = 'A'
			}
			set(keyHead, head)
		}, -1, false, "does not hold"},
		{"head of an empty log", func(set setter, _ getter) {
			set(keyHead, []byte(logOrigin+"\n0\n"+strings.Repeat("A", 43)+"=\n\n— a AAAAAAAA\n"))
		}, -1, false, "of an empty log"},
		{"head of another key", func(set setter, get getter) {
			c, err := parseCheckpoint(get(keyHead))
			if err != nil {
				t.Fatal(err)
			}
			forged, err := signCheckpoint(logOrigin, c.Size, c.Root, newTestKey(t, logOrigin))
			if err != nil {
				t.Fatal(err)
			}
			set(keyHead, forged.Note)
		}, -1, false, "does not hold"},
		{"older head", func(set setter, _ getter) { set(keyHead, checkpoints[904].Note) }, 904, false, "entry 904, beyond"},
		{"older head, and nothing beyond it", func(set setter, _ getter) {
			set(keyHead, checkpoints[904].Note)
			for i := uint64(904); i < 1000; i++ {
				set(keyLeaf(i), nil)
			}
		}, 904, true, "acknowledges 1000 entries and the store has 904"},
		{"all rows deleted", func(set setter, _ getter) {
			for i := range uint64(1000) {
				set(keyLeaf(i), nil)
			}
			for _, key := range [][]byte{keyHead, keyFormat, keyNode(1, 0), keyNode(1, 1), keyNode(1, 2), once(301), once(302), once(903), keyBlob(sha256.Sum256([]byte("a blob")))} {
				set(key, nil)
			}
		}, 0, true, "the store is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := original
			o.Dir = filepath.Join(t.TempDir(), "ledger")
			copyTree(t, original.Dir, o.Dir)
			tamper(t, o, test.change)
			checkOpenRefused(t, o, test.index, test.rollback, test.words)
		})
	}
	t.Run("another format", func(t *testing.T) {
		o := original
		o.Dir = filepath.Join(t.TempDir(), "ledger")
		copyTree(t, original.Dir, o.Dir)
		tamper(t, o, func(set setter, _ getter) { set(keyFormat, []byte("countersign-ledger/2")) })
		_, err := Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "countersign-ledger/2") {
			t.Errorf("%v, want the format's name", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		openLog(t, original)
	})
}

// emptyValue is a value that is empty, and not the absence of one.
var emptyValue = []byte{}

func TestOpenIsInterrupted(t *testing.T) {
	o := closedLog(t, 5000)
	before := snapshot(t, o.Dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if after := snapshot(t, o.Dir); after != before {
		t.Errorf("an interrupted Open has changed the log from\n%s\nto\n%s", before, after)
	}
	openLog(t, o)
}
