package view

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

func open(t *testing.T, l *logtest.Log, keys ...string) *View {
	t.Helper()
	v, err := Open(t.Context(), l, keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEntriesAtEverySize(t *testing.T) {
	l := logtest.New(t, "log")
	for _, size := range []uint64{1, 2, 255, 256, 257, 511, 512, 513, 1000} {
		l.GrowTo(size, "entry")
		v := open(t, l)
		if v.Checkpoint.Size != size || v.Key != l.VKey() || !v.own {
			t.Fatalf("at %d: %+v", size, v)
		}
		next := uint64(0)
		for r, err := range v.Entries(t.Context(), 0, size+10) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Index != next || !bytes.Equal(r.Leaf, l.Leaf(next)) {
				t.Fatalf("at %d: entry %d is %s", size, r.Index, r.Leaf)
			}
			next++
		}
		if next != size {
			t.Errorf("%d entries of %d", next, size)
		}
		for _, i := range []uint64{0, size / 2, size - 1} {
			leaf, err := v.Entry(t.Context(), i)
			if err != nil || !bytes.Equal(leaf, l.Leaf(i)) {
				t.Errorf("at %d: entry %d is %s, %v", size, i, leaf, err)
			}
			proof, err := v.Proof(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if r := verify.Proof(t.Context(), proof, nil, verify.Options{Keys: []string{l.VKey()}}); r.Code != verify.Verified || *r.Index != i || r.Size != size {
				t.Errorf("at %d: the proof of %d: %s, %v", size, i, r.Verdict, r.Problem)
			}
		}
		if _, err := v.Entry(t.Context(), size); !errors.Is(err, ErrNoEntry) {
			t.Errorf("at %d: entry %d: %v", size, size, err)
		}
	}
}

func TestEntriesOfARange(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(1000, "entry")
	v := open(t, l, l.VKey())
	if v.own {
		t.Error("the key that was given is called the log's own")
	}
	for _, c := range [][2]uint64{{0, 0}, {5, 5}, {9, 5}, {250, 260}, {256, 512}, {999, 1000}, {1000, 2000}} {
		var got []uint64
		for r, err := range v.Entries(t.Context(), c[0], c[1]) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Index)
		}
		var want []uint64
		for i := c[0]; i < min(c[1], 1000); i++ {
			want = append(want, i)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %v", c, got)
		}
	}
	l.Requests()
	for range v.Entries(t.Context(), 0, 1000) {
		break
	}
	if asked := l.Requests(); asked[verify.EntriesPath(1, 256)] != 0 {
		t.Errorf("read on after the end: %v", asked)
	}
}

func TestTilesAboveTheEntriesAreReadOnce(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(5000, "entry")
	v := open(t, l)
	l.Requests()
	for _, err := range v.Entries(t.Context(), 0, 5000) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, n := range l.Requests() {
		if n > 1 {
			t.Errorf("%s was read %d times", path, n)
		}
	}
}

func TestWhatWasAlteredIsNotShown(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		change func([]byte) []byte
		want   string
	}{
		"entry":        {"tile/entries/", func(b []byte) []byte { b[600] ^= 1; return b }, "is not the one that was signed: verify the log"},
		"short bundle": {"tile/entries/", func(b []byte) []byte { return b[:len(b)-1] }, "is not an entry bundle of"},
		"one byte":     {"tile/entries/", func(b []byte) []byte { return b[:1] }, "is not an entry bundle of"},
		"long bundle":  {"tile/entries/", func(b []byte) []byte { return append(b, 0, 0) }, "is not an entry bundle of"},
		"leaf hash":    {"tile/0/", func(b []byte) []byte { b[40] ^= 1; return b }, "inconsistent tile"},
		"tile above":   {"tile/1/", func(b []byte) []byte { b[0] ^= 1; return b }, "inconsistent tile"},
		"short tile":   {"tile/0/", func(b []byte) []byte { return b[:len(b)-32] }, "is not a tile of"},
		"size":         {"checkpoint", func(b []byte) []byte { return []byte(strings.Replace(string(b), "600", "601", 1)) }, ""},
		"signature": {"checkpoint", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), "— log.example ", "— log.example AAAA", 1))
		}, "is not signed by the key that its entry 0 names"},
		"not a checkpoint": {"checkpoint", func([]byte) []byte { return []byte("hello\n") }, "the log's checkpoint is malformed"},
		"an empty log":     {"checkpoint", func(b []byte) []byte { return []byte(strings.Replace(string(b), "\n600\n", "\n0\n", 1)) }, "speaks of 0 entries"},
		"a gigantic log": {"checkpoint", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), "\n600\n", "\n18446744073709551615\n", 1))
		}, "speaks of 18446744073709551615 entries"},
		"absent entries":    {"tile/entries/", nil, "cannot read entries from 0"},
		"absent tile":       {"tile/0/", nil, "cannot read the tree over the entries from 0"},
		"absent checkpoint": {"checkpoint", nil, "this is no log: it has no checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			l := logtest.New(t, "log")
			l.GrowTo(600, "entry")
			l.Spoil(func(path string, data []byte) ([]byte, error) {
				switch {
				case !strings.HasPrefix(path, c.prefix):
					return data, nil
				case c.change == nil:
					return nil, fs.ErrNotExist
				}
				return c.change(data), nil
			})
			_, err := Open(t.Context(), l, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	l := logtest.New(t, "log")
	first := l.VKey()
	other := logtest.NewKey(t, "other").VKey
	open(t, l, other, first)
	if _, err := Open(t.Context(), l, []string{other}); !isKeyError(err) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Open(t.Context(), l, []string{first, "nonsense"}); err == nil || isKeyError(err) {
		t.Errorf("no key: %v", err)
	}
	skey, elsewhere, err := note.GenerateKey(rand.Reader, "other.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	both := l.Checkpoint(signer)
	l.Spoil(func(path string, data []byte) ([]byte, error) {
		if path == verify.CheckpointPath {
			return both, nil
		}
		return data, nil
	})
	if _, err := Open(t.Context(), l, []string{elsewhere}); !isKeyError(err) {
		t.Errorf("a key of another name that has signed: %v", err)
	}
	l.Spoil(nil)
	l.Rotate("second")
	if _, err := Open(t.Context(), l, nil); !isKeyError(err) {
		t.Errorf("the key of before: %v", err)
	}
	open(t, l, first, l.VKey())
}

func isKeyError(err error) bool {
	_, ok := errors.AsType[*KeyError](err)
	return ok
}

func TestAForeignLog(t *testing.T) {
	l := logtest.New(t, "log")
	for _, leaf := range []string{"", "hello", `{"kind":"x","vkey":"y"}`, `{"kind":"ledger.created"}`} {
		if key, err := claimedKey([]byte(leaf)); !errors.Is(err, ErrForeign) {
			t.Errorf("%q names the key %q, %v", leaf, key, err)
		}
	}
	if key, err := claimedKey(l.Leaf(0)); err != nil || key != l.VKey() {
		t.Errorf("%q, %v", key, err)
	}
}

func TestUpdate(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	v := open(t, l)
	if same, err := v.Update(t.Context()); same != v || err != nil {
		t.Errorf("%v, %v", same, err)
	}
	for _, size := range []uint64{301, 512, 513, 2000} {
		l.GrowTo(size, "entry")
		next, err := v.Update(t.Context())
		if err != nil || next.Checkpoint.Size != size || next.Key != v.Key || !next.own {
			t.Fatalf("%+v, %v", next, err)
		}
		v = next
	}
	for name, size := range map[string]uint64{"fewer": 1000, "as many": 2000, "more": 3000} {
		fork := logtest.New(t, "log")
		fork.GrowTo(size, "other")
		v.source = fork
		next, err := v.Update(t.Context())
		if _, ok := errors.AsType[*RollbackError](err); !ok || next != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	v.source = l
	l.Rotate("second")
	if _, err := v.Update(t.Context()); !isKeyError(err) {
		t.Errorf("%v", err)
	}
}

func TestContinues(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(700, "entry")
	v := open(t, l)
	for _, size := range []uint64{1, 255, 256, 600, 700} {
		before := logtest.New(t, "log")
		before.GrowTo(size, "entry")
		c, err := verify.ParseCheckpoint(before.Checkpoint())
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Continues(t.Context(), c); err != nil {
			t.Errorf("%d: %v", size, err)
		}
		c.Root[0] ^= 1
		if err := v.Continues(t.Context(), c); err == nil || !strings.Contains(err.Error(), "its first entries are others") {
			t.Errorf("%d with another root: %v", size, err)
		}
	}
	if err := v.Continues(t.Context(), verify.Checkpoint{Origin: logtest.Origin}); err != nil {
		t.Errorf("0: %v", err)
	}
	if err := v.Continues(t.Context(), verify.Checkpoint{Origin: "other.example", Size: 1}); err == nil || !strings.Contains(err.Error(), "another log") {
		t.Errorf("another log: %v", err)
	}
}

func TestWitnessed(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	v := open(t, l)
	if w, err := v.Witnessed(t.Context()); w != nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	witness := witnesstest.New("w.example", time.Now)
	l.Witness(witness.Signer())
	l.GrowTo(900, "entry")
	v = open(t, l)
	w, err := v.Witnessed(t.Context())
	if err != nil || w.Checkpoint.Size != 300 || w.Key != l.VKey() {
		t.Fatalf("%+v, %v", w, err)
	}
	proof, err := w.Proof(t.Context(), 299)
	if err != nil || !strings.Contains(string(proof), "\n— w.example ") {
		t.Fatalf("%s, %v", proof, err)
	}
	if r := verify.Proof(t.Context(), proof, nil, verify.Options{Keys: []string{l.VKey()}}); r.Code != verify.Verified || r.Size != 300 {
		t.Errorf("%s, %v", r.Verdict, r.Problem)
	}
	if _, err := w.Entry(t.Context(), 300); !errors.Is(err, ErrNoEntry) {
		t.Errorf("%v", err)
	}
	fork := logtest.New(t, "log")
	fork.GrowTo(300, "other")
	fork.Witness(witness.Signer())
	forged, err := fork.Get(t.Context(), verify.WitnessedPath, verify.MaxCheckpoint)
	if err != nil {
		t.Fatal(err)
	}
	l.Spoil(func(path string, data []byte) ([]byte, error) {
		if path == verify.WitnessedPath {
			return forged, nil
		}
		return data, nil
	})
	if w, err := v.Witnessed(t.Context()); w != nil || err == nil {
		t.Errorf("%v, %v", w, err)
	}
	l.Spoil(nil)
	l.Rotate("second")
	if w, err := open(t, l, l.VKey()).Witnessed(t.Context()); w != nil || err != nil {
		t.Errorf("%v, %v", w, err)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		leaves, ok := split(data, max(0, min(n, tileWidth)))
		if !ok {
			return
		}
		var again []byte
		for _, leaf := range leaves {
			again = append(append(again, byte(len(leaf)>>8), byte(len(leaf))), leaf...)
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%x is taken apart to %x", data, again)
		}
	})
}
