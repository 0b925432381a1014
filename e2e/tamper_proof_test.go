//go:build slow

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// proofTrial verifies proofs of one entry.
func (s *tamperScene) proofTrial(index int) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		try := func(ctx context.Context, proof []byte, ask func(*verify.Options)) *verify.Report {
			o := verify.Options{Keys: []string{s.main.keys[0].vkey, s.main.keys[1].vkey}, Since: [][]byte{s.main.checkpoints[550], s.main.checkpoints[tamperSize]}}
			if bytes.Contains(s.main.proofs[index], []byte(s.witness.Signer().Name())) {
				o.Policy, o.RequireWitness = s.policy, true
			}
			if ask != nil {
				ask(&o)
			}
			return verify.Proof(ctx, proof, nil, o)
		}
		original := try(context.Background(), s.main.proofs[index], nil)
		if original.Code != verify.Verified || original.Index == nil || *original.Index != uint64(index) {
			t.Fatal(original.Problem)
		}
		return func(ctx context.Context, c *tamperCase, tell func(tamperMode, outcome, error)) {
			r := try(ctx, c.raw, c.ask)
			judged, err := c.judge(withKey, r, original)
			if err == nil && r.Code == verify.Verified && (r.Index == nil || *r.Index != uint64(index)) {
				err = fmt.Errorf("verified, but of another entry: %v", r.Index)
			}
			tell(withKey, judged, err)
		}
	}
}

// proofCases alter the proof of one entry.
func (s *tamperScene) proofCases(t *testing.T, index int) iter.Seq[tamperCase] {
	proof := s.main.proofs[index]
	return generated(func(add func(tamperCase)) {
		changed := func(operation, name string, data []byte) tamperCase {
			return altered(objectProof, operation, nil, "of entry %d: %s", index, name).of(data)
		}
		for _, changes := range []iter.Seq[byteChange]{textChanges(proof), everyBit(proof), byteChanges("proof", proof, lineCuts(proof))} {
			for b := range changes {
				// A cosignature may be what is gone; the order of signatures means nothing.
				c := changed(b.operation, b.name, b.data).says(verify.Tampered, verify.Incomplete, verify.Usage, verify.AnchorAbsent)
				if b.operation == "reorder" && b.at > bytes.LastIndex(proof, []byte("\n\n")) {
					c = c.says(append(c.codes, verify.Verified)...)
				}
				add(c)
			}
		}
		head, checkpoint, _ := bytes.Cut(proof, []byte("\n\n"))
		lines := bytes.Split(head, []byte("\n"))
		whole := func(lines [][]byte, checkpoint []byte) []byte {
			return append(append(bytes.Join(lines, []byte("\n")), "\n\n"...), checkpoint...)
		}
		for name, log := range map[string]*tamperLog{"a fork": s.fork, "the same entries under other keys": s.usurper, "another log": s.foreign} {
			add(changed("splice", "the checkpoint of "+name, whole(lines, log.checkpoints[tamperSize])).says(verify.Tampered))
			if other := log.proofs[index]; !bytes.Equal(other, proof) {
				otherHead, _, _ := bytes.Cut(other, []byte("\n\n"))
				if !bytes.Equal(otherHead, head) {
					add(changed("splice", "the checkpoint on the proof of "+name, whole([][]byte{otherHead}, checkpoint)).says(verify.Tampered))
				}
			}
		}
		add(changed("splice", "the proof of a fork, whole", s.fork.proofs[index]).says(verify.Rollback))
		add(changed("splice", "the proof of another log, whole", s.foreign.proofs[index]).says(verify.Usage, verify.Tampered))
		add(changed("splice", "the proof under other keys, whole", s.usurper.proofs[index]).says(verify.Tampered))
		for _, size := range []int{340, olderSize, 550} {
			add(changed("splice", fmt.Sprintf("the checkpoint of %d entries", size), whole(lines, s.main.checkpoints[size])).says(verify.Tampered, verify.AnchorAbsent))
		}
		for other, theirs := range s.main.proofs {
			otherLines := bytes.Split(theirs[:bytes.Index(theirs, []byte("\n\n"))], []byte("\n"))
			if other == index {
				continue
			}
			for i := 1; i < min(len(lines), len(otherLines)); i++ {
				if bytes.Equal(lines[i], otherLines[i]) {
					continue
				}
				spliced := append([][]byte{}, lines...)
				spliced[i] = otherLines[i]
				add(changed("splice", fmt.Sprintf("line %d of the proof of entry %d", i, other), whole(spliced, checkpoint)))
			}
		}
		for _, number := range []string{"", "00", "-1", "600", "601", "18446744073709551615", "18446744073709551616", "1e2"} {
			edited := append([][]byte{}, lines...)
			edited[2] = []byte("index " + number)
			add(changed("edit", "index "+number, whole(edited, checkpoint)))
		}
		hash := base64.StdEncoding.EncodeToString(make([]byte, 32))
		for _, more := range []int{1, 64, 65, 1000} {
			longer := append([][]byte{}, lines...)
			for range more {
				longer = append(longer, []byte(hash))
			}
			add(changed("insert", fmt.Sprintf("%d hashes", more), whole(longer, checkpoint)))
		}
		add(changed("delete", "the entry", whole(append([][]byte{lines[0]}, lines[2:]...), checkpoint)).says(verify.Usage))
		if index == tamperSize-1 {
			s.cosignedProofs(t, head, add)
		}
	})
}

// cosignedProofs alter a proof whose checkpoint a witness has cosigned.
func (s *tamperScene) cosignedProofs(t *testing.T, head []byte, add func(tamperCase)) {
	key := s.main.keys[1]
	cosigned := addSignatures(t, s.main.checkpoints[tamperSize], key.vkey, s.witness.Signer())
	proof := append(append(bytes.Clone(head), "\n\n"...), cosigned...)
	ask := func(o *verify.Options) { o.Policy, o.RequireWitness = s.policy, true }
	require := func(name string, data []byte) tamperCase {
		c := altered(objectProof, "cosign", nil, "%s", name).of(data)
		c.ask = ask
		return c
	}
	add(require("cosigned", proof).harmless())
	add(require("not cosigned", append(append(bytes.Clone(head), "\n\n"...), s.main.checkpoints[tamperSize]...)).says(verify.AnchorAbsent))
	other := signNote(t, headText(s.main.checkpoints[olderSize]), key, s.witness.Signer())
	_, lines, _ := bytes.Cut(other, []byte("\n\n"))
	_, right, _ := bytes.Cut(cosigned, []byte("\n\n"))
	mixed := append(bytes.Clone(right[:bytes.IndexByte(right, '\n')+1]), lines[bytes.IndexByte(lines, '\n')+1:]...)
	text := append(append(bytes.Clone(head), "\n\n"...), headText(cosigned)...)
	add(require("with the cosignature of an older checkpoint", append(append(text, '\n'), mixed...)))
	for b := range everyBit(proof[len(proof)-120:]) {
		add(require("cosigned, "+b.name+" of its last", append(bytes.Clone(proof[:len(proof)-120]), b.data...)).
			says(verify.Tampered, verify.Incomplete, verify.AnchorAbsent))
	}
}

// everyBit flips every bit, however long.
func everyBit(data []byte) iter.Seq[byteChange] {
	return func(yield func(byteChange) bool) {
		for bit := range 8 * len(data) {
			flipped := bytes.Clone(data)
			flipped[bit/8] ^= 1 << (bit % 8)
			if !yield(byteChange{operation: "flip", name: fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), data: flipped, at: bit / 8}) {
				return
			}
		}
	}
}

func (s *tamperScene) tamperProofs(t *testing.T, m *tamperMatrix) {
	for _, index := range sortedKeys(s.main.proofs) {
		m.run(t, "proof", 11_500, 1, s.proofCases(t, index), s.proofTrial(index))
	}
}
