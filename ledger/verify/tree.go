package verify

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/transparency-dev/merkle/compact"
)

// A tree gives tiles of a log that are known to hash into the root of its
// checkpoint: the right edge is checked against the root, and every full tile
// against the one above it. It is used by one goroutine.
type tree struct {
	reader
	size uint64
	root [hashSize]byte

	edge edge                 // its tiles are nil where there is none, or it could not be read
	last [tileLevels]struct { // the full tile of each level that was asked for last
		n    uint64
		data []byte
	}
}

// openTree reads and checks the right edge. When it does not give the root but
// what it is made from does, the tree is usable all the same: then both the tree
// and the failure are returned.
func openTree(ctx context.Context, r reader, c Checkpoint) (*tree, *failure) {
	t := &tree{reader: r, size: c.Size, root: c.Root}
	var unread [tileLevels]*failure
	for level := range tileLevels {
		n := hashesAt(t.size, level) / tileWidth
		width := int(hashesAt(t.size, level) % tileWidth)
		if width == 0 {
			continue
		}
		data, err := t.reader.tile(ctx, level, n, width)
		if err != nil {
			unread[level] = asFailure(err).within(tileSpan(level, n, width))
			if unread[level].code == Internal {
				return nil, unread[level]
			}
		}
		t.edge[level] = data
	}
	if bytes.Equal(t.edge.root(t.size), t.root[:]) {
		return t, nil
	}
	return t.mendEdge(ctx, unread)
}

// tileSpan is the range [from, to) of the entries under a tile.
func tileSpan(level int, n uint64, width int) (from, to uint64) {
	from = n << tileHeight << (tileHeight * level)
	to = from + uint64(width)<<(tileHeight*level)
	if to < from { // a full tile of the highest level there is
		to = math.MaxUint64
	}
	return from, to
}

// tile is a tile of a level of 0 or more, known to hash into the root. Its error
// is a *failure.
func (t *tree) tile(ctx context.Context, level int, n uint64) ([]byte, error) {
	if widthAt(t.size, level, n) < tileWidth {
		return t.edge[level], nil
	}
	last := &t.last[level]
	if last.data != nil && last.n == n {
		return last.data, nil
	}
	want, err := t.tileHash(ctx, level, n)
	if err != nil {
		return nil, err
	}
	data, err := t.reader.tile(ctx, level, n, tileWidth)
	if err != nil {
		return nil, asFailure(err).within(tileSpan(level, n, tileWidth))
	}
	if found := foldHashes(data); !bytes.Equal(found, want) {
		return nil, t.explainTile(ctx, level, n, data, want, found)
	}
	last.n, last.data = n, data
	return data, nil
}

// tileHash is the hash of a full tile, from the tile above it.
func (t *tree) tileHash(ctx context.Context, level int, n uint64) ([]byte, error) {
	above, err := t.tile(ctx, level+1, n/tileWidth)
	if err != nil {
		return nil, err
	}
	return hashIn(above, int(n%tileWidth)), nil
}

// node is the hash of a full subtree.
func (t *tree) node(ctx context.Context, id compact.NodeID) ([]byte, error) {
	level, height := int(id.Level)/tileHeight, id.Level%tileHeight
	first := id.Index << height // of the hashes of that level
	tile, err := t.tile(ctx, level, first/tileWidth)
	if err != nil {
		return nil, err
	}
	from := int(first % tileWidth)
	if to := from + 1<<height; to*hashSize <= len(tile) {
		return foldHashes(tile[from*hashSize : to*hashSize]), nil
	}
	return nil, fmt.Errorf("the tree of size %d has no node %d at level %d", t.size, id.Index, id.Level)
}
