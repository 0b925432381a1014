package ledger

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// entriesLevel is the level that tlog gives to tiles of leaves, which tlog-tiles calls entry bundles.
const entriesLevel = -1

// maxTileLevel is the highest level that tlog-tiles allows.
const maxTileLevel = 63

// parseTilePath reads a path of C2SP tlog-tiles, tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]. A tile has one path:
// every other way to write it is refused.
func parseTilePath(path string) (tlog.Tile, error) {
	level, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return tlog.Tile{}, fmt.Errorf("%q is not the path of a tile", path)
	}
	// tlog's paths have the height before the level, and another name for entries.
	if rest, ok := strings.CutPrefix(level, "entries/"); ok {
		level = "data/" + rest
	}
	t, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", tileHeight, level))
	if err != nil || t.L > maxTileLevel || tilePath(t) != path {
		return tlog.Tile{}, fmt.Errorf("%q is not the path of a tile", path)
	}
	return t, nil
}

// tilePath is the path of a tile or entry bundle in tlog-tiles.
func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	if rest, ok := strings.CutPrefix(path, "data/"); ok {
		path = "entries/" + rest
	}
	return "tile/" + path
}

// inTree says whether a tree of this many entries has all of the tile.
func inTree(t tlog.Tile, size uint64) bool {
	hashes := size >> (tileHeight * max(t.L, 0))
	n := uint64(t.N)
	return n <= hashes>>tileHeight && n*tileWidth+uint64(t.W) <= hashes
}

// tile assembles a tile or an entry bundle from its rows, as they are: a row of the wrong length yields a tile of the
// wrong length or content, never one that looks right.
func (r rows) tile(t tlog.Tile) ([]byte, error) {
	var data []byte
	var err error
	from := uint64(t.N) * tileWidth
	switch {
	case t.L == entriesLevel:
		err = r.eachLeaf(from, t.W, func(_ uint64, val []byte) error {
			data = appendLeaf(data, val[min(tlog.HashSize, len(val)):])
			return nil
		})
	case t.L == 0:
		data = make([]byte, 0, t.W*tlog.HashSize)
		err = r.eachLeaf(from, t.W, func(_ uint64, val []byte) error {
			data = append(data, val[:min(tlog.HashSize, len(val))]...)
			return nil
		})
	default:
		data = make([]byte, 0, t.W*tlog.HashSize)
		err = r.eachNode(t.L, from, t.W, func(_ uint64, val []byte) error {
			// One byte too many is enough to show that a row is too long.
			data = append(data, val[:min(tlog.HashSize+1, len(val))]...)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tilePath(t), err)
	}
	return data, nil
}

// appendLeaf appends a leaf as an entry bundle has it, after its length in 16 bits. No leaf that was appended is longer
// than these can say; of one that is, as much as fits.
func appendLeaf(bundle, leaf []byte) []byte {
	leaf = leaf[:min(len(leaf), MaxLeaf)]
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...)
}

// tileReader reads hash tiles for tlog, which authenticates them.
type tileReader struct{ rows rows }

func (tileReader) Height() int { return tileHeight }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		if data[i], err = r.rows.tile(t); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
