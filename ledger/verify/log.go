package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
)

// AnchorResource is what a Problem of Options.Anchor names.
const AnchorResource = "anchor/checkpoint"

// A verification is one run of Log.
type verification struct {
	reader
	files Lister // nil when the source cannot be listed
	opt   Options
	rep   *Report

	trusted []key
	since   []kept

	witnessed  []byte // nil when there is none
	checkpoint []byte
	signed     Checkpoint // what checkpoint says
	hasFormat  bool

	keys *keyring
	walk *walk
}

// Log verifies a log, whole: signatures, every tile, every entry, every blob,
// and what the options ask for besides. Its memory does not grow with the log;
// what has to be sorted goes through temporary files. When ctx ends the verdict
// is Internal.
//
// A verdict of Verified proves that the entries are those, all of those and in
// the order, that the signer of the checkpoint signed; the Tier says whether
// anybody but the signer vouches for that, and AnchoredTo and WitnessedTo for how
// many of the entries.
func Log(ctx context.Context, src Source, opt Options) *Report {
	files, listed := src.(Lister)
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
		if _, remote := src.(*HTTP); remote {
			opt.Workers = max(opt.Workers, httpWorkers)
		}
	}
	v := &verification{reader: reader{src: src, listed: listed}, files: files, opt: opt, rep: &Report{}}
	f := v.run(ctx)
	if ctx.Err() != nil && (f == nil || f.code == Internal) {
		f = fail(Internal, "", "interrupted")
	}
	v.rep.finish(f)
	return v.rep
}

// run returns the problem that decides the verdict, or nil.
func (v *verification) run(ctx context.Context) *failure {
	for _, step := range []func(context.Context) *failure{v.ask, v.open, v.begin} {
		if f := step(ctx); f != nil {
			return f
		}
	}
	once, blobs := newSorter(false), newSorter(true)
	v.walk = &walk{
		keys: v.keys, checks: v.opt.Checks, progress: v.opt.Progress, workers: v.opt.Workers,
		once: once, blobs: blobs,
	}
	f := v.verify(ctx)
	if err := errors.Join(once.close(), blobs.close()); err != nil && f == nil {
		return fail(Internal, "", "cannot remove temporary files: %s", err)
	}
	return f
}

// ask takes apart what the options say.
func (v *verification) ask(context.Context) *failure {
	var err error
	if v.trusted, err = trustedKeys(v.opt.Keys, v.opt.Policy); err != nil {
		return fail(Usage, "", "%s", err)
	}
	if v.opt.RequireWitness && v.opt.Policy == nil {
		return v.rep.requireWitness(nil, "")
	}
	var f *failure
	v.since, f = parseSince(v.opt.Since)
	return f
}

// open reads what the log says of itself. A witnessed checkpoint is read before
// the log's own: while the log grows it is never the larger one.
func (v *verification) open(ctx context.Context) *failure {
	if f := v.readFormat(ctx); f != nil {
		return f
	}
	var f *failure
	if v.witnessed, f = v.optional(ctx, WitnessedPath, MaxCheckpoint); f != nil {
		return f
	}
	var err error
	v.checkpoint, err = v.src.Get(ctx, CheckpointPath, MaxCheckpoint)
	switch {
	case errors.Is(err, ErrNotALog):
		return fail(Usage, CheckpointPath, "%s", err)
	case errors.Is(err, fs.ErrNotExist) && v.listed && !v.hasFormat:
		return fail(Usage, "", "this is not a ledger's bundle: it has neither %s nor %s", CheckpointPath, FormatPath)
	case errors.Is(err, fs.ErrNotExist):
		return fail(Incomplete, CheckpointPath, "there is no checkpoint, without which nothing can be verified: %s", err)
	case err != nil:
		return v.explain(ctx, CheckpointPath, err)
	}
	if v.signed, err = ParseCheckpoint(v.checkpoint); err != nil {
		return fail(Tampered, CheckpointPath, "it is malformed: %s", err)
	}
	v.rep.Origin, v.rep.Size = v.signed.Origin, v.signed.Size
	v.rep.Root = base64.StdEncoding.EncodeToString(v.signed.Root[:])
	return nil
}

// readFormat looks which format the log has. Only a bundle has to say.
func (v *verification) readFormat(ctx context.Context) *failure {
	data, f := v.optional(ctx, FormatPath, maxFormat)
	if data == nil || f != nil {
		return f
	}
	v.hasFormat = true
	version, ours := bytes.CutPrefix(data, []byte(formatName))
	switch {
	case string(data) == Format, !ours && !v.listed:
		return nil
	case ours && isVersion(version):
		return newerFormat(FormatPath, string(data))
	}
	f = fail(Tampered, FormatPath, "it does not say what a ledger's bundle says")
	f.Expected, f.Found = fmt.Sprintf("%q", Format), fmt.Sprintf("%q", data)
	return f
}

// optional reads a resource that need not be there; it is nil then. A web server
// may have a page for everything.
func (v *verification) optional(ctx context.Context, path string, limit int64) ([]byte, *failure) {
	data, err := v.src.Get(ctx, path, limit)
	switch {
	case err == nil && data == nil:
		return []byte{}, nil
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotALog), errors.Is(err, ErrTooLong) && !v.listed:
		return nil, nil
	}
	return nil, v.explain(ctx, path, err)
}

// isVersion says whether this is a version that a later format could have.
func isVersion(line []byte) bool {
	digits, ok := bytes.CutSuffix(line, []byte("\n"))
	_, err := parseDecimal(string(digits))
	return ok && err == nil && string(digits) != "0"
}

// begin checks the checkpoint as far as that is possible before the entries
// are: they may change the key.
func (v *verification) begin(ctx context.Context) *failure {
	trusted, f := named(v.trusted, v.signed.Origin)
	if f != nil {
		return f
	}
	for _, k := range v.since {
		if f := k.of(v.signed.Origin); f != nil {
			return f
		}
	}
	v.keys = &keyring{origin: v.signed.Origin, trusted: trusted}
	candidates := trusted
	if len(candidates) == 0 {
		v.rep.OwnKey = true
		candidates = v.claimedKey(ctx)
	}
	by, wrong := signer(v.checkpoint, candidates)
	if by == nil && wrong != nil {
		return missignedFailure(*wrong)
	}
	_, signatures, _ := splitNote(v.checkpoint)
	if !slices.ContainsFunc(signatures, func(s signature) bool { return s.name == v.signed.Origin }) {
		return v.keys.unsigned(v.checkpoint)
	}
	if v.signed.Size == 0 {
		return fail(Incomplete, CheckpointPath, "the log is empty: there is nothing to verify")
	}
	return nil
}

// verify checks the tree and its entries, then what they are compared with, then
// what lies beside them, then the rules.
func (v *verification) verify(ctx context.Context) *failure {
	tree, damage := openTree(ctx, v.reader, v.signed)
	if tree == nil {
		return cmp.Or(v.settle(ctx, false), damage)
	}
	v.walk.tree = tree
	broken := v.walk.run(ctx)
	unsigned := v.settle(ctx, broken == nil)
	if damage != nil && damage.before(broken) {
		broken = damage
	}
	if f := cmp.Or(unsigned, broken); f != nil {
		return f
	}
	if len(v.keys.chain) == 0 {
		return v.walk.rule // sound, but no log of ours: nothing else is known of its files
	}
	for _, step := range []func(context.Context) *failure{v.compare, v.beside, v.rules, v.required} {
		if f := step(ctx); f != nil {
			return f
		}
	}
	return nil
}

// settle decides by which key the checkpoint is signed. Unless the walk is
// complete the entries may change the key yet, so that a key that has not signed
// is no failure.
func (v *verification) settle(ctx context.Context, complete bool) *failure {
	v.rep.Entries, v.rep.Rotations = v.walk.delivered, max(0, len(v.keys.chain)-1)
	ring := v.keys
	by, f := ring.inForce(v.checkpoint, v.signed.Size)
	if !complete && by == nil {
		by, ring, f = v.likelySigner(ctx)
	}
	if by == nil {
		return f
	}
	v.rep.Key, v.rep.Signed = by.vkey, true
	v.rep.ProvenTo = v.walk.delivered
	if !slices.ContainsFunc(ring.trusted, by.same) {
		v.rep.GivenKey = ring.given()
	}
	return f
}

// compare compares the log with earlier checkpoints of it.
func (v *verification) compare(ctx context.Context) *failure {
	if v.opt.Anchor != nil {
		k, f := parseKept(v.opt.Anchor, AnchorResource, Tampered)
		if f == nil {
			f = k.check(ctx, v.walk.tree, v.keys)
		}
		if f != nil {
			return f
		}
	}
	for _, k := range v.since {
		if f := k.check(ctx, v.walk.tree, v.keys); f != nil {
			return f
		}
		v.rep.AnchoredTo = max(v.rep.AnchoredTo, k.Size)
	}
	return v.witnesses(ctx)
}

// beside checks the blobs, and whether there is anything that should not be.
func (v *verification) beside(ctx context.Context) *failure {
	blobs := &blobCheck{reader: v.reader}
	err := blobs.run(ctx, v.walk.blobs, v.opt.Workers)
	v.rep.Blobs = blobs.sound
	v.walk.broke(blobs.rule)
	if err != nil {
		return asFailure(err)
	}
	if v.files == nil {
		return nil
	}
	held := newSorter(true)
	found := &inventory{tree: v.walk.tree, blobs: held}
	err = found.run(ctx, v.files)
	if err == nil {
		err = found.strayBlobs(v.walk.blobs)
	}
	if err := errors.Join(err, held.close()); err != nil {
		return asFailure(err)
	}
	if found.first == nil && !found.present {
		return fail(Incomplete, FormatPath, "the file that says what this bundle is is absent")
	}
	return found.first
}

// rules reports the first entry that breaks a rule.
func (v *verification) rules(ctx context.Context) *failure {
	twice, err := onceTwice(ctx, v.walk.once)
	if err != nil {
		return asFailure(err)
	}
	v.walk.broke(twice)
	v.walk.end()
	return v.walk.rule
}

// required reports what was asked for and is not there.
func (v *verification) required(context.Context) *failure {
	if v.opt.RequireAnchor && v.opt.Anchor == nil {
		return fail(AnchorAbsent, AnchorResource, "the store's anchor, which is required, is absent")
	}
	if v.opt.RequireWitness {
		return v.rep.requireWitness(v.opt.Policy, WitnessedPath)
	}
	return nil
}
