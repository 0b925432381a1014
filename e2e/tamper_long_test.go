//go:build slow

package e2e

import (
	"bytes"
	"iter"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// longCases alter a log that has full and partial tiles at two levels.
func (s *tamperScene) longCases() iter.Seq[tamperCase] {
	l, bundle := s.long, s.long.bundles[longSize]
	other := s.longFork.bundles[longSize]
	return generated(func(add func(tamperCase)) {
		for _, path := range []string{
			"tile/0/000", "tile/0/100", "tile/0/255", "tile/0/256", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1",
			"tile/entries/000", "tile/entries/100", "tile/entries/256", "tile/entries/273.p/112", "checkpoint",
			bundle.paths()[slices.IndexFunc(bundle.paths(), func(p string) bool { return strings.HasPrefix(p, "blob/") })],
		} {
			f := l.file(longSize, path)
			add(f.absent(altered(f.object, "delete", bundleFiles{path: nil}, "%s", path)))
			change := func(operation, name string, data []byte) {
				c := altered(f.object, operation, bundleFiles{path: data}, "%s: %s", path, name)
				add(f.other(c, firstDifference(f.data, data), len(data) != len(f.data)))
			}
			for _, bit := range []int{0, 4*len(f.data) + 3, 8*len(f.data) - 1} {
				flipped := bytes.Clone(f.data)
				flipped[bit/8] ^= 1 << (bit % 8)
				change("flip", "a bit", flipped)
			}
			zeroed := bytes.Clone(f.data)
			clear(zeroed[:min(4096, len(zeroed))])
			change("zero", "its first page", zeroed)
			change("truncate", "by a byte", bytes.Clone(f.data[:len(f.data)-1]))
			change("truncate", "to half", bytes.Clone(f.data[:len(f.data)/2]))
			change("insert", "a byte at its end", append(bytes.Clone(f.data), 0))
			if data := other[path]; data != nil && !bytes.Equal(data, f.data) {
				change("splice", "from a fork", data)
			}
		}
		for a, b := range map[string]string{
			"tile/0/000": "tile/0/001", "tile/entries/010": "tile/entries/011", "tile/0/255": "tile/1/000", "tile/1/000": "tile/0/000",
		} {
			c := altered(objectBundle, "reorder", bundleFiles{a: bundle[b], b: bundle[a]}, "%s and %s", a, b)
			add(c.within(0, longSize-1))
		}
		s.longForgeries(add)
		whole := func(name string, files bundleFiles) {
			add(altered(objectBundle, "restore", bundle.instead(files), "%s", name).undetectable())
		}
		whole("the log of 66,000 entries", l.bundles[longOlder])
		whole("a fork", other)
		whole("a fork of 66,000 entries", s.longFork.bundles[longOlder])
	})
}

// longForgeries alter an entry and what would give it away, level by level.
func (s *tamperScene) longForgeries(add func(tamperCase)) {
	l := s.long
	for _, i := range []int{0, 25_700, 65_535, 65_536, 69_999} {
		leaves := slices.Clone(l.leaves)
		leaves[i] = []byte(`{"kind":"forged"}`)
		if i == 0 {
			leaves[i] = bytes.Replace(l.leaves[0], []byte("2026"), []byte("2025"), 1)
		}
		tiles, root := treeOf(leaves)
		n := i / 256
		width := min(256, longSize-256*n)
		entries := verify.EntriesPath(uint64(n), width)
		change := bundleFiles{entries: entriesOf(leaves[256*n : 256*n+width])}
		forge := func(name string, first, last int) {
			add(altered(objectLeaf, "forge", change.with(nil), "entry %d, %s", i, name).within(first, last))
		}
		forge("alone", i, i)
		change[verify.TilePath(0, uint64(n), width)] = tiles[verify.TilePath(0, uint64(n), width)]
		first, last := 256*n, 256*n+width-1
		if width < 256 {
			first, last = 0, longSize-1
		}
		forge("with its hash", first, last)
		for path, tile := range tiles {
			if strings.HasPrefix(path, "tile/1/") {
				change[path] = tile
			}
		}
		forge("with its hash and that of its tile", 0, longSize-1)
		for path, tile := range tiles {
			change[path] = tile
		}
		forge("with all tiles", 0, longSize-1)
		checkpoint := []byte(checkpointText(l.origin, longSize, root))
		checkpoint = append(checkpoint, l.checkpoints[longSize][bytes.Index(l.checkpoints[longSize], []byte("\n\n"))+1:]...)
		change[verify.CheckpointPath] = checkpoint
		add(altered(objectLeaf, "forge", change.with(nil), "entry %d, with all tiles and the root", i))
	}
}
