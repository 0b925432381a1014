package incident

import (
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

const tenant, service = "acme", "checkout"

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// scene is a state fed with observations, as a docket feeds it.
type scene struct {
	t       testing.TB
	state   *State
	policy  *policy.Policy
	plan    Plan
	now     time.Time
	entries []Indexed
	blobs   map[string][]byte // by their hexadecimal sum
}

func newScene(t testing.TB) *scene {
	return &scene{t: t, state: NewState(tenant), policy: policy.Default(), now: start, blobs: map[string][]byte{}}
}

func (s *scene) about() About {
	return About{
		Tenant: tenant, Service: service, Instance: "test", Time: later(s.now, s.state.LastTime),
		PolicyVersion: s.policy.Version, PolicyDigest: s.policy.Digest(),
	}
}

// observation is one of the time it is.
func (s *scene) observation() Observation {
	return Observation{
		Tenant: tenant, Service: service, Policy: s.policy,
		Input: policy.Input{Time: s.now}, After: policy.State{Targets: map[string]policy.Target{}}, Plan: s.plan,
	}
}

func (s *scene) breached(keys ...string) Observation {
	o := s.observation()
	o.Decision = policy.Decision{Breached: true, Why: "score 20 is below 70"}
	for _, key := range keys {
		o.Decision.Breaches = append(o.Decision.Breaches, breachOf(key))
	}
	return o
}

func breachOf(key string) policy.Breach {
	b := policy.Breach{Key: key, Gate: health.GateAbsolute, Severity: health.Critical, Message: key + " is breached", Reason: "2 is above 1"}
	for i := range key {
		if key[i] == ':' {
			b.Gate, b.Target = health.GateFailures, key[i+1:]
		}
	}
	return b
}

func (s *scene) recovered() Observation {
	o := s.observation()
	o.Decision = policy.Decision{Recovered: true, Why: "score 100 is above 70"}
	return o
}

// step steps and takes the entries in, through their bytes.
func (s *scene) step(o Observation) []Entry {
	s.t.Helper()
	drafts, err := s.state.Step(o, s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.take(drafts...)
}

// take appends drafts and applies what was appended.
func (s *scene) take(drafts ...Draft) []Entry {
	s.t.Helper()
	var out []Entry
	for _, d := range drafts {
		e := s.append(d)
		if err := s.state.Apply(s.last().Index, e); err != nil {
			s.t.Fatalf("%s: %v", e.Kind, err)
		}
		out = append(out, e)
	}
	return out
}

// append is what a ledger does with a draft.
func (s *scene) append(d Draft) Entry {
	s.t.Helper()
	leaf, err := d.Entry.Leaf()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, blob := range d.Blobs {
		s.blobs[digestOf(blob)[len(digestPrefix):]] = blob
	}
	for _, ev := range d.Entry.Evidence {
		if blob, ok := s.blobs[ev.SHA256]; !ok || len(blob) != ev.Len {
			s.t.Fatalf("%s names %s, which it does not bring", d.Entry.Kind, ev.Name)
		}
	}
	e, ours, err := ParseEntry(leaf)
	if err != nil || !ours {
		s.t.Fatalf("%s: ours %t, %v", leaf, ours, err)
	}
	s.entries = append(s.entries, Indexed{uint64(len(s.entries)) + 1, e}) // entry 0 is the ledger's own
	return e
}

func (s *scene) last() Indexed { return s.entries[len(s.entries)-1] }

func (s *scene) switchShadow(on bool) {
	s.t.Helper()
	d, err := ShadowSwitch(s.about(), s.state.Shadow, on, "ana", "a test")
	if err != nil {
		s.t.Fatal(err)
	}
	s.take(d)
}

func (s *scene) pass(d time.Duration) { s.now = s.now.Add(d) }

func kinds(entries []Entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, e.Kind)
	}
	return out
}
