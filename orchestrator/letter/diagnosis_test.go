package letter

import (
	"os"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

func explained(t *testing.T, event notify.Event, given ...incident.Diagnosis) string {
	t.Helper()
	c := incident.Case{Summary: incident.Summary{ID: "inc-850da6-1767323045"}}
	for _, g := range given {
		state := incident.State{Open: &incident.Open{ID: c.ID, Stage: incident.Detected}}
		draft, err := state.Diagnosed(incident.About{Tenant: "acme", Service: "checkout", Time: begin}, c.ID, g)
		if err != nil {
			t.Fatal(err)
		}
		c.Entries = append(c.Entries, incident.Indexed{Entry: draft.Entry})
	}
	m := notify.Message{ID: "a", Event: event, Service: "checkout"}
	explain(&m, c)
	return m.Short()
}

func TestMessageTellsTheCause(t *testing.T) {
	slow := incident.Theory{By: "rules", Cause: "slow_dependency", Confidence: 0.85}
	pool := incident.Theory{By: "local", Cause: "pool_exhaustion", Confidence: 0.7}
	single := incident.Diagnosis{By: "rules", Of: incident.Detected, Outcome: "single", Confidence: 0.85, Theories: []incident.Theory{slow}}
	dissent := incident.Diagnosis{By: "rules+local", Of: incident.Validated, Outcome: "dissent", Confidence: 0.7, Theories: []incident.Theory{slow, pool}, TellApart: "If it is the pool, it is at its limit."}
	withheld := single
	withheld.Confidence, withheld.Withheld = 0.5, true
	unsaid := single
	unsaid.Confidence = 0.59
	for _, tt := range []struct {
		name  string
		given []incident.Diagnosis
		want  string
	}{
		{"nobody", nil, ""},
		{"one", []incident.Diagnosis{single}, "Likely cause: slow dependency (rules)\nConfidence: 85 %\n"},
		{"two who differ", []incident.Diagnosis{single, dissent}, "Likely cause: slow dependency (rules) or pool exhaustion (local)\nConfidence: 70 %\nTo tell: If it is the pool, it is at its limit.\n"},
		{"withheld", []incident.Diagnosis{withheld}, ""},
		{"too little, and not said to be withheld", []incident.Diagnosis{unsaid}, ""},
		{"the last counts", []incident.Diagnosis{single, withheld}, ""},
	} {
		got := explained(t, notify.Incident, tt.given...)
		if tt.want == "" && strings.Contains(got, "ause") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestMessageOfTwoIsAsDocumented: what docs/NOTIFICATIONS.md shows of a dissent is what is
// sent.
func TestMessageOfTwoIsAsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/NOTIFICATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	slow := &diagnosis.Answer{Cause: diagnosis.SlowDependency, Facts: []string{"F1"}, Confidence: 0.85}
	pool := &diagnosis.Answer{Cause: diagnosis.PoolExhaustion, Facts: []string{"F2"}, Confidence: 0.7}
	r := diagnosis.Merge([]diagnosis.Opinion{{Diagnoser: "rules", Answer: slow}, {Diagnoser: "local", Answer: pool}}, diagnosis.MinConfidence)
	text := explained(t, notify.Incident, incident.Diagnosis{
		By: "rules+local", Of: incident.Detected, Outcome: string(r.Outcome), Confidence: r.Confidence, TellApart: r.TellApart,
		Theories: []incident.Theory{{By: "rules", Cause: string(slow.Cause), Confidence: slow.Confidence}, {By: "local", Cause: string(pool.Cause), Confidence: pool.Confidence}},
	})
	shown := 0
	for line := range strings.Lines(text) {
		for _, head := range []string{"Likely cause:", "Confidence:", "To tell:"} {
			if strings.HasPrefix(line, head) {
				if shown++; !strings.Contains(string(doc), "    "+line) {
					t.Errorf("the documentation lacks %q", line)
				}
			}
		}
	}
	if shown != 3 {
		t.Errorf("%d lines of the diagnosis in %q", shown, text)
	}
}
