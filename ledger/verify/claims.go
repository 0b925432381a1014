package verify

import (
	"bytes"
	"cmp"
	"context"
	"slices"
)

// claimedKey is the key that entry 0 names, before anything is known of that
// entry.
func (v *verification) claimedKey(ctx context.Context) []key {
	b, err := v.entries(ctx, 0, max(1, widthAt(v.signed.Size, 0, 0)))
	if err != nil {
		b = v.anyBeginning(ctx)
	}
	if len(b.leaves) == 0 || new(leafParser).parse(b.leaves[0]) != nil {
		return nil
	}
	k, _, f := parseCreated(b.leaves[0])
	if f != nil || k.Name() != v.signed.Origin {
		return nil
	}
	return []key{k}
}

// anyBeginning is the first entry bundle that the source lists, where the
// checkpoint's size may be what is wrong.
func (v *verification) anyBeginning(ctx context.Context) bundle {
	if v.files == nil {
		return bundle{}
	}
	for path, err := range v.files.List(ctx) {
		if res, ok := parsePath(path); ok && err == nil && res.kind == kindEntries && res.n == 0 {
			b, _ := v.entries(ctx, 0, res.width)
			return b
		}
	}
	return bundle{}
}

// A claim is an entry that says that it changes the log's key.
type claim struct {
	index uint64
	leaf  []byte
}

// likelySigner is the key that has signed the checkpoint, with the keys it
// follows from, nil if that cannot be told, where damage may hide the entry that
// names it. It is a trusted one, or
// follows from what the entries claim: the key of entry 0 is trusted no more than
// without damage, and every change of the key bears the signature of the key
// before, wherever it lies. The failure says that the signature is wrong.
func (v *verification) likelySigner(ctx context.Context) (*key, *keyring, *failure) {
	if by, _ := signer(v.checkpoint, v.keys.trusted); by != nil || ctx.Err() != nil {
		return by, v.keys, nil
	}
	ring := &keyring{origin: v.keys.origin, trusted: v.keys.trusted}
	for _, k := range v.claimedKey(ctx) {
		ring.chain = []link{{key: k}}
	}
	if ring.chain == nil {
		return nil, nil, nil
	}
	claims := v.claims(ctx)
	slices.SortFunc(claims, func(a, b claim) int { return cmp.Compare(a.index, b.index) })
	for _, c := range claims {
		_ = ring.rotated(c.index, c.leaf) // one that does not count changes nothing
	}
	by, wrong := signer(v.checkpoint, ring.known())
	switch {
	case by == nil && wrong != nil:
		return nil, nil, missignedFailure(*wrong)
	case by == nil, !ring.trusts(), !by.same(*ring.at(v.signed.Size)):
		return nil, nil, nil
	}
	v.rep.Rotations = len(ring.chain) - 1
	return by, ring, nil
}

// maxGap is after how many absent entry bundles in a row there are no more, in a
// source that cannot be listed.
const maxGap = 16

// claims are the entries that say that they change the key, wherever the source
// has entries.
func (v *verification) claims(ctx context.Context) []claim {
	var found []claim
	if v.files != nil {
		for path, err := range v.files.List(ctx) {
			if err != nil {
				return found
			}
			if res, ok := parsePath(path); ok && res.kind == kindEntries {
				found, _ = v.claimsIn(ctx, res.n, res.width, found)
			}
		}
		return found
	}
	gap := 0
	for n := uint64(0); gap < maxGap && ctx.Err() == nil; n++ {
		width := widthAt(v.signed.Size, 0, n)
		if width == 0 {
			break
		}
		gap++
		var read bool
		if found, read = v.claimsIn(ctx, n, width, found); read {
			gap = 0
		}
	}
	return found
}

// claimsIn appends the claims in one entry bundle.
func (v *verification) claimsIn(ctx context.Context, n uint64, width int, found []claim) (all []claim, read bool) {
	b, err := v.entries(ctx, n, width)
	if err != nil {
		return found, false
	}
	for i, leaf := range b.leaves {
		if !bytes.Contains(leaf, []byte(rotatedKind)) {
			continue
		}
		if p := new(leafParser); p.parse(leaf) == nil && string(p.kind) == rotatedKind {
			found = append(found, claim{n*tileWidth + uint64(i), leaf})
		}
	}
	return found, true
}
