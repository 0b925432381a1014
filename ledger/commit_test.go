package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var errInjected = errors.New("an injected error")

// failingStep replaces a step of the commit by one that fails, before it does
// its work or after.
type failingStep struct {
	name string
	set  func(s *steps, after bool)
}

// fails wraps a step so that it fails.
func fails[A any](after bool, step func(A) error) func(A) error {
	return func(arg A) error {
		if after {
			if err := step(arg); err != nil {
				return err
			}
		}
		return errInjected
	}
}

var fatalSteps = []failingStep{
	{"the transaction", func(s *steps, after bool) { s.store = fails(after, s.store) }},
	{"the store's directory", func(s *steps, after bool) { s.syncStore = fails(after, s.syncStore) }},
	{"the anchor's file", func(s *steps, after bool) {
		write := s.write
		s.write = func(path string, data []byte) error {
			if after {
				if err := write(path, data); err != nil {
					return err
				}
			}
			return errInjected
		}
	}},
	{"the anchor's rename", func(s *steps, after bool) { s.rename = fails(after, s.rename) }},
	{"the anchor's directory", func(s *steps, after bool) { s.syncAnchor = fails(after, s.syncAnchor) }},
}

// TestFailedStep lets each step from the transaction on fail. The log must stop,
// and be whole after a restart, with all that was acknowledged.
func TestFailedStep(t *testing.T) {
	for _, step := range fatalSteps {
		for _, after := range []bool{false, true} {
			name := step.name + " fails and is not done"
			if after {
				name = step.name + " fails and is done"
			}
			t.Run(name, func(t *testing.T) {
				o := testOptions(t)
				l := openLog(t, o)
				appendLeaves(t, l, 300)
				want := map[uint64][]byte{1: leafAt(1), 255: leafAt(255), 300: leafAt(300)}
				acknowledged := l.Checkpoint()

				l.sequencer.wal.next-- // as if Badger had begun a write-ahead log
				step.set(&l.sequencer.steps, after)
				_, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(301)}, {Leaf: leafAt(302)}})
				checkStopped(t, l, err)
				if c := l.Checkpoint(); c.Size != acknowledged.Size {
					t.Errorf("the checkpoint shows %d entries, and %d were acknowledged", c.Size, acknowledged.Size)
				}
				if leaf, err := l.Entry(300); err != nil || string(leaf) != string(leafAt(300)) {
					t.Errorf("a stopped log cannot be read: %s, %v", leaf, err)
				}
				closeLog(t, l)

				l = openLog(t, o)
				size := acknowledged.Size
				if after || step.name != "the transaction" {
					size += 2
					want[301], want[302] = leafAt(301), leafAt(302)
				}
				if c := l.Checkpoint(); c.Size != size {
					t.Errorf("reopened, the log has %d entries, want %d", c.Size, size)
				}
				checkLog(t, l, want)
				checkGoesOn(t, o, l)
			})
		}
	}
}

// checkStopped makes sure that a log takes nothing after an injected error.
func checkStopped(t testing.TB, l *Log, err error) {
	t.Helper()
	if !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
		t.Errorf("Append: %v, want ErrFailed and the cause", err)
	}
	if _, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(1)}}); !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
		t.Errorf("a later Append: %v, want ErrFailed and the cause", err)
	}
	if _, _, err := l.AppendOnce(t.Context(), Entry{Leaf: []byte(`{"kind":"k","once":"o"}`)}); !errors.Is(err, ErrFailed) {
		t.Errorf("a later AppendOnce: %v, want ErrFailed", err)
	}
	if err := l.Err(); !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
		t.Errorf("Err: %v, want ErrFailed and the cause", err)
	}
}

// checkGoesOn appends three entries to a log, opens it once more, and closes it.
func checkGoesOn(t testing.TB, o Options, l *Log) {
	t.Helper()
	size := l.Checkpoint().Size
	appendLeaves(t, l, 3)
	closeLog(t, l)
	l = openLog(t, o)
	if c := l.Checkpoint(); c.Size != size+3 {
		t.Errorf("the log has %d entries, want %d", c.Size, size+3)
	}
	checkLog(t, l, map[uint64][]byte{size: leafAt(size), size + 2: leafAt(size + 2)})
	closeLog(t, l)
}

// TestFailedSignature lets the step before the transaction fail, which nobody
// but the caller needs to know of.
func TestFailedSignature(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	sign := l.sequencer.steps.sign
	l.sequencer.steps.sign = func(string, uint64, tlog.Hash, note.Signer) (*Checkpoint, error) { return nil, errInjected }
	_, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(1)}})
	if !errors.Is(err, errInjected) || errors.Is(err, ErrFailed) || l.Err() != nil {
		t.Fatalf("Append: %v, Err: %v; want the injected error, and a log that goes on", err, l.Err())
	}
	l.sequencer.steps.sign = sign
	appendLeaves(t, l, 2)
	if c := l.Checkpoint(); c.Size != 3 {
		t.Errorf("the log has %d entries, want 3", c.Size)
	}
	checkGoesOn(t, o, l)
}

// TestCrash copies the directory as it is at each step of a commit, which is
// what a kill at that moment leaves, and opens the copies.
func TestCrash(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	appendLeaves(t, l, 260)
	var crashed []string
	copyNow := func() {
		to := filepath.Join(t.TempDir(), "crashed")
		copyTree(t, o.Dir, to)
		crashed = append(crashed, to)
	}
	s := &l.sequencer.steps
	store, write, rename, syncAnchor := s.store, s.write, s.rename, s.syncAnchor
	s.store = func(txn *badger.Txn) error { copyNow(); return store(txn) }
	s.write = func(path string, data []byte) error { copyNow(); return write(path, data) }
	s.rename = func(path string) error { copyNow(); return rename(path) }
	s.syncAnchor = func(dir string) error { copyNow(); return syncAnchor(dir) }
	appendLeaves(t, l, 5)
	copyNow()
	closeLog(t, l)

	sizes := []uint64{261, 266, 266, 266, 266}
	for i, dir := range crashed {
		o := o
		o.Dir = dir
		l := openLog(t, o)
		if c := l.Checkpoint(); c.Size != sizes[i] {
			t.Errorf("crash %d: the log has %d entries, want %d", i, c.Size, sizes[i])
		}
		checkLog(t, l, map[uint64][]byte{1: leafAt(1), 260: leafAt(260)})
		checkGoesOn(t, o, l)
	}
	if len(crashed) != len(sizes) {
		t.Errorf("%d crashes, want %d", len(crashed), len(sizes))
	}
}

// TestNewWriteAheadLog makes Badger begin others, and counts how often their
// names are made durable.
func TestNewWriteAheadLog(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	syncs := 0
	syncStore := l.sequencer.steps.syncStore
	l.sequencer.steps.syncStore = func(dir string) error {
		syncs++
		if dir != o.storeDir() {
			t.Errorf("%s was synced, want the store", dir)
		}
		return syncStore(dir)
	}
	pad := make([]byte, 60_000)
	for i := range pad {
		pad[i] = 'x'
	}
	leaf := []byte(`{"kind":"k","pad":"` + string(pad) + `"}`)
	const calls = 5 * memTable / 480_000
	for range calls {
		if _, err := l.Append(t.Context(), []Entry{{Leaf: leaf}, {Leaf: leaf}, {Leaf: leaf}, {Leaf: leaf}, {Leaf: leaf}, {Leaf: leaf}, {Leaf: leaf}, {Leaf: leaf}}); err != nil {
			t.Fatal(err)
		}
	}
	if syncs < 3 || syncs > 5 {
		t.Errorf("the store's directory was synced %d times while five memtables were filled", syncs)
	}
	if _, err := os.Stat(filepath.Join(o.storeDir(), "00001.mem")); err == nil {
		t.Error("the first write-ahead log is still there: were so many bytes written?")
	}
}
