package verify

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestEveryFileCounts damages every file of a bundle in every way, one at a
// time: none passes, and what is absent is told from what is wrong.
func TestEveryFileCounts(t *testing.T) {
	l := sample(t)
	whole := l.bundle(t)
	foreign := newTestLog(t).fill(17).evidence("a foreign blob").fill(600).bundle(t)
	stride, cases := 61, 0
	if testing.Short() {
		stride = 1999
	}
	try := func(name string, m mapSource, allowed ...Code) {
		cases++
		for _, keys := range [][]string{nil, {l.keys[0].vkey}} {
			r := Log(t.Context(), m, Options{Keys: keys})
			if !slices.Contains(allowed, r.Code) {
				t.Errorf("%s, keys %d: verdict %s (%v), allowed %v", name, len(keys), r.Verdict, r.Problem, allowed)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(whole)) {
		data := whole[path]
		allowed := []Code{Tampered}
		if path == FormatPath {
			allowed = []Code{Tampered, Usage} // a flipped bit can make a later version of it
		}
		try(path+" deleted", whole.without(path), Incomplete)
		try(path+" with a byte more", whole.set(path, append(slices.Clone(data), 0)), allowed...)
		try(path+" doubled", whole.set(path, slices.Concat(data, data)), damaged(data, allowed)...)
		try(path+" emptied", whole.set(path, nil), damaged(data, allowed)...)
		for i := range len(data) {
			if len(data) > 256 && i%stride != 0 && i > 2 && i < len(data)-3 {
				continue
			}
			flipped := slices.Clone(data)
			flipped[i] ^= 1 << (i % 8)
			try(fmt.Sprintf("%s bit %d of byte %d", path, i%8, i), whole.set(path, flipped), allowed...)
			try(fmt.Sprintf("%s cut at %d", path, i), whole.set(path, data[:i]), damaged(data, allowed)...)
		}
		if len(data) > 64 && path != CheckpointPath {
			zeroed := slices.Clone(data)
			clear(zeroed[len(data)/2:])
			try(path+" half zeroed", whole.set(path, zeroed), allowed...)
		}
		if other, ok := foreign[path]; ok && !bytes.Equal(other, data) {
			try(path+" of another log", whole.set(path, other), allowed...)
		}
	}
	for _, path := range []string{"x", "tile/0/003", "tile/0/002.p/89", "tile/0/000.p/256", "tile/0/000.p/0", "tile/1/001", "tile/8/000",
		"tile/entries/003", "tile/entries/0000", "tile/entries/x000/000", "tile/2/000.p/1", "blob/" + strings.Repeat("00", 32), "blob/xyz", "Checkpoint"} {
		try("extra "+path, whole.set(path, []byte("extra")), Tampered)
	}
	t.Logf("%d cases", cases)
}

// damaged are the verdicts on a file that was cut or doubled; of an empty one
// that is nothing.
func damaged(data []byte, allowed []Code) []Code {
	if len(data) == 0 {
		return append(slices.Clone(allowed), Verified)
	}
	return allowed
}

// TestAlteredEntries alters an entry in all the ways of the trade: what is named
// is that entry, and the log is proven up to it.
func TestAlteredEntries(t *testing.T) {
	l := sample(t)
	whole := l.bundle(t)
	rebuilt := func(leaves [][]byte) mapSource {
		other := &testLog{origin: l.origin, leaves: leaves}
		m := whole.clone()
		for path, data := range other.bundleAt(len(leaves)) {
			if strings.HasPrefix(path, "tile/entries/") && m[path] != nil {
				m[path] = data
			}
		}
		return m
	}
	leaf := []byte(object("kind", "forged"))
	for _, index := range []int{0, 1, 255, 256, 300, 301, 511, 512, 599} {
		for name, m := range map[string]mapSource{
			"edited":   rebuilt(slices.Concat(l.leaves[:index], [][]byte{leaf}, l.leaves[index+1:])),
			"deleted":  rebuilt(slices.Concat(l.leaves[:index], l.leaves[index+1:], [][]byte{leaf})),
			"inserted": rebuilt(slices.Concat(l.leaves[:index], [][]byte{leaf}, l.leaves[index:599])),
		} {
			r := Log(t.Context(), m, Options{Keys: []string{l.keys[1].vkey}})
			if r.Code != Tampered || r.Problem.Index == nil || *r.Problem.Index != uint64(index) || r.ProvenTo != uint64(index) ||
				r.Problem.Expected != fmt.Sprintf("%x", leafHash(l.leaves[index])) {
				t.Errorf("entry %d %s: %+v %v", index, name, r, r.Problem)
			}
		}
	}
	swapped := slices.Clone(l.leaves)
	swapped[70], swapped[71] = swapped[71], swapped[70]
	r := Log(t.Context(), rebuilt(swapped), Options{})
	if r.Code != Tampered || *r.Problem.Index != 70 || !strings.Contains(r.Problem.Text, "it is the one of place 71") {
		t.Errorf("swapped: %v", r.Problem)
	}
	for _, source := range []Source{rebuilt(swapped), unlisted{rebuilt(swapped)}} {
		r := Log(t.Context(), source, Options{Keys: []string{l.keys[0].vkey}})
		if r.ProvenTo != 70 || !r.Signed || r.Key != l.keys[1].vkey {
			t.Errorf("damage before the change of the key: signed %t, proven to %d", r.Signed, r.ProvenTo)
		}
	}
	hidden := rebuilt(swapped).without("tile/entries/001")
	if r := Log(t.Context(), hidden, Options{Keys: []string{l.keys[0].vkey}}); r.ProvenTo != 0 || r.Signed || *r.Problem.Index != 70 {
		t.Errorf("damage, and the change of the key absent: signed %t, proven to %d", r.Signed, r.ProvenTo)
	}
}

// TestDamagedTiles shows that what is wrong is told from what is right.
func TestDamagedTiles(t *testing.T) {
	l := newTestLog(t).fill(70000)
	whole := l.bundle(t)
	flip := func(m mapSource, path string, hash int) mapSource {
		data := slices.Clone(m[path])
		data[hash*32+5] ^= 4
		return m.set(path, data)
	}
	forged := func(m mapSource, index int) mapSource { // entry and leaf hash altered together
		leaves := slices.Clone(l.leaves)
		leaves[index] = []byte(object("kind", "forged"))
		other := (&testLog{origin: l.origin, leaves: leaves}).bundleAt(70000)
		m = m.clone()
		for path, data := range other {
			if strings.HasPrefix(path, "tile/0/") || strings.HasPrefix(path, "tile/entries/") {
				m[path] = data
			}
		}
		return m
	}
	for _, test := range []struct {
		name     string
		bundle   mapSource
		code     Code
		resource string
		from, to uint64
		proven   uint64
		text     string
	}{
		{"level 0", flip(whole, "tile/0/100", 3), Tampered, "tile/0/100", 25603, 25603, 25600, "which are as the checkpoint signs them"},
		{"level 1", flip(whole, "tile/1/000", 9), Tampered, "tile/1/000", 2304, 2559, 0, "its hash 9 is not that of the tiles below it, which are"},
		{"edge, level 0", flip(whole, "tile/0/273.p/112", 7), Tampered, "tile/0/273.p/112", 69895, 69895, 70000, "the entries are as the checkpoint signs them"},
		{"edge, level 1", flip(whole, "tile/1/001.p/17", 2), Tampered, "tile/1/001.p/17", 66048, 66303, 70000, "the entries are as the checkpoint signs them"},
		{"edge, level 2", flip(whole, "tile/2/000.p/1", 0), Tampered, "tile/2/000.p/1", 0, 65535, 70000, "the entries are as the checkpoint signs them"},
		{"edge, two levels", flip(flip(whole, "tile/1/001.p/17", 2), "tile/0/273.p/112", 7), Tampered, "tile/1/001.p/17", 66048, 66303, 70000, "the entries are as"},
		{"edge absent", whole.without("tile/0/273.p/112"), Incomplete, "tile/0/273.p/112", 69888, 69999, 70000, "the entries are as the checkpoint signs them"},
		{"edge and its entries absent", whole.without("tile/0/273.p/112").without("tile/entries/273.p/112"), Incomplete, "tile/0/273.p/112", 69888, 69999, 0, "the file is absent"},
		{"level 0 absent", whole.without("tile/0/100"), Incomplete, "tile/0/100", 25600, 25855, 25600, "the file is absent"},
		{"entries absent", whole.without("tile/entries/100"), Incomplete, "tile/entries/100", 25600, 25855, 25600, "the file is absent"},
		{"level 1 absent", whole.without("tile/1/000"), Incomplete, "tile/1/000", 0, 65535, 0, "the file is absent"},
		{"forged with its tile", forged(whole, 25700), Tampered, "tile/0/100", 25600, 25855, 25600, "and the entries do not either"},
		{"forged with its tile at the edge", forged(whole, 69999), Tampered, "", 0, 69999, 0, "altered together with their tiles"},
		{"forged, and a tile of another", flip(forged(whole, 25700), "tile/0/100", 3), Tampered, "tile/0/100", 25600, 25855, 25600, "they differ first at hash 3"},
		{"short tile", whole.set("tile/0/100", whole["tile/0/100"][:8160]), Tampered, "tile/0/100", 25600, 25855, 25600, "wrong length"},
		{"long tile", whole.set("tile/0/100", make([]byte, 8193)), Tampered, "tile/0/100", 25600, 25855, 25600, "longer than"},
	} {
		r := Log(t.Context(), test.bundle, Options{Keys: []string{l.keys[0].vkey}})
		p := r.Problem
		if p == nil || r.Code != test.code || p.Resource != test.resource || r.ProvenTo != test.proven || !strings.Contains(p.Text, test.text) {
			t.Errorf("%s: %+v %v", test.name, r, p)
			continue
		}
		if from, to := span(p); from != test.from || to != test.to {
			t.Errorf("%s: entries %d to %d instead of %d to %d: %v", test.name, from, to, test.from, test.to, p)
		}
	}
}

func span(p *Problem) (from, to uint64) {
	switch {
	case p.Index != nil:
		return *p.Index, *p.Index
	case p.Range != nil:
		return p.Range[0], p.Range[1]
	}
	return 0, 0
}
