package verify

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// A record is what a sorter sorts: by key, then by length, then by index.
type record struct {
	key    [hashSize]byte
	length uint64
	index  uint64
}

const recordSize = hashSize + 16

func (r record) compare(o record) int {
	if c := bytes.Compare(r.key[:], o.key[:]); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(r.length, o.length), cmp.Compare(r.index, o.index))
}

const (
	sorterMemory = 1 << 17 // records held in memory, 6 MiB
	sorterRuns   = 64      // files of sorted records, before they are made one
)

// A sorter sorts more records than memory should hold, through temporary files.
// It is not safe for concurrent use.
type sorter struct {
	max    int // records in memory
	held   []record
	runs   []string // files, each sorted
	dir    string   // of the files, "" until there is one
	single bool     // of records with the same key and length only the first matters
}

func newSorter(single bool) *sorter { return &sorter{max: sorterMemory, single: single} }

// add takes a record. An error is one of the temporary files.
func (s *sorter) add(r record) error {
	s.held = append(s.held, r)
	if len(s.held) < s.max {
		return nil
	}
	return s.spill()
}

// order sorts what is held in memory.
func (s *sorter) order() {
	slices.SortFunc(s.held, record.compare)
	if s.single {
		s.held = slices.CompactFunc(s.held, func(a, b record) bool { return a.key == b.key && a.length == b.length })
	}
}

func (s *sorter) spill() error {
	s.order()
	if s.single && len(s.held) < s.max/2 {
		return nil
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", tempPattern)
		if err != nil {
			return sortError(err)
		}
		s.dir = dir
	}
	if err := s.write(slices.Values(s.held)); err != nil {
		return err
	}
	s.held = s.held[:0]
	if len(s.runs) < sorterRuns {
		return nil
	}
	return s.unite()
}

func sortError(err error) error {
	return fmt.Errorf("cannot sort in the temporary directory (TMPDIR names another): %w", err)
}

// write makes a run of sorted records.
func (s *sorter) write(records iter.Seq[record]) error {
	f, err := os.CreateTemp(s.dir, "run-*")
	if err != nil {
		return sortError(err)
	}
	s.runs = append(s.runs, f.Name())
	w := bufio.NewWriterSize(f, 64<<10)
	var raw [recordSize]byte
	for r := range records {
		copy(raw[:], r.key[:])
		binary.BigEndian.PutUint64(raw[hashSize:], r.length)
		binary.BigEndian.PutUint64(raw[hashSize+8:], r.index)
		if _, err := w.Write(raw[:]); err != nil {
			return sortError(errors.Join(err, f.Close()))
		}
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return sortError(err)
	}
	return nil
}

// unite makes one run of all.
func (s *sorter) unite() error {
	old := s.runs
	s.runs = nil
	var failed error
	err := s.write(func(yield func(record) bool) {
		for r, err := range s.merge(old, nil) {
			if err != nil {
				failed = err
				return
			}
			if !yield(r) {
				return
			}
		}
	})
	for _, name := range old {
		err = errors.Join(err, os.Remove(name))
	}
	return errors.Join(failed, err)
}

// sorted yields all records in order. No more can be added after it.
func (s *sorter) sorted() iter.Seq2[record, error] {
	s.order()
	return s.merge(s.runs, s.held)
}

// merge yields the records of sorted runs, and of one held in memory, in order.
func (s *sorter) merge(names []string, held []record) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		runs, err := openRuns(names, held)
		defer func() {
			for _, r := range runs {
				r.close()
			}
		}()
		if err != nil {
			yield(record{}, err)
			return
		}
		var last record
		for first := true; len(runs) > 0; first = false {
			now := runs[0].head
			repeated := s.single && !first && last.key == now.key && last.length == now.length
			if !repeated && !yield(now, nil) {
				return
			}
			last = now
			more, err := runs[0].next()
			if err != nil {
				yield(record{}, err)
				return
			}
			if more {
				heap.Fix(&runs, 0)
			} else {
				heap.Pop(&runs).(*run).close()
			}
		}
	}
}

// openRuns opens the runs that have records and reads the first of each. What
// it returns must be closed, even with an error.
func openRuns(names []string, held []record) (runHeap, error) {
	var runs runHeap
	if memory := (&run{held: held}); len(held) > 0 {
		_, _ = memory.next()
		runs = append(runs, memory)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return runs, sortError(err)
		}
		r := &run{file: f, r: bufio.NewReaderSize(f, 32<<10)}
		runs = append(runs, r)
		if more, err := r.next(); err != nil || !more {
			return runs, errors.Join(sortError(io.ErrUnexpectedEOF), err)
		}
	}
	heap.Init(&runs)
	return runs, nil
}

// close removes the temporary files.
func (s *sorter) close() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// A run is a sorted sequence that is being read, from a file or from memory.
type run struct {
	head record
	held []record
	file *os.File
	r    *bufio.Reader
}

// next moves to the run's next record.
func (r *run) next() (more bool, err error) {
	if r.file == nil {
		if len(r.held) == 0 {
			return false, nil
		}
		r.head, r.held = r.held[0], r.held[1:]
		return true, nil
	}
	var raw [recordSize]byte
	if _, err := io.ReadFull(r.r, raw[:]); errors.Is(err, io.EOF) {
		return false, nil
	} else if err != nil {
		return false, sortError(err)
	}
	r.head.key = [hashSize]byte(raw[:])
	r.head.length = binary.BigEndian.Uint64(raw[hashSize:])
	r.head.index = binary.BigEndian.Uint64(raw[hashSize+8:])
	return true, nil
}

func (r *run) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// A runHeap has the run with the smallest head at its top.
type runHeap []*run

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return h[i].head.compare(h[j].head) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}
