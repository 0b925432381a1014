package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestSoundLogs takes sizes around all the borders of tiles.
func TestSoundLogs(t *testing.T) {
	sizes := []int{1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 65535, 65536, 65537, 66000}
	if testing.Short() {
		sizes = sizes[:10]
	}
	whole := newTestLog(t).fill(sizes[len(sizes)-1])
	for _, size := range sizes {
		l := &testLog{origin: whole.origin, keys: whole.keys, leaves: whole.leaves[:size]}
		r := Log(t.Context(), l.bundle(t), Options{Keys: []string{l.keys[0].vkey}})
		if r.Code != Verified || r.Entries != uint64(size) || r.ProvenTo != uint64(size) || r.OwnKey || !r.Signed || r.Key != l.keys[0].vkey || r.Tier != Unanchored {
			t.Errorf("size %d: %+v %v", size, r, r.Problem)
		}
	}
}

// sample is a log with everything in it: 600 entries, blobs, a change of the key.
func sample(t testing.TB) *testLog {
	return newTestLog(t).fill(300).evidence("a blob", "another").rotate(t, 1).fill(500).evidence("a blob", "").fill(600)
}

func TestOwnKeyAndGivenKeys(t *testing.T) {
	l := sample(t)
	stranger := newPair(t, testOrigin, 7)
	elsewhere := newPair(t, "example.org/other", 0)
	retired := l.bundle(t).set("checkpoint", l.checkpoint(t, 600, l.keys[0]))
	both := l.bundle(t).set("checkpoint", l.checkpoint(t, 600, stranger, l.keys[1]))
	for _, test := range []struct {
		name   string
		bundle mapSource
		keys   []string
		code   Code
		signed bool
		text   string
	}{
		{"own", l.bundle(t), nil, Verified, true, ""},
		{"first", l.bundle(t), []string{l.keys[0].vkey}, Verified, true, ""},
		{"latest", l.bundle(t), []string{l.keys[1].vkey}, Verified, true, ""},
		{"one of several", l.bundle(t), []string{elsewhere.vkey, stranger.vkey, l.keys[0].vkey}, Verified, true, ""},
		{"stranger", l.bundle(t), []string{stranger.vkey}, Tampered, false, "the log's keys are others than the given one"},
		{"of another log", l.bundle(t), []string{elsewhere.vkey}, Tampered, false, "this is the log example.com/log, and the given key belongs to example.org/other"},
		{"malformed", l.bundle(t), []string{"example.com/log+0+x"}, Usage, false, "is not the verifier key of a log"},
		{"retired, own", retired, nil, Tampered, false, "not signed by a key of the log that is known"},
		{"retired, first", retired, []string{l.keys[0].vkey}, Tampered, false, "not signed by a key of the log that is known"},
		{"retired, latest", retired, []string{l.keys[1].vkey}, Tampered, false, "not signed by a key of the log that is known"},
		{"also signed by a stranger", both, nil, Verified, true, ""},
	} {
		r := Log(t.Context(), test.bundle, Options{Keys: test.keys})
		if r.Code != test.code || r.Signed != test.signed || r.OwnKey != (test.keys == nil) || test.text != "" && !strings.Contains(r.Problem.Text, test.text) {
			t.Errorf("%s: %+v %v", test.name, r, r.Problem)
		}
		if r.Code == Verified && (r.Key != l.keys[1].vkey || r.Rotations != 1 || r.Blobs != 3) {
			t.Errorf("%s: key %s, %d rotations, %d blobs", test.name, r.Key, r.Rotations, r.Blobs)
		}
	}
}

// TestEarlierPartialTiles takes a bundle in which partial tiles of earlier sizes
// have stayed.
func TestEarlierPartialTiles(t *testing.T) {
	l := sample(t)
	m := l.bundle(t)
	for _, size := range []int{1, 255, 400, 513} {
		for path, data := range l.bundleAt(size) {
			if _, ok := m[path]; !ok {
				m[path] = data
			}
		}
	}
	if r := Log(t.Context(), m, Options{}); r.Code != Verified {
		t.Fatal(r.Problem)
	}
	counting := &countingSource{mapSource: m}
	if r := Log(t.Context(), counting, Options{}); r.Code != Verified || counting.present > 3 {
		t.Errorf("entry bundle 0 was read %d times: %v", counting.present, r.Problem)
	}
	for _, path := range []string{"tile/0/000.p/255", "tile/entries/001.p/144", "tile/1/000.p/1", "tile/entries/000.p/1"} {
		for name, data := range map[string][]byte{
			"flipped": append([]byte{m[path][0] ^ 1}, m[path][1:]...), "cut": m[path][:len(m[path])-1], "longer": append(slices.Clone(m[path]), 0),
		} {
			r := Log(t.Context(), m.set(path, data), Options{})
			if r.Code != Tampered || r.Problem.Resource != path {
				t.Errorf("%s %s: %s %v", path, name, r.Verdict, r.Problem)
			}
		}
	}
}

// countingSource counts how often entry bundle 0 is read, and lists it in order.
type countingSource struct {
	mapSource
	mu      sync.Mutex
	present int
}

func (c *countingSource) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path == "tile/entries/000" {
		c.mu.Lock()
		c.present++
		c.mu.Unlock()
	}
	return c.mapSource.Get(ctx, path, limit)
}

func (c *countingSource) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, path := range slices.Sorted(maps.Keys(c.mapSource)) {
			if !yield(path, nil) {
				return
			}
		}
	}
}

// TestGivenKey takes a key that is not the log's and one that was.
func TestGivenKey(t *testing.T) {
	l := sample(t)
	strange := newPair(t, testOrigin, 7).vkey
	r := Log(t.Context(), l.bundle(t), Options{Keys: []string{strange, l.keys[0].vkey}})
	if r.Code != Verified || r.Key != l.keys[1].vkey || r.GivenKey != l.keys[0].vkey {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

// TestKeyWrittenOtherwise gives a key with its id in capitals.
func TestKeyWrittenOtherwise(t *testing.T) {
	l := newTestLog(t).fill(10)
	name, rest, _ := strings.Cut(l.keys[0].vkey, "+")
	id, public, _ := strings.Cut(rest, "+")
	r := Log(t.Context(), l.bundle(t), Options{Keys: []string{name + "+" + strings.ToUpper(id) + "+" + public}})
	if r.Code != Verified || r.GivenKey != "" {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

// TestLogThatGrew takes a source that cannot be listed and has dropped the
// partial tiles of the size that its checkpoint speaks of.
func TestLogThatGrew(t *testing.T) {
	l := newTestLog(t).fill(700)
	grown := l.bundle(t)
	grown["checkpoint"] = l.checkpoint(t, 500)
	r := Log(t.Context(), unlisted{grown}, Options{})
	if r.Code != Incomplete || r.Problem.Resource != "tile/1/000.p/1" {
		t.Fatal(r.Problem)
	}
	grown["tile/1/000.p/1"] = grown["tile/1/000.p/2"][:32]
	if r := Log(t.Context(), unlisted{grown}, Options{}); r.Code != Verified || r.Entries != 500 {
		t.Errorf("%+v %v", r, r.Problem)
	}
	if r := Log(t.Context(), grown, Options{}); r.Code == Verified {
		t.Error("a bundle has to hold exactly the files of its size")
	}
}

// unlisted is a source that is no Lister.
type unlisted struct{ Source }

func TestWhatIsNoLog(t *testing.T) {
	l := newTestLog(t).fill(5)
	later := (&testLog{origin: testOrigin, keys: l.keys}).add(strings.Replace(string(l.leaves[0]), "ledger/1", "ledger/2", 1))
	foreign := (&testLog{origin: testOrigin, keys: l.keys}).add("anything", "else").bundle(t)
	empty := l.bundleAt(0)
	empty["checkpoint"] = l.checkpoint(t, 0)
	renamed := &testLog{origin: "example.com/renamed", keys: []pair{newPair(t, "example.com/renamed", 0)}, leaves: l.leaves}
	for _, test := range []struct {
		name   string
		source Source
		code   Code
		text   string
	}{
		{"nothing", mapSource{}, Usage, "not a ledger's bundle"},
		{"other files", mapSource{"README": nil}, Usage, "not a ledger's bundle"},
		{"nothing, not listed", unlisted{mapSource{}}, Incomplete, "there is no checkpoint"},
		{"no checkpoint", l.bundle(t).without("checkpoint"), Incomplete, "there is no checkpoint"},
		{"no format", l.bundle(t).without("countersign-ledger"), Incomplete, "says what this bundle is"},
		{"no format, not listed", unlisted{l.bundle(t).without("countersign-ledger")}, Verified, ""},
		{"a page for the format, not listed", unlisted{l.bundle(t).set("countersign-ledger", []byte("<html>"))}, Verified, ""},
		{"no log of ours, no format, and other files", foreign.set("README", nil).without("countersign-ledger"), Invalid, "this is not a Countersign log"},
		{"later format", l.bundle(t).set("countersign-ledger", []byte("countersign-ledger/2\n")), Usage, "does not know the format"},
		{"later format, not listed", unlisted{l.bundle(t).set("countersign-ledger", []byte("countersign-ledger/10\n"))}, Usage, "does not know the format"},
		{"later format in entry 0", later.bundle(t), Usage, "does not know the format"},
		{"format 0", l.bundle(t).set("countersign-ledger", []byte("countersign-ledger/0\n")), Tampered, "does not say"},
		{"empty log", empty, Incomplete, "the log is empty"},
		{"checkpoint of another name", l.bundle(t).set("checkpoint", renamed.checkpoint(t, 5)), Tampered, "the log names itself otherwise"},
		{"unsigned", l.bundle(t).set("checkpoint", []byte(l.text(5)+"\n")), Tampered, "malformed"},
		{"web page", failing{ErrNotALog}, Usage, "this is not a ledger"},
		{"unreadable", failing{errors.New("disk on fire")}, Incomplete, "disk on fire"},
	} {
		r := Log(t.Context(), test.source, Options{})
		if r.Code != test.code || test.text != "" && !strings.Contains(r.Problem.Text, test.text) {
			t.Errorf("%s: %s %v", test.name, r.Verdict, r.Problem)
		}
	}
}

// failing is a source that has nothing but errors.
type failing struct{ err error }

func (f failing) Get(context.Context, string, int64) ([]byte, error) { return nil, f.err }

func TestInterrupted(t *testing.T) {
	m := newTestLog(t).fill(5000).bundle(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := Log(ctx, m, Options{Progress: func(uint64, uint64) { cancel() }})
	if r.Code != Internal || r.Problem.Text != "interrupted" {
		t.Errorf("%+v %v", r, r.Problem)
	}
	if r := Log(ctx, m, Options{}); r.Code != Internal || r.Problem.Text != "interrupted" {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

// endingContext ends when it is asked for the at-th time whether it has.
type endingContext struct {
	context.Context
	asked, at atomic.Int64
	cancel    context.CancelFunc
}

func (c *endingContext) Err() error {
	if c.asked.Add(1) >= c.at.Load() {
		c.cancel()
	}
	return c.Context.Err()
}

// TestInterruptedAnywhere interrupts the verification of a log with a damaged
// edge at every place: it is never verified.
func TestInterruptedAnywhere(t *testing.T) {
	m := newTestLog(t).fill(300).bundle(t)
	edge := slices.Clone(m["tile/0/001.p/44"])
	edge[5] ^= 1
	damaged := m.set("tile/0/001.p/44", edge)
	for _, files := range []mapSource{m, damaged} {
		for at := int64(1); ; at++ {
			ctx, cancel := context.WithCancel(t.Context())
			ending := &endingContext{Context: ctx, cancel: cancel}
			ending.at.Store(at)
			r := Log(ending, unlisted{files}, Options{Workers: 1})
			interrupted := ctx.Err() != nil
			cancel()
			if !interrupted {
				break
			}
			if r.Code != Internal && (r.Code != Tampered || r.Problem.Resource != "tile/0/001.p/44") {
				t.Fatalf("interrupted at %d: %+v %v", at, r, r.Problem)
			}
		}
	}
}

// TestLongestLeaves takes entry bundles as large as they can be.
func TestLongestLeaves(t *testing.T) {
	l := newTestLog(t)
	for len(l.leaves) < 260 {
		l.add(`{"kind":"` + strings.Repeat("x", 65535-11) + `"}`)
	}
	m := l.bundle(t)
	if n := binary.BigEndian.Uint16(m["tile/entries/001.p/4"]); n != 65535 {
		t.Fatal(n)
	}
	if r := Log(t.Context(), m, Options{}); r.Code != Verified {
		t.Error(r.Problem)
	}
}
