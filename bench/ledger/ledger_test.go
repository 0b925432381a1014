package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
)

func TestEntriesHaveTheirLength(t *testing.T) {
	for _, n := range []uint64{0, 9, 1 << 60} {
		if e := entry(n); len(e) != entryBytes {
			t.Errorf("entry %d has %d bytes", n, len(e))
		}
	}
}

// What every store has acknowledged is there when it is opened again.
func TestAppendedIsKept(t *testing.T) {
	const each, callers = 10, 8
	for _, s := range stores {
		t.Run(s.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), s.name)
			st, err := s.open(dir)
			if err != nil {
				t.Fatal(err)
			}
			var running sync.WaitGroup
			for c := range callers {
				running.Go(func() {
					for i := range each {
						if err := st.append(t.Context(), uint64(c*each+i)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			running.Wait()
			if err := st.close(); err != nil {
				t.Fatal(err)
			}
			if got := kept(t, s.name, dir); got != each*callers {
				t.Errorf("%d entries were acknowledged, %d are kept", each*callers, got)
			}
		})
	}
}

// kept counts the entries in a store that was closed.
func kept(t *testing.T, name, dir string) (n int) {
	t.Helper()
	switch name {
	case "ledger":
		l, err := ledger.Open(t.Context(), ledgerOptions(dir))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return int(l.Checkpoint().Size) - 1 // without its own first one
	case "badger":
		st, err := openBadger(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer st.close()
		return int(st.(badgerStore).db.MaxVersion()) // one for each transaction
	default:
		data, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(data, []byte{'\n'})
	}
}

func TestARoundHasFigures(t *testing.T) {
	var a Appends
	a.Writers = 2
	if err := a.round(t.Context(), filepath.Join(t.TempDir(), "file"), openFile, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if len(a.Rates) != 1 || a.Rates[0] <= 0 || a.P50MS[0] <= 0 || a.P99MS[0] < a.P50MS[0] {
		t.Errorf("a round came to %+v", a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.round(ctx, filepath.Join(t.TempDir(), "ledger"), openLedger, time.Minute); err == nil {
		t.Error("a round goes on when it is cancelled")
	}
}

func TestLength(t *testing.T) {
	l, err := lengthOf(t.Context(), filepath.Join(t.TempDir(), "log"), 300)
	if err != nil {
		t.Fatal(err)
	}
	// The path of entry 150 of 300: nine levels.
	if l.ProofHashes != 9 || l.ProofBytes < entryBytes || l.VerifyPerSecond <= 0 || l.OpenMS <= 0 || l.BadgerMS <= 0 || l.ReadMS <= 0 ||
		l.DiskBytes < entryBytes || l.BundleBytes < entryBytes {
		t.Errorf("a log of 300 entries came to %+v", l)
	}
}

func TestReport(t *testing.T) {
	r := Report{FileSystem: "ext4", EntryBytes: entryBytes}
	for _, w := range writers {
		for i, s := range stores {
			rate := float64(w * (i + 1) * 100)
			r.Appends = append(r.Appends, Appends{Store: s.name, Writers: w, Rates: []float64{rate, rate, rate}, P50MS: []float64{1, 1, 1}, P99MS: []float64{2, 2, 2}})
		}
	}
	text, err := r.markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| ledger | 1 | 100 |", "| badger | 1 | 200 | 1.00 ms | 2.00 ms | 0.50 (0.50 to 0.50) |", "| file | 64 | 19200 | 1.00 ms | 2.00 ms | 0.33"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestMemoryIsNoDisk(t *testing.T) {
	if _, err := fileSystem("/dev/shm"); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Skipf("/dev/shm is no file system in memory here: %v", err)
	}
	if _, err := fileSystem(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a directory that is not there has a file system")
	}
}
