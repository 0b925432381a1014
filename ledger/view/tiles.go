package view

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/verify"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight

	// cached is how many verified tiles are kept: those above the entries that
	// are read, which are needed again and again.
	cached = 64
)

// tiles fetches tiles as they are at one size of a log. It is safe for
// concurrent use.
type tiles struct {
	source verify.Source
	size   uint64

	mu    sync.Mutex
	known map[tlog.Tile][]byte // verified
}

// width is that of tile n of a level, 0 when there is none.
func (t *tiles) width(level int, n uint64) int {
	hashes := t.size >> (tileHeight * level)
	return int(min(hashes-min(hashes, n*tileWidth), tileWidth))
}

// entries fetches an entry bundle and takes it apart.
func (t *tiles) entries(ctx context.Context, n uint64) ([][]byte, error) {
	path := verify.EntriesPath(n, t.width(0, n))
	data, err := t.source.Get(ctx, path, verify.MaxEntries)
	if err != nil {
		return nil, fmt.Errorf("cannot read entries from %d: %w", n*tileWidth, err)
	}
	leaves, ok := split(data, t.width(0, n))
	if !ok {
		return nil, fmt.Errorf("%s is not an entry bundle of %d entries: verify the log", path, t.width(0, n))
	}
	return leaves, nil
}

// split takes a bundle of n entries apart: each is its length in two bytes and
// as many bytes (https://c2sp.org/tlog-tiles).
func split(data []byte, n int) ([][]byte, bool) {
	leaves := make([][]byte, 0, n)
	for range n {
		if len(data) < 2 {
			return nil, false
		}
		length := 2 + int(binary.BigEndian.Uint16(data))
		if len(data) < length {
			return nil, false
		}
		leaves = append(leaves, data[2:length:length])
		data = data[length:]
	}
	return leaves, len(data) == 0
}

// tileReader implements tlog.TileReader for as long as ctx lasts.
type tileReader struct {
	ctx context.Context
	*tiles
}

func (*tileReader) Height() int { return tileHeight }

// ReadTiles fetches the tiles at the size the log has, which may be wider than
// those asked for.
func (r *tileReader) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, ok := r.lookUp(tile)
		if !ok {
			var err error
			width := r.width(tile.L, uint64(tile.N))
			path := verify.TilePath(tile.L, uint64(tile.N), width)
			if data, err = r.source.Get(r.ctx, path, verify.MaxTile); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if len(data) != width*tlog.HashSize || width < tile.W {
				return nil, fmt.Errorf("%s is not a tile of %d hashes: verify the log", path, width)
			}
			data = data[:tile.W*tlog.HashSize]
		}
		all = append(all, data)
	}
	return all, nil
}

func (r *tileReader) lookUp(tile tlog.Tile) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	data, ok := r.known[tile]
	return data, ok
}

// SaveTiles keeps tiles that were found to be in the tree.
func (r *tileReader) SaveTiles(verified []tlog.Tile, data [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known)+len(verified) > cached {
		r.known = nil
	}
	if r.known == nil {
		r.known = map[tlog.Tile][]byte{}
	}
	for i, tile := range verified {
		r.known[tile] = data[i]
	}
}
