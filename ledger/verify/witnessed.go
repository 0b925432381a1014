package verify

import (
	"context"
	"fmt"

	"github.com/countersign-dev/countersign/ledger/witness"
)

// witnesses checks the witnessed checkpoint, and whose cosignatures it and the
// log's own have.
func (v *verification) witnesses(ctx context.Context) *failure {
	if v.witnessed != nil {
		k, f := parseKept(v.witnessed, WitnessedPath, Tampered)
		if f == nil {
			f = k.check(ctx, v.walk.tree, v.keys)
		}
		if f == nil {
			f = v.rep.cosigned(v.opt.Policy, k.note, k.Size, WitnessedPath)
		}
		if f != nil {
			return f
		}
	}
	f := v.rep.cosigned(v.opt.Policy, v.checkpoint, v.signed.Size, CheckpointPath)
	if to := v.rep.WitnessedTo; f == nil && to > 0 && to < v.signed.Size {
		v.rep.Notes = append(v.rep.Notes, fmt.Sprintf("the witnesses vouch for the first %s of %s; the later ones have only the log's own key behind them",
			plural(to, "entry", "entries"), count(v.signed.Size)))
	}
	return f
}

// cosigned looks for the witnesses' cosignatures on a checkpoint of that size.
func (r *Report) cosigned(policy *witness.Policy, note []byte, size uint64, resource string) *failure {
	if policy == nil {
		return nil
	}
	names, wrong, err := policy.Cosignatures(note)
	if err != nil {
		return fail(Tampered, resource, "%s", err)
	}
	if len(wrong) > 0 {
		return fail(Tampered, resource, "the cosignature of the witness %s does not verify", wrong[0])
	}
	switch {
	case policy.Quorum != witness.NoQuorum && policy.Quorate(names):
		r.WitnessedTo, r.Witnesses = size, names
	case len(names) > 0 && r.WitnessedTo == 0:
		r.Witnesses = names
	}
	return nil
}

// requireWitness is the failure when no checkpoint has the policy's quorum.
func (r *Report) requireWitness(policy *witness.Policy, resource string) *failure {
	if policy == nil {
		return fail(Usage, "", "witnesses can only be required with a policy that names them")
	}
	if r.WitnessedTo > 0 {
		return nil
	}
	f := fail(AnchorAbsent, resource, "no checkpoint of the log has the witnesses' cosignatures that the policy asks for")
	f.Expected = "the quorum " + policy.Quorum
	f.Found = "cosignatures of " + plural(uint64(len(r.Witnesses)), "witness", "witnesses")
	return f
}
