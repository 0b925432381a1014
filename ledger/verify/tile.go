package verify

import (
	"bytes"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// hashChildren is the hash of an inner node (RFC 6962, section 2.1).
var hashChildren = rfc6962.DefaultHasher.HashChildren

var ranges = compact.RangeFactory{Hash: hashChildren}

// hashIn is hash i of a tile.
func hashIn(tile []byte, i int) []byte { return tile[i*hashSize : (i+1)*hashSize] }

// foldHashes is the root of a full subtree whose hashes these are: a power of
// two of them.
func foldHashes(hashes []byte) []byte {
	nodes := make([][]byte, len(hashes)/hashSize)
	for i := range nodes {
		nodes[i] = hashIn(hashes, i)
	}
	for ; len(nodes) > 1; nodes = nodes[:len(nodes)/2] {
		for i := range len(nodes) / 2 {
			nodes[i] = hashChildren(nodes[2*i], nodes[2*i+1])
		}
	}
	return nodes[0]
}

// An edge is the right edge of a tree: of each level the partial tile, nil where
// there is none. It determines the root.
type edge [tileLevels][]byte

// root is the root of the tree of that size whose right edge this is.
func (e *edge) root(size uint64) []byte {
	var hashes [][]byte
	for level := tileLevels - 1; level >= 0; level-- {
		tile := e[level]
		for height := tileHeight - 1; height >= 0; height-- {
			if width := len(tile) / hashSize; width>>height&1 == 0 {
				continue
			}
			// The bits of the width above this one say what stands before.
			from := len(e[level]) / hashSize >> (height + 1) << (height + 1)
			hashes = append(hashes, foldHashes(tile[from*hashSize:(from+1<<height)*hashSize]))
		}
	}
	r, err := ranges.NewRange(0, size, hashes)
	if err != nil {
		return nil // the tiles have not the widths of that size
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return nil
	}
	return root
}

// firstDifference is the place of the first hash in which two tiles differ, -1
// when there is none.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) / hashSize {
		if !bytes.Equal(hashIn(a, i), hashIn(b, i)) {
			return i
		}
	}
	return -1
}
