package verify

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSorterAgainstSlices compares with a sort in memory, at sizes that stay in
// memory, spill once, and spill so often that runs are made one.
func TestSorterAgainstSlices(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	random := rand.New(rand.NewPCG(1, 2))
	for _, single := range []bool{false, true} {
		for _, n := range []int{0, 1, 9, 10, 11, 95, 10 * sorterRuns, 10*sorterRuns*3 + 7} {
			s := newSorter(single)
			s.max = 10
			var want []record
			for i := range n {
				r := record{length: uint64(random.IntN(2)), index: uint64(i)}
				binary.BigEndian.PutUint32(r.key[:], uint32(random.IntN(n)))
				want = append(want, r)
				if err := s.add(r); err != nil {
					t.Fatal(err)
				}
			}
			slices.SortFunc(want, record.compare)
			if single {
				want = slices.CompactFunc(want, func(a, b record) bool { return a.key == b.key && a.length == b.length })
			}
			for range 2 { // it can be gone over again
				var got []record
				for r, err := range s.sorted() {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, r)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("single %t, %d records: they differ", single, n)
				}
			}
			if len(s.runs) > sorterRuns {
				t.Errorf("%d runs are open at once", len(s.runs))
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestSorterWithoutDisk(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
	s := newSorter(false)
	s.max = 2
	if err := s.add(record{}); err != nil {
		t.Fatal(err)
	}
	if err := s.add(record{}); err == nil {
		t.Error("no error though it cannot spill")
	}
	w := &walk{once: s, blobs: newSorter(true), keys: &keyring{}}
	f := w.take(&batch{once: make([]record, 3)})
	if f == nil || f.code != Internal || !strings.Contains(f.Text, "TMPDIR names another") {
		t.Errorf("the walk goes on: %v", f)
	}
}

func TestSorterWithDamagedRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newSorter(false)
	defer s.close()
	s.max = 4
	for i := range 8 {
		if err := s.add(record{index: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(s.runs[1], recordSize+5); err != nil {
		t.Fatal(err)
	}
	var failed error
	for _, err := range s.sorted() {
		failed = err
	}
	if failed == nil {
		t.Error("a run that was cut was read without an error")
	}
}
