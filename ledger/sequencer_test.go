package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// stillLog is a log whose sequencer does not run: a test does its work.
func stillLog(t testing.TB) *Log {
	t.Helper()
	l, err := open(t.Context(), testOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.closeStore() })
	return l
}

func onceLeaf(once string) []byte { return fmt.Appendf(nil, `{"kind":"k","once":%q}`, once) }

// asRequest makes the request of an Append or, for one entry with "once", an AppendOnce.
func asRequest(t testing.TB, entries ...Entry) *request {
	t.Helper()
	r := &request{done: make(chan outcome, 1)}
	for _, e := range entries {
		d, err := newDraft(e)
		if err != nil {
			t.Fatal(err)
		}
		r.drafts = append(r.drafts, d)
		r.cost.add(d.cost())
		r.once = d.once != nil
	}
	return r
}

func TestConcurrentAppends(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	const writers, calls, perCall = 16, 20, 3
	var mu sync.Mutex
	acknowledged := map[uint64][]byte{}
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range calls {
				var entries []Entry
				for j := range perCall {
					entries = append(entries, Entry{Leaf: fmt.Appendf(nil, `{"kind":"k","w":%d,"i":%d,"j":%d}`, w, i, j)})
				}
				indices, err := l.Append(t.Context(), entries)
				if err != nil {
					t.Error(err)
					return
				}
				if size := l.Checkpoint().Size; size <= indices[perCall-1] {
					t.Errorf("entry %d was acknowledged under a checkpoint of %d", indices[perCall-1], size)
				}
				mu.Lock()
				for j, index := range indices {
					if index != indices[0]+uint64(j) || acknowledged[index] != nil {
						t.Errorf("indices %v: not consecutive, or given twice", indices)
					}
					acknowledged[index] = entries[j].Leaf
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if len(acknowledged) != writers*calls*perCall {
		t.Errorf("%d entries acknowledged", len(acknowledged))
	}
	checkLog(t, l, acknowledged)
	closeLog(t, l)
	checkLog(t, openLog(t, o), acknowledged)
}

func TestAppendNothing(t *testing.T) {
	l := openLog(t, testOptions(t))
	if indices, err := l.Append(t.Context(), nil); len(indices) != 0 || err != nil {
		t.Errorf("%v, %v", indices, err)
	}
	if size := l.Checkpoint().Size; size != 1 {
		t.Errorf("the log has grown to %d", size)
	}
}

func TestAppendOnce(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	const keys, racers = 5, 8
	var mu sync.Mutex
	told, wins := map[string]uint64{}, map[string]int{}
	var running sync.WaitGroup
	for r := range racers {
		for k := range keys {
			running.Go(func() {
				once := fmt.Sprintf("key %d", k)
				leaf := fmt.Appendf(nil, `{"kind":"k","once":%q,"racer":%d}`, once, r)
				index, appended, err := l.AppendOnce(t.Context(), Entry{Leaf: leaf})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if before, ok := told[once]; ok && before != index {
					t.Errorf("%s is told to be entry %d and entry %d", once, before, index)
				}
				told[once] = index
				if appended {
					wins[once]++
				}
			})
		}
	}
	running.Wait()
	for once, index := range told {
		if wins[once] != 1 {
			t.Errorf("%s was appended %d times", once, wins[once])
		}
		if leaf, err := l.Entry(index); err != nil || !bytes.Contains(leaf, []byte(once)) {
			t.Errorf("%s is told to be entry %d, which is %s (%v)", once, index, leaf, err)
		}
	}
	if size := l.Checkpoint().Size; size != 1+keys {
		t.Errorf("the log has %d entries, want %d", size, 1+keys)
	}
	closeLog(t, l)
	l = openLog(t, o)
	if index, appended, err := l.AppendOnce(t.Context(), Entry{Leaf: onceLeaf("key 3")}); index != told["key 3"] || appended || err != nil {
		t.Errorf("after a restart key 3 is %d, %v, %v; want %d, false", index, appended, err, told["key 3"])
	}
}

func TestAppendOnceWithinABatch(t *testing.T) {
	l := stillLog(t)
	batch := []*request{
		asRequest(t, Entry{Leaf: onceLeaf("a")}), asRequest(t, Entry{Leaf: leafAt(2)}),
		asRequest(t, Entry{Leaf: onceLeaf("a")}), asRequest(t, Entry{Leaf: onceLeaf("b")}),
	}
	want := []outcome{{first: 1, appended: true}, {first: 2, appended: true}, {first: 1}, {first: 3, appended: true}}
	l.process(batch)
	for i, r := range batch {
		if out := <-r.done; out != want[i] {
			t.Errorf("request %d is answered %+v, want %+v", i, out, want[i])
		}
	}
	again := asRequest(t, Entry{Leaf: onceLeaf("b")})
	l.process([]*request{again})
	if out := <-again.done; out != (outcome{first: 3}) || l.Checkpoint().Size != 4 {
		t.Errorf("b is answered %+v, and the log has %d entries", out, l.Checkpoint().Size)
	}
}

// TestOnceOfAFailedBatch must not tell anybody that an entry is there.
func TestOnceOfAFailedBatch(t *testing.T) {
	l := stillLog(t)
	l.sequencer.steps.store = func(*badger.Txn) error { return errInjected }
	batch := []*request{asRequest(t, Entry{Leaf: onceLeaf("a")}), asRequest(t, Entry{Leaf: onceLeaf("a")})}
	l.process(batch)
	for i, r := range batch {
		if out := <-r.done; !errors.Is(out.err, ErrFailed) {
			t.Errorf("request %d is answered %+v, want ErrFailed", i, out)
		}
	}
}

func TestRefusedEntriesSpareTheOthers(t *testing.T) {
	l := stillLog(t)
	blob := []byte("a blob")
	named := fmt.Appendf(nil, `{"kind":"k","evidence":[{"name":"n","sha256":"%x","len":6}]}`, sha256.Sum256(blob))
	batch := []*request{
		asRequest(t, Entry{Leaf: leafAt(1)}, Entry{Leaf: named}),
		asRequest(t, Entry{Leaf: leafAt(1)}),
		asRequest(t, Entry{Leaf: named, Blobs: [][]byte{blob}}, Entry{Leaf: named}),
		asRequest(t, Entry{Leaf: named}),
	}
	l.process(batch)
	refused := <-batch[0].done
	if problem, ok := errors.AsType[*EntryError](refused.err); !ok || problem.Position != 1 || !strings.Contains(problem.Problem, `"n" is neither`) {
		t.Errorf("an entry without its blob: %+v", refused)
	}
	for i, first := range []uint64{1, 2, 4} {
		if out := <-batch[i+1].done; out != (outcome{first: first, appended: true}) {
			t.Errorf("request %d is answered %+v, want entry %d", i+1, out, first)
		}
	}
	checkLog(t, l, map[uint64][]byte{1: leafAt(1), 2: named, 3: named, 4: named})
	owner, data, err := l.rows.blob(sha256.Sum256(blob))
	if err != nil || owner != 2 || !bytes.Equal(data, blob) {
		t.Errorf("the blob is %q of entry %d (%v), want it of entry 2", data, owner, err)
	}
	later := asRequest(t, Entry{Leaf: bytes.Replace(named, []byte(`"len":6`), []byte(`"len":5`), 1)})
	l.process([]*request{later})
	if out := <-later.done; out.err == nil || !strings.Contains(out.err.Error(), "says 5 bytes, its blob has 6") {
		t.Errorf("a wrong length of a blob that is there: %+v", out)
	}
}

func TestWrongEntries(t *testing.T) {
	l := openLog(t, testOptions(t))
	good := Entry{Leaf: leafAt(1)}
	for _, test := range []struct {
		entries  []Entry
		position int
		words    string
	}{
		{[]Entry{good, {Leaf: []byte("x")}}, 1, "not valid JSON"},
		{[]Entry{{Leaf: onceLeaf("a")}}, 0, "appended with AppendOnce"},
		{manyEntries(20_000), -1, "split it"},
	} {
		_, err := l.Append(t.Context(), test.entries)
		problem, ok := errors.AsType[*EntryError](err)
		if !ok || problem.Position != test.position || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%v, want an *EntryError at %d with %q", err, test.position, test.words)
		}
	}
	for _, leaf := range []string{"x", `{"kind":"k"}`} {
		if _, _, err := l.AppendOnce(t.Context(), Entry{Leaf: []byte(leaf)}); !errors.As(err, new(*EntryError)) {
			t.Errorf("AppendOnce of %s: %v, want an *EntryError", leaf, err)
		}
	}
	if size := l.Checkpoint().Size; size != 1 {
		t.Errorf("wrong entries have made the log grow to %d", size)
	}
}

func manyEntries(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		entries[i] = Entry{Leaf: leafAt(uint64(i))}
	}
	return entries
}

// TestLargestEntries appends what just fits into a transaction.
func TestLargestEntries(t *testing.T) {
	l := openLog(t, testOptions(t))
	blob := make([]byte, MaxBlob)
	leaf := fmt.Appendf(nil, `{"kind":"k","once":"o","evidence":[{"name":"n","sha256":"%x","len":%d}],"pad":"`, sha256.Sum256(blob), len(blob))
	leaf = append(append(leaf, bytes.Repeat([]byte("x"), MaxLeaf-len(leaf)-2)...), `"}`...)
	if _, _, err := l.AppendOnce(t.Context(), Entry{Leaf: leaf, Blobs: [][]byte{blob}}); err != nil || len(leaf) != MaxLeaf {
		t.Errorf("the longest leaf of %d bytes with the largest blob: %v", len(leaf), err)
	}
	// As many entries as are not refused must fit.
	most := 1
	for step := 1 << 14; step > 0; step /= 2 {
		r := request{}
		for _, e := range manyEntries(most + step) {
			r.cost.add(asRequest(t, e).cost)
		}
		if r.cost.fits(l.limit) {
			most += step
		}
	}
	if _, err := l.Append(t.Context(), manyEntries(most)); err != nil || most < 1000 {
		t.Errorf("%d entries: %v", most, err)
	}
	if _, err := l.Append(t.Context(), manyEntries(most+1)); !errors.As(err, new(*EntryError)) {
		t.Errorf("%d entries: %v, want an *EntryError", most+1, err)
	}
	checkLog(t, l, map[uint64][]byte{1: leaf, 2: leafAt(0)})
}

// TestMoreThanATransaction has requests wait that do not fit together.
func TestMoreThanATransaction(t *testing.T) {
	l := openLog(t, testOptions(t))
	leaf := fmt.Appendf(nil, `{"kind":"k","pad":"%s"}`, bytes.Repeat([]byte("x"), 60_000))
	var running sync.WaitGroup
	for range 40 {
		running.Go(func() {
			if _, err := l.Append(t.Context(), []Entry{{Leaf: leaf}}); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if size := l.Checkpoint().Size; size != 41 {
		t.Errorf("the log has %d entries, want 41", size)
	}
	checkLog(t, l, nil)
}

func TestContextEnds(t *testing.T) {
	l := stillLog(t)
	entries := []Entry{{Leaf: leafAt(1)}}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ended, entries); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUncertain) {
		t.Errorf("ended before: %v, want context.Canceled and not ErrUncertain", err)
	}

	taken, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := l.Append(taken, entries)
		result <- err
	}()
	<-l.requests // taken, and left alone
	cancel()
	if err := <-result; !errors.Is(err, ErrUncertain) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended while being written: %v, want ErrUncertain and context.Canceled", err)
	}

	waiting, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := l.Append(waiting, entries)
		result <- err
	}()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || errors.Is(err, ErrUncertain) {
		t.Errorf("ended while waiting: %v, want context.Canceled and not ErrUncertain", err)
	}
}

// TestCloseWaits closes a log while a batch is being written and others wait.
func TestCloseWaits(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	entered, release := make(chan bool), make(chan bool)
	store := l.sequencer.steps.store
	l.sequencer.steps.store = func(txn *badger.Txn) error {
		entered <- true
		<-release
		return store(txn)
	}
	written := make(chan error, 1)
	go func() {
		_, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(1)}})
		written <- err
	}()
	<-entered
	const others = 4
	waiting := make(chan error, others)
	for range others {
		go func() {
			_, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(2)}})
			waiting <- err
		}()
	}
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	<-l.closing
	select {
	case err := <-closed:
		t.Errorf("Close returned (%v) while an entry was being written", err)
	default:
	}
	close(release)
	if err := <-written; err != nil {
		t.Errorf("the entry that was being written: %v", err)
	}
	for range others {
		if err := <-waiting; !errors.Is(err, ErrClosed) {
			t.Errorf("an entry that waited: %v, want ErrClosed", err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if size := openLog(t, o).Checkpoint().Size; size != 2 {
		t.Errorf("reopened, the log has %d entries, want 2", size)
	}
}
