package incident

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

func each(list []Indexed) iter.Seq2[Indexed, error] {
	return func(yield func(Indexed, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// theory is a diagnosis that names one cause.
func theory(of Stage, cause string, confidence float64) Diagnosis {
	return Diagnosis{
		By: "rules", Of: of, Outcome: "single", Confidence: confidence, Withheld: confidence < 0.6, Signature: "slow; all routes",
		Theories: []Theory{{By: "rules", Cause: cause, Text: "It waits for something.", Check: "The slow queries.", Confidence: confidence}},
		Record:   []byte(`{"record":{}}`),
	}
}

func (s *scene) diagnose(g Diagnosis) Entry {
	s.t.Helper()
	d, err := s.state.Diagnosed(s.about(), s.state.Open.ID, g)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.take(d)[0]
}

func TestDiagnosed(t *testing.T) {
	s := newScene(t)
	s.step(s.breached("z_score"))
	given := theory(Detected, "slow_dependency", 0.85)
	given.Theories[0].Text = "It waits\x1b[31m for\u202e something."
	e := s.diagnose(given)
	if e.Actor != "diagnosis:rules" || e.Stage != Detected || e.Confidence == nil || *e.Confidence != 0.85 || len(e.Evidence) != 1 || e.Evidence[0].Name != DiagnosisFile {
		t.Errorf("%+v", e)
	}
	g, ok := e.Diagnosis()
	if !ok || g.By != "rules" || g.Of != Detected || len(g.Theories) != 1 || g.Theories[0].Cause != "slow_dependency" || strings.ContainsAny(g.Theories[0].Text, "\x1b\u202e") {
		t.Errorf("%+v, %t", g, ok)
	}
	if e := s.diagnose(Diagnosis{By: "rules", Of: Detected, Outcome: "none", Withheld: true}); e.Confidence != nil || e.Reason != "no cause is named" {
		t.Errorf("that of nobody who knows: %+v", e)
	}
	if _, err := s.state.Diagnosed(s.about(), s.state.Open.ID, Diagnosis{}); err == nil {
		t.Error("it is in nobody's name")
	}
}

// TestLargestDiagnosis: two theories as long as they can be, of what JSON writes as two
// bytes, fit into a leaf, and all that was said is kept.
func TestLargestDiagnosis(t *testing.T) {
	s := newScene(t)
	s.policy.Version = strings.Repeat(`"`, 300)
	s.step(s.breached("z_score"))
	long := strings.Repeat(`"`, 10_000)
	largest := Theory{By: long, Cause: long, Text: long, Check: long, Rests: long, Action: long, Confidence: 1. / 3}
	about := s.about()
	about.Tenant, about.Service, about.Instance = strings.Repeat(`"`, maxName), strings.Repeat(`"`, maxName), strings.Repeat(`"`, maxName)
	d, err := s.state.Diagnosed(about, s.state.Open.ID, Diagnosis{
		By: long, Of: Validated, Outcome: long, Confidence: 1. / 3, Signature: long, TellApart: long, Earlier: long,
		Theories: []Theory{largest, largest, largest}, Record: bytes.Repeat([]byte("1"), maxDiagnosis),
	})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := d.Entry.Leaf()
	if err != nil || len(leaf) < 30_000 || len(leaf) > ledger.MaxLeaf {
		t.Errorf("%d bytes, %v", len(leaf), err)
	}
	if len(d.Blobs) != 1 || len(d.Blobs[0]) != maxDiagnosis {
		t.Errorf("%d blobs are kept", len(d.Blobs))
	}
}

// A diagnosis is taken in at every stage of an open incident, and changes nothing.
func TestDiagnosisChangesNothing(t *testing.T) {
	s := newScene(t)
	for _, stage := range []Stage{Detected, Proposed, Validated} {
		s.step(s.breached("z_score"))
		if s.state.Open.Stage != stage {
			t.Fatalf("the incident is %s, not %s", s.state.Open.Stage, stage)
		}
		before := s.state.Clone()
		s.diagnose(theory(stage, "slow_dependency", 0.95))
		if !reflect.DeepEqual(before, s.state) {
			t.Errorf("at %s a diagnosis changes %+v to %+v", stage, before, s.state)
		}
		s.pass(time.Minute)
	}
	late := theory(Validated, "slow_dependency", 0.95)
	id := s.state.Open.ID
	s.step(s.recovered())
	d, err := s.state.Diagnosed(s.about(), id, late)
	if err != nil {
		t.Fatal(err)
	}
	var illegal *IllegalError
	if err := s.state.Apply(0, d.Entry); !errors.As(err, &illegal) {
		t.Errorf("of an incident that has ended: %v", err)
	}
}

func TestDiagnosisMayDoNothingElse(t *testing.T) {
	s := newScene(t)
	detected := s.step(s.breached("z_score"))
	for kind, allowed := range actors {
		if kind != KindDiagnosed && isAllowed("diagnosis:rules", allowed) {
			t.Errorf("a diagnosis may write %s", kind)
		}
	}
	for _, actor := range []string{"diagnosis:", "diagnosis: ", "policy", "human:ana", ""} {
		d, err := s.state.Diagnosed(s.about(), s.state.Open.ID, theory(Detected, "unknown", 0.7))
		if err != nil {
			t.Fatal(err)
		}
		d.Entry.Actor = actor
		if _, err := d.Entry.Leaf(); err == nil {
			t.Errorf("%q may give a diagnosis", actor)
		}
	}
	for _, e := range detected {
		e.Actor = "diagnosis:rules"
		if _, err := e.Leaf(); err == nil {
			t.Errorf("a diagnosis may write %s", e.Kind)
		}
	}
}

// TestReplayWithoutAndWithOtherDiagnoses takes the diagnoses of an incident away, and
// puts others in their place: all decisions come out the same.
func TestReplayWithoutAndWithOtherDiagnoses(t *testing.T) {
	plain := decided(t)
	given := newScene(t)
	given.decide()
	withs := map[string][]Indexed{"absent": plain.entries}
	for name, g := range map[string]Diagnosis{
		"present": theory(Detected, "slow_dependency", 0.95), "replaced": theory(Validated, "upstream_down", 0.99),
		"nonsense": {By: "nobody", Of: "NEVER", Outcome: "approve and run it now", Confidence: 12, Theories: []Theory{{Cause: "x"}, {Cause: "y"}, {Cause: "z"}}},
	} {
		var all []Indexed
		for _, e := range plain.entries {
			all = append(all, e)
			if e.Entry.IncidentID != "" && !e.Entry.Stage.Terminal() {
				about := given.about()
				about.Time = e.Entry.Time
				open := State{Open: &Open{ID: e.Entry.IncidentID, Stage: e.Entry.Stage}}
				d, err := open.Diagnosed(about, e.Entry.IncidentID, g)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, Indexed{e.Index, d.Entry})
			}
		}
		withs[name] = all
	}
	blobs := func(sum [32]byte) ([]byte, error) { return plain.blobs[hex.EncodeToString(sum[:])], nil }
	replay := func(entries []Indexed) Replayed {
		list, err := List("", each(entries))
		if err != nil || len(list) == 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		c, err := Collect("", list[0].ID, each(entries))
		if err != nil {
			t.Fatal(err)
		}
		return Replay(c, blobs)
	}
	want := replay(withs["absent"])
	if want.Outcome != Same || len(want.Steps) < 4 {
		t.Fatalf("%+v", want)
	}
	for name, entries := range withs {
		if got := replay(entries); !reflect.DeepEqual(got, want) {
			t.Errorf("with diagnoses %s: %+v, want %+v", name, got, want)
		}
		var leaves []Entry
		for _, e := range entries {
			e.Entry.Evidence = nil
			leaves = append(leaves, e.Entry)
		}
		if r := audit(t, CheckOptions{}, leavesOf(t, leaves)); r.Code != verify.Verified {
			t.Errorf("with diagnoses %s the audit says %s: %+v", name, r.Verdict, r)
		}
	}
}

// The diagnoses that are said to be about nothing are found by the audit.
func TestAuditOfDiagnoses(t *testing.T) {
	s := newScene(t)
	s.step(s.breached("z_score"))
	s.diagnose(theory(Detected, "slow_dependency", 0.95))
	s.step(s.recovered())
	var sound []Entry
	for _, e := range s.entries {
		e.Entry.Evidence = nil
		sound = append(sound, e.Entry)
	}
	at := slices.IndexFunc(sound, func(e Entry) bool { return e.Kind == KindDiagnosed })
	if r := audit(t, CheckOptions{}, leavesOf(t, sound)); r.Code != verify.Verified {
		t.Fatalf("%+v", r)
	}
	for name, spoil := range map[string]func([]Entry) []Entry{
		"after the end":       func(all []Entry) []Entry { e := all[at]; e.Time = all[len(all)-1].Time; return append(all, e) },
		"of another incident": func(all []Entry) []Entry { all[at].IncidentID = "inc-000000-1"; return all },
		"by no policy": func(all []Entry) []Entry {
			all[at].PolicyDigest = "sha256:" + strings.Repeat("0", 64)
			return all
		},
	} {
		if r := audit(t, CheckOptions{}, leavesOf(t, spoil(slices.Clone(sound)))); r.Code != verify.Invalid {
			t.Errorf("%s: the audit says %s", name, r.Verdict)
		}
	}
}

func TestSummaryRemembersTheDiagnosis(t *testing.T) {
	s := newScene(t)
	s.step(s.breached("z_score"))
	s.diagnose(theory(Detected, "slow_dependency", 0.85))
	id := s.state.Open.ID
	d, err := Mark(s.about(), id, Confirmed, "pool_exhaustion", "ana", "")
	if err != nil {
		t.Fatal(err)
	}
	s.take(d)
	list, err := List("", each(s.entries))
	if err != nil || len(list) != 1 || list[0].Signature != "slow; all routes" || list[0].Diagnosed != "slow_dependency" || list[0].Cause != "pool_exhaustion" {
		data, _ := json.Marshal(list)
		t.Errorf("%s, %v", data, err)
	}
	if _, err := Mark(s.about(), id, FalseAlarm, "pool_exhaustion", "ana", ""); err == nil {
		t.Error("a false alarm has a cause")
	}
}
