package counsel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

const (
	id       = "inc-850da6-1767323045"
	sample   = "dead-dependency-11-validated.json"
	expected = diagnosis.DeadDependency
)

// desk is a docket with one incident, whose evidence is that of a recording.
type desk struct {
	mu    sync.Mutex
	open  bool
	found incident.Case
	blobs map[[32]byte][]byte
	given []incident.Diagnosis
	at    []time.Time
	fail  func() error // of recording
	ended []incident.Summary
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{open: true, blobs: map[[32]byte][]byte{}}
	d.found = incident.Case{Summary: incident.Summary{ID: id, Tenant: "acme", Service: "checkout", Stage: incident.Detected, StartedAt: time.Now()}}
	d.add(incident.KindOf(incident.Detected), incident.Detected, d.recording(t))
	return d
}

// recording is the evidence of a fault of a real server.
func (d *desk) recording(t *testing.T) []incident.Evidence {
	t.Helper()
	data, err := os.ReadFile("../diagnosis/testdata/recordings/" + sample)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Documents map[string]json.RawMessage `json:"documents"`
		Blobs     map[string][]byte          `json:"blobs"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	files := r.Blobs
	if files == nil {
		files = map[string][]byte{}
	}
	for name, doc := range r.Documents {
		files[name] = doc
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []incident.Evidence
	for name, blob := range files {
		sum := sha256.Sum256(blob)
		d.blobs[sum] = blob
		list = append(list, incident.Evidence{Name: name, SHA256: hex.EncodeToString(sum[:]), Len: len(blob)})
	}
	return list
}

// add appends an entry; the lock is not held.
func (d *desk) add(kind string, stage incident.Stage, evidence []incident.Evidence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.append(incident.Entry{Kind: kind, Stage: stage, Time: time.Now(), TenantID: "acme", IncidentID: id, Evidence: evidence})
}

func (d *desk) append(e incident.Entry) {
	d.found.Last++
	if e.Kind == incident.KindOf(e.Stage) {
		d.found.Stage = e.Stage
	}
	d.found.Entries = append(d.found.Entries, incident.Indexed{Index: d.found.Last, Entry: e})
}

func (d *desk) View(string) (docket.View, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := docket.View{Ready: true}
	if d.open {
		s := d.found.Summary
		v.Open = &s
	}
	return v, true
}

func (d *desk) Incidents(string) []incident.Summary { return d.ended }

func (d *desk) Case(string, string) (incident.Case, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.found
	c.Entries = append([]incident.Indexed(nil), c.Entries...)
	return c, nil
}

func (d *desk) Blob(sum [32]byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if blob, ok := d.blobs[sum]; ok {
		return blob, nil
	}
	return nil, errors.New("there is no such blob")
}

func (d *desk) Diagnosed(_ context.Context, _, incidentID string, g incident.Diagnosis) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(); err != nil {
			return err
		}
	}
	state := incident.State{Open: &incident.Open{ID: incidentID, Stage: d.found.Stage}}
	draft, err := state.Diagnosed(incident.About{Tenant: "acme", Service: "checkout", Time: time.Now()}, incidentID, g)
	if err != nil {
		return err
	}
	for _, blob := range draft.Blobs {
		d.blobs[sha256.Sum256(blob)] = blob
	}
	d.append(draft.Entry)
	d.given, d.at = append(d.given, g), append(d.at, time.Now())
	return nil
}

// said are the diagnoses so far.
func (d *desk) said() []incident.Diagnosis {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]incident.Diagnosis(nil), d.given...)
}

// late is how long the first one took.
func (d *desk) late() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[0].Sub(d.found.StartedAt)
}

// seat is a diagnoser of a test.
type seat struct {
	name string
	ask  func(context.Context, *diagnosis.Evidence) diagnosis.Opinion
}

func (s seat) Name() string { return s.name }

func (s seat) Diagnose(ctx context.Context, e *diagnosis.Evidence) diagnosis.Opinion {
	return s.ask(ctx, e)
}

func hangs(ctx context.Context, _ *diagnosis.Evidence) diagnosis.Opinion {
	<-ctx.Done()
	return diagnosis.Opinion{Diagnoser: "hangs", Problem: "no answer"}
}

// running runs a counsel in a bubble for as long as test takes, from the first
// time that it sleeps.
func running(t *testing.T, seats []diagnosis.Diagnoser, test func(t *testing.T, d *desk, c *Counsel)) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		c := New(Config{Docket: d, Tenants: []Tenant{{ID: "acme", Seats: seats, Actions: []string{"restart"}}}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			time.Sleep(time.Nanosecond)
			ended <- c.Run(ctx)
		}()
		test(t, d, c)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestEachStageIsExplainedOnce(t *testing.T) {
	running(t, []diagnosis.Diagnoser{diagnosis.Rules{}}, func(t *testing.T, d *desk, c *Counsel) {
		time.Sleep(10 * time.Second)
		if len(d.said()) != 1 || d.said()[0].Of != incident.Detected || d.said()[0].By != "rules" || d.late() > 2*poll {
			t.Fatalf("%d diagnoses: %+v", len(d.said()), d.said())
		}
		if g := d.said()[0]; g.Withheld || len(g.Theories) != 1 || g.Theories[0].Cause != string(expected) || g.Theories[0].Check == "" || g.Theories[0].Rests == "" || g.Signature == "" {
			t.Errorf("%+v", g)
		}
		d.add(incident.KindOf(incident.Proposed), incident.Proposed, nil)
		c.Wake()
		time.Sleep(10 * time.Second)
		d.add(incident.KindOf(incident.Validated), incident.Validated, d.recording(t))
		c.Wake()
		time.Sleep(10 * time.Second)
		d.add(incident.KindOf(incident.Authorized), incident.Authorized, nil)
		time.Sleep(time.Minute)
		if len(d.said()) != 2 || d.said()[1].Of != incident.Validated {
			t.Fatalf("%d diagnoses: %+v", len(d.said()), d.said())
		}
		found, _ := d.Case("", "")
		s, ok, err := Score(found, d.Blob)
		if err != nil || !ok || len(s.Record.Opinions) != 1 || s.Record.Opinions[0].Answer.Cause != expected {
			t.Errorf("for the score: %+v, %t, %v", s, ok, err)
		}
	})
}

// Whoever hangs is not waited for, and the message has what the others said in time.
func TestWhoeverHangsIsNotWaitedFor(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *diagnosis.Evidence) diagnosis.Opinion{
		"hangs": hangs,
		"heeds nothing": func(context.Context, *diagnosis.Evidence) diagnosis.Opinion {
			time.Sleep(time.Hour)
			return diagnosis.Opinion{}
		},
		"panics": func(context.Context, *diagnosis.Evidence) diagnosis.Opinion { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			running(t, []diagnosis.Diagnoser{diagnosis.Rules{}, seat{name, ask}}, func(t *testing.T, d *desk, _ *Counsel) {
				time.Sleep(diagnosis.DefaultBudget)
				if len(d.said()) != 1 || d.said()[0].Outcome != "single" || d.said()[0].Theories[0].By != "rules" || d.said()[0].By != "rules+"+name {
					t.Fatalf("after the budget: %+v", d.said())
				}
				var kept Kept
				if err := json.Unmarshal(d.said()[0].Record, &kept); err != nil || len(kept.Record.Opinions) != 2 || kept.Record.Opinions[1].Problem == "" || len(kept.Evidence.Facts) == 0 {
					t.Errorf("the record: %+v, %v", kept.Record, err)
				}
				time.Sleep(2 * time.Hour)
				if len(d.said()) != 1 {
					t.Errorf("%d diagnoses", len(d.said()))
				}
			})
		})
	}
}

func TestDissentHasBothTheories(t *testing.T) {
	other := func(_ context.Context, e *diagnosis.Evidence) diagnosis.Opinion {
		return diagnosis.Opinion{Diagnoser: "local", Model: "m", Answer: &diagnosis.Answer{
			Cause: diagnosis.TrafficSpike, Hypothesis: "More is asked.", CheckFirst: "The callers.", Facts: []string{e.Facts[0].ID}, Confidence: 0.65,
		}}
	}
	running(t, []diagnosis.Diagnoser{diagnosis.Rules{}, seat{"local", other}}, func(t *testing.T, d *desk, _ *Counsel) {
		time.Sleep(10 * time.Second)
		if g := d.said()[0]; g.Outcome != "dissent" || len(g.Theories) != 2 || g.Confidence != 0.65 || g.TellApart == "" || g.Theories[1].By != "local" {
			t.Errorf("%+v", g)
		}
	})
}

// What cannot be recorded is tried again, and given up when the incident has ended.
func TestRecordingFails(t *testing.T) {
	running(t, []diagnosis.Diagnoser{diagnosis.Rules{}}, func(t *testing.T, d *desk, _ *Counsel) {
		tries := 0
		d.mu.Lock()
		d.fail = func() error {
			if tries++; tries < 3 {
				return docket.ErrNotReady
			}
			return nil
		}
		d.mu.Unlock()
		time.Sleep(10 * time.Second)
		if len(d.said()) != 1 {
			t.Errorf("%d diagnoses", len(d.said()))
		}
	})
	running(t, []diagnosis.Diagnoser{diagnosis.Rules{}}, func(t *testing.T, d *desk, _ *Counsel) {
		tries := 0
		d.mu.Lock()
		d.fail = func() error { tries++; return docket.ErrInvalid }
		d.mu.Unlock()
		time.Sleep(time.Minute)
		d.mu.Lock()
		defer d.mu.Unlock()
		if tries != 1 {
			t.Errorf("%d tries for an incident that has ended", tries)
		}
	})
}

// Without its evidence an incident has a diagnosis all the same: that there is none.
func TestEvidenceIsMissing(t *testing.T) {
	running(t, []diagnosis.Diagnoser{diagnosis.Rules{}}, func(t *testing.T, d *desk, _ *Counsel) {
		d.mu.Lock()
		clear(d.blobs)
		d.mu.Unlock()
		time.Sleep(10 * time.Second)
		if len(d.said()) != 1 || d.said()[0].Outcome != "none" || !d.said()[0].Withheld || !strings.Contains(string(d.said()[0].Record), "problem") {
			t.Errorf("%+v", d.said())
		}
	})
}

// A restart explains what was not, and nothing twice.
func TestRestart(t *testing.T) {
	d := newDesk(t)
	if stage, ok := Subject(d.found); stage != incident.Detected || !ok {
		t.Errorf("%s %t", stage, ok)
	}
	if err := d.Diagnosed(t.Context(), "acme", id, incident.Diagnosis{By: "rules", Of: incident.Detected}); err != nil {
		t.Fatal(err)
	}
	if stage, ok := Subject(d.found); ok {
		t.Errorf("%s is explained twice", stage)
	}
	d.add(incident.KindOf(incident.Validated), incident.Validated, nil)
	if stage, ok := Subject(d.found); stage != incident.Validated || !ok {
		t.Errorf("%s %t", stage, ok)
	}
	d.found.Stage = incident.Recovered
	if _, ok := Subject(d.found); ok {
		t.Error("what has ended is explained")
	}
}

// TestTheLargestRecordIsKept: as many facts as there can be, of the longest texts that
// others can write, and three answers of the longest, are kept whole.
func TestTheLargestRecordIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		long := strings.Repeat(`"&`, 5000)
		var m diagnosis.Material
		m.Service, m.IncidentID, m.Signals = long, id, &diagnosis.Signals{Recent: &diagnosis.Traffic{Seconds: 10, Requests: 1e6, Errors: 333_333}, Usual: &diagnosis.Traffic{Seconds: 10, Requests: 1e6, Errors: 1}}
		m.Before.Targets, m.Input.Time = map[string]policy.Target{}, time.Now()
		for i := range 100 {
			m.Actions = append(m.Actions, long)
			m.Before.Targets[strconv.Itoa(i)+long] = policy.Target{State: policy.Down, Reason: long, ConsecutiveFailures: 1_000_003}
			m.Input.Checks = append(m.Input.Checks, policy.CheckResult{Target: strconv.Itoa(i) + long, Reason: long})
			m.Decision.Breaches = append(m.Decision.Breaches, policy.Breach{Key: long, Reason: long})
			m.Changes = append(m.Changes, change.Change{Kind: long, Title: long, At: time.Now().Add(-time.Hour)})
			p95, errors := 1234.56, 1./3
			r := health.Route{Route: strconv.Itoa(i) + long, P95MS: &p95, ErrorRate: &errors, SampleSize: 10_007}
			m.Signals.Recent.Routes, m.Signals.Usual.Routes = append(m.Signals.Recent.Routes, r), append(m.Signals.Usual.Routes, r)
			m.Earlier = append(m.Earlier, diagnosis.Earlier{IncidentID: long, StartedAt: time.Now().Add(-time.Hour), Stage: long, Action: long})
		}
		m.Signals.Failures = map[string]uint64{"upstream_refused": 1e6, "upstream_not_found": 1e6, "upstream_reset": 1e6, "upstream_tls": 1e6}
		e := diagnosis.Gather(m)
		for len(e.Facts) < 96 { // more than there can be of this size
			f := e.Facts[len(e.Facts)-1]
			f.ID = "F" + strconv.Itoa(len(e.Facts)+1)
			e.Facts = append(e.Facts, f)
		}
		rules := diagnosis.Rules{}.Diagnose(t.Context(), &e)
		r := diagnosis.Record{V: 1, At: time.Now(), IncidentID: id, EvidenceDigest: e.Digest(), Signature: e.Signature, Opinions: []diagnosis.Opinion{rules}}
		text, err := json.Marshal(map[string]any{
			"cause": "pool_exhaustion", "hypothesis": long[:1000], "check_first": long[:1000], "facts": []string{"F1", "F2"}, "confidence": 1. / 3,
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			a, err := diagnosis.ReadAnswer(string(text), &e)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 24 {
				a.Facts = append(a.Facts, e.Facts[i].ID)
			}
			r.Opinions = append(r.Opinions, diagnosis.Opinion{Diagnoser: "local", Model: long[:120], Answer: &a, Problem: long[:1200], PromptDigest: e.Digest(), Attempts: 2})
		}
		r.Result = diagnosis.Merge(r.Opinions, diagnosis.MinConfidence)
		g := Diagnosis(incident.Detected, "rules+local", r, e)
		if err := d.Diagnosed(t.Context(), "acme", id, g); err != nil {
			t.Fatal(err)
		}
		found, _ := d.Case("", "")
		last := found.Entries[len(found.Entries)-1].Entry
		if kept, there, err := recordOf(last, d.Blob); err != nil || !there || len(kept.Evidence.Facts) != len(e.Facts) || len(kept.Record.Opinions) != 3 {
			t.Errorf("of %d bytes not all is kept: %v, %v", len(g.Record), there, err)
		}
	})
}

// purse is a seat with a budget.
type purse struct {
	seat
	charged *[]int
}

func (p purse) Charge(_ time.Time, requests int) { *p.charged = append(*p.charged, requests) }

// A restart does not give back what was used up of the hour's budget.
func TestRestartKeepsTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		give := func(of incident.Stage, attempts int) {
			record := diagnosis.Record{Opinions: []diagnosis.Opinion{{Diagnoser: "rules", Attempts: 1}, {Diagnoser: "local", Attempts: attempts}}}
			if err := d.Diagnosed(t.Context(), "acme", id, Diagnosis(of, "rules+local", record, diagnosis.Evidence{})); err != nil {
				t.Fatal(err)
			}
		}
		give(incident.Detected, 1)
		time.Sleep(2 * time.Hour)
		d.add(incident.KindOf(incident.Validated), incident.Validated, nil)
		give(incident.Validated, 2)
		d.ended = []incident.Summary{d.found.Summary}
		var charged []int
		c := New(Config{Docket: d, Tenants: []Tenant{{ID: "acme", Seats: []diagnosis.Diagnoser{diagnosis.Rules{}, purse{seat{name: "local"}, &charged}}}}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(charged, []int{2}) {
			t.Errorf("charged are %v", charged)
		}
	})
}

// Earlier incidents of the same signature are cited, with what a person has found.
func TestMemory(t *testing.T) {
	d := newDesk(t)
	e, err := Evidence(d.found, incident.Detected, d.Blob, nil, nil)
	if err != nil || e.Find(diagnosis.EarlierFact) != nil {
		t.Fatalf("%v", err)
	}
	began := e.At.Add(-24 * time.Hour)
	memory := Memory([]incident.Summary{
		{ID: "inc-850da6-1", Stage: incident.Resolved, Signature: e.Signature, StartedAt: began, EndedAt: began.Add(time.Minute), Cause: "pool_exhaustion", Diagnosed: "slow_dependency", Action: "restart"},
		{ID: "inc-850da6-2", Stage: incident.Recovered, Signature: e.Signature, StartedAt: began, Verdict: incident.FalseAlarm},
		{ID: "inc-850da6-3", Stage: incident.Recovered, Signature: "another", StartedAt: began},
		{ID: "inc-850da6-4", Stage: incident.Detected, Signature: e.Signature, StartedAt: began},
		{ID: "inc-850da6-5", Stage: incident.Resolved, Signature: e.Signature, StartedAt: d.found.StartedAt.Add(time.Hour)},
	})
	e, err = Evidence(d.found, incident.Detected, d.Blob, nil, memory)
	if err != nil || len(e.All(diagnosis.EarlierFact)) != 1 {
		t.Fatalf("%+v, %v", e.All(diagnosis.EarlierFact), err)
	}
	f := e.Find(diagnosis.EarlierFact)
	if f.Subject != "inc-850da6-1" || !strings.Contains(f.Text, "RESOLVED") || !strings.Contains(f.Text, "restart") || !strings.Contains(f.Text, "pool_exhaustion as a person confirmed") {
		t.Errorf("%+v", f)
	}
	if g := Diagnosis(incident.Detected, "rules", diagnosis.Record{}, e); g.Earlier == "" {
		t.Error("it is not told")
	}
}

// TestDecidesNothing looks at what is called here: of a docket only what reads it and
// what records a diagnosis.
func TestDecidesNothing(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		for _, forbidden := range []string{"recovery", "approval", "outbox", "egress", "notify"} {
			if strings.HasSuffix(strings.TrimSpace(name), "orchestrator/"+forbidden) {
				t.Errorf("counsel imports %s", name)
			}
		}
	}
}
