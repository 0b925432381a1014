package counsel

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Score is the incident for [diagnosis.Score]: the last diagnosis that was given, or the
// last before an approver said whom to trust, what a person has found, whom the approver
// trusted, and what helped. Of several approvers the last who says so counts. It is false
// when no diagnosis is on record. The error is that its evidence cannot be read.
func Score(c incident.Case, blob func([32]byte) ([]byte, error)) (diagnosis.Case, bool, error) {
	out := diagnosis.Case{Truth: diagnosis.Cause(c.Cause), Resolved: c.Stage == incident.Resolved, Action: c.Action}
	var last *incident.Entry
	for _, e := range c.Entries {
		if k := e.Entry.Kind; k == incident.KindApproved || k == incident.KindOf(incident.Authorized) {
			a, _ := e.Entry.Metadata["approval"].(map[string]any)
			if who, _ := a["trusted"].(string); who != "" {
				out.Trusted = who
			}
		}
		if _, ok := e.Entry.Diagnosis(); ok && out.Trusted == "" {
			last = &e.Entry
		}
	}
	if last == nil {
		return out, false, nil
	}
	kept, there, err := recordOf(*last, blob)
	if err != nil {
		return out, false, fmt.Errorf("the diagnosis of %s %w", c.ID, err)
	}
	out.Record = kept.Record
	return out, there && len(kept.Record.Opinions) > 0, nil
}

// recordOf reads what an entry keeps of a diagnosis; it is false when that is not among
// its evidence. The error completes "the diagnosis".
func recordOf(e incident.Entry, blob func([32]byte) ([]byte, error)) (kept Kept, there bool, err error) {
	i := slices.IndexFunc(e.Evidence, func(f incident.Evidence) bool { return f.Name == incident.DiagnosisFile })
	if i < 0 {
		return kept, false, nil
	}
	var sum [32]byte
	if n, err := hex.Decode(sum[:], []byte(e.Evidence[i].SHA256)); n != len(sum) || err != nil {
		return kept, false, errors.New("has no readable sum")
	}
	data, err := blob(sum)
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		return kept, false, fmt.Errorf("cannot be read: %w", err)
	}
	return kept, true, nil
}
