package verify

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// A bundle is an entry bundle taken apart.
type bundle struct {
	leaves [][]byte // at most as many as it should have
	rest   int      // bytes after them
	length int      // of all of it, in bytes
}

// splitBundle takes apart an entry bundle, which should have width entries
// (C2SP tlog-tiles): each is a length of two bytes, big-endian, and the leaf.
func splitBundle(data []byte, width int) bundle {
	leaves, length := make([][]byte, 0, width), len(data)
	for len(leaves) < width && len(data) >= 2 {
		n := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+n {
			break
		}
		leaves = append(leaves, data[2:2+n:2+n])
		data = data[2+n:]
	}
	return bundle{leaves: leaves, rest: len(data), length: length}
}

// A leafHasher makes leaf hashes (RFC 6962, section 2.1). It is not safe for
// concurrent use.
type leafHasher struct {
	h    hash.Hash
	sum  [hashSize]byte
	zero [1]byte
}

func newLeafHasher() *leafHasher { return &leafHasher{h: sha256.New()} }

// hash is the leaf hash. It is valid until the next call.
func (l *leafHasher) hash(leaf []byte) []byte {
	l.h.Reset()
	l.h.Write(l.zero[:])
	l.h.Write(leaf)
	return l.h.Sum(l.sum[:0])
}

// tileOf is the level-0 tile of a bundle's leaves.
func (l *leafHasher) tileOf(b bundle) []byte {
	tile := make([]byte, 0, len(b.leaves)*hashSize)
	for _, leaf := range b.leaves {
		tile = append(tile, l.hash(leaf)...)
	}
	return tile
}
