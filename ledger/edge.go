package ledger

import (
	"crypto/sha256"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a Merkle tree: all that is needed to append to it.
// Its zero value is the empty tree; a copy of it goes its own way.
type edge struct {
	size uint64
	// roots[h] is the root of the full subtree of 2^h entries that ends the
	// entries counted by the bits of size from h up; set where that bit is.
	roots [64]tlog.Hash
}

// node is a row of the tree: the root of the n-th full subtree of 256^level entries, level ≥ 1.
type node struct {
	level int
	n     uint64
	hash  tlog.Hash
}

// append adds a leaf hash. It calls complete, unless that is nil, with the
// nodes whose subtrees it completes, the lowest first.
func (e *edge) append(leaf tlog.Hash, complete func(node)) { e.add(0, leaf, complete) }

// add adds the root of a full subtree of 2^height entries, to an edge whose
// size is a multiple of that.
func (e *edge) add(height int, hash tlog.Hash, complete func(node)) {
	grown := e.size + 1<<height
	for e.size>>height&1 == 1 {
		hash = tlog.NodeHash(e.roots[height], hash)
		height++
		if complete != nil && height%tileHeight == 0 {
			complete(node{level: height / tileHeight, n: grown>>height - 1, hash: hash})
		}
	}
	e.roots[height] = hash
	e.size = grown
}

// root is the root of the whole tree as in RFC 6962.
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		return sha256.Sum256(nil)
	}
	height := bits.TrailingZeros64(e.size)
	hash := e.roots[height]
	for height++; height < bits.Len64(e.size); height++ {
		if e.size>>height&1 == 1 {
			hash = tlog.NodeHash(e.roots[height], hash)
		}
	}
	return hash
}
