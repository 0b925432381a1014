package incident

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// TestForgedSequences leaves out, repeats, exchanges and changes entries at random: what
// the audit lets pass has no execution that was not authorized by as many people as were
// asked for, by links of theirs, none twice, and no receipt of what was not due.
func TestForgedSequences(t *testing.T) {
	entries := story(t)
	if why := unsound(entries); why != "" {
		t.Fatalf("the story itself: %s", why)
	}
	r := rand.New(rand.NewPCG(1, 2))
	rounds := 6000
	if testing.Short() {
		rounds = 600
	}
	passed, refused := 0, map[string]int{}
	for range rounds {
		forged := forge(t, r, entries)
		if err := audited(t, forged); err != nil {
			refused[err.Error()[:min(len(err.Error()), 24)]]++
			continue
		}
		passed++
		if why := unsound(forged); why != "" {
			t.Fatalf("the audit lets pass %s:\n%v", why, kinds(forged))
		}
	}
	// Some forgeries change nothing that matters; most must not pass.
	if passed == 0 || passed > rounds/2 || len(refused) < 10 {
		t.Errorf("%d pass, and the others are refused with %d texts: the test tests too little", passed, len(refused))
	}
}

// forge changes a copy of a story.
func forge(t *testing.T, r *rand.Rand, story []Entry) []Entry {
	t.Helper()
	var out []Entry
	data, err := json.Marshal(story)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 1 + r.IntN(3) {
		i, j := r.IntN(len(out)), r.IntN(len(out))
		switch r.IntN(8) {
		case 0:
			out = slices.Delete(out, i, i+1)
		case 1:
			again := out[i]
			again.Time = out[j].Time
			out = slices.Insert(out, j, again)
		case 2:
			out[i], out[j] = out[j], out[i]
			out[i].Time, out[j].Time = out[j].Time, out[i].Time
		case 3:
			out[i].Actor = []string{"human:ana", "human:ben", "human:eve", ActorPolicy, ActorExecutor}[r.IntN(5)]
		case 4:
			out[i].ActionDigest = []string{"", restart.Digest(), shed.Digest()}[r.IntN(3)]
		case 5:
			if a, ok := out[i].Metadata["approval"].(map[string]any); ok {
				a[[]string{"contact", "link_id", "risk", "submitted_by"}[r.IntN(4)]] = []string{"ana", "ben", "eve", "high"}[r.IntN(4)]
			}
		case 6:
			if a, ok := out[i].Metadata["approval"].(map[string]any); ok {
				a["quorum"], a["approvers"] = float64(r.IntN(3)), []any{"ana", "ben"}[:r.IntN(3)]
			}
		case 7:
			if out[i].Metadata["effect_indices"] != nil {
				out[i].Metadata["effect_indices"] = []any{float64(r.IntN(len(out)))}
			}
		}
	}
	return out
}

// audited is what the audit says of entries, of which the first has number 1.
func audited(t *testing.T, entries []Entry) error {
	t.Helper()
	c := NewCheck(CheckOptions{})
	for i, leaf := range leavesOf(t, entries) {
		if err := c.Entry(uint64(i)+1, leaf); err != nil {
			return err
		}
	}
	return c.End()
}

// unsound says what must not be, by rules that share nothing with the machine.
func unsound(entries []Entry) string {
	links, approved, authorized := map[string]string{}, map[string]bool{}, map[string]string{}
	executions, due := map[string]int{}, map[float64]string{}
	quorum, asker, risk := 0.0, "", ""
	for i, e := range entries {
		a, _ := e.Metadata["approval"].(map[string]any)
		text := func(name string) string { s, _ := a[name].(string); return s }
		switch e.Kind {
		case KindOf(Validated), KindAsked:
			quorum, _ = a["quorum"].(float64)
			asker, risk = text("submitted_by"), text("risk")
			clear(approved)
		case KindOffered:
			links[text("link_id")] = text("contact")
		case KindApproved, KindOf(Authorized):
			if who := text("contact"); links[text("link_id")] != who || e.Actor != "human:"+who {
				return fmt.Sprintf("entry %d, by a link of %q", i+1, links[text("link_id")])
			}
			approved[e.Actor] = true
			if e.Kind != KindOf(Authorized) {
				continue
			}
			if quorum == 0 || float64(len(approved)) < quorum || risk == "high" && len(approved) == 1 && approved["human:"+asker] {
				return fmt.Sprintf("entry %d, authorized by %d of %v", i+1, len(approved), quorum)
			}
			authorized[e.IncidentID] = e.ActionDigest
		case KindOf(Executed):
			if executions[e.IncidentID]++; executions[e.IncidentID] > 1 || authorized[e.IncidentID] == "" || authorized[e.IncidentID] != e.ActionDigest {
				return fmt.Sprintf("entry %d, execution %d of %q where %q was authorized", i+1, executions[e.IncidentID], e.ActionDigest, authorized[e.IncidentID])
			}
		case KindEffectDue:
			due[float64(i+1)] = e.text("effect")
			if e.text("effect") == Execution && executions[e.IncidentID] != 1 {
				return fmt.Sprintf("entry %d, an execution that is due without one", i+1)
			}
		case KindEffectReceipt:
			list, _ := e.Metadata["effect_indices"].([]any)
			for _, item := range list {
				of, _ := item.(float64)
				if due[of] == "" || (due[of] == Execution) != (e.text("effect") == Execution) {
					return fmt.Sprintf("entry %d, a receipt of entry %v", i+1, of)
				}
			}
			if _, known := e.Metadata["outcome"].(string); !known || e.text("outcome") == string(recovery.Outcome("")) {
				return fmt.Sprintf("entry %d, a receipt without an outcome", i+1)
			}
		}
	}
	return ""
}
