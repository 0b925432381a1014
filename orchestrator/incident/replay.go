package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// Outcome is how the repetition of something recorded came out.
type Outcome string

// The outcomes, from best to worst.
const (
	// Same: everything that was repeated came out as it is recorded.
	Same Outcome = "same"
	// Unproven: evidence that it takes is not there, or was never recorded.
	Unproven Outcome = "unproven"
	// Differs: this program comes to another result than is recorded.
	Differs Outcome = "differs"
)

func (o Outcome) and(p Outcome) Outcome {
	rank := map[Outcome]int{Same: 0, Unproven: 1, Differs: 2}
	if rank[p] > rank[o] {
		return p
	}
	return o
}

// Difference is a field that comes out otherwise. Values are JSON, or a text.
type Difference struct {
	Field    string `json:"field"`
	Recorded string `json:"recorded"`
	Replayed string `json:"replayed"`
}

// Latency is a P95, recorded and computed again from the recorded histogram.
type Latency struct {
	RecordedMS *float64 `json:"recorded_ms"`
	ReplayedMS *float64 `json:"replayed_ms"`
	Samples    uint64   `json:"samples"`
}

// ReplayedStep is one entry, repeated.
type ReplayedStep struct {
	Index   uint64    `json:"index"`
	Kind    string    `json:"kind"`
	Time    time.Time `json:"time"`
	Outcome Outcome   `json:"outcome"`
	// Decided is true when the policy was run again; entries that record no
	// decision are only looked at as steps.
	Decided     bool         `json:"decided"`
	P95         *Latency     `json:"p95,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	// Missing says which evidence is not there, and why.
	Missing []string `json:"missing,omitempty"`
}

// Replayed is an incident, repeated from the ledger alone.
type Replayed struct {
	ID      string         `json:"incident_id"`
	Tenant  string         `json:"tenant_id"`
	Service string         `json:"service"`
	Outcome Outcome        `json:"outcome"`
	Steps   []ReplayedStep `json:"steps"`
}

// maxDifferences is how many of one entry are listed.
const maxDifferences = 20

// Replay repeats an incident: for every recorded decision the policy is run
// again on the recorded evidence, P95s are computed again from the recorded
// histograms, actions and requests are compared with their digests, and every step,
// also one of approval, with what the machine allows. Blobs gives
// the blob of a SHA-256 sum; what it cannot give is listed as missing. What this
// program cannot read or decides otherwise differs, and is no error. Diagnoses are
// no steps: nothing follows from one, and without them or with others all comes out
// the same.
func Replay(c Case, blobs func(sum [32]byte) ([]byte, error)) Replayed {
	r := Replayed{ID: c.ID, Tenant: c.Tenant, Service: c.Service, Outcome: Same}
	var stage Stage
	asked := new(approval.Request)
	for _, e := range c.Timeline() {
		if e.Entry.Kind == KindDiagnosed {
			continue
		}
		s := &replay{entry: e.Entry, blobs: blobs, started: c.StartedAt}
		s.out = ReplayedStep{Index: e.Index, Kind: e.Entry.Kind, Time: e.Entry.Time, Outcome: Same}
		if e.Entry.Kind == KindOf(e.Entry.Stage) {
			if !stage.May(e.Entry.Stage) {
				s.differs("stage", string(e.Entry.Stage), "after "+string(stage)+" only "+stages(stage.Next()))
			}
			stage = e.Entry.Stage
		}
		asked = s.approval(asked)
		s.action()
		s.decision()
		r.Steps = append(r.Steps, s.out)
		r.Outcome = r.Outcome.and(s.out.Outcome)
	}
	if c.Left > 0 {
		r.Outcome = r.Outcome.and(Unproven)
	}
	return r
}

// replay is the repetition of one entry.
type replay struct {
	entry   Entry
	started time.Time // of the incident
	blobs   func([32]byte) ([]byte, error)
	out     ReplayedStep
}

func (s *replay) differs(field, recorded, replayed string) {
	s.out.Outcome = Differs
	if len(s.out.Differences) < maxDifferences {
		s.out.Differences = append(s.out.Differences, Difference{field, clean(recorded, maxPhrase), clean(replayed, maxPhrase)})
	}
}

func (s *replay) missing(format string, args ...any) {
	s.out.Outcome = s.out.Outcome.and(Unproven)
	s.out.Missing = append(s.out.Missing, clean(fmt.Sprintf(format, args...), maxPhrase))
}

// records says whether an entry's kind is one that records a decision.
func (e Entry) records() bool {
	switch e.Kind {
	case KindOf(Detected), KindOf(Validated), KindOf(Recovered), KindOf(Resolved), KindCleared, KindAsked,
		KindTargetDown, KindTargetUp, KindTargetFlapping, KindTargetSteady:
		return true
	}
	return false
}

// proposes says whether an entry's kind is one that says what is proposed.
func (e Entry) proposes() bool { return e.Kind == KindOf(Proposed) || e.Kind == KindRevised }

func (s *replay) decision() {
	// What was proposed by an earlier version has no decision with it.
	if !s.entry.records() && !(s.entry.proposes() && s.has(DecisionFile)) {
		return
	}
	data, ok := s.blob(DecisionFile)
	if !ok {
		return
	}
	document, ok := s.blob(PolicyFile)
	if !ok {
		return
	}
	s.out.Decided = true
	if found := digestOf(document); found != s.entry.PolicyDigest {
		s.differs("policy_digest", s.entry.PolicyDigest, found)
	}
	p, err := policy.ParseCanonical(document)
	if err != nil {
		s.differs("policy", s.entry.PolicyDigest, "this version of countersign cannot decide by it: "+err.Error())
		return
	}
	var record struct {
		Before   policy.State    `json:"before"`
		Input    policy.Input    `json:"input"`
		Decision json.RawMessage `json:"decision"`
	}
	if err := json.Unmarshal(data, &record); err != nil {
		s.differs("record", DecisionFile, "this version of countersign cannot read it: "+err.Error())
		return
	}
	after, decision, err := decide(record.Before, record.Input, p)
	if err != nil {
		s.differs("decision", DecisionFile, err.Error())
		return
	}
	again, err := json.Marshal(decision)
	if err != nil {
		s.differs("decision", DecisionFile, err.Error())
		return
	}
	s.compare("decision", decoded(record.Decision), decoded(again))
	s.consequence(record.Input.Time, after, decision, p)
	if record.Input.Reported == nil {
		s.p95(record.Decision)
	}
}

func digestOf(document []byte) string {
	sum := sha256.Sum256(document)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// decide runs the policy. Evidence comes from whoever wrote the ledger: it must
// not be able to end the program.
func decide(before policy.State, in policy.Input, p *policy.Policy) (after policy.State, d policy.Decision, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the policy cannot be run on it: %v", r)
		}
	}()
	after, d = policy.Decide(before, in, p)
	return after, d, nil
}

// blob reads a piece of the entry's evidence and makes sure that it is it.
func (s *replay) blob(name string) ([]byte, bool) {
	for _, ev := range s.entry.Evidence {
		if ev.Name != name {
			continue
		}
		var sum [32]byte
		if n, err := hex.Decode(sum[:], []byte(ev.SHA256)); n != len(sum) || err != nil {
			s.missing("%s: its sum is malformed", name)
			return nil, false
		}
		data, err := s.blobs(sum)
		if err != nil {
			s.missing("%s: %v", name, err)
			return nil, false
		}
		if sha256.Sum256(data) != sum {
			s.differs(name, ev.SHA256, fmt.Sprintf("%x", sha256.Sum256(data)))
			return nil, false
		}
		return data, true
	}
	s.missing("%s was not recorded%s", name, s.whyOmitted(name))
	return nil, false
}

func (s *replay) whyOmitted(name string) string {
	list, _ := s.entry.Metadata["evidence_omitted"].([]any)
	for _, item := range list {
		text, _ := item.(string)
		if why, ok := strings.CutPrefix(text, name+":"); ok {
			return ":" + why
		}
	}
	return ""
}

// consequence compares what was done with what follows from the decision.
func (s *replay) consequence(observed time.Time, after policy.State, d policy.Decision, p *policy.Policy) {
	expect := func(field string, ok bool) {
		if !ok {
			s.differs(field, "true", "false")
		}
	}
	switch s.entry.Kind {
	case KindOf(Detected), KindOf(Validated):
		expect("breached", d.Breached)
	case KindOf(Proposed), KindRevised:
		s.load(d)
		return
	case KindAsked:
		s.load(d)
		if tap, _, _ := s.entry.approval(); tap.SubmittedBy == "" { // a person may ask while it gets better
			expect("breached", d.Breached)
		}
		s.compare("facts", jsonOf(s.entry.Metadata["facts"]), jsonOf(factsOf(d)))
		return
	case KindOf(Recovered), KindOf(Resolved), KindCleared:
		expect("recovered", d.Recovered)
	default:
		s.target(after)
		return
	}
	if why := clean(d.Why, maxReason); why != s.entry.Reason {
		s.differs("reason", s.entry.Reason, why)
	}
	s.compare("facts", jsonOf(s.entry.Metadata["facts"]), jsonOf(factsOf(d)))
	if s.entry.Kind == KindOf(Detected) {
		gates, _ := gatesOf(d.Breaches)
		s.compare("gates", jsonOf(s.entry.Metadata["gates"]), jsonOf(gates))
	}
	if s.entry.Kind == KindOf(Validated) {
		held, needed := heldFor(s.entry.Time, s.started, observed, after.Service), seconds(p.Incident.ValidateAfterSeconds)
		if held < needed {
			s.differs("held", held.String(), needed.String()+" or more")
		}
	}
}

// load compares the load that an action is proposed for with the decision's, and makes
// sure that it is a retry storm.
func (s *replay) load(d policy.Decision) {
	m, _ := s.entry.Metadata["proposal"].(map[string]any)
	if storm, _ := m["retry_storm"].(bool); !storm {
		return
	}
	s.compare("load", jsonOf(s.entry.Metadata["load"]), jsonOf(loadOf(d)))
	if l := d.Load; l == nil || !(recovery.Load{Offered: l.Offered, Goodput: l.Goodput, Baseline: l.Usual}).Storm() {
		s.differs("retry_storm", "true", "false")
	}
}

func (s *replay) target(after policy.State) {
	t, ok := after.Targets[s.entry.text("target")]
	found := string(t.State)
	switch {
	case !ok:
		found = "unknown to the policy"
	case t.Flapping:
		found = "flapping"
	}
	wanted := map[string]string{
		KindTargetDown: string(policy.Down), KindTargetUp: string(policy.Up), KindTargetFlapping: "flapping", KindTargetSteady: s.entry.text("state"),
	}[s.entry.Kind]
	if found != wanted {
		s.differs("target", wanted, found)
	}
}

// p95 computes the P95 again.
func (s *replay) p95(decision []byte) {
	var recorded struct {
		Verdict struct {
			Metrics struct {
				P95     *float64    `json:"overall_p95_ms"`
				Bracket *[2]float64 `json:"p95_bracket_ms"`
				Samples uint64      `json:"sample_size"`
			} `json:"metrics"`
		} `json:"verdict"`
	}
	if err := json.Unmarshal(decision, &recorded); err != nil {
		s.differs("decision.verdict.metrics", DecisionFile, err.Error())
		return
	}
	m := recorded.Verdict.Metrics
	decisionOnly := strings.HasPrefix(s.entry.Kind, "target.") || s.entry.proposes()
	if decisionOnly || m.P95 == nil && m.Samples == 0 && !s.has(WindowFile) {
		return
	}
	data, ok := s.blob(WindowFile)
	if !ok {
		return
	}
	counts, err := histogram.DecodeV2(data)
	if err != nil {
		s.differs(WindowFile, "a histogram", err.Error())
		return
	}
	l := &Latency{RecordedMS: m.P95, Samples: counts.Total()}
	s.out.P95 = l
	var bracket *[2]float64
	if b, ok := counts.Quantile(0.95); ok {
		v := float64(b.Value) / 1e6
		l.ReplayedMS, bracket = &v, &[2]float64{float64(b.Low) / 1e6, float64(b.High) / 1e6}
	}
	s.compare("p95", jsonOf(m.P95), jsonOf(l.ReplayedMS))
	s.compare("p95_bracket", jsonOf(m.Bracket), jsonOf(bracket))
	s.compare("sample_size", jsonOf(m.Samples), jsonOf(l.Samples))
}
