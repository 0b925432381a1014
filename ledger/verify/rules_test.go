package verify

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

// TestRules breaks the rules for entries, one at a time, in logs that are signed.
func TestRules(t *testing.T) {
	sum := strings.Repeat("00", 32)
	statement := func(l *testLog, text string, signers ...pair) string {
		var s []string
		for _, p := range signers {
			s = append(s, sign(t, text, p))
		}
		note := s[0]
		for _, more := range s[1:] {
			note += more[strings.Index(more, "\n\n")+2:]
		}
		return object("v", 1, "kind", "ledger.rotated", "time", "2026-01-02T03:04:05Z", "statement", note)
	}
	next, third := newPair(t, testOrigin, 1), newPair(t, testOrigin, 2)
	foreign := newPair(t, "example.org/other", 1)
	first := newTestLog(t).keys[0]
	for _, test := range []struct {
		name  string
		log   *testLog
		index uint64
		text  string
	}{
		{"not JSON", newTestLog(t).fill(10).add("not JSON").fill(20), 10, "not a JSON object"},
		{"no kind", newTestLog(t).add(`{"v":1}`), 1, `no member "kind"`},
		{"a member twice", newTestLog(t).add(`{"kind":"a","x":1,"x":1}`), 1, `two members "x"`},
		{"time", newTestLog(t).add(`{"kind":"a","time":"yesterday"}`), 1, "RFC 3339"},
		{"once empty", newTestLog(t).add(`{"kind":"a","once":""}`), 1, `"once" has 0 bytes`},
		{"once twice", newTestLog(t).fill(300).add(object("kind", "a", "once", "key-17")).fill(400), 300, `its "once" is that of entry 17`},
		{"evidence", newTestLog(t).add(`{"kind":"a","evidence":[{"name":"x"}]}`), 1, `without "name", "sha256" or "len"`},
		{"evidence too long", newTestLog(t).add(`{"kind":"a","evidence":[{"name":"x","sha256":"` + sum + `","len":524289}]}`), 1, "0 to 524288"},
		{"evidence of two lengths", newTestLog(t).evidence("abc").add(`{"kind":"a","evidence":[{"name":"x","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","len":4}]}`), 2, "another length"},
		{"reserved kind", newTestLog(t).add(`{"kind":"ledger.new"}`), 1, "cannot be here"},
		{"created twice", newTestLog(t).add(created(testOrigin, next.vkey)), 1, "cannot be here"},
		{"not created", (&testLog{origin: testOrigin, keys: []pair{first}}).add(`{"kind":"a"}`), 0, "this is not a Countersign log"},
		{"no log of ours", (&testLog{origin: testOrigin, keys: []pair{first}}).add("anything"), 0, "this is not a Countersign log"},
		{"created otherwise", (&testLog{origin: testOrigin, keys: []pair{first}}).add(strings.Replace(created(testOrigin, first.vkey), `"v":1`, `"v":2`, 1)), 0, "its version is 2"},
		{"created with more", (&testLog{origin: testOrigin, keys: []pair{first}}).add(strings.Replace(created(testOrigin, first.vkey), `"v":1`, `"v":1,"VKEY":"x"`, 1)), 0, `it has a member "VKEY"`},
		{"rotation unsigned by the old key", newTestLog(t).add(statement(nil, rotationText(testOrigin, 1, first.vkey, next.vkey), next)), 1, "not signed by " + testOrigin},
		{"rotation unsigned by the new key", newTestLog(t).add(statement(nil, rotationText(testOrigin, 1, first.vkey, next.vkey), first)), 1, "not signed by " + testOrigin},
		{"rotation of another index", newTestLog(t).add(statement(nil, rotationText(testOrigin, 2, first.vkey, next.vkey), first, next)), 1, `of entry "2"`},
		{"rotation of another log", newTestLog(t).add(statement(nil, rotationText("example.org/other", 1, first.vkey, next.vkey), first, next)), 1, "of the log"},
		{"rotation of another key", newTestLog(t).add(statement(nil, rotationText(testOrigin, 1, third.vkey, next.vkey), first, third, next)), 1, "not the log's at this entry"},
		{"rotation to itself", newTestLog(t).add(statement(nil, rotationText(testOrigin, 1, first.vkey, first.vkey), first)), 1, "by itself"},
		{"rotation to another name", newTestLog(t).add(statement(nil, rotationText(testOrigin, 1, first.vkey, foreign.vkey), first, foreign)), 1, "belongs to example.org/other"},
		{"rotation with more lines", newTestLog(t).add(statement(nil, rotationText(testOrigin, 1, first.vkey, next.vkey)+"more\n", first, next)), 1, "five lines"},
		{"rotation malformed", newTestLog(t).add(object("v", 1, "kind", "ledger.rotated", "time", "2026-01-02T03:04:05Z", "statement", "x")), 1, "malformed"},
		{"rotation without a statement", newTestLog(t).add(`{"v":1,"kind":"ledger.rotated","time":"2026-01-02T03:04:05Z"}`), 1, `no member "statement"`},
	} {
		r := Log(t.Context(), test.log.bundle(t), Options{Keys: []string{first.vkey}})
		if r.Code != Invalid || r.Problem.Index == nil || *r.Problem.Index != test.index || !strings.Contains(r.Problem.Text, test.text) {
			t.Errorf("%s: %s %v", test.name, r.Verdict, r.Problem)
			continue
		}
		if size := uint64(len(test.log.leaves)); r.ProvenTo != size || r.Tier != Unanchored || !r.Signed {
			t.Errorf("%s: proven to %d of %d, tier %q", test.name, r.ProvenTo, size, r.Tier)
		}
	}
}

// TestBrokenRuleIsNoCover makes sure that damage behind a broken rule decides.
func TestBrokenRuleIsNoCover(t *testing.T) {
	l := newTestLog(t).fill(10).add("not JSON").fill(600)
	m := l.bundle(t)
	m["tile/entries/001"] = m["tile/entries/001"][1:]
	if r := Log(t.Context(), m, Options{}); r.Code != Tampered || *r.Problem.Index != 256 {
		t.Errorf("%s %v", r.Verdict, r.Problem)
	}
	l = newTestLog(t)
	l.add(object("v", 1, "kind", "ledger.rotated", "time", "2026-01-02T03:04:05Z",
		"statement", sign(t, rotationText(testOrigin, 1, l.keys[0].vkey, newPair(t, testOrigin, 1).vkey), newPair(t, testOrigin, 1))))
	l.keys = append(l.keys, newPair(t, testOrigin, 1))
	r := Log(t.Context(), l.bundle(t), Options{})
	if r.Code != Tampered || r.Signed || !strings.Contains(r.Problem.Text, "the change of the key in entry 1 does not count") {
		t.Errorf("%s %v", r.Verdict, r.Problem)
	}
}

// A recorder is a Check that keeps what it was told.
type recorder struct {
	indices []uint64
	leaves  []string
	ended   int
	failAt  int
	failEnd bool
}

func (c *recorder) Entry(index uint64, leaf []byte) error {
	c.indices, c.leaves = append(c.indices, index), append(c.leaves, string(leaf))
	if c.failAt > 0 && index == uint64(c.failAt) {
		return errors.New("RESOLVED before EXECUTED")
	}
	return nil
}

func (c *recorder) End() error {
	c.ended++
	if c.failEnd {
		return errors.New("an incident has no end")
	}
	return nil
}

func TestChecks(t *testing.T) {
	l := newTestLog(t).fill(5000)
	m := l.bundle(t)
	sound, early, late := &recorder{}, &recorder{failAt: 700}, &recorder{failEnd: true}
	var done atomic.Uint64
	r := Log(t.Context(), m, Options{Checks: []Check{sound}, Workers: 7, Progress: func(n, total uint64) {
		if n <= done.Swap(n) || total != 5000 {
			t.Errorf("progress %d of %d", n, total)
		}
	}})
	if r.Code != Verified || sound.ended != 1 || done.Load() != 5000 || len(sound.indices) != 5000 {
		t.Fatalf("%s, told %d entries, %d times the end, progress %d", r.Verdict, len(sound.indices), sound.ended, done.Load())
	}
	for i := range sound.indices {
		if sound.indices[i] != uint64(i) || sound.leaves[i] != string(l.leaves[i]) {
			t.Fatalf("told entry %d in the place of %d", sound.indices[i], i)
		}
	}
	r = Log(t.Context(), m, Options{Checks: []Check{early}})
	if r.Code != Invalid || *r.Problem.Index != 700 || r.Problem.Text != "RESOLVED before EXECUTED" || len(early.indices) != 701 || early.ended != 0 || r.ProvenTo != 5000 {
		t.Errorf("%+v %v, told %d entries", r, r.Problem, len(early.indices))
	}
	r = Log(t.Context(), m, Options{Checks: []Check{late}})
	if r.Code != Invalid || r.Problem.Index != nil || r.Problem.Text != "an incident has no end" {
		t.Errorf("%+v %v", r, r.Problem)
	}
	damaged := &recorder{}
	Log(t.Context(), m.without("tile/entries/010"), Options{Checks: []Check{damaged}})
	if len(damaged.indices) != 2560 || damaged.ended != 0 {
		t.Errorf("told %d entries before the damage, %d times the end", len(damaged.indices), damaged.ended)
	}
}

// counting counts the entry bundles that were read.
type counting struct {
	mapSource
	bundles atomic.Int64
}

func (c *counting) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if strings.HasPrefix(path, "tile/entries/") {
		c.bundles.Add(1)
	}
	return c.mapSource.Get(ctx, path, limit)
}

// lag notes how many entry bundles were read beyond the entry that it is told.
type lag struct {
	source *counting
	most   int64
}

func (l *lag) Entry(index uint64, _ []byte) error {
	l.most = max(l.most, l.source.bundles.Load()-int64(index/256))
	return nil
}

func (l *lag) End() error { return nil }

// TestPipelineIsBounded makes sure that a slow Check holds up the reading: what
// has been read and not been told does not grow with the log.
func TestPipelineIsBounded(t *testing.T) {
	const workers = 3
	source := &counting{mapSource: newTestLog(t).fill(20_000).bundle(t)}
	check := &lag{source: source}
	if r := Log(t.Context(), source, Options{Checks: []Check{check}, Workers: workers}); r.Code != Verified {
		t.Fatal(r.Problem)
	}
	// One to name the key, one being told, and at most two for each worker.
	if limit := int64(2*workers + 3); check.most > limit {
		t.Errorf("%d entry bundles were read ahead, at most %d should be", check.most, limit)
	}
}
