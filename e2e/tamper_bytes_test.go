//go:build slow

package e2e

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
)

// A byteChange is a change to the bytes of a file.
type byteChange struct {
	operation, name string
	data            []byte
	at              int // the first byte that is another, the length when something follows
}

// sampledBits is how many bits of a file are flipped that is not small.
const sampledBits = 160

// byteChanges yields what can be done to a file without knowing what is in it.
// Cuts are where something in it begins or ends.
func byteChanges(path string, data []byte, cuts []int) iter.Seq[byteChange] {
	return func(yield func(byteChange) bool) {
		for _, changes := range []iter.Seq[byteChange]{
			bitFlips(path, data), truncations(data, cuts), zeroedPages(data), rearrangements(data),
		} {
			for c := range changes {
				c.at = firstDifference(data, c.data)
				if !yield(c) {
					return
				}
			}
		}
	}
}

// firstDifference is where two files begin to differ.
func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// bitFlips flips every bit of a small file, and of others those of the first and
// last bytes and some between, the same ones in every run.
func bitFlips(path string, data []byte) iter.Seq[byteChange] {
	const small, ends = 256, 6
	return func(yield func(byteChange) bool) {
		for _, bit := range chosenBits(path, len(data), small, ends) {
			flipped := bytes.Clone(data)
			flipped[bit/8] ^= 1 << (bit % 8)
			if !yield(byteChange{operation: "flip", name: fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), data: flipped}) {
				return
			}
		}
	}
}

// chosenBits are the bits to flip of a file of a length.
func chosenBits(seed string, length, small, ends int) []int {
	var bits []int
	for bit := range 8 * length {
		if length <= small || bit/8 < ends || bit/8 >= length-ends {
			bits = append(bits, bit)
		}
	}
	if length <= small {
		return bits
	}
	random := seeded(seed)
	for range sampledBits {
		bits = append(bits, random.IntN(8*length))
	}
	slices.Sort(bits)
	return slices.Compact(bits)
}

// seeded is a source of numbers that are the same in every run.
func seeded(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 7))
}

// truncations cuts a file off at every cut, a byte before and a byte after.
func truncations(data []byte, cuts []int) iter.Seq[byteChange] {
	return func(yield func(byteChange) bool) {
		for _, length := range around(cuts, len(data)) {
			if !yield(byteChange{operation: "truncate", name: fmt.Sprintf("at %d of %d", length, len(data)), data: bytes.Clone(data[:length])}) {
				return
			}
		}
	}
}

// around are the cuts, 0 and the length, and the places beside them, that are
// less than the length.
func around(cuts []int, length int) []int {
	var places []int
	for _, cut := range append([]int{0, length}, cuts...) {
		for _, place := range []int{cut - 1, cut, cut + 1} {
			if place >= 0 && place < length {
				places = append(places, place)
			}
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// zeroedPages zeroes one sector or page of a file at a time, and all of it.
func zeroedPages(data []byte) iter.Seq[byteChange] {
	return func(yield func(byteChange) bool) {
		for _, page := range []int{512, 4096, len(data)} {
			for at := 0; at < len(data); at += page {
				zeroed := bytes.Clone(data)
				clear(zeroed[at:min(at+page, len(data))])
				if bytes.Equal(zeroed, data) {
					continue
				}
				if !yield(byteChange{operation: "zero", name: fmt.Sprintf("%d bytes at %d", page, at), data: zeroed}) {
					return
				}
			}
		}
	}
}

// rearrangements inserts, deletes, duplicates and reorders bytes.
func rearrangements(data []byte) iter.Seq[byteChange] {
	return func(yield func(byteChange) bool) {
		change := func(operation, name string, parts ...[]byte) bool {
			changed := slices.Concat(parts...)
			return bytes.Equal(changed, data) || yield(byteChange{operation: operation, name: name, data: append([]byte{}, changed...)})
		}
		half := len(data) / 2
		for _, at := range []int{0, half, len(data)} {
			for _, b := range []string{"\x00", "\n", "x"} {
				if !change("insert", fmt.Sprintf("%q at %d", b, at), data[:at], []byte(b), data[at:]) {
					return
				}
			}
		}
		if len(data) == 0 {
			return
		}
		for _, at := range []int{0, half, len(data) - 1} {
			if !change("delete", fmt.Sprintf("byte %d", at), data[:at], data[at+1:]) {
				return
			}
		}
		_ = change("duplicate", "all of it", data, data) &&
			change("duplicate", "the second half", data, data[half:]) &&
			change("reorder", "its halves", data[half:], data[:half])
	}
}
