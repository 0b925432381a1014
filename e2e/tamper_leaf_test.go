//go:build slow

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// bundleOf is the entry bundle that has an entry, with other leaves in it: the
// file's name stays.
func (l *tamperLog) bundleOf(size, index int, edit func(leaves [][]byte, at int) [][]byte) bundleFiles {
	n := index / 256
	width := min(256, size-256*n)
	leaves := edit(slices.Clone(l.leaves[256*n:256*n+width]), index%256)
	return bundleFiles{verify.EntriesPath(uint64(n), width): entriesOf(leaves)}
}

// leafCases alter every entry of a log, in the entry bundles alone.
func (l *tamperLog) leafCases(size int, fork, foreign *tamperLog) iter.Seq[tamperCase] {
	forged := []byte(`{"kind":"forged"}`)
	return generated(func(add func(tamperCase)) {
		for i, leaf := range l.leaves[:size] {
			edit := func(operation, name string, change func(leaves [][]byte, at int) [][]byte) {
				c := altered(objectLeaf, operation, l.bundleOf(size, i, change), "entry %d %s", i, name)
				add(c.at(i))
			}
			replace := func(operation, name string, by []byte) {
				edit(operation, name, func(leaves [][]byte, at int) [][]byte {
					leaves[at] = by
					return leaves
				})
			}
			flipped := bytes.Clone(leaf)
			flipped[len(leaf)/2] ^= 1
			replace("edit", "in one letter", flipped)
			replace("edit", "by a space at its end", append(bytes.Clone(leaf), ' '))
			replace("edit", "as another", forged)
			replace("truncate", "by a byte", leaf[:len(leaf)-1])
			replace("truncate", "to nothing", nil)
			replace("zero", "all of it", make([]byte, len(leaf)))
			replace("splice", "from a fork", differing(leaf, fork.leaves[i], foreign.leaves[i]))
			if !bytes.Equal(leaf, foreign.leaves[i]) {
				replace("splice", "from another log", foreign.leaves[i])
			}
			edit("delete", "from its bundle", func(leaves [][]byte, at int) [][]byte { return slices.Delete(leaves, at, at+1) })
			edit("delete", "and a forged one in the end", func(leaves [][]byte, at int) [][]byte {
				return append(slices.Delete(leaves, at, at+1), forged)
			})
			edit("insert", "before it, a forged one", func(leaves [][]byte, at int) [][]byte { return slices.Insert(leaves, at, forged) })
			edit("insert", "before it, the last one pushed out", func(leaves [][]byte, at int) [][]byte {
				return slices.Insert(leaves, at, forged)[:len(leaves)]
			})
			l.leafMoves(add, size, i)
		}
		for _, i := range []int{0, 100, tamperRotation, size - 1} {
			for bit := range 8 * len(l.leaves[i]) {
				change := l.bundleOf(size, i, func(leaves [][]byte, at int) [][]byte {
					leaves[at] = bytes.Clone(leaves[at])
					leaves[at][bit/8] ^= 1 << (bit % 8)
					return leaves
				})
				add(altered(objectLeaf, "flip", change, "entry %d bit %d", i, bit).at(i))
			}
		}
	})
}

// differing is the first of some leaves that is another than a given one.
func differing(leaf []byte, others ...[]byte) []byte {
	for _, other := range others {
		if !bytes.Equal(leaf, other) {
			return other
		}
	}
	return nil
}

// leafMoves duplicate an entry, and put it in another's place.
func (l *tamperLog) leafMoves(add func(tamperCase), size, i int) {
	last := i%256 == 255 || i == size-1
	twice := altered(objectLeaf, "duplicate", l.bundleOf(size, i, func(leaves [][]byte, at int) [][]byte {
		return slices.Insert(leaves, at, leaves[at])
	}), "entry %d", i)
	if !last { // else something follows the bundle's last entry, which is right
		twice = twice.at(i + 1)
	}
	add(twice)
	if !last {
		add(altered(objectLeaf, "duplicate", l.bundleOf(size, i, func(leaves [][]byte, at int) [][]byte {
			leaves[at+1] = leaves[at]
			return leaves
		}), "entry %d over the next one", i).at(i + 1))
		add(altered(objectLeaf, "reorder", l.bundleOf(size, i, func(leaves [][]byte, at int) [][]byte {
			leaves[at], leaves[at+1] = leaves[at+1], leaves[at]
			return leaves
		}), "entry %d and the next one", i).at(i))
	}
	other := (i + 301) % size
	swapped := slices.Clone(l.leaves[:size])
	swapped[i], swapped[other] = swapped[other], swapped[i]
	add(altered(objectLeaf, "reorder", entryBundles(swapped, size), "entries %d and %d", i, other).at(min(i, other)))
}

// shiftCases delete and insert entries and move all those after them.
func (l *tamperLog) shiftCases(size int) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		for _, i := range append(edges(size), 37, 100, 300, tamperRotation) {
			leaves := slices.Clone(l.leaves[:size])
			add(altered(objectLeaf, "delete", entryBundles(slices.Delete(slices.Clone(leaves), i, i+1), size), "entry %d, all later ones moved", i).at(i))
			add(altered(objectLeaf, "insert", entryBundles(slices.Insert(slices.Clone(leaves), i, []byte(`{"kind":"x"}`)), size), "before entry %d, all later ones moved", i).at(i))
			add(altered(objectLeaf, "truncate", entryBundles(leaves[:i], size), "everything from entry %d on", i).at(i))
			reversed := slices.Clone(leaves)
			slices.Reverse(reversed[i:])
			if i < size-1 {
				add(altered(objectLeaf, "reorder", entryBundles(reversed, size), "reversed from entry %d on", i).at(i))
			}
		}
	})
}

// edges are the entries beside the borders of tiles, and the outermost.
func edges(size int) []int {
	places := []int{0, 1, size - 1}
	for border := 256; border < size; border += 256 {
		places = append(places, border-1, border)
	}
	return places
}

// forgeryCases alter an entry and then everything that would give it away, one
// step after the other, up to the signature.
func (l *tamperLog) forgeryCases(t *testing.T, size int, stranger note.Signer) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		for _, i := range append(edges(size), 100, 300, tamperRotation) {
			leaves := slices.Clone(l.leaves[:size])
			leaves[i] = []byte(`{"kind":"forged"}`)
			if i == 0 {
				leaves[i] = bytes.Replace(l.leaves[0], []byte("2026"), []byte("2025"), 1)
			}
			entries := entryBundles(leaves, size)
			tiles, root := treeOf(leaves)
			n, width := i/256, min(256, size-256*(i/256))
			tile := verify.TilePath(0, uint64(n), width)
			first, last := 256*n, 256*n+width-1
			if width < 256 {
				first, last = 0, size-1 // what is wrong at the right edge could be any of it
			}
			step := func(name string, change bundleFiles) tamperCase {
				return altered(objectLeaf, "forge", change, "entry %d, %s", i, name)
			}
			change := entries.with(bundleFiles{tile: tiles[tile]})
			add(step("with its hash", change).within(first, last))
			add(step("with all tiles", change.with(tiles)).within(0, size-1))
			text := checkpointText(l.origin, size, root)
			for name, checkpoint := range map[string][]byte{
				"the old signature":               slices.Concat([]byte(text), l.checkpoints[size][bytes.Index(l.checkpoints[size], []byte("\n\n"))+1:]),
				"no signature":                    []byte(text + "\n"),
				"another's signature":             signNote(t, text, stranger),
				"a signature by the replaced key": signNote(t, text, l.keys[0]),
			} {
				c := step("with all tiles and a checkpoint with "+name, change.with(tiles).with(bundleFiles{verify.CheckpointPath: checkpoint}))
				if i == tamperRotation && name == "a signature by the replaced key" {
					// Whoever has the key may write what he likes, and this hides that it
					// was replaced. What was kept since is of a key that is not known then.
					c.change[verify.WitnessedPath] = nil
					c = c.undetectable().saysIn(withOldest, verify.Verified).saysIn(withKept, verify.Rollback, verify.Usage)
				}
				add(c)
			}
		}
	})
}

// hashCases alter every hash of every tile.
func (l *tamperLog) hashCases(size int, fork *tamperLog) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	return generated(func(add func(tamperCase)) {
		for _, path := range bundle.paths() {
			f := l.file(size, path)
			if f.object != objectTile {
				continue
			}
			hash := func(i int) []byte { return f.data[i*sha256.Size : (i+1)*sha256.Size] }
			for i := range len(f.data) / sha256.Size {
				before, after := f.data[:i*sha256.Size], f.data[(i+1)*sha256.Size:]
				change := func(operation, name string, parts ...[]byte) {
					data := slices.Concat(parts...)
					at := firstDifference(f.data, data)
					if at == len(f.data) && len(data) == len(f.data) {
						return
					}
					c := altered(objectHash, operation, bundleFiles{path: append([]byte{}, data...)}, "%s hash %d %s", path, i, name)
					add(f.place(c, at, len(data) != len(f.data)))
				}
				change("delete", "", before, after)
				change("duplicate", "", before, hash(i), hash(i), after)
				change("insert", "before it, zeros", before, make([]byte, sha256.Size), hash(i), after)
				change("zero", "", before, make([]byte, sha256.Size), after)
				change("edit", "in its first bit", before, []byte{hash(i)[0] ^ 0x80}, hash(i)[1:], after)
				change("edit", "in its last bit", before, hash(i)[:sha256.Size-1], []byte{hash(i)[sha256.Size-1] ^ 1}, after)
				if other := fork.bundles[size][path]; len(other) == len(f.data) {
					change("splice", "from a fork", before, other[i*sha256.Size:(i+1)*sha256.Size], after)
				}
				if len(after) > 0 {
					change("reorder", "and the next one", before, hash(i+1), hash(i), after[sha256.Size:])
					change("duplicate", "over the next one", before, hash(i), hash(i), after[sha256.Size:])
				}
			}
		}
	})
}

// blobCases exchange blobs, and bring and take some.
func (l *tamperLog) blobCases(size int) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	return generated(func(add func(tamperCase)) {
		for _, path := range bundle.paths() {
			f := l.file(size, path)
			if f.object != objectBlob {
				continue
			}
			leaves := slices.Clone(l.leaves[:size])
			for _, i := range f.owners {
				leaves[i] = bytes.ReplaceAll(leaves[i], []byte(lastPart(path)), fmt.Appendf(nil, "%x", sha256.Sum256([]byte("forged"))))
			}
			forged := entryBundles(leaves, size).with(blobFile([]byte("forged")))
			add(altered(objectBlob, "forge", forged, "%s and its entries", path).at(f.owners[0]))
			removed := maps.Clone(forged)
			removed[path] = nil
			add(altered(objectBlob, "forge", removed, "%s and its entries, the old one removed", path).at(f.owners[0]))
		}
		add(altered(objectBlob, "insert", blobFile([]byte("nobody names this")), "one that no entry names"))
		add(altered(objectBlob, "insert", blobFile([]byte{}), "the empty one").harmless())
	})
}
