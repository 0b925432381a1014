package verify

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
)

const (
	tileWidth  = 256 // hashes in a full tile, entries in a full bundle
	tileHeight = 8   // levels of the tree that a tile spans
	tileLevels = 8   // levels of tiles that a size of 64 bits can need
	hashSize   = 32
)

// TilePath is the path of tile n at a level of 0 to 63 (C2SP tlog-tiles).
// Width is that of the tile: 1 to 255 for a partial tile, 256 for a full one.
func TilePath(level int, n uint64, width int) string {
	return "tile/" + strconv.Itoa(level) + "/" + tileName(n, width)
}

// EntriesPath is the path of entry bundle n, of width 1 to 256.
func EntriesPath(n uint64, width int) string {
	return "tile/entries/" + tileName(n, width)
}

// BlobPath is the path of the blob with that SHA-256.
func BlobPath(sum [32]byte) string {
	return "blob/" + hex.EncodeToString(sum[:])
}

// tileName is n in groups of three digits, all but the last marked with an x,
// and the width if it is not a full one.
func tileName(n uint64, width int) string {
	name := digits3(n % 1000)
	for n /= 1000; n > 0; n /= 1000 {
		name = "x" + digits3(n%1000) + "/" + name
	}
	if width != tileWidth {
		name += ".p/" + strconv.Itoa(width)
	}
	return name
}

func digits3(n uint64) string {
	return string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
}

// A kind is what a path names.
type kind int

const (
	kindCheckpoint kind = iota + 1
	kindWitnessed
	kindFormat
	kindTile
	kindEntries
	kindBlob
)

// A resource is a path taken apart.
type resource struct {
	kind  kind
	level int    // of a tile
	n     uint64 // of a tile or an entry bundle
	width int    // of a tile or an entry bundle
	sum   [32]byte
}

// limit is what the resource has at most, in bytes.
func (r resource) limit() int64 {
	switch r.kind {
	case kindTile:
		return int64(r.width) * hashSize
	case kindEntries:
		return maxEntries(r.width)
	case kindBlob:
		return MaxBlob
	case kindFormat:
		return maxFormat
	default:
		return MaxCheckpoint
	}
}

// parsePath takes apart the path of a resource. Every resource has one path:
// whatever is written differently is none.
func parsePath(path string) (resource, bool) {
	switch path {
	case CheckpointPath:
		return resource{kind: kindCheckpoint}, true
	case WitnessedPath:
		return resource{kind: kindWitnessed}, true
	case FormatPath:
		return resource{kind: kindFormat}, true
	}
	if name, ok := strings.CutPrefix(path, "blob/"); ok {
		r := resource{kind: kindBlob}
		n, err := hex.Decode(r.sum[:], []byte(name[:min(len(name), 2*hashSize)]))
		return r, err == nil && n == hashSize && BlobPath(r.sum) == path
	}
	if name, ok := strings.CutPrefix(path, "tile/entries/"); ok {
		n, width, ok := parseTileName(name)
		return resource{kind: kindEntries, n: n, width: width}, ok && EntriesPath(n, width) == path
	}
	level, name, _ := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
	l, err := strconv.Atoi(level)
	if err != nil || l < 0 || l > 63 {
		return resource{}, false
	}
	n, width, ok := parseTileName(name)
	return resource{kind: kindTile, level: l, n: n, width: width}, ok && TilePath(l, n, width) == path
}

// parseTileName reads what tileName writes. It may accept more; the caller
// compares with what tileName makes of the result.
func parseTileName(name string) (n uint64, width int, ok bool) {
	width = tileWidth
	name, partial, isPartial := strings.Cut(name, ".p/")
	if isPartial {
		w, err := strconv.Atoi(partial)
		if err != nil || w < 1 || w >= tileWidth {
			return 0, 0, false
		}
		width = w
	}
	for group := range strings.SplitSeq(name, "/") {
		g, err := strconv.ParseUint(strings.TrimPrefix(group, "x"), 10, 64)
		if err != nil || g > 999 || n > (math.MaxUint64-g)/1000 {
			return 0, 0, false
		}
		n = n*1000 + g
	}
	return n, width, true
}

// hashesAt is how many hashes the tiles of a level have in a log of that size.
func hashesAt(size uint64, level int) uint64 {
	if level >= tileLevels {
		return 0
	}
	return size >> (tileHeight * level)
}

// widthAt is the width of a tile in a log of that size, 0 if there is none.
func widthAt(size uint64, level int, n uint64) int {
	hashes := hashesAt(size, level)
	switch full := hashes / tileWidth; {
	case n < full:
		return tileWidth
	case n == full:
		return int(hashes % tileWidth)
	default:
		return 0
	}
}

// belongs says whether a tile or entry bundle of this name can be in a bundle
// of that size, as what it has now or as a partial one of an earlier size.
func (r resource) belongs(size uint64) (present int, ok bool) {
	present = widthAt(size, r.level, r.n)
	return present, r.width <= present
}
