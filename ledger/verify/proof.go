package verify

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

const (
	proofName   = "c2sp.org/tlog-proof@"
	proofHeader = proofName + "v1"
	maxProof    = 256 << 10 // bytes: a leaf in base64, 64 hashes and a checkpoint
	maxPath     = 64        // hashes of an inclusion proof
)

// Proof verifies that an entry is in the log: data is a C2SP tlog-proof, entry
// the leaf, which is taken from the proof's extra data when it is nil. A proof
// has only the key's signature to rest on, so the options must give the key that
// signed its checkpoint, in Keys or in Policy. Options.Since raises the tier when
// one is a checkpoint of the proof's own size; when none is, nothing could be
// compared and the verdict is AnchorAbsent. Anchor and Checks, which take a whole
// log, are not looked at.
//
// A verdict of Verified proves that the signer of the checkpoint put this entry
// at this index. It says nothing of the other entries, nor of blobs.
func Proof(ctx context.Context, data, entry []byte, opt Options) *Report {
	v := &proofVerification{opt: opt, rep: &Report{}}
	f := v.run(data, entry)
	if ctx.Err() != nil {
		f = fail(Internal, "", "interrupted")
	}
	v.rep.finish(f)
	return v.rep
}

// IsProof says whether data begins as a C2SP tlog-proof of some version does.
func IsProof(data []byte) bool { return bytes.HasPrefix(data, []byte(proofName)) }

// A tlogProof is a proof taken apart.
type tlogProof struct {
	extra      []byte // nil when there is none
	index      uint64
	path       [][]byte
	checkpoint []byte
}

var errBrokenOff = errors.New("it breaks off")

// parseProof takes a proof apart (C2SP tlog-proof). The error wraps errBrokenOff
// when the end of it is absent.
func parseProof(data []byte) (tlogProof, error) {
	var p tlogProof
	header, rest, ended := strings.Cut(string(data), "\n")
	if header != proofHeader {
		return p, fmt.Errorf("its first line is not %s", proofHeader)
	}
	head, checkpoint, found := strings.Cut(rest, "\n\n")
	if !ended || !found || checkpoint == "" {
		return p, fmt.Errorf("%w before its checkpoint", errBrokenOff)
	}
	p.checkpoint = []byte(checkpoint)
	lines := strings.Split(head, "\n")
	if b64, ok := strings.CutPrefix(lines[0], "extra "); ok {
		extra, err := base64.StdEncoding.Strict().DecodeString(b64)
		if err != nil || strings.Contains(b64, "\r") {
			return p, errors.New("its extra data is not canonical base64")
		}
		p.extra, lines = extra, lines[1:]
	}
	if len(lines) == 0 {
		return p, errors.New("it has no index")
	}
	index, ok := strings.CutPrefix(lines[0], "index ")
	if !ok {
		return p, fmt.Errorf("the line %.60q should be its index", lines[0])
	}
	var err error
	if p.index, err = parseDecimal(index); err != nil {
		return p, fmt.Errorf("its index is malformed: %w", err)
	}
	if len(lines)-1 > maxPath {
		return p, fmt.Errorf("it has %d hashes, and no proof needs more than %d", len(lines)-1, maxPath)
	}
	for _, line := range lines[1:] {
		h, err := parseHash(line)
		if err != nil {
			return p, fmt.Errorf("one of its hashes is malformed: %w", err)
		}
		p.path = append(p.path, h[:])
	}
	return p, nil
}

// A proofVerification is one run of Proof.
type proofVerification struct {
	opt Options
	rep *Report

	proof  tlogProof
	signed Checkpoint
	of     []key // trusted, of this log
	by     *key  // of them, that has signed it
}

func (v *proofVerification) run(data, entry []byte) *failure {
	trusted, err := trustedKeys(v.opt.Keys, v.opt.Policy)
	if err != nil {
		return fail(Usage, "", "%s", err)
	}
	since, f := parseSince(v.opt.Since)
	if f != nil {
		return f
	}
	if f := v.parse(data); f != nil {
		return f
	}
	if f := v.signature(trusted); f != nil {
		return f
	}
	if entry == nil {
		entry = v.proof.extra
	}
	if f := v.inclusion(entry); f != nil {
		return f
	}
	if f := v.compare(since); f != nil {
		return f
	}
	if f := v.judge(entry); f != nil {
		return f
	}
	return v.required()
}

func (v *proofVerification) parse(data []byte) *failure {
	switch header, _, _ := bytes.Cut(data[:min(len(data), 80)], []byte("\n")); {
	case !IsProof(data):
		return fail(Usage, "", "this is not a proof: its first line is not %s", proofHeader)
	case string(header) != proofHeader:
		f := fail(Usage, "", "this version of countersign does not know this kind of proof")
		f.Expected, f.Found = proofHeader, fmt.Sprintf("%q", header)
		return f
	case len(data) > maxProof:
		return fail(Tampered, "", "the proof has %d bytes, at most %d are possible", len(data), maxProof)
	}
	var err error
	if v.proof, err = parseProof(data); err != nil {
		code := Tampered
		if errors.Is(err, errBrokenOff) {
			code = Incomplete
		}
		return fail(code, "", "the proof is malformed: %s", err)
	}
	if v.signed, err = ParseCheckpoint(v.proof.checkpoint); err != nil {
		return fail(Tampered, "", "the checkpoint in the proof is malformed: %s", err)
	}
	v.rep.Origin, v.rep.Size, v.rep.Index = v.signed.Origin, v.signed.Size, &v.proof.index
	v.rep.Root = base64.StdEncoding.EncodeToString(v.signed.Root[:])
	return nil
}

// signature checks that a trusted key has signed the checkpoint.
func (v *proofVerification) signature(trusted []key) *failure {
	if len(trusted) == 0 {
		return fail(Usage, "", "a proof can only be verified with the log's verifier key, and none was given")
	}
	of, f := named(trusted, v.signed.Origin)
	if f != nil {
		return f
	}
	by, wrong := signer(v.proof.checkpoint, of)
	if by != nil {
		v.of, v.by, v.rep.Key, v.rep.Signed = of, by, by.vkey, true
		return nil
	}
	if wrong != nil {
		return missignedFailure(*wrong)
	}
	f = (&keyring{trusted: of}).unsigned(v.proof.checkpoint)
	f.Text += "; if the log has changed its key since, give the key that it had then: only the whole log shows how one follows from the other"
	return f
}

// inclusion checks that the entry hashes into the root at the proof's index.
func (v *proofVerification) inclusion(entry []byte) *failure {
	if entry == nil {
		return fail(Usage, "", "the proof does not hold the entry itself, and none was given")
	}
	index, size := v.proof.index, v.signed.Size
	if index >= size {
		f := fail(Tampered, "", "the checkpoint is of too few entries for this index").at(index)
		f.Expected, f.Found = fmt.Sprintf("more than %d entries", index), plural(size, "entry", "entries")
		return f
	}
	leafHash := rfc6962.DefaultHasher.HashLeaf(entry)
	root, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, index, size, leafHash, v.proof.path)
	if err != nil {
		return fail(Tampered, "", "the proof does not fit its index and size: %s", err).at(index)
	}
	if !bytes.Equal(root, v.signed.Root[:]) {
		f := fail(Tampered, "", "the entry and the proof do not give the root that the checkpoint signs").at(index)
		f.Expected = "root " + base64.StdEncoding.EncodeToString(v.signed.Root[:])
		f.Found = "root " + base64.StdEncoding.EncodeToString(root)
		return f
	}
	v.rep.Entries = 1
	return nil
}

// compare compares the checkpoint with those kept earlier and with what the
// witnesses have cosigned.
func (v *proofVerification) compare(since []kept) *failure {
	for _, k := range since {
		if f := k.of(v.signed.Origin); f != nil {
			return f
		}
		// Of another size it can be signed by a key that the log had then.
		keys := v.of
		if k.Size == v.signed.Size {
			keys = []key{*v.by}
		}
		if by, wrong := signer(k.note, keys); by == nil {
			return k.notSigned(wrong, &keyring{trusted: keys})
		}
		if k.Size != v.signed.Size {
			v.rep.Notes = append(v.rep.Notes, fmt.Sprintf(
				"%s is of %s and the proof of %s: only the whole log shows whether they agree",
				k.resource, plural(k.Size, "entry", "entries"), plural(v.signed.Size, "entry", "entries")))
			continue
		}
		if k.Root != v.signed.Root {
			f := fail(Rollback, k.resource, "the proof's checkpoint contradicts it")
			f.Expected = "root " + base64.StdEncoding.EncodeToString(k.Root[:])
			f.Found = "root " + v.rep.Root
			return f
		}
		v.rep.AnchoredTo = k.Size
	}
	return v.rep.cosigned(v.opt.Policy, v.proof.checkpoint, v.signed.Size, "")
}

// required reports what was asked for and could not be looked at, or is not
// there.
func (v *proofVerification) required() *failure {
	if len(v.opt.Since) > 0 && v.rep.AnchoredTo == 0 {
		f := fail(AnchorAbsent, "", "nothing was compared with the checkpoints kept earlier: none is of the proof's size; verify the whole log with them")
		f.Expected = "a kept checkpoint of " + plural(v.signed.Size, "entry", "entries")
		return f
	}
	if v.opt.RequireWitness {
		return v.rep.requireWitness(v.opt.Policy, "")
	}
	return nil
}

// judge says whether the entry is one that a log of ours can hold.
func (v *proofVerification) judge(entry []byte) *failure {
	var p leafParser
	if err := p.parse(entry); err != nil {
		return fail(Invalid, "", "it is not a valid entry: %s", err).at(v.proof.index)
	}
	if n := len(p.evidence); n > 0 {
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf(
			"the entry names %s, which a proof does not hold", plural(uint64(n), "blob", "blobs")))
	}
	return nil
}
