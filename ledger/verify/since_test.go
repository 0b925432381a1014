package verify

import (
	"fmt"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/compact"
)

// TestKeptCheckpoints compares a log with its earlier checkpoints, and with
// others.
func TestKeptCheckpoints(t *testing.T) {
	l := sample(t) // the key changes in entry 301
	m := l.bundle(t)
	longer := sample(t).fill(700)
	other := newTestLog(t).fill(300).evidence("another").rotate(t, 1).fill(700)
	stranger := newPair(t, testOrigin, 7)
	elsewhere := &testLog{origin: "example.org/other", keys: []pair{newPair(t, "example.org/other", 0)}, leaves: l.leaves}
	later := sample(t).fill(650).rotate(t, 2).fill(700)
	flipped := l.checkpoint(t, 200, l.keys[0])
	flipped[len(flipped)-10] ^= 1
	for _, test := range []struct {
		name     string
		kept     []byte
		since    Code
		anchor   Code
		anchored uint64
		text     string
	}{
		{"the same", m["checkpoint"], Verified, Verified, 600, ""},
		{"of the first key", l.checkpoint(t, 301, l.keys[0]), Verified, Verified, 301, ""},
		{"of the second key", l.checkpoint(t, 302), Verified, Verified, 302, ""},
		{"of one entry", l.checkpoint(t, 1, l.keys[0]), Verified, Verified, 1, ""},
		{"of none", l.checkpoint(t, 0, l.keys[0]), Verified, Verified, 0, ""},
		{"larger", longer.checkpoint(t, 601), Rollback, Rollback, 0, "fewer entries"},
		{"larger, of a later key", later.checkpoint(t, 700), Rollback, Rollback, 0, "by a key that the log does not name"},
		{"larger, of another log", elsewhere.checkpoint(t, 600), Usage, Tampered, 0, "of another log"},
		{"fork", other.checkpoint(t, 400), Rollback, Rollback, 0, "does not continue this checkpoint: its first 400 entries were others"},
		{"fork of the same size", other.checkpoint(t, 600), Rollback, Rollback, 0, "does not continue"},
		{"before the fork", other.checkpoint(t, 300, l.keys[0]), Verified, Verified, 300, ""},
		{"of a stranger", l.checkpoint(t, 400, stranger), Usage, Tampered, 0, "not signed by a key of the log"},
		{"of the key before", l.checkpoint(t, 302, l.keys[0]), Usage, Tampered, 0, "another key than the log had at that size"},
		{"of the key after", l.checkpoint(t, 301, l.keys[1]), Usage, Tampered, 0, "another key than the log had at that size"},
		{"bad signature", flipped, Usage, Tampered, 0, "does not verify"},
		{"malformed", []byte("x"), Usage, Tampered, 0, "not a signed checkpoint"},
	} {
		for _, keys := range [][]string{nil, {l.keys[0].vkey}, {l.keys[1].vkey}} {
			r := Log(t.Context(), m, Options{Keys: keys, Since: [][]byte{test.kept}})
			want := Unanchored
			if test.anchored > 0 {
				want = Anchored
			}
			if test.since != Verified {
				want = ""
			}
			if r.Code != test.since || r.AnchoredTo != test.anchored || r.Tier != want || test.text != "" && !strings.Contains(r.Problem.Text, test.text) {
				t.Errorf("since, %s: %+v %v", test.name, r, r.Problem)
			}
			r = Log(t.Context(), m, Options{Keys: keys, Anchor: test.kept, RequireAnchor: true})
			if r.Code != test.anchor || r.AnchoredTo != 0 || r.Code != Verified && r.Problem.Resource != "anchor/checkpoint" {
				t.Errorf("anchor, %s: %+v %v", test.name, r, r.Problem)
			}
		}
	}
	inserted := newTestLog(t).fill(20).rotate(t, 3).fill(700).bundle(t)
	for _, keys := range [][]string{nil, {l.keys[0].vkey}} {
		for _, size := range []int{100, 301} {
			r := Log(t.Context(), inserted, Options{Keys: keys, Since: [][]byte{l.checkpoint(t, size, l.keys[0])}})
			if r.Code != Rollback || !strings.Contains(r.Problem.Text, "does not continue") {
				t.Errorf("a fork with another key: %+v %v", r, r.Problem)
			}
		}
		r := Log(t.Context(), inserted, Options{Keys: keys, Since: [][]byte{l.checkpoint(t, 400)}})
		if r.Code != Usage || !strings.Contains(r.Problem.Text, "or somebody wrote it anew") {
			t.Errorf("a fork, and a key that it does not name: %+v %v", r, r.Problem)
		}
	}
	r := Log(t.Context(), m, Options{Since: [][]byte{l.checkpoint(t, 400), l.checkpoint(t, 302), other.checkpoint(t, 400)}})
	if r.Code != Rollback || r.Problem.Resource != "checkpoint 3 of those kept earlier" || r.ProvenTo != 600 || r.Tier != "" {
		t.Errorf("%+v %v", r, r.Problem)
	}
	if r := Log(t.Context(), m, Options{RequireAnchor: true}); r.Code != AnchorAbsent || r.Tier != Unanchored {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

// TestConsistencyOfAllSizes takes every earlier size of logs around the borders
// of tiles.
func TestConsistencyOfAllSizes(t *testing.T) {
	for _, size := range []int{1, 2, 7, 255, 256, 257, 520} {
		l := newTestLog(t).fill(size)
		roots := make([][]byte, 0, size)
		for n := range size + 1 {
			roots = append(roots, l.checkpoint(t, n))
		}
		r := Log(t.Context(), l.bundle(t), Options{Since: roots})
		if r.Code != Verified || r.AnchoredTo != uint64(size) {
			t.Errorf("size %d: %+v %v", size, r, r.Problem)
		}
	}
}

// TestTreeAgainstDefinition compares nodes and earlier roots with the recursive
// definition of RFC 6962.
func TestTreeAgainstDefinition(t *testing.T) {
	l := newTestLog(t).fill(1000)
	c, err := ParseCheckpoint(l.checkpoint(t, 1000))
	if err != nil {
		t.Fatal(err)
	}
	tree, f := openTree(t.Context(), reader{src: l.bundle(t)}, c)
	if f != nil {
		t.Fatal(f)
	}
	hashes := l.hashes(1000)
	for n := range 1001 {
		want := mth(hashes[:n])
		if got, err := tree.rootAt(t.Context(), uint64(n)); err != nil || string(got) != string(want[:]) {
			t.Fatalf("root at %d: %x, %v", n, got, err)
		}
	}
	for level := range uint(10) {
		for index := 0; (index+1)<<level <= 1000; index++ {
			want := mth(hashes[index<<level : (index+1)<<level])
			got, err := tree.node(t.Context(), compact.NewNodeID(level, uint64(index)))
			if err != nil || string(got) != string(want[:]) {
				t.Fatalf("node %d at level %d: %x, %v", index, level, got, err)
			}
		}
	}
	if _, err := tree.node(t.Context(), compact.NewNodeID(9, 1)); err == nil {
		t.Error("a node beyond the tree's end")
	}
}

func ExampleProblem_String() {
	index := uint64(4711)
	fmt.Println(&Problem{Index: &index, Resource: "tile/entries/018", Text: "the entry is not the one that was signed"})
	// Output: entry 4,711: tile/entries/018: the entry is not the one that was signed
}
