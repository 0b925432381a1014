package ledger

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// writeWAL returns a write-ahead log with some transactions of some rows, as a
// store has that was not closed.
func writeWAL(t testing.TB, transactions int) []byte {
	t.Helper()
	dir := t.TempDir()
	db, err := badger.Open(badgerOptions(dir, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range transactions {
		err := db.Update(func(txn *badger.Txn) error {
			for j := range i%4 + 1 {
				if err := txn.Set(fmt.Appendf(nil, "%d/%d", i, j), leafAt(uint64(i))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "00001.mem"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// badgerKeys is what Badger reads in a write-ahead log, which it may change.
func badgerKeys(t testing.TB, wal []byte, readOnly bool) (keys []string, err error) {
	t.Helper()
	dir := t.TempDir()
	o := badgerOptions(dir, slog.New(slog.DiscardHandler))
	db, err := badger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil { // leaves a store that only lacks rows
		t.Fatal(err)
	}
	if len(wal) > walHeader {
		if err := os.WriteFile(filepath.Join(dir, "00001.mem"), wal, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.ReadOnly = readOnly
	db, err = badger.Open(o)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	err = db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, string(it.Item().Key()))
		}
		return nil
	})
	return keys, err
}

// checkWALEnd compares the end that walEnd finds with Badger's: cut off there,
// Badger must take the log without changing it, and read in it what it reads in
// the whole.
func checkWALEnd(t testing.TB, name string, wal []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wal")
	if err := os.WriteFile(path, wal, 0o600); err != nil {
		t.Fatal(err)
	}
	end, err := walEnd(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := badgerKeys(t, wal, false)
	if err != nil {
		t.Logf("%s: Badger refuses it: %v", name, err)
		return
	}
	found, err := badgerKeys(t, wal[:end], true)
	if err != nil {
		t.Errorf("%s: cut off at %d, Badger does not take it: %v", name, end, err)
	}
	if fmt.Sprint(found) != fmt.Sprint(want) {
		t.Errorf("%s: cut off at %d it has %d rows, Badger finds %d", name, end, len(found), len(want))
	}
}

func TestWALEnd(t *testing.T) {
	wal := writeWAL(t, 12)
	path := filepath.Join(t.TempDir(), "wal")
	if err := os.WriteFile(path, wal, 0o600); err != nil {
		t.Fatal(err)
	}
	end, err := walEnd(path)
	if err != nil || end < 1000 || end > 10_000 || int64(len(wal)) <= end {
		t.Fatalf("the log of %d bytes ends at %d (%v)", len(wal), end, err)
	}
	checkWALEnd(t, "whole", wal)
	checkWALEnd(t, "no transaction", writeWAL(t, 0))
	checkWALEnd(t, "empty", nil)
	for _, cut := range []int64{1, walHeader, walHeader + 1, end / 2, end - 30, end - 5, end - 1, end, end + 1, end + 22} {
		checkWALEnd(t, fmt.Sprintf("cut at %d", cut), wal[:cut])
	}
	random := rand.New(rand.NewPCG(1, 2))
	flips := 30
	if testing.Short() {
		flips = 6
	}
	for range flips {
		altered := append([]byte{}, wal...)
		at := walHeader + random.Int64N(end-walHeader)
		altered[at] ^= 1 << random.IntN(8)
		checkWALEnd(t, fmt.Sprintf("a bit flipped at %d", at), altered)
	}
	for range flips / 3 {
		altered := append([]byte{}, wal...)
		from := walHeader + random.Int64N(end-walHeader)
		clear(altered[from:min(end, from+64)])
		checkWALEnd(t, fmt.Sprintf("zeroed from %d", from), altered)
	}
}

// FuzzWAL makes sure that no file, however mad, does more than end early.
func FuzzWAL(f *testing.F) {
	wal := writeWAL(f, 3)
	f.Add(wal[:600])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "wal")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if end, err := walEnd(path); err != nil || end < 0 || end > int64(len(data)) {
			t.Errorf("a log of %d bytes ends at %d, %v", len(data), end, err)
		}
	})
}
