package ledger

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"strings"
)

// tally is a fingerprint of a set of idempotency keys and the indices they
// belong to. Two sets that differ have different tallies, whoever made them:
// each pair is hashed together with a secret of this process, and the sums of
// the hashes are compared. So two long lists in different orders can be
// compared without holding either.
type tally struct {
	secret [16]byte
	count  uint64
	sum    [4]uint64 // little-endian, modulo 2^256
}

// newTally makes an empty tally. Tallies compare only with copies of it.
func newTally() tally {
	var t tally
	rand.Read(t.secret[:])
	return t
}

// add counts an idempotency key and its index in.
func (t *tally) add(once [32]byte, index uint64) {
	var text [16 + 32 + 8]byte
	copy(text[:], t.secret[:])
	copy(text[16:], once[:])
	binary.BigEndian.PutUint64(text[48:], index)
	hash := sha256.Sum256(text[:])
	var one tally
	one.count = 1
	for i := range one.sum {
		one.sum[i] = binary.LittleEndian.Uint64(hash[8*i:])
	}
	t.merge(one)
}

// merge adds what another tally has counted.
func (t *tally) merge(other tally) {
	t.count += other.count
	var carry uint64
	for i := range t.sum {
		t.sum[i], carry = bits.Add64(t.sum[i], other.sum[i], carry)
	}
}

// onceOf returns the SHA-256 sum of a leaf's "once"; nil when it has none.
func onceOf(leaf []byte) *[32]byte {
	var sum *[32]byte
	err := eachMember(leaf, func(name string, value []byte) (err error) {
		if name == "once" {
			sum, err = parseOnce(value)
		}
		return err
	})
	if err != nil {
		return nil
	}
	return sum
}

// isOwn says whether a leaf has one of the ledger's own kinds.
func isOwn(leaf []byte) bool {
	own := false
	err := eachMember(leaf, func(name string, value []byte) error {
		if name == "kind" {
			kind, _ := parseString(value)
			own = strings.HasPrefix(kind, ownPrefix)
		}
		return nil
	})
	return err == nil && own
}
