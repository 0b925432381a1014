package verify

import (
	"context"

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
	return v.rep.cosigned(v.opt.Policy, v.checkpoint, v.signed.Size, CheckpointPath)
}

// cosigned looks for the witnesses' cosignatures on a checkpoint of that size.
func (r *Report) cosigned(policy *witness.Policy, note []byte, size uint64, resource string) *failure {
	if policy == nil {
		return nil
	}
	_, wrong, err := policy.Cosignatures(note)
	if err != nil {
		return fail(Tampered, resource, "%s", err)
	}
	if len(wrong) > 0 {
		return fail(Tampered, resource, "the cosignature of the witness %s does not verify", wrong[0])
	}
	names, ok := policy.Satisfied(note)
	switch {
	case ok && len(names) > 0:
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
