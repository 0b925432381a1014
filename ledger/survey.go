package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// survey is what is found out about a store by reading all of it: the tree is
// computed anew from the leaves, which are read by their keys one by one.
type survey struct {
	head  *Checkpoint // nil when the store has no rows
	edge  edge        // of the entries up to the head
	chain chain
	// roots has the roots of the trees of the sizes asked for, up to the head's.
	roots map[uint64]tlog.Hash
	// space is what Badger may need to open the store for writing, in bytes.
	space uint64
	// witnessed is the last cosigned checkpoint that is kept; nil when there is none.
	witnessed *Checkpoint
}

// surveyRows reads all rows of a store. What contradicts the head is an
// *IntegrityError that names the first wrong entry where that can be told.
// The roots of trees of other sizes are for the caller to compare.
func surveyRows(ctx context.Context, stored rows, sizes ...uint64) (*survey, error) {
	head, err := stored.head()
	if errors.Is(err, ErrNotFound) {
		return &survey{}, checkOthers(ctx, stored, 0, tally{})
	}
	if err != nil {
		return nil, err
	}
	s := &survey{roots: map[uint64]tlog.Hash{}}
	if s.head, err = parseCheckpoint(head); err != nil {
		return nil, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store's head: %v", err)}
	}
	if s.head.Size == 0 {
		return nil, &IntegrityError{Index: -1, Problem: "the store's head is that of an empty log"}
	}
	once := newTally()
	if err := s.readEntries(ctx, stored, sizes, &once); err != nil {
		return nil, err
	}
	if err := s.chain.check(s.head); err != nil {
		return nil, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store's head: %v", err)}
	}
	return s, checkOthers(ctx, stored, s.head.Size, once)
}

// readEntries reads the entries up to the head, and compares them with the
// stored tree hashes and the head's root.
func (s *survey) readEntries(ctx context.Context, stored rows, sizes []uint64, once *tally) error {
	var bad *badNode // the first
	var err error
	edges := map[uint64]edge{0: {}} // at the full tiles of each size
	for _, size := range sizes {
		edges[fullTiles(size)] = edge{}
	}
	for p := range readPieces(ctx, stored, s.head.Size, *once) {
		if p.err != nil {
			return p.err
		}
		if err := s.takeOwn(p.own); err != nil {
			return err
		}
		once.merge(p.once)
		bad = earlier(bad, p.bad)
		for _, root := range p.roots {
			s.edge.add(tileHeight, root, func(n node) {
				found, e := compareNodes(stored, n.level, n.n, []tlog.Hash{n.hash})
				bad, err = earlier(bad, found), errors.Join(err, e)
			})
			if _, ok := edges[s.edge.size]; ok {
				edges[s.edge.size] = s.edge
			}
		}
		if err != nil {
			return err
		}
		for _, hash := range p.tail {
			s.edge.append(hash, nil)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("checking the ledger: %w", err)
	}
	if err := s.judge(bad); err != nil {
		return err
	}
	for _, size := range sizes {
		if size <= s.head.Size {
			e, err := edges[fullTiles(size)].extended(stored, size)
			if err != nil {
				return err
			}
			s.roots[size] = e.root()
		}
	}
	return nil
}

// fullTiles is how many of the first entries are in full tiles.
func fullTiles(size uint64) uint64 { return size / tileWidth * tileWidth }

// extended is the edge with the stored leaf hashes up to a size, which is that
// of the same tiles.
func (e edge) extended(stored rows, size uint64) (edge, error) {
	hashes, err := stored.leafHashes(e.size, int(size-e.size))
	for _, hash := range hashes {
		e.append(hash, nil)
	}
	return e, lost(err)
}

// takeOwn follows the ledger's own entries.
func (s *survey) takeOwn(entries []ownEntry) error {
	for _, entry := range entries {
		grown, err := s.chain.extend(entry.index, entry.leaf)
		if err != nil {
			return &IntegrityError{Index: int64(entry.index), Problem: err.Error()}
		}
		s.chain = grown
	}
	return nil
}

// judge compares the root of the leaves with the head's, and says where they
// part as exactly as the stored tree hashes allow.
func (s *survey) judge(bad *badNode) error {
	root := s.edge.root()
	sound := root == tlog.Hash(s.head.Root)
	switch {
	case sound && bad == nil:
		return nil
	case sound:
		return &IntegrityError{Index: bad.first, Problem: fmt.Sprintf(
			"the stored %v; the entries themselves are sound", bad)}
	case bad != nil:
		return &IntegrityError{Index: bad.first, Problem: fmt.Sprintf(
			"one of the entries %d to %d is not the one acknowledged: the stored %v", bad.first, bad.last, bad)}
	}
	return &IntegrityError{Index: -1, Problem: fmt.Sprintf(
		"the entries have the root %v, and the store's head says %v; unless tree hashes were altered too, the wrong entry is one of %d to %d",
		root, tlog.Hash(s.head.Root), fullTiles(s.head.Size), s.head.Size-1)}
}

// badNode is a stored tree hash that is not that of its entries.
type badNode struct {
	node
	first, last int64 // entries under it
	stored      *tlog.Hash
}

func (b *badNode) String() string {
	if b.stored == nil {
		return fmt.Sprintf("tree hash %d of level %d, over the entries %d to %d, has no row", b.n, b.level, b.first, b.last)
	}
	return fmt.Sprintf("tree hash %d of level %d, over the entries %d to %d, is %v, and they have %v",
		b.n, b.level, b.first, b.last, *b.stored, b.hash)
}

// earlier returns which of two, each nil when there is none, is to be reported:
// of one tile's hash and those above it, the tile's.
func earlier(a, b *badNode) *badNode {
	switch {
	case a == nil:
		return b
	case b == nil, a.first < b.first, a.first == b.first && a.level <= b.level:
		return a
	}
	return b
}

// compareNodes compares the tree hashes of a level, from the n-th on, with the
// stored ones, and returns the first that differs.
func compareNodes(stored rows, level int, n uint64, want []tlog.Hash) (*badNode, error) {
	i := 0
	bad := func(found *tlog.Hash) *badNode {
		at := n + uint64(i)
		width := uint64(1) << (tileHeight * level)
		return &badNode{node: node{level, at, want[i]}, stored: found, first: int64(at * width), last: int64((at+1)*width - 1)}
	}
	found, err := stored.nodes(level, n, len(want))
	for ; i < len(found); i++ {
		if found[i] != want[i] {
			return bad(&found[i]), nil
		}
	}
	if errors.Is(err, ErrNotFound) {
		return bad(nil), nil
	}
	return nil, err
}
