package ledger

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	formatslog "github.com/transparency-dev/formats/log"
	formatsproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// checkInclusion compares an inclusion proof with the one of the second implementation, and has that verify it.
func (s *stored) checkInclusion(t *testing.T, index, size uint64) {
	t.Helper()
	got, err := s.ProveInclusion(index, size)
	if err != nil {
		t.Fatalf("entry %d in %d: %v", index, size, err)
	}
	want, err := s.tree.InclusionProof(index, size)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a [32]byte, b []byte) bool { return string(a[:]) == string(b) }) {
		t.Fatalf("entry %d in %d: the proof differs from the other implementation's", index, size)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, s.tree.LeafHash(index), slicesOf(got), s.tree.HashAt(size)); err != nil {
		t.Fatalf("entry %d in %d: %v", index, size, err)
	}
}

// checkConsistency compares a consistency proof with the one of the second implementation, and has that verify it.
func (s *stored) checkConsistency(t *testing.T, old, size uint64) {
	t.Helper()
	got, err := s.ProveConsistency(old, size)
	if err != nil {
		t.Fatalf("%d before %d: %v", old, size, err)
	}
	want, err := s.tree.ConsistencyProof(old, size)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(got, want, func(a [32]byte, b []byte) bool { return string(a[:]) == string(b) }) {
		t.Fatalf("%d before %d: the proof differs from the other implementation's", old, size)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, size, slicesOf(got), s.tree.HashAt(old), s.tree.HashAt(size)); err != nil {
		t.Fatalf("%d before %d: %v", old, size, err)
	}
}

func slicesOf(hashes [][32]byte) [][]byte {
	out := make([][]byte, len(hashes))
	for i := range hashes {
		out[i] = hashes[i][:]
	}
	return out
}

// TestProofsOfSmallTrees publishes each size from 0 to 600 in turn, with later rows in the store all the time. Up to 33
// entries everything is proven, beyond that the last entry and some at random.
func TestProofsOfSmallTrees(t *testing.T) {
	s := newStored(t, 600)
	random := rand.New(rand.NewPCG(1, 2))
	for size := range uint64(601) {
		if testing.Short() && size > 33 && size%8 > 1 && size%8 < 7 {
			continue // those about multiples of eight, and so about every power of two, remain
		}
		s.publish(t, size)
		var some []uint64
		if size <= 33 {
			for i := range size + 1 {
				some = append(some, i)
			}
		} else {
			some = []uint64{size - 1, random.Uint64N(size), random.Uint64N(size)}
		}
		for _, i := range some {
			if i < size {
				s.checkInclusion(t, i, size)
			}
			s.checkConsistency(t, i, size)
		}
		if size > 1 {
			older := 1 + random.Uint64N(size)
			s.checkInclusion(t, random.Uint64N(older), older)
			s.checkConsistency(t, random.Uint64N(older), older)
		}
	}
}

func TestProofsOfLargeTrees(t *testing.T) {
	s := largeStored(t)
	random := rand.New(rand.NewPCG(3, 4))
	for _, size := range []uint64{65535, 65536, 65537, 70_000} {
		s.publish(t, size)
		some := []uint64{0, 1, 255, 256, 65279, 65280, 65534, size - 1}
		for range 20 {
			some = append(some, random.Uint64N(size))
		}
		for _, i := range some {
			s.checkInclusion(t, i, size)
			s.checkConsistency(t, i, size)
			s.checkInclusion(t, i, i+1)
			s.checkConsistency(t, i/2, i+1)
		}
		s.checkConsistency(t, 65535, size)
		s.checkConsistency(t, size, size)
	}
}

func TestProofsRefused(t *testing.T) {
	s := newStored(t, 20)
	s.publish(t, 10)
	inclusion := func(index, size uint64) func() error {
		return func() error { _, err := s.ProveInclusion(index, size); return err }
	}
	consistency := func(old, size uint64) func() error {
		return func() error { _, err := s.ProveConsistency(old, size); return err }
	}
	for _, test := range []struct {
		name     string
		prove    func() error
		notFound bool
		says     string
	}{
		{"index at size", inclusion(10, 10), true, "entry 10 cannot be in a tree of 10 entries"},
		{"index beyond size", inclusion(7, 3), true, "entry 7 cannot be in a tree of 3 entries"},
		{"empty tree", inclusion(0, 0), true, "entry 0 cannot be in a tree of 0 entries"},
		{"size not acknowledged", inclusion(0, 11), true, "a tree of 11 entries is not in the ledger: it has 10"},
		{"huge size", inclusion(0, 1<<64-1), true, "it has 10"},
		{"consistency beyond", consistency(5, 11), true, "a tree of 11 entries is not in the ledger: it has 10"},
		{"consistency backwards", consistency(8, 5), false, "give the smaller size first"},
		{"proof not acknowledged", func() error { _, err := s.Proof(10); return err }, true, "entry 10 is not in the ledger: it has 10 entries"},
	} {
		err := test.prove()
		if err == nil || errors.Is(err, ErrNotFound) != test.notFound || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for _, sizes := range [][2]uint64{{0, 0}, {0, 10}, {10, 10}, {1, 1}} {
		if path, err := s.ProveConsistency(sizes[0], sizes[1]); err != nil || path == nil || len(path) != 0 {
			t.Errorf("%d before %d: %v, %v; want an empty proof", sizes[0], sizes[1], path, err)
		}
	}
	if path, err := s.ProveInclusion(0, 1); err != nil || path == nil || len(path) != 0 {
		t.Errorf("entry 0 in a tree of one: %v, %v; want an empty proof", path, err)
	}
}

// TestNoProofFromDamage damages every tree hash that a proof may need, one at a time: the proof is right or refused.
func TestNoProofFromDamage(t *testing.T) {
	const size = 600
	keys := [][]byte{keyNode(1, 0), keyNode(1, 1)}
	for i := uint64(0); i < size; i += 13 {
		keys = append(keys, keyLeaf(i))
	}
	refused := 0
	s := newStored(t, size)
	for _, key := range keys {
		val := s.value(t, key)
		for _, damage := range [][]byte{nil, val[:20], append([]byte{val[0] ^ 1}, val[1:]...)} {
			s.set(t, key, damage)
			for _, index := range []uint64{0, 300, 599} {
				if _, err := s.ProveInclusion(index, size); err != nil {
					var damaged *IntegrityError
					if !errors.As(err, &damaged) {
						t.Fatalf("row %x: %v", key, err)
					}
					refused++
					continue
				}
				s.checkInclusion(t, index, size)
			}
		}
		s.set(t, key, val)
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

func TestProof(t *testing.T) {
	s := newStored(t, 300)
	for _, index := range []uint64{0, 1, 5, 256, 299} {
		text, err := s.Proof(index)
		if err != nil {
			t.Fatal(err)
		}
		s.checkProof(t, text, index, 300)
	}
	s.publish(t, 1)
	text, err := s.Proof(0)
	if err != nil {
		t.Fatal(err)
	}
	s.checkProof(t, text, 0, 1)
}

// checkProof verifies a tlog-proof as others do.
func (s *stored) checkProof(t *testing.T, text []byte, index, size uint64) {
	t.Helper()
	var p formatsproof.TLogProof
	if err := p.Unmarshal(text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	checkpoint, rest, n, err := formatslog.ParseCheckpoint(p.Checkpoint, testOrigin, s.verifier)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(rest) > 0 || len(n.Sigs) != 1 || checkpoint.Size != size || p.Index != index || string(p.ExtraData) != string(s.leaves[index]) {
		t.Errorf("not the proof of entry %d in %d entries:\n%s", index, size, text)
	}
	err = proof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, checkpoint.Size,
		rfc6962.DefaultHasher.HashLeaf(p.ExtraData), slicesOf(p.Hashes), checkpoint.Hash)
	if err != nil {
		t.Error(err)
	}
	if again := p.Marshal(); string(again) != string(text) {
		t.Errorf("written by others the proof is\n%swe wrote\n%s", again, text)
	}
}

// TestProofWithCosignatures checks that the cosigned checkpoint is taken for the entries that it has.
func TestProofWithCosignatures(t *testing.T) {
	s := newStored(t, 300)
	private, public, err := note.GenerateKey(nil, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	cosigned := s.checkpoint(t, 200)
	n, err := note.Open(cosigned.Note, note.VerifierList(s.verifier))
	if err != nil {
		t.Fatal(err)
	}
	if cosigned.Note, err = note.Sign(n, signer); err != nil {
		t.Fatal(err)
	}
	s.witnessed.Store(cosigned)
	for index, want := range map[uint64]struct {
		size       uint64
		signatures int
	}{0: {200, 2}, 199: {200, 2}, 200: {300, 1}, 299: {300, 1}} {
		text, err := s.Proof(index)
		if err != nil {
			t.Fatal(err)
		}
		var p formatsproof.TLogProof
		if err := p.Unmarshal(text); err != nil {
			t.Fatal(err)
		}
		checkpoint, _, n, err := formatslog.ParseCheckpoint(p.Checkpoint, testOrigin, s.verifier, witness)
		if err != nil || checkpoint.Size != want.size || len(n.Sigs) != want.signatures {
			t.Errorf("entry %d: %+v, %v; want size %d with %d signatures", index, checkpoint, err, want.size, want.signatures)
		}
	}

	// A cosigned checkpoint of another tree proves nothing.
	other := s.checkpoint(t, 200)
	other.Root[0] ^= 1
	s.witnessed.Store(other)
	_, err = s.Proof(100)
	wantDamage(t, err, 100)
}

func BenchmarkProveInclusion(b *testing.B) {
	s := largeStored(b)
	s.publish(b, 70_000)
	for b.Loop() {
		if _, err := s.ProveInclusion(12345, 70_000); err != nil {
			b.Fatal(err)
		}
	}
}
