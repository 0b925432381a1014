package incident

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

var update = flag.Bool("update", false, "write the golden files anew")

// windowOf is a window in which every request took so long.
func windowOf(took time.Duration) *histogram.Snapshot {
	counts := new(histogram.Counts)
	for i := range int64(600) {
		counts.Add(int64(took)+i*1000, 1)
	}
	s := histogram.Series{Durations: counts}
	s.Outcomes[0] = 600
	return &histogram.Snapshot{
		Span: time.Minute, Overall: s, Seen: 600,
		Routes: []histogram.RouteSeries{{Name: "GET /users/{id}", Series: s}},
	}
}

// decided makes an incident by the policy itself, over a slow minute.
func decided(t *testing.T) *scene {
	t.Helper()
	s := newScene(t)
	s.decide()
	return s
}

func (s *scene) decide() {
	s.t.Helper()
	var before policy.State
	for i := range 40 {
		took := 50 * time.Millisecond
		if i >= 5 && i < 20 {
			took = 4 * time.Second
		}
		window := windowOf(took)
		o := s.observation()
		o.Before, o.Input.Measurement = before, health.Measure(s.now, window, window)
		o.After, o.Decision = policy.Decide(before, o.Input, s.policy)
		o.Window, o.Routes = window, health.RoutesOf(window)
		o.Changes = []change.Change{{ID: "1", Kind: "commit", At: s.now.Add(-3 * time.Minute), Ref: "a1b2c3d", Title: "Fix checkout query", Author: "ana"}}
		before = o.After
		s.step(o)
		s.pass(5 * time.Second)
	}
}

func (s *scene) theCase() Case {
	s.t.Helper()
	for i, e := range s.entries {
		if e.Entry.Kind == KindOf(Detected) {
			c, err := NewCase(s.entries[i:])
			if err != nil {
				s.t.Fatal(err)
			}
			return c
		}
	}
	s.t.Fatal("there is no incident")
	return Case{}
}

func (s *scene) blob(sum [32]byte) ([]byte, error) {
	if data, ok := s.blobs[hex.EncodeToString(sum[:])]; ok {
		return data, nil
	}
	return nil, errors.New("it is not there")
}

func TestReplay(t *testing.T) {
	s := decided(t)
	c := s.theCase()
	var out bytes.Buffer
	if err := c.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	r := Replay(c, s.blob)
	out.WriteString("\n")
	if err := r.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	if r.Outcome != Same {
		t.Errorf("%s", &out)
	}
	decisions := 0
	for _, step := range r.Steps {
		if step.Decided && step.P95 != nil && *step.P95.RecordedMS == *step.P95.ReplayedMS {
			decisions++
		}
	}
	if decisions != 3 || c.Stage != Recovered {
		t.Errorf("%d of the three decisions have a P95 that was computed again; %s", decisions, c.Stage)
	}
	golden(t, "replay.golden", out.Bytes())
}

// golden compares with a file. Sums of evidence change with every field that a
// decision gets, and are left out.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var kept []string
	for line := range strings.Lines(string(got)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[2] == "bytes" {
			line = "          " + fields[0] + "\n"
		}
		kept = append(kept, line)
	}
	text := strings.Join(kept, "")
	file := "testdata/" + name
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// TestReplayBehindTheLedger: what a sidecar decided whose clock was put back
// comes out the same, too.
func TestReplayBehindTheLedger(t *testing.T) {
	s := newScene(t)
	s.step(s.recovered())
	s.pass(-3 * time.Hour)
	s.decide()
	c := s.theCase()
	if r := Replay(c, s.blob); r.Outcome != Same || c.Stage != Recovered || !slices.ContainsFunc(r.Steps, func(s ReplayedStep) bool { return s.Kind == KindOf(Validated) }) {
		t.Errorf("%s, %s: %+v", c.Stage, r.Outcome, r.Steps)
	}
}

func TestReplayFindsWhatDiffers(t *testing.T) {
	// rewrite changes an entry's blob, and its sum with it.
	rewrite := func(file string, change func([]byte) []byte) func(*scene, *Entry) {
		return func(s *scene, e *Entry) {
			for i, ev := range e.Evidence {
				if ev.Name == file {
					data := change(bytes.Clone(s.blobs[ev.SHA256]))
					e.Evidence[i].SHA256 = digestOf(data)[len(digestPrefix):]
					s.blobs[e.Evidence[i].SHA256] = data
				}
			}
		}
	}
	replace := func(old, with string) func([]byte) []byte {
		return func(data []byte) []byte {
			out := strings.Replace(string(data), old, with, 1)
			if out == string(data) {
				t.Errorf("there is no %s in %.2000s", old, data)
			}
			return []byte(out)
		}
	}
	other, err := windowOf(time.Second).Overall.Durations.EncodeV2()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*scene, *Entry)
		want  Outcome
		field string
	}{
		"nothing":          {func(*scene, *Entry) {}, Same, ""},
		"another decision": {rewrite(DecisionFile, replace(`"breached":true`, `"breached":false`)), Differs, "decision.breached"},
		"a field of later": {rewrite(DecisionFile, replace(`"breached":true`, `"breached":true,"urgency":3`)), Differs, "decision.urgency"},
		"an empty field":   {rewrite(DecisionFile, replace(`"breached":true`, `"breached":true,"urgency":null`)), Same, ""},
		"a longer list":    {rewrite(DecisionFile, replace(`"shadowed":[]`, `"shadowed":[{}]`)), Differs, "decision.shadowed"},
		"another input":    {rewrite(DecisionFile, replace(`"server_errors":0`, `"server_errors":99`)), Differs, "decision."},
		"no record":        {rewrite(DecisionFile, func([]byte) []byte { return []byte(`[]`) }), Differs, "record"},
		"another policy":   {rewrite(PolicyFile, replace(`"open_below":70`, `"open_below":10`)), Differs, "policy_digest"},
		"a later policy":   {rewrite(PolicyFile, replace(`"version"`, `"urgency":1,"version"`)), Differs, "policy"},
		"another window":   {rewrite(WindowFile, func([]byte) []byte { return other }), Differs, "p95"},
		"no window":        {rewrite(WindowFile, func([]byte) []byte { return []byte("x") }), Differs, WindowFile},
		"another reason":   {func(_ *scene, e *Entry) { e.Reason = "because" }, Differs, "reason"},
		"other facts":      {func(_ *scene, e *Entry) { e.Metadata["facts"].(map[string]any)["p95_ms"] = 12.0 }, Differs, "facts.p95_ms"},
		"another gate":     {func(_ *scene, e *Entry) { e.Metadata["gates"] = []any{map[string]any{"key": "z_score"}} }, Differs, "gates"},
		"lost evidence":    {func(s *scene, e *Entry) { delete(s.blobs, e.Evidence[0].SHA256) }, Unproven, ""},
		"none recorded":    {func(_ *scene, e *Entry) { e.Evidence = nil }, Unproven, ""},
		"damaged evidence": {func(s *scene, e *Entry) { s.blobs[e.Evidence[0].SHA256] = []byte("{}") }, Differs, DecisionFile},
	} {
		t.Run(name, func(t *testing.T) {
			s := decided(t)
			cs := s.theCase()
			c.spoil(s, &cs.Entries[0].Entry)
			r := Replay(cs, s.blob)
			first := r.Steps[0]
			found := c.field == ""
			for _, d := range first.Differences {
				named := d.Field == c.field || strings.HasSuffix(c.field, ".") && strings.HasPrefix(d.Field, c.field)
				found = found || named && d.Recorded != d.Replayed
			}
			if r.Outcome != c.want || first.Outcome != c.want || !found || (c.want == Unproven) != (len(first.Missing) > 0) {
				t.Errorf("%s: %+v", r.Outcome, first)
			}
			if _, err := json.Marshal(r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReplayOfAValidationTooEarly(t *testing.T) {
	s := decided(t)
	c := s.theCase()
	for i := range c.Entries {
		if e := &c.Entries[i].Entry; e.Kind == KindOf(Validated) {
			e.Time = c.StartedAt.Add(29 * time.Second)
		}
	}
	found := false
	for _, step := range Replay(c, s.blob).Steps {
		for _, d := range step.Differences {
			found = found || step.Kind == KindOf(Validated) && d == Difference{"held", "29s", "30s or more"}
		}
	}
	if !found {
		t.Error("nothing differs")
	}
}

func TestReplayOfIllegalSteps(t *testing.T) {
	s := decided(t)
	c := s.theCase()
	c.Entries = append(c.Entries[:1:1], c.Entries[len(c.Entries)-2:]...)
	c.Entries[1].Entry.Kind, c.Entries[1].Entry.Stage = KindOf(Validated), Validated
	if r := Replay(c, s.blob); r.Outcome != Differs || r.Steps[1].Differences[0].Field != "stage" {
		t.Errorf("%+v", r)
	}
}

func TestCollect(t *testing.T) {
	s := decided(t)
	c := s.theCase()
	if len(c.Timeline()) != 4 || len(c.Effects()) != 4 || c.Gates[0] == "" || c.EndedAt.IsZero() || !c.Shadow {
		t.Errorf("%+v", c)
	}
	if _, marked := c.Mark(); marked {
		t.Error("it is marked")
	}
	for _, entries := range [][]Indexed{nil, c.Entries[1:]} {
		if _, err := NewCase(entries); !errors.Is(err, ErrNoIncident) {
			t.Errorf("%v", err)
		}
	}
	all := func(yield func(Indexed, error) bool) {
		for _, e := range s.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
	if got, err := Collect(tenant, c.ID, all); err != nil || len(got.Entries) != len(c.Entries) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Collect("other", c.ID, all); !errors.Is(err, ErrNoIncident) {
		t.Errorf("%v", err)
	}
	list, err := List("", all)
	if err != nil || len(list) != 1 || list[0].ID != c.ID || list[0].Stage != Recovered {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestReplayOfAnExecution: what was proposed, asked, approved and sent comes out as
// it is recorded.
func TestReplayOfAnExecution(t *testing.T) {
	played := func() (*scene, Case) {
		s := asked(t, restart)
		s.tap("ben", true)
		s.tap("ana", true)
		s.carry()
		s.receive(recovery.Accepted)
		c, err := NewCase(s.entries[2:])
		if err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	find := func(c Case, kind string) *Entry {
		for i := range c.Entries {
			if c.Entries[i].Entry.Kind == kind {
				return &c.Entries[i].Entry
			}
		}
		t.Fatalf("there is no %s", kind)
		return nil
	}
	for name, x := range map[string]struct {
		kind  string
		spoil func(*Entry)
		field string
	}{
		"nothing":         {KindOf(Executed), func(*Entry) {}, ""},
		"another action":  {KindOf(Proposed), func(e *Entry) { e.ActionDigest = shed.Digest() }, "action_digest"},
		"another request": {KindOf(Executed), func(e *Entry) { e.Metadata["execution"].(map[string]any)["request_digest"] = "sha256:00" }, "request_digest"},
		"another key":     {KindOf(Executed), func(e *Entry) { e.Metadata["execution"].(map[string]any)["key"] = "x" }, "key"},
		"another quorum":  {KindOf(Validated), func(e *Entry) { e.Metadata["approval"].(map[string]any)["quorum"] = 1.0 }, "approval"},
		"another person":  {KindApproved, func(e *Entry) { e.Actor = "human:eve" }, "approval"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := played()
			x.spoil(find(c, x.kind))
			found := ""
			for _, step := range Replay(c, s.blob).Steps {
				for _, d := range step.Differences {
					// The scene's decisions are made up, so that they differ.
					if d.Field == x.field && found == "" || x.field == "" && slices.Contains([]string{"action_digest", "request_digest", "key", "approval"}, d.Field) {
						found = d.Field
					}
				}
			}
			if found != x.field {
				t.Errorf("%q differs", found)
			}
		})
	}
	_, c := played()
	var out bytes.Buffer
	if err := c.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"approval.approved", "human:ben", "incident.executed", "request.json", "execution: checkout: restart is run", "receipt of 14: accepted with the key inc-"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("there is no %q in\n%s", want, out.String())
		}
	}
}
