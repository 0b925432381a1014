package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
)

// A checker checks level-0 tiles and their entries, one after the other.
type checker struct {
	reader
	hasher *leafHasher
	parser leafParser
}

// check checks a job whose entry bundle has no more than j.room bytes; one that
// has more is only said to be longer.
func (c *checker) check(ctx context.Context, j job) *batch {
	b := &batch{first: j.n * tileWidth}
	tile, f := c.tileOf(ctx, j)
	if f != nil {
		b.broken = f
		return b
	}
	entries, longer, err := c.entriesWithin(ctx, j.n, j.width, j.room)
	if err != nil {
		b.broken = asFailure(err).within(b.first, b.first+uint64(j.width))
		return b
	}
	if longer {
		b.longer = true
		return b
	}
	b.length = int64(entries.length)
	defer func() { c.parser = leafParser{} }() // which would keep the bundle in memory
	b.leaves = make([][]byte, 0, len(entries.leaves))
	b.once = make([]record, 0, len(entries.leaves))
	for i, leaf := range entries.leaves {
		if found := c.hasher.hash(leaf); !bytes.Equal(found, hashIn(tile, i)) {
			b.broken = explainLeaf(j, tile, i, found)
			return b
		}
		b.leaves = append(b.leaves, leaf)
		c.judge(b, i, leaf)
	}
	switch got := len(entries.leaves); {
	case got < j.width:
		b.broken = fail(Tampered, EntriesPath(j.n, j.width), "the entry bundle ends before this entry is complete").at(b.first + uint64(got))
		b.broken.Expected, b.broken.Found = fmt.Sprintf("%d entries", j.width), fmt.Sprintf("%d entries and %d bytes", got, entries.rest)
	case entries.rest > 0:
		b.broken = fail(Tampered, EntriesPath(j.n, j.width), "something follows the last entry of the bundle")
		b.broken.Expected, b.broken.Found = fmt.Sprintf("%d entries", j.width), fmt.Sprintf("%d bytes after them", entries.rest)
	}
	return b
}

// tileOf is the job's tile, known to hash into the root.
func (c *checker) tileOf(ctx context.Context, j job) ([]byte, *failure) {
	if j.tile != nil {
		return j.tile, nil
	}
	tile, err := c.reader.tile(ctx, 0, j.n, j.width)
	if err != nil {
		return nil, asFailure(err).within(tileSpan(0, j.n, j.width))
	}
	if found := foldHashes(tile); !bytes.Equal(found, j.want) {
		return nil, c.explainTile(ctx, 0, j.n, tile, j.want, found)
	}
	return tile, nil
}

// judge judges what the leaf at place i says.
func (c *checker) judge(b *batch, i int, leaf []byte) {
	index := b.first + uint64(i)
	if err := c.parser.parse(leaf); err != nil {
		if b.rule == nil {
			b.rule = fail(Invalid, "", "it is not a valid entry: %s", err).at(index)
			if index == 0 {
				b.rule.Text = "this is not a Countersign log: its entry 0 is not a valid entry: " + err.Error()
			}
		}
		return
	}
	if index == 0 || reserved(c.parser.kind) {
		b.own = append(b.own, i)
		b.kinds = append(b.kinds, string(c.parser.kind))
	}
	if c.parser.once != nil {
		b.once = append(b.once, record{key: sha256.Sum256(c.parser.once), index: index})
	}
	for _, ref := range c.parser.evidence {
		b.blobs = append(b.blobs, record{key: ref.sum, length: ref.length, index: index})
	}
}

// explainLeaf says what is known of an entry that is not the one of its place.
func explainLeaf(j job, tile []byte, i int, found []byte) *failure {
	first := j.n * tileWidth
	f := fail(Tampered, EntriesPath(j.n, j.width), "the entry is not the one that was signed").
		at(first+uint64(i)).hashes(hashIn(tile, i), found)
	for k := range len(tile) / hashSize {
		if bytes.Equal(hashIn(tile, k), found) {
			f.Text += fmt.Sprintf("; it is the one of place %d", first+uint64(k))
			break
		}
	}
	return f
}
