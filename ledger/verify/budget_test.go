package verify

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hugeLog is a log of full bundles of the longest leaves, all but entry 0 the
// same. It counts the bytes of bundles that were given out.
type hugeLog struct {
	files mapSource // without the entry bundles
	first []byte    // bundle 0
	other []byte    // every later one
	given atomic.Int64
}

func newHugeLog(t *testing.T, bundles int) *hugeLog {
	t.Helper()
	l := newTestLog(t)
	leaf := []byte(`{"kind":"` + strings.Repeat("x", 65535-11) + `"}`)
	framed := append([]byte{0xff, 0xff}, leaf...)
	first := append([]byte{byte(len(l.leaves[0]) >> 8), byte(len(l.leaves[0]))}, l.leaves[0]...)
	first = append(first, bytes.Repeat(framed, 255)...)
	sum, created := leafHash(leaf), leafHash(l.leaves[0])
	tile := bytes.Repeat(sum[:], 256)
	firstTile := append(created[:], tile[32:]...)
	edge := foldHashes(firstTile)
	m := mapSource{"tile/0/000": firstTile}
	for n := 1; n < bundles; n++ {
		m[TilePath(0, uint64(n), 256)] = tile
		edge = append(edge, foldHashes(tile)...)
	}
	m[TilePath(1, 0, bundles)] = edge
	var tiles [][32]byte
	for i := range bundles {
		tiles = append(tiles, [32]byte(edge[32*i:]))
	}
	root := mth(tiles)
	m["checkpoint"] = []byte(sign(t, fmt.Sprintf("%s\n%d\n%s\n", l.origin, 256*bundles, base64.StdEncoding.EncodeToString(root[:])), l.keys[0]))
	return &hugeLog{files: m, first: first, other: bytes.Repeat(framed, 256)}
}

func (h *hugeLog) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	data := h.other
	switch {
	case path == "tile/entries/000":
		data = h.first
	case !strings.HasPrefix(path, "tile/entries/"):
		return h.files.Get(ctx, path, limit)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLong, len(data))
	}
	h.given.Add(int64(len(data)))
	return data, nil
}

// TestMemoryOfTheLongestLeaves has many workers read a log as large as it can
// be: what is read and not yet taken in stays within the budget.
func TestMemoryOfTheLongestLeaves(t *testing.T) {
	const bundles = 12
	h := newHugeLog(t, bundles)
	most := int64(0)
	r := Log(t.Context(), h, Options{Workers: 16, Progress: func(done, _ uint64) {
		most = max(most, h.given.Load()-int64(done/256-1)*MaxEntries)
	}})
	if r.Code != Verified || r.Entries != 256*bundles {
		t.Fatalf("%+v %v", r, r.Problem)
	}
	if most > memoryBudget+2*MaxEntries {
		t.Errorf("%d MiB of entry bundles at a time", most>>20)
	}
}

func TestBudget(t *testing.T) {
	b := newBudget(3 << 20)
	for range 3 {
		if n := b.take(t.Context(), MaxEntries); n != firstExpected {
			t.Fatal(n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := b.take(ctx, 1); n != 0 {
		t.Errorf("%d bytes after the end", n)
	}
	got := make(chan int64)
	go func() { got <- b.take(t.Context(), MaxEntries) }()
	b.give(firstExpected / 2)
	select {
	case n := <-got:
		t.Errorf("%d bytes, of half as many", n)
	case <-time.After(time.Millisecond):
	}
	b.give(firstExpected / 2)
	if n := <-got; n != firstExpected {
		t.Error(n)
	}
	b.learn(firstExpected)
	b.learn(1)
	b.give(2 * firstExpected)
	if n := b.take(t.Context(), MaxEntries); n != 2*firstExpected {
		t.Errorf("%d bytes of twice as many", n)
	}
	b.learn(MaxEntries)
	if b.expected != MaxEntries {
		t.Error(b.expected)
	}
}

// TestPartialBundleOfALogThatGrew has the full bundle stand in for one that is
// absent, though it is longer than was expected.
func TestPartialBundleOfALogThatGrew(t *testing.T) {
	h := newHugeLog(t, 1)
	r := reader{src: h}
	b, longer, err := r.entriesWithin(t.Context(), 0, 3, 1<<10)
	if err != nil || !longer || b.leaves != nil {
		t.Errorf("%d leaves, %t, %v", len(b.leaves), longer, err)
	}
	r.src = onlyFull{h}
	b, longer, err = r.entriesWithin(t.Context(), 0, 3, 3*(2+MaxLeaf))
	if err != nil || longer || len(b.leaves) != 3 || b.rest != 0 || b.length != len(h.first) {
		t.Errorf("%d leaves, %t, %v", len(b.leaves), longer, err)
	}
}

type onlyFull struct{ Source }

func (o onlyFull) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if strings.Contains(path, ".p/") {
		return nil, fs.ErrNotExist
	}
	return o.Source.Get(ctx, path, limit)
}
