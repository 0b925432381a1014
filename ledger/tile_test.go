package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/tlog"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]tlog.Tile{
		"tile/0/000":                               {H: 8, L: 0, N: 0, W: 256},
		"tile/0/x001/x234/067":                     {H: 8, L: 0, N: 1234067, W: 256},
		"tile/0/x001/x234/067.p/1":                 {H: 8, L: 0, N: 1234067, W: 1},
		"tile/63/999.p/255":                        {H: 8, L: 63, N: 999, W: 255},
		"tile/1/x001/000":                          {H: 8, L: 1, N: 1000, W: 256},
		"tile/entries/000":                         {H: 8, L: -1, N: 0, W: 256},
		"tile/entries/x001/x234/067.p/8":           {H: 8, L: -1, N: 1234067, W: 8},
		"tile/0/x009/x223/x372/x036/x854/x775/807": {H: 8, L: 0, N: 1<<63 - 1, W: 256},
	} {
		got, err := parseTilePath(path)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
		if got := tilePath(want); got != path {
			t.Errorf("%+v: %s, want %s", want, got, path)
		}
	}
}

func TestTilePathRefused(t *testing.T) {
	for _, path := range []string{
		"", "tile", "tile/", "tile//000", "tile/0", "tile/0/", "tile/0//000", "/tile/0/000", "tile/0/000/", "checkpoint",
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/1000", "tile/0/x000/001", "tile/0/001/002", "tile/0/x001/x002",
		"tile/0/x1/002", "tile/0/X001/002", "tile/0/-01", "tile/0/+01", "tile/0/ 01", "tile/0/00a",
		"tile/00/000", "tile/01/000", "tile/+1/000", "tile/-1/000", "tile/64/000", "tile/256/000", "tile/a/000",
		"tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/-1", "tile/0/000.p/",
		"tile/0/000.p", "tile/0/000.p/1/", "tile/0/000.p/1/2", "tile/0/000.p/1.p/1", "tile/0/.p/1", "tile/0/000.P/1",
		"tile/8/0/000", "tile/data/000", "tile/8/data/000", "tile/entries", "tile/entries/", "tile/entries/0/000",
		"tile/Entries/000", "tile/0/../0/000", "tile/0/000?", "tile/0/000%2ep/1", "tile/0/٠٠٠",
		"tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/x018/x446/x744/x073/x709/x551/616",
	} {
		if tile, err := parseTilePath(path); err == nil {
			t.Errorf("%q: %+v, want an error", path, tile)
		}
	}
}

// TestTilesOfTree checks the examples of tlog-tiles, and that no other tile is in these trees.
func TestTilesOfTree(t *testing.T) {
	type row struct {
		full    uint64
		partial int
	}
	for size, levels := range map[uint64][]row{
		0:       {{0, 0}},
		1:       {{0, 1}},
		255:     {{0, 255}},
		256:     {{1, 0}, {0, 1}},
		257:     {{1, 1}, {0, 1}},
		70_000:  {{273, 112}, {1, 17}, {0, 1}},
		1 << 24: {{1 << 16, 0}, {1 << 8, 0}, {1, 0}, {0, 1}},
	} {
		for level := range 70 {
			want := row{}
			if level < len(levels) {
				want = levels[level]
			}
			for _, n := range []uint64{0, want.full - 1, want.full, want.full + 1} {
				for width := 1; width <= tileWidth; width++ {
					tile := tlog.Tile{H: tileHeight, L: level, N: int64(n), W: width}
					in := n < want.full || n == want.full && width <= want.partial
					if inTree(tile, size) != in {
						t.Fatalf("size %d has %s: %v, want %v", size, tilePath(tile), !in, in)
					}
					if level == 0 {
						tile.L = entriesLevel
						if inTree(tile, size) != in {
							t.Fatalf("size %d has %s: %v, want %v", size, tilePath(tile), !in, in)
						}
					}
				}
			}
		}
	}
	if inTree(tlog.Tile{H: 8, L: 0, N: 1<<63 - 1, W: 256}, 1<<63-1) {
		t.Error("a tile beyond what can be counted is said to be in a tree")
	}
}

func TestTileOfRows(t *testing.T) {
	s := largeStored(t)
	var leafHashes, bundle []byte
	for i := 273 * 256; i < 70_000; i++ {
		leafHashes = append(leafHashes, s.tree.LeafHash(uint64(i))...)
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(s.leaves[i])))
		bundle = append(bundle, s.leaves[i]...)
	}
	for path, want := range map[string][]byte{
		"tile/0/273.p/112":       leafHashes,
		"tile/0/273.p/1":         leafHashes[:32],
		"tile/entries/273.p/112": bundle,
		"tile/entries/273.p/1":   bundle[:2+len(s.leaves[273*256])],
		"tile/2/000.p/1":         s.tree.HashAt(65536),
		"tile/1/000.p/1":         s.tree.HashAt(256),
	} {
		tile, err := parseTilePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := s.rows.tile(tile); err != nil || !bytes.Equal(data, want) {
			t.Errorf("%s: %d bytes, %v; want %d bytes", path, len(data), err, len(want))
		}
	}
	// A full tile is the subtree whose root is in the tile above.
	full, err := s.rows.tile(tlog.Tile{H: 8, L: 1, N: 0, W: 256})
	if err != nil || len(full) != 8192 {
		t.Fatalf("%d bytes, %v", len(full), err)
	}
	subtree := testonly.New(rfc6962.DefaultHasher)
	for hash := range slices.Chunk(full, 32) {
		subtree.Append(hash)
	}
	if !bytes.Equal(subtree.Hash(), s.tree.HashAt(65536)) {
		t.Errorf("the full tile of level 1 has the root %x", subtree.Hash())
	}
}

// TestTileOfDamagedRows checks that no damage to the length of a row yields a tile of the right length.
func TestTileOfDamagedRows(t *testing.T) {
	s := newStored(t, 600)
	long := append(s.value(t, keyNode(1, 0)), make([]byte, 1000)...)
	short := s.value(t, keyLeaf(3))[:20]
	s.set(t, keyNode(1, 0), long)
	s.set(t, keyLeaf(3), short)
	s.set(t, keyLeaf(300), append(s.value(t, keyLeaf(300)), make([]byte, MaxLeaf)...))
	for path, want := range map[string]int{"tile/1/000.p/2": 65, "tile/0/000.p/4": 3*32 + 20} {
		tile, err := parseTilePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := s.rows.tile(tile); err != nil || len(data) != want {
			t.Errorf("%s: %d bytes, %v; want %d", path, len(data), err, want)
		}
	}
	data, err := s.rows.tile(tlog.Tile{H: 8, L: entriesLevel, N: 0, W: 4})
	if err != nil || !bytes.HasSuffix(data, []byte{0, 0}) {
		t.Errorf("bundle with a leaf cut off: %q, %v", data, err)
	}
	data, err = s.rows.tile(tlog.Tile{H: 8, L: entriesLevel, N: 1, W: 45})
	if last := data[len(data)-MaxLeaf-2:]; err != nil || binary.BigEndian.Uint16(last) != MaxLeaf {
		t.Errorf("bundle with a leaf that is too long: %x, %v", last[:8], err)
	}
}

func FuzzTilePath(f *testing.F) {
	for _, path := range []string{
		"tile/0/000", "tile/0/x001/x234/067", "tile/63/999.p/255", "tile/entries/000.p/1", "tile/data/000", "tile/8/0/000",
		"tile/0/000.p/256", "tile/0/000.p/0", "tile/-1/000", "tile/0/x000/000", "tile/0/x018/x446/x744/x073/x709/x551/616",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := parseTilePath(path)
		if err != nil {
			return
		}
		if again := tilePath(tile); again != path {
			t.Errorf("%q is read as %+v, which is written %q", path, tile, again)
		}
		if want := specPath(tile); want != path {
			t.Errorf("%q is accepted; by the specification it is %q", path, want)
		}
		if tile.H != 8 || tile.L < -1 || tile.L > 63 || tile.N < 0 || tile.W < 1 || tile.W > 256 {
			t.Errorf("%q is read as %+v", path, tile)
		}
		for _, size := range []uint64{0, 1, 256, 70_000, 1<<63 - 1} {
			inTree(tile, size)
		}
	})
}

// specPath writes a tile's path as the text of tlog-tiles says, without tlog.
func specPath(t tlog.Tile) string {
	name := fmt.Sprintf("%03d", t.N%1000)
	for n := t.N / 1000; n > 0; n /= 1000 {
		name = fmt.Sprintf("x%03d/%s", n%1000, name)
	}
	if t.W < 256 {
		name = fmt.Sprintf("%s.p/%d", name, t.W)
	}
	if t.L == -1 {
		return "tile/entries/" + name
	}
	return fmt.Sprintf("tile/%d/%s", t.L, name)
}
