package ledger

import (
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/tlog"
)

// TestEdge compares with two other implementations, at every size.
func TestEdge(t *testing.T) {
	const size = 1<<16 + 300
	oracle := testonly.New(rfc6962.DefaultHasher)
	var e edge
	var nodes []node
	if e.root() != tlog.Hash(oracle.Hash()) {
		t.Errorf("the empty tree has the root %v", e.root())
	}
	for i := range uint64(size) {
		leaf := leafAt(i)
		oracle.AppendData(leaf)
		e.append(tlog.RecordHash(leaf), func(n node) { nodes = append(nodes, n) })
		if i < 1100 || i%997 == 0 || i > size-300 {
			if e.root() != tlog.Hash(oracle.HashAt(i+1)) {
				t.Fatalf("the root of %d entries is %v, want %x", i+1, e.root(), oracle.HashAt(i+1))
			}
		}
	}
	var want []node
	for n := range uint64(size / 256) {
		want = append(want, node{1, n, subtree(oracle, 8, n)})
		if n == 255 {
			want = append(want, node{2, 0, subtree(oracle, 16, 0)})
		}
	}
	if len(nodes) != len(want) {
		t.Fatalf("%d nodes, want %d", len(nodes), len(want))
	}
	for i := range want {
		if nodes[i] != want[i] {
			t.Errorf("node %d is %v, want %v", i, nodes[i], want[i])
		}
	}
}

// subtree is the root of the n-th full subtree of 2^height leaves.
func subtree(oracle *testonly.Tree, height int, n uint64) tlog.Hash {
	if height == 0 {
		return tlog.Hash(oracle.LeafHash(n))
	}
	return tlog.NodeHash(subtree(oracle, height-1, 2*n), subtree(oracle, height-1, 2*n+1))
}

func TestEdgeBySubtrees(t *testing.T) {
	var byLeaf, byTile edge
	var fromLeaves, fromTiles []node
	for range 256 * 256 {
		var tile edge
		for range tileWidth {
			leaf := tlog.RecordHash(leafAt(byLeaf.size))
			byLeaf.append(leaf, func(n node) {
				if n.level > 1 {
					fromLeaves = append(fromLeaves, n)
				}
			})
			tile.append(leaf, nil)
		}
		byTile.add(tileHeight, tile.root(), func(n node) { fromTiles = append(fromTiles, n) })
		if byLeaf.size != byTile.size || byLeaf.root() != byTile.root() {
			t.Fatalf("the edges at %d and %d entries differ", byLeaf.size, byTile.size)
		}
		if byLeaf.size == 256*300 {
			break
		}
	}
	if len(fromTiles) != 1 || fromTiles[0] != fromLeaves[0] {
		t.Errorf("nodes above the tiles are %v, want %v", fromTiles, fromLeaves)
	}
}
