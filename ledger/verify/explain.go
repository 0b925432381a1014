package verify

import (
	"bytes"
	"context"
	"fmt"
)

// childHashes is what a tile should hold according to what lies below it: the
// leaf hashes of the entries, or the roots of the tiles one level down. Nothing
// of it is known to be right.
func (r reader) childHashes(ctx context.Context, level int, n uint64, width int) ([]byte, error) {
	if level == 0 {
		b, err := r.entries(ctx, n, width)
		if err != nil {
			return nil, err
		}
		if len(b.leaves) != width || b.rest != 0 {
			return nil, fail(Tampered, EntriesPath(n, width), "its entries do not fill it exactly")
		}
		return newLeafHasher().tileOf(b), nil
	}
	hashes := make([]byte, 0, width*hashSize)
	for i := range width {
		child, err := r.tile(ctx, level-1, n*tileWidth+uint64(i), tileWidth)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, foldHashes(child)...)
	}
	return hashes, nil
}

// below names what childHashes reads.
func below(level int) string {
	if level == 0 {
		return "entries"
	}
	return "tiles below it"
}

// A suspect is a partial tile that could not be read or is not what follows from
// below it, with what does follow.
type suspect struct {
	level   int
	hashes  []byte
	failure *failure
}

// mendEdge finds out what is wrong with the right edge, where tiles could not be
// read (unread has why, by level) or the root is not that of the checkpoint. The
// tree returned has in the place of what is wrong what follows
// from the level below; it is nil when that does not give the root either.
func (t *tree) mendEdge(ctx context.Context, unread [tileLevels]*failure) (*tree, *failure) {
	suspects := t.suspects(ctx, unread)
	if ctx.Err() != nil {
		return nil, fail(Internal, "", "interrupted")
	}
	for choice := 1; choice < 1<<len(suspects); choice++ {
		mended := *t
		var first *failure
		for i, s := range suspects {
			if choice>>i&1 == 0 {
				continue
			}
			mended.edge[s.level] = s.hashes
			if s.failure.before(first) {
				first = s.failure
			}
		}
		if bytes.Equal(mended.edge.root(t.size), t.root[:]) {
			first.Text += "; the entries are as the checkpoint signs them"
			return &mended, first
		}
	}
	for level := tileLevels - 1; level >= 0; level-- {
		if unread[level] != nil {
			return nil, unread[level]
		}
	}
	f := fail(Tampered, "", "the right edge of the tree does not give the root that the checkpoint signs: "+
		"entries were altered together with their tiles, or this is the checkpoint of another tree")
	if len(suspects) > 0 {
		f.Text += fmt.Sprintf("; %s: %s", suspects[0].failure.Resource, suspects[0].failure.Text)
	}
	return nil, f.within(0, t.size).hashes(t.root[:], t.edge.root(t.size))
}

// suspects are the partial tiles that could be what is wrong with the edge.
func (t *tree) suspects(ctx context.Context, unread [tileLevels]*failure) []suspect {
	var list []suspect
	for level := range tileLevels {
		n := hashesAt(t.size, level) / tileWidth
		width := int(hashesAt(t.size, level) % tileWidth)
		if width == 0 {
			continue
		}
		hashes, err := t.childHashes(ctx, level, n, width)
		if err != nil {
			continue
		}
		path := TilePath(level, n, width)
		if unread[level] != nil {
			list = append(list, suspect{level, hashes, unread[level]})
		} else if i := firstDifference(t.edge[level], hashes); i >= 0 {
			f := fail(Tampered, path, "its hash %d is not that of the %s", i, below(level))
			f.within(hashSpan(level, n, i)).hashes(hashIn(hashes, i), hashIn(t.edge[level], i))
			list = append(list, suspect{level, hashes, f})
		}
	}
	return list
}

// hashSpan is the range [from, to) of the entries under hash i of a tile.
func hashSpan(level int, n uint64, i int) (from, to uint64) {
	from = (n*tileWidth + uint64(i)) << (tileHeight * level)
	return from, from + 1<<(tileHeight*level)
}

// explainTile says as exactly as can be what is wrong when a full tile does not
// hash to what the one above it says.
func (r reader) explainTile(ctx context.Context, level int, n uint64, data, want, found []byte) *failure {
	path := TilePath(level, n, tileWidth)
	from, to := tileSpan(level, n, tileWidth)
	hashes, err := r.childHashes(ctx, level, n, tileWidth)
	if ctx.Err() != nil {
		return fail(Internal, "", "interrupted")
	}
	if err != nil {
		return fail(Tampered, path, "it does not hash to what the tree has in its place").
			within(from, to).hashes(want, found)
	}
	i := firstDifference(data, hashes)
	if bytes.Equal(foldHashes(hashes), want) {
		return fail(Tampered, path, "its hash %d is not that of the %s, which are as the checkpoint signs them", i, below(level)).
			within(hashSpan(level, n, i)).hashes(hashIn(hashes, i), hashIn(data, i))
	}
	f := fail(Tampered, path, "it does not hash to what the tree has in its place, and the %s do not either", below(level)).
		within(from, to).hashes(want, found)
	if i >= 0 {
		f.Text += fmt.Sprintf("; they differ first at hash %d", i)
	}
	return f
}
