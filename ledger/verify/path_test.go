package verify

import (
	"math"
	"strings"
	"testing"
)

func TestPaths(t *testing.T) {
	for path, want := range map[string]string{
		TilePath(0, 0, 256):                "tile/0/000",
		TilePath(0, 1234067, 256):          "tile/0/x001/x234/067",
		TilePath(2, 1234067, 7):            "tile/2/x001/x234/067.p/7",
		TilePath(63, math.MaxUint64, 255):  "tile/63/x018/x446/x744/x073/x709/x551/615.p/255",
		EntriesPath(999, 256):              "tile/entries/999",
		EntriesPath(1000, 1):               "tile/entries/x001/000.p/1",
		BlobPath([32]byte{0xab, 31: 0x01}): "blob/ab" + strings.Repeat("0", 60) + "01",
	} {
		if path != want {
			t.Errorf("%s instead of %s", path, want)
		}
	}
}

// TestWidths takes the example of the specification: a tree of 70,000 entries.
func TestWidths(t *testing.T) {
	for _, test := range []struct {
		size  uint64
		level int
		n     uint64
		width int
	}{
		{70000, 0, 0, 256}, {70000, 0, 272, 256}, {70000, 0, 273, 112}, {70000, 0, 274, 0},
		{70000, 1, 0, 256}, {70000, 1, 1, 17}, {70000, 2, 0, 1}, {70000, 3, 0, 0}, {70000, 8, 0, 0}, {70000, 63, 0, 0},
		{256, 0, 0, 256}, {256, 0, 1, 0}, {256, 1, 0, 1}, {math.MaxUint64, 7, 0, 255}, {math.MaxUint64, 8, 0, 0},
	} {
		if width := widthAt(test.size, test.level, test.n); width != test.width {
			t.Errorf("size %d, level %d, tile %d: width %d, want %d", test.size, test.level, test.n, width, test.width)
		}
	}
}

// FuzzTilePath makes sure that a resource has one path only, and that no path
// leaves the bundle.
func FuzzTilePath(f *testing.F) {
	for _, path := range []string{
		"checkpoint", "checkpoint.witnessed", "countersign-ledger", "tile/0/000", "tile/63/x001/x234/067.p/255", "tile/entries/999.p/1",
		"tile/0/x018/x446/x744/x073/x709/x551/616", "tile/00/000", "tile/64/000", "tile/0/0000", "tile/0/x000/000", "tile/0/000.p/0", "tile/0/000.p/256",
		"tile/0/000.p/01", "tile/0/../000", "tile//000", "tile/+1/000", "/checkpoint", "0/000", "blob/" + strings.Repeat("0a", 32), "blob/" + strings.Repeat("0A", 32),
		"blob/" + strings.Repeat("0", 63), "blob/" + strings.Repeat("0", 65), "blob/", "tile/entries/", "tile/0/x001", "tile/0/001/002", "",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		res, ok := parsePath(path)
		if !ok {
			return
		}
		var back string
		switch res.kind {
		case kindCheckpoint:
			back = CheckpointPath
		case kindWitnessed:
			back = WitnessedPath
		case kindFormat:
			back = FormatPath
		case kindTile:
			back = TilePath(res.level, res.n, res.width)
		case kindEntries:
			back = EntriesPath(res.n, res.width)
		case kindBlob:
			back = BlobPath(res.sum)
		}
		if back != path || strings.Contains(path, "..") || strings.HasPrefix(path, "/") || res.limit() <= 0 || res.limit() > MaxEntries {
			t.Fatalf("%q became %+v, which is %q, limit %d", path, res, back, res.limit())
		}
	})
}

// FuzzEntryBundle makes sure that what is taken apart is all that was there.
func FuzzEntryBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0, 0, 2, 'b', 'c'}, 3)
	f.Add([]byte{0, 5, 'a'}, 1)
	f.Add([]byte{0}, 256)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		width = max(1, min(width, 256))
		b := splitBundle(data, width)
		n := 0
		for _, leaf := range b.leaves {
			if at := n + 2; len(leaf) != int(data[n])<<8|int(data[n+1]) || string(leaf) != string(data[at:at+len(leaf)]) {
				t.Fatal("a leaf is not what stands in the bundle")
			}
			n += 2 + len(leaf)
		}
		if len(b.leaves) > width || n+b.rest != len(data) || prefixLength(data, width) != n {
			t.Fatalf("%d leaves of %d bytes and %d more, of %d", len(b.leaves), n, b.rest, len(data))
		}
	})
}
