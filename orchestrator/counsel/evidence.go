package counsel

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Evidence gathers what an incident has recorded of a stage. blob reads a piece of
// evidence by its SHA-256 sum; what was found when it was detected, and not again at
// the stage, is taken from there.
func Evidence(c incident.Case, stage incident.Stage, blob func([32]byte) ([]byte, error), actions []string, memory diagnosis.Memory) (diagnosis.Evidence, error) {
	files := map[string]incident.Evidence{}
	for _, e := range c.Entries {
		if e.Entry.Kind != incident.KindOf(stage) && e.Entry.Kind != incident.KindOf(incident.Detected) {
			continue
		}
		for _, f := range e.Entry.Evidence {
			files[f.Name] = f
		}
	}
	var trouble error
	m, err := diagnosis.Read(func(name string) []byte {
		f, there := files[name]
		var sum [32]byte
		if n, err := hex.Decode(sum[:], []byte(f.SHA256)); !there || n != len(sum) || err != nil {
			return nil
		}
		data, err := blob(sum)
		if err != nil {
			trouble = fmt.Errorf("%s cannot be read: %w", name, err)
			return nil
		}
		return data
	})
	if err != nil {
		if trouble != nil {
			err = trouble
		}
		return diagnosis.Evidence{}, fmt.Errorf("the evidence of %s: %w", c.ID, err)
	}
	m.Service, m.IncidentID, m.Actions = c.Service, c.ID, actions
	e := diagnosis.Gather(m)
	like := memory.Like(e.Signature, c.ID)
	m.Earlier = slices.DeleteFunc(like, func(e diagnosis.Earlier) bool { return !e.StartedAt.Before(c.StartedAt) })
	if len(m.Earlier) > 0 {
		e = diagnosis.Gather(m)
	}
	return e, nil
}

// Memory are the incidents that have ended, of those that the ledger has.
func Memory(list []incident.Summary) diagnosis.Memory {
	var memory diagnosis.Memory
	for _, s := range list {
		if !s.Stage.Terminal() || s.Signature == "" || s.Verdict == incident.FalseAlarm {
			continue
		}
		e := diagnosis.Earlier{
			IncidentID: s.ID, Signature: s.Signature, StartedAt: s.StartedAt, EndedAt: s.EndedAt,
			Stage: string(s.Stage), Cause: diagnosis.Cause(s.Diagnosed), Action: s.Action,
		}
		if s.Cause != "" {
			e.Cause, e.Confirmed = diagnosis.Cause(s.Cause), true
		}
		memory = append(memory, e)
	}
	return memory
}

// Kept is a diagnosis as its evidence has it: all that was said, and what it rests on.
type Kept struct {
	Record   diagnosis.Record   `json:"record"`
	Evidence diagnosis.Evidence `json:"evidence"`
}

// Diagnosis is what is recorded of what a council said of a stage.
func Diagnosis(stage incident.Stage, by string, r diagnosis.Record, e diagnosis.Evidence) incident.Diagnosis {
	g := incident.Diagnosis{
		By: by, Of: stage, Outcome: string(r.Outcome), Confidence: r.Confidence, Withheld: r.Withheld,
		Signature: r.Signature, TellApart: r.TellApart,
	}
	for n, i := range r.Counts {
		if n > 0 && r.Outcome != diagnosis.Dissent {
			break // the second agrees
		}
		o := &r.Opinions[i]
		t := incident.Theory{
			By: o.Diagnoser, Cause: string(o.Answer.Cause), Text: o.Answer.Hypothesis, Check: o.Answer.CheckFirst,
			Rests: e.Cited(o.Answer.Facts), Action: o.Answer.Action, Confidence: o.Answer.Confidence,
		}
		if r.Outcome != diagnosis.Dissent {
			t.By, t.Confidence = r.Who(), r.Confidence
		}
		g.Theories = append(g.Theories, t)
	}
	if f := e.Find(diagnosis.EarlierFact); f != nil {
		g.Earlier = f.String()
	}
	g.Record = encoded(Kept{r, e})
	return g
}

// encoded is a record as JSON, without escapes for HTML, which would make six bytes of one.
func encoded(k Kept) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(k) // it holds plain values, all finite
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
