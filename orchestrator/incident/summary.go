package incident

import (
	"iter"
	"slices"
	"time"
)

// Verdicts of a person on an incident.
const (
	FalseAlarm = "false_alarm"
	Confirmed  = "confirmed"
)

// Summary is one incident in a line.
type Summary struct {
	ID        string    `json:"incident_id"`
	Tenant    string    `json:"tenant_id"`
	Service   string    `json:"service"`
	Stage     Stage     `json:"stage"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	Shadow    bool      `json:"shadow_mode"` // it began in shadow mode
	Gates     []string  `json:"gates"`
	Reason    string    `json:"reason"`
	Verdict   string    `json:"verdict,omitempty"` // "false_alarm" or "confirmed" when somebody said so
	// Cause is what a person has found to be the cause, Diagnosed what was diagnosed
	// with enough confidence, Action what was run; empty when there is none.
	Cause     string `json:"cause,omitempty"`
	Diagnosed string `json:"diagnosed,omitempty"`
	Action    string `json:"action,omitempty"`
	// Signature is what incidents that look alike have in common, as its last diagnosis
	// has it.
	Signature string `json:"signature,omitempty"`
	First     uint64 `json:"first_entry"`
	Last      uint64 `json:"last_entry"`
}

// Summarize begins the summary of the incident that an entry, number index of
// the ledger, opens. It is false for every other entry.
func Summarize(index uint64, e Entry) (Summary, bool) {
	if e.Kind != KindOf(Detected) {
		return Summary{}, false
	}
	shadow, _ := e.Metadata["shadow_mode"].(bool)
	gates := e.gates()
	if gates == nil {
		gates = []string{}
	}
	return Summary{
		ID: e.IncidentID, Tenant: e.TenantID, Service: e.Service, Stage: Detected, StartedAt: e.Time,
		Shadow: shadow, Gates: gates, Reason: e.Reason, First: index, Last: index,
	}, true
}

// Follow takes in a later entry of the incident; others change nothing.
func (s *Summary) Follow(index uint64, e Entry) {
	if e.IncidentID != s.ID || e.TenantID != s.Tenant || e.Kind == KindOf(Detected) {
		return
	}
	s.Last = index
	switch e.Kind {
	case KindJoined:
		if len(s.Gates) < maxJoined {
			// The gates may be shared with whoever was given the summary.
			s.Gates = append(s.Gates[:len(s.Gates):len(s.Gates)], e.text("key"))
		}
	case KindMarked:
		s.Verdict = e.text("verdict")
		if cause := e.text("cause"); cause != "" || s.Verdict != Confirmed { // to confirm it again takes nothing back
			s.Cause = cause
		}
	case KindDiagnosed:
		g, _ := e.Diagnosis()
		s.Signature, s.Diagnosed = g.Signature, ""
		if len(g.Theories) == 1 && !g.Withheld {
			s.Diagnosed = g.Theories[0].Cause
		}
	case KindOf(e.Stage):
		s.Stage = e.Stage
		if e.Stage == Executed {
			s.Action = clean(e.execution().Action, maxName)
		}
		if e.Stage.Terminal() {
			s.EndedAt = e.Time
		}
	}
}

// List summarizes the incidents among the entries of a ledger, newest first; of
// one tenant when it is named. The error is that of reading.
func List(tenant string, entries iter.Seq2[Indexed, error]) ([]Summary, error) {
	list := []Summary{}
	type key struct{ tenant, id string }
	at := map[key]int{}
	for e, err := range entries {
		if err != nil {
			return nil, err
		}
		if tenant != "" && e.Entry.TenantID != tenant {
			continue
		}
		of := key{e.Entry.TenantID, e.Entry.IncidentID}
		if i, ok := at[of]; ok {
			list[i].Follow(e.Index, e.Entry)
		} else if s, ok := Summarize(e.Index, e.Entry); ok {
			at[of] = len(list)
			list = append(list, s)
		}
	}
	slices.Reverse(list)
	return list, nil
}
