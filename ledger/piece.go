package ledger

import (
	"bytes"
	"context"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// pieceEntries is how many entries the survey of a store reads in one go: some full tiles.
const pieceEntries = 16 * tileWidth

// piece is what was read of some consecutive entries.
type piece struct {
	roots []tlog.Hash // of the full tiles, computed from the leaves
	tail  []tlog.Hash // the leaf hashes after those, fewer than a tile
	bad   *badNode    // the first of the full tiles whose stored root differs
	own   []ownEntry
	once  tally
	err   error
}

// ownEntry is one of the ledger's own entries.
type ownEntry struct {
	index uint64
	leaf  []byte
}

// readPieces reads the entries of a store on all processors, and yields the
// pieces in order. It ends early when ctx does. What it keeps does not depend
// on how long the log is.
func readPieces(ctx context.Context, stored rows, size uint64, seed tally) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var running sync.WaitGroup
		defer running.Wait()
		defer cancel()

		// Worker w reads the pieces w, w+workers, … and sends them in this order.
		workers := uint64(runtime.GOMAXPROCS(0))
		read := make([]chan piece, workers)
		for w := range workers {
			read[w] = make(chan piece, 1)
			running.Go(func() {
				for first := w * pieceEntries; first < size; first += workers * pieceEntries {
					select {
					case read[w] <- readPiece(stored, first, min(pieceEntries, size-first), seed):
					case <-ctx.Done():
						return
					}
				}
			})
		}
		for first := uint64(0); first < size; first += pieceEntries {
			select {
			case p := <-read[first/pieceEntries%workers]:
				if !yield(p) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// readPiece reads n entries, of which the first is the first of a tile.
func readPiece(stored rows, first, n uint64, seed tally) piece {
	p := piece{once: seed}
	var tile edge
	p.err = lost(stored.eachLeaf(first, int(n), func(i uint64, value []byte) error {
		hash, leaf, err := splitLeaf(i, value)
		if err == nil {
			err = checkLeaf(i, hash, leaf)
		}
		if err != nil {
			return err
		}
		p.note(i, leaf)
		tile.append(hash, nil)
		p.tail = append(p.tail, hash)
		if tile.size == tileWidth {
			p.roots = append(p.roots, tile.root())
			tile, p.tail = edge{}, p.tail[:0]
		}
		return nil
	}))
	if p.err == nil {
		p.bad, p.err = compareNodes(stored, 1, first/tileWidth, p.roots)
	}
	return p
}

// note takes in what a leaf means to the ledger. Few leaves are parsed: those
// that can hold "once", those of the ledger's own kinds, and those with an
// escape that could hide either.
func (p *piece) note(index uint64, leaf []byte) {
	if bytes.Contains(leaf, []byte(`"once"`)) || bytes.Contains(leaf, []byte(`\u`)) {
		if sum := onceOf(leaf); sum != nil {
			p.once.add(*sum, index)
		}
	}
	if bytes.Contains(leaf, []byte(`"`+ownPrefix)) || bytes.Contains(leaf, []byte(`\u`)) || index == 0 {
		if isOwn(leaf) || index == 0 {
			p.own = append(p.own, ownEntry{index, bytes.Clone(leaf)})
		}
	}
}
