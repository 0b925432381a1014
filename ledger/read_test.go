package ledger

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

func TestEntry(t *testing.T) {
	s := newStored(t, 40)
	s.publish(t, 30)
	for i := range uint64(30) {
		leaf, err := s.Entry(i)
		if err != nil || string(leaf) != string(s.leaves[i]) {
			t.Fatalf("entry %d: %q, %v", i, leaf, err)
		}
	}
	for _, i := range []uint64{30, 39, 40, 1<<64 - 1} {
		if leaf, err := s.Entry(i); !errors.Is(err, ErrNotFound) {
			t.Errorf("entry %d, not acknowledged: %q, %v", i, leaf, err)
		}
	}
	s.publish(t, 40)
	if _, err := s.Entry(39); err != nil {
		t.Errorf("entry 39, acknowledged now: %v", err)
	}
}

func TestEntryDamaged(t *testing.T) {
	s := newStored(t, 20)
	val := s.value(t, keyLeaf(7))
	val[len(val)-2] ^= 1
	s.set(t, keyLeaf(7), val)
	s.set(t, keyLeaf(9), nil)
	s.set(t, keyLeaf(11), val[:30])
	for _, i := range []int64{7, 9, 11} {
		_, err := s.Entry(uint64(i))
		wantDamage(t, err, i)
	}
}

func TestEntries(t *testing.T) {
	s := newStored(t, 700)
	s.publish(t, 600)
	for _, test := range []struct{ from, to, first, end uint64 }{
		{0, 0, 0, 600}, {0, 600, 0, 600}, {0, 1, 0, 1}, {599, 600, 599, 600}, {599, 0, 599, 600}, {600, 0, 0, 0}, {600, 600, 0, 0},
		{5, 5, 0, 0}, {255, 257, 255, 257}, {0, 256, 0, 256}, {1, 513, 1, 513},
	} {
		next, count := test.first, uint64(0)
		for record, err := range s.Entries(test.from, test.to) {
			if err != nil {
				t.Fatalf("%d to %d: %v", test.from, test.to, err)
			}
			if record.Index != next || string(record.Leaf) != string(s.leaves[next]) {
				t.Fatalf("%d to %d: entry %d is %d, %q", test.from, test.to, next, record.Index, record.Leaf)
			}
			next++
			count++
		}
		if count != test.end-test.first {
			t.Errorf("%d to %d: %d entries, want %d", test.from, test.to, count, test.end-test.first)
		}
	}
	for _, test := range []struct{ from, to uint64 }{{0, 601}, {601, 0}, {601, 601}, {5, 4}, {700, 0}} {
		count := 0
		for _, err := range s.Entries(test.from, test.to) {
			count++
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%d to %d: %v, want ErrNotFound", test.from, test.to, err)
			}
		}
		if count != 1 {
			t.Errorf("%d to %d: yielded %d times, want one error", test.from, test.to, count)
		}
	}
}

func TestEntriesStopAtDamage(t *testing.T) {
	for _, at := range []int64{0, 1, 255, 256, 300} {
		s := newStored(t, 400)
		s.set(t, keyLeaf(uint64(at)), nil)
		read := int64(0)
		var last error
		for _, err := range s.Entries(0, 0) {
			if last = err; err == nil {
				read++
			}
		}
		wantDamage(t, last, at)
		if read != at {
			t.Errorf("%d entries before the lost one, want %d", read, at)
		}
	}
}

func TestEntriesInPieces(t *testing.T) {
	s := newStored(t, 0)
	leaf := make([]byte, MaxLeaf)
	const n = 40 // more than chunkBytes
	s.tree.AppendData()
	for i := range uint64(n) {
		leaf[0] = byte(i)
		s.tree.AppendData(leaf)
		s.set(t, keyLeaf(i), append(s.tree.LeafHash(i), leaf...))
	}
	s.publish(t, n)
	next := byte(0)
	for record, err := range s.Entries(0, 0) {
		if err != nil || record.Leaf[0] != next || len(record.Leaf) != MaxLeaf {
			t.Fatalf("entry %d: %v", next, err)
		}
		next++
	}
	if next != n {
		t.Errorf("%d entries, want %d", next, n)
	}
}

// TestEntriesHoldNothing checks that an iteration under way neither keeps Close waiting nor blocks other reads.
func TestEntriesHoldNothing(t *testing.T) {
	s := newStored(t, 600)
	var last error
	read := 0
	for _, err := range s.Entries(0, 0) {
		if last = err; err != nil {
			break
		}
		if read++; read == 10 {
			if _, err := s.Entry(599); err != nil {
				t.Error(err)
			}
			s.close(t)
		}
	}
	if !errors.Is(last, ErrClosed) {
		t.Errorf("after Close the iteration ended with %v, want ErrClosed", last)
	}
}

// close closes the store beneath its readers, as Close does.
func (s *stored) close(t testing.TB) {
	t.Helper()
	s.open.Lock()
	defer s.open.Unlock()
	s.closed = true
	if err := s.rows.db.Close(); err != nil {
		t.Error(err)
	}
}

func TestBlob(t *testing.T) {
	s := newStored(t, 100)
	s.publish(t, 40)
	for _, i := range []int{5, 15, 25, 35} {
		if data, err := s.Blob(sha256.Sum256(testBlob(i))); err != nil || string(data) != string(testBlob(i)) {
			t.Errorf("blob of entry %d: %q, %v", i, data, err)
		}
	}
	for name, sum := range map[string][32]byte{
		"unknown":          sha256.Sum256([]byte("unknown")),
		"not acknowledged": sha256.Sum256(testBlob(65)),
	} {
		if data, err := s.Blob(sum); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s blob: %q, %v", name, data, err)
		}
	}
	sum := sha256.Sum256(testBlob(5))
	s.set(t, keyBlob(sum), append(s.value(t, keyBlob(sum)), 'x'))
	_, err := s.Blob(sum)
	wantDamage(t, err, 5)
}

func TestReadAfterClose(t *testing.T) {
	s := newStored(t, 10)
	s.close(t)
	for name, read := range map[string]func() error{
		"Entry": func() error { _, err := s.Entry(0); return err },
		"Entries": func() (last error) {
			for _, err := range s.Entries(0, 0) {
				last = err
			}
			return last
		},
		"Blob":             func() error { _, err := s.Blob([32]byte{}); return err },
		"ProveInclusion":   func() error { _, err := s.ProveInclusion(0, 1); return err },
		"ProveConsistency": func() error { _, err := s.ProveConsistency(0, 1); return err },
		"Proof":            func() error { _, err := s.Proof(0); return err },
	} {
		if err := read(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

// TestCloseBesideReaders closes the store while others read: each read works or is ErrClosed.
func TestCloseBesideReaders(t *testing.T) {
	s := newStored(t, 600)
	var readers sync.WaitGroup
	started := make(chan struct{}, 4)
	reads := []func() error{
		func() error { _, err := s.Entry(300); return err },
		func() error { _, err := s.ProveInclusion(300, 600); return err },
		func() error { _, err := s.Blob(sha256.Sum256(testBlob(5))); return err },
		func() error { _, err := s.resource("tile/entries/001"); return err },
	}
	for _, read := range reads {
		readers.Go(func() {
			err := read()
			for started <- struct{}{}; err == nil; {
				err = read()
			}
			if !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
	}
	for range reads {
		<-started
	}
	s.close(t)
	readers.Wait()
}

// TestReadsBesideWriter reads while entries are appended: whatever a reader sees as acknowledged can be read and proven.
func TestReadsBesideWriter(t *testing.T) {
	l, _ := newLog(t)
	written := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for done := false; !done; {
				select {
				case <-written:
					done = true // look once more, at the whole
				default:
				}
				checkWhole(t, l)
			}
		})
	}
	for i := range 60 {
		grow(t, l, 10*i, 10*i+10)
	}
	close(written)
	readers.Wait()
	if size := l.Checkpoint().Size; size != 601 {
		t.Errorf("%d entries, want 601", size)
	}
}

// checkWhole reads and proves the last entries of a log that may grow meanwhile.
func checkWhole(t *testing.T, l *Log) {
	c := l.Checkpoint()
	next := c.Size - min(c.Size, 5)
	for record, err := range l.Entries(next, c.Size) {
		if err != nil || record.Index != next {
			t.Errorf("entry %d of %d: %d, %v", next, c.Size, record.Index, err)
		}
		next++
	}
	path, err := l.ProveInclusion(c.Size-1, c.Size)
	if err != nil {
		t.Errorf("entry %d of %d: %v", c.Size-1, c.Size, err)
		return
	}
	leaf, err := l.Entry(c.Size - 1)
	if err != nil {
		t.Error(err)
	}
	err = proof.VerifyInclusion(rfc6962.DefaultHasher, c.Size-1, c.Size, rfc6962.DefaultHasher.HashLeaf(leaf), slicesOf(path), c.Root[:])
	if err != nil {
		t.Errorf("entry %d of %d: %v", c.Size-1, c.Size, err)
	}
}

// TestReadsOfFailedLog lets the anchor fail: what was acknowledged can be read, what is only in the store cannot.
func TestReadsOfFailedLog(t *testing.T) {
	l, _ := newLog(t)
	grow(t, l, 0, 20)
	l.sequencer.steps.syncAnchor = func(string) error { return errors.New("no") }
	if _, err := l.Append(t.Context(), []Entry{{Leaf: testLeaf(20)}}); !errors.Is(err, ErrFailed) {
		t.Fatalf("append: %v, want ErrFailed", err)
	}
	if _, _, err := l.rows.leaf(21); err != nil {
		t.Fatalf("the entry did not get into the store: %v", err)
	}
	for i := range uint64(21) {
		if _, err := l.Entry(i); err != nil {
			t.Error(err)
		}
		if _, err := l.Proof(i); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Entry(21); !errors.Is(err, ErrNotFound) {
		t.Errorf("an entry that was not acknowledged: %v", err)
	}
	if _, err := l.ProveInclusion(21, 22); !errors.Is(err, ErrNotFound) {
		t.Errorf("its proof: %v", err)
	}
	for path, status := range map[string]int{"/checkpoint": 200, "/tile/0/000.p/21": 200, "/tile/0/000.p/22": 404, "/tile/entries/000.p/22": 404} {
		if r := get(t, l.Handler(), path); r.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, r.Status, status)
		}
	}
	if err := l.Export(t.Context(), filepath.Join(t.TempDir(), "bundle")); err != nil {
		t.Error(err)
	}
}
