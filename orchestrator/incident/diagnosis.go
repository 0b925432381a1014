package incident

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
)

// diagnosisMember is what a diagnosis says, beside what all entries say.
const diagnosisMember = "diagnosis"

// Bounds of what a diagnosis says in its entry.
const (
	maxTheories  = 2
	maxDiagnosis = 96 << 10 // bytes of its evidence
)

// Diagnosis is what somebody makes of an incident's evidence. It is told to people
// and remembered, and nothing else follows from it: no state holds it, so that no
// step can look at it.
type Diagnosis struct {
	// By names who gave it, such as "rules".
	By string `json:"-"`
	// Of is the stage whose evidence was looked at.
	Of Stage `json:"of"`
	// Outcome is consensus, dissent, single or none.
	Outcome string `json:"outcome"`
	// Confidence is between 0 and 1; 0 when no cause is named.
	Confidence float64 `json:"confidence"`
	// Withheld says that people are shown the figures alone.
	Withheld bool `json:"withheld"`
	// Signature is what incidents that look alike have in common.
	Signature string `json:"signature,omitempty"`
	// Theories are what is thought: two when they differ, else one or none.
	Theories []Theory `json:"theories,omitempty"`
	// TellApart says what would show which of two is right.
	TellApart string `json:"tell_apart,omitempty"`
	// Earlier says how the last incident of the same signature ended.
	Earlier string `json:"earlier,omitempty"`
	// Record is everything that was said and what it rests on, as JSON. It is kept
	// as evidence, and is there when a diagnosis is drafted.
	Record []byte `json:"-"`
}

// Theory is one cause and what speaks for it.
type Theory struct {
	By         string  `json:"by"`
	Cause      string  `json:"cause"`
	Text       string  `json:"text"`
	Check      string  `json:"check,omitempty"`
	Rests      string  `json:"rests,omitempty"`
	Action     string  `json:"action,omitempty"`
	Confidence float64 `json:"confidence"`
}

// Diagnosed drafts the entry of a diagnosis of the incident that is open.
func (s State) Diagnosed(a About, incident string, g Diagnosis) (Draft, error) {
	by := clean(g.By, maxName-len(diagnosisPrefix))
	if by == "" {
		return Draft{}, fmt.Errorf("nobody is named who gives the diagnosis of %s", clean(incident, maxName))
	}
	e := a.entry(KindDiagnosed, diagnosisPrefix+by)
	e.IncidentID, e.Decision = incident, clean(g.Outcome, maxName)
	if s.Open != nil && s.Open.ID == incident {
		e.Stage = s.Open.Stage
	}
	g = g.bounded()
	if len(g.Theories) > 0 {
		e.Confidence = &g.Confidence
	}
	e.Reason = clean(g.sentence(), maxReason)
	data, err := json.Marshal(g)
	var member map[string]any
	if err == nil {
		err = json.Unmarshal(data, &member)
	}
	if err != nil {
		return Draft{}, fmt.Errorf("the diagnosis of %s cannot be written: %w", clean(incident, maxName), err)
	}
	e.Metadata[diagnosisMember] = member
	var x exhibits
	x.add(DiagnosisFile, g.Record, maxDiagnosis)
	return x.attach(e), nil
}

// Diagnosis is what an entry says of one, false when it is none.
func (e Entry) Diagnosis() (Diagnosis, bool) {
	member, there := e.Metadata[diagnosisMember].(map[string]any)
	if e.Kind != KindDiagnosed || !there {
		return Diagnosis{}, false
	}
	data, err := json.Marshal(member)
	var g Diagnosis
	if err != nil || json.Unmarshal(data, &g) != nil {
		return Diagnosis{}, false
	}
	g.By = strings.TrimPrefix(e.Actor, diagnosisPrefix)
	return g.bounded(), true
}

// bounded is a diagnosis whose texts are cleaned and cut to fit.
func (g Diagnosis) bounded() Diagnosis {
	g.Outcome, g.Signature = clean(g.Outcome, maxName), clean(g.Signature, maxPhrase)
	g.TellApart, g.Earlier = clean(g.TellApart, maxReason), clean(g.Earlier, maxPhrase)
	g.Confidence = certainty(g.Confidence)
	theories := make([]Theory, 0, maxTheories)
	for _, t := range g.Theories[:min(len(g.Theories), maxTheories)] {
		theories = append(theories, Theory{
			By: clean(t.By, maxName), Cause: clean(t.Cause, maxName), Text: clean(t.Text, maxReason), Check: clean(t.Check, maxReason),
			Rests: clean(t.Rests, maxReason), Action: clean(t.Action, maxName), Confidence: certainty(t.Confidence),
		})
	}
	g.Theories = theories
	return g
}

func certainty(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, 0), 1)
}

// sentence says it in short, for the one who reads entries.
func (g Diagnosis) sentence() string {
	if len(g.Theories) == 0 {
		return "no cause is named"
	}
	var named []string
	for _, t := range g.Theories {
		named = append(named, fmt.Sprintf("%s (%s, confidence %.0f %%)", t.Cause, t.By, 100*t.Confidence))
	}
	text := strings.Join(named, " or ")
	if g.Withheld {
		text += "; too little confidence for it to be told"
	}
	return text
}

// foldDiagnosed looks whose it is, and changes nothing.
func (s *State) foldDiagnosed(e Entry) error {
	if s.Open == nil || s.Open.ID != e.IncidentID {
		return s.notOpen(e)
	}
	return nil
}

// Diagnosis is the last one that was given, false when there is none.
func (c Case) Diagnosis() (Diagnosis, bool) {
	for i := len(c.Entries) - 1; i >= 0; i-- {
		if g, ok := c.Entries[i].Entry.Diagnosis(); ok {
			return g, true
		}
	}
	return Diagnosis{}, false
}
