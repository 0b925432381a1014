package report

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

var update = flag.Bool("update", false, "write the golden files")

var epoch = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// book is a ledger's entries being written.
type book struct {
	entries []incident.Indexed
	at      time.Time
	tenant  string
}

func newBook() *book { return &book{at: epoch, tenant: "shop"} }

func (b *book) after(d time.Duration) *book { b.at = b.at.Add(d); return b }

func (b *book) add(e incident.Entry) {
	e.V, e.Time, e.Service = 1, b.at, "checkout"
	if e.TenantID == "" {
		e.TenantID = b.tenant
	}
	if e.PolicyDigest == "" {
		e.PolicyVersion, e.PolicyDigest = "default", digest(1)
	}
	// The numbers are those of a ledger that has other entries, too.
	b.entries = append(b.entries, incident.Indexed{Index: uint64(3 + 2*len(b.entries)), Entry: e})
}

func (b *book) about() incident.About {
	return incident.About{Tenant: b.tenant, Service: "checkout", PolicyVersion: "default", PolicyDigest: digest(1), Time: b.at}
}

func (b *book) draft(d incident.Draft, err error) {
	if err != nil {
		panic(err)
	}
	b.add(d.Entry)
}

func (b *book) policy(n int, version string, unversioned bool) {
	b.add(incident.Entry{
		Kind: incident.KindPolicyLoaded, Actor: incident.ActorSystem, PolicyVersion: version, PolicyDigest: digest(n),
		Metadata: map[string]any{"unversioned_change": unversioned},
	})
}

func (b *book) stage(id string, to incident.Stage, reason string, metadata map[string]any) {
	b.add(incident.Entry{Kind: incident.KindOf(to), IncidentID: id, Stage: to, Actor: incident.ActorPolicy, Reason: reason, Metadata: metadata})
}

func (b *book) suppressed(id, action, event, text string) {
	b.add(incident.Entry{
		Kind: incident.KindEffectSuppressed, IncidentID: id, Actor: incident.ActorShadow, Decision: "shadow",
		Metadata: map[string]any{"shadow_mode": true, "suppressed_action": action, "event": event, "text": text},
	})
}

// incident is one that opens now, is validated and recovers after ten minutes.
func (b *book) incident(id, gate, reason string, shadow bool) {
	b.stage(id, incident.Detected, reason, map[string]any{
		"shadow_mode": shadow, "observed_at": b.at.Add(-40 * time.Millisecond).Format(time.RFC3339Nano),
		"gates": []any{map[string]any{"key": gate}},
	})
	tell := func(action, event string) {
		if shadow {
			b.suppressed(id, action, event, "checkout: "+event+" of "+id)
		} else {
			b.add(incident.Entry{Kind: incident.KindEffectDue, IncidentID: id, Actor: incident.ActorPolicy, Metadata: map[string]any{"effect": action, "event": event}})
		}
	}
	tell("notification", "incident")
	b.after(5*time.Second).stage(id, incident.Proposed, "nothing to propose", nil)
	b.after(55*time.Second).stage(id, incident.Validated, reason, nil)
	tell("notification", "validated")
	tell("approval_link", "validated")
	b.after(9*time.Minute).stage(id, incident.Recovered, "calm for two minutes", nil)
	tell("notification", "recovered")
}

func (b *book) sequence() iter.Seq2[incident.Indexed, error] {
	return func(yield func(incident.Indexed, error) bool) {
		for _, e := range b.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (b *book) options() Options {
	o := Options{Tenant: b.tenant, At: b.at.Add(time.Hour), VerifyCommand: "countersign ledger verify http://127.0.0.1:9090/ledger --vkey shop+1a2b3c4d+Aa=="}
	o.Head = ledger.Checkpoint{Origin: "countersign/shop", Size: uint64(3 + 2*len(b.entries)), Root: [32]byte{1, 2, 3}}
	return o
}

func mustBuild(t *testing.T, b *book, o Options) Report {
	t.Helper()
	r, err := Build(b.sequence(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// full is a book with everything in it.
func full() *book {
	b := newBook()
	b.policy(1, "default", false)
	b.after(time.Hour).incident("inc-00000a-1", "absolute_threshold", "P95 9000 ms is at or above the critical threshold of 3000 ms", true)
	b.draft(incident.Mark(b.about(), "inc-00000a-1", incident.FalseAlarm, "", "ana", "a load test | of `ours`\nwith <b>care</b>"))
	b.after(24*time.Hour).policy(2, "default", true)
	b.draft(incident.Denied(b.about(), "POST /tenant/shop/shadow", 403, 7, "other"), nil)
	b.add(incident.Entry{Kind: incident.KindTargetDown, Actor: incident.ActorPolicy, Metadata: map[string]any{"target": "db"}})
	b.suppressed("", "notification", "target_down", "checkout: db is down: refused.")
	b.after(time.Hour).add(incident.Entry{Kind: incident.KindTargetFlapping, Actor: incident.ActorPolicy, Metadata: map[string]any{"target": "db"}})
	b.after(24 * time.Hour).draft(incident.ShadowSwitch(b.about(), true, false, "ana", "three quiet weeks"))
	b.after(12*time.Hour).incident("inc-00000b-2", "z_score", "12 standard deviations above the mean", false)
	b.draft(incident.Mark(b.about(), "inc-00000b-2", incident.Confirmed, "", "bo", ""))
	b.after(12 * time.Hour).draft(incident.ShadowSwitch(b.about(), false, true, "bo", "a new policy is tried"))
	b.policy(3, "2", false)
	b.after(time.Minute).stage("inc-00000c-3", incident.Detected, "db is down | ![x](http://evil.example/`x`) <script>alert(1)</script> @everyone www.evil.example \u202egnp.exe", map[string]any{
		"shadow_mode": true, "gates": []any{map[string]any{"key": "consecutive_failures:db"}}, "observed_at": b.at.Format(time.RFC3339Nano),
	})
	b.suppressed("inc-00000c-3", "notification", "incident", "checkout has an incident\n| forged | row |\n```\n# forged")
	return b
}

func TestForms(t *testing.T) {
	b, empty := full(), newBook()
	for name, r := range map[string]Report{"full": mustBuild(t, b, b.options()), "empty": mustBuild(t, empty, empty.options())} {
		for ext, write := range map[string]func(io.Writer) error{"json": r.WriteJSON, "md": r.WriteMarkdown, "html": r.WriteHTML} {
			var out strings.Builder
			if err := write(&out); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+ext, out.String())
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s", path, got)
	}
}

func TestNumbers(t *testing.T) {
	b := full()
	r := mustBuild(t, b, b.options())
	if r.Incidents.Total != 3 || r.Incidents.FalseAlarms != 1 || r.Incidents.Confirmed != 1 || r.Incidents.Unmarked != 1 || len(r.Incidents.List) != 3 {
		t.Errorf("incidents %+v", r.Incidents)
	}
	last, first := r.Incidents.List[0], r.Incidents.List[2]
	if last.ID != "inc-00000c-3" || last.Stage != incident.Detected || last.Duration != nil || *last.Detected != 0 || last.Suppressed != 1 {
		t.Errorf("the last incident %+v", last)
	}
	if first.Reached != incident.Validated || first.Stage != incident.Recovered || *first.Duration != 600 || *first.Detected != 0.04 || first.Suppressed != 4 || first.Who != "ana" {
		t.Errorf("the first incident %+v", first)
	}
	x := r.Effects
	if x.Notifications != 5 || x.Links != 1 || x.Executions != 0 || x.Other != 0 || x.Due != 4 || x.ByEvent["target_down"] != 1 {
		t.Errorf("effects %+v", x)
	}
	if n := r.Policies; len(n.List) != 3 || n.Unversioned != 1 || !n.List[1].Unversioned || n.List[1].Entry != b.entries[10].Index {
		t.Errorf("policies %+v", n)
	}
	if len(r.Denied) != 1 || r.Denied[0].Count != 7 || len(r.Targets) != 1 || r.Targets[0] != (Target{"db", 1, 1}) {
		t.Errorf("denied %+v, targets %+v", r.Denied, r.Targets)
	}
	// Live from the switch for 24 hours and ten minutes.
	known := b.at.Add(time.Hour).Sub(epoch)
	if want := 1 - (24*time.Hour+10*time.Minute).Seconds()/known.Seconds(); r.Shadow.Share == nil || !near(*r.Shadow.Share, want) || len(r.Shadow.Periods) != 3 {
		t.Errorf("shadow %+v, want %v", r.Shadow, want)
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

// TestPeriods: only what lies in the period is told, and verdicts that came later.
func TestPeriods(t *testing.T) {
	b := full()
	hour := func(h float64) time.Time { return epoch.Add(time.Duration(h * float64(time.Hour))) }
	for _, tc := range []struct {
		name                string
		from, to            time.Time
		incidents, notified int
		falseAlarms         int
		shadow              float64
		policies            int
	}{
		{"before everything", hour(-48), hour(-24), 0, 0, 0, -1, 0},
		{"from before it", hour(-48), hour(0.5), 0, 0, 0, 1, 1},
		{"the first incident, marked afterwards", hour(0.5), hour(1.1), 1, 2, 1, 1, 1},
		{"its end", hour(1.1), hour(2), 1, 1, 1, 1, 1},
		{"between", hour(2), hour(20), 0, 0, 0, 1, 1},
		{"live alone", hour(52), hour(60), 0, 0, 0, 0, 1},
		{"half of it live", hour(50.1666666667 - 1), hour(50.1666666667 + 1), 0, 0, 0, 0.5, 1},
		{"both policies", hour(25), hour(26), 0, 1, 0, 1, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := b.options()
			o.From, o.To = tc.from, tc.to
			r := mustBuild(t, b, o)
			share := -1.0
			if r.Shadow.Share != nil {
				share = *r.Shadow.Share
			}
			if r.Incidents.Total != tc.incidents || r.Effects.Notifications != tc.notified || r.Incidents.FalseAlarms != tc.falseAlarms ||
				share-tc.shadow > 1e-3 || tc.shadow-share > 1e-3 || len(r.Policies.List) != tc.policies {
				t.Errorf("%d incidents, %d notifications, %d false alarms, share %v, %d policies",
					r.Incidents.Total, r.Effects.Notifications, r.Incidents.FalseAlarms, share, len(r.Policies.List))
			}
		})
	}
	o := b.options()
	o.From, o.To = hour(2), hour(2)
	if _, err := Build(b.sequence(), o); err == nil || !strings.Contains(err.Error(), "has no period") {
		t.Errorf("error %v", err)
	}
	broken := errors.New("the store is gone")
	if _, err := Build(func(yield func(incident.Indexed, error) bool) { yield(incident.Indexed{}, broken) }, b.options()); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestOthersStayApart: of another tenant's entries the policies alone are told.
func TestOthersStayApart(t *testing.T) {
	b := full()
	o := b.options()
	o.Tenant = "other"
	r := mustBuild(t, b, o)
	var out strings.Builder
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	if r.Period.Entries != 0 || r.Incidents.Total != 0 || len(r.Policies.List) != 3 || strings.Contains(out.String(), "checkout") || strings.Contains(out.String(), "ana") {
		t.Errorf("of another tenant: %s", out.String())
	}
}

// TestMany: however much there is, the report has an end and says so.
func TestMany(t *testing.T) {
	b := newBook()
	const n = 10_000
	for i := range n {
		b.after(time.Hour).incident(fmt.Sprintf("inc-%06x-%d", i, i), "absolute_threshold", "P95 is high", true)
		if i%10 == 0 {
			b.draft(incident.Mark(b.about(), fmt.Sprintf("inc-%06x-%d", i, i), incident.FalseAlarm, "", "ana", ""))
		}
		if i%20 == 0 {
			b.draft(incident.ShadowSwitch(b.about(), true, false, "ana", ""))
			b.draft(incident.ShadowSwitch(b.about(), false, true, "ana", ""))
			b.after(time.Second).policy(i, fmt.Sprint(i), false)
		}
	}
	r := mustBuild(t, b, b.options())
	in := r.Incidents
	if in.Total != n || in.FalseAlarms != n/10 || in.Unmarked != n-n/10 || len(in.List) != MaxIncidents || in.LeftOut != n-MaxIncidents || in.ByStage["RECOVERED"] != n || in.Detection.Known != n {
		t.Errorf("%d incidents, %d false alarms, %d listed, %d left out, %v", in.Total, in.FalseAlarms, len(in.List), in.LeftOut, in.ByStage)
	}
	if in.List[0].ID != fmt.Sprintf("inc-%06x-%d", n-1, n-1) || in.List[0].Stage != incident.Recovered {
		t.Errorf("the first listed is %+v", in.List[0])
	}
	if r.Effects.Notifications != 3*n || len(r.Effects.Notices) != MaxNotices || r.Effects.LeftOut != 4*n-MaxNotices {
		t.Errorf("%d notifications, %d left out", r.Effects.Notifications, r.Effects.LeftOut)
	}
	if len(r.Policies.List) != MaxPeriods || len(r.Shadow.Periods) != MaxPeriods || r.Policies.LeftOut != n/20-MaxPeriods {
		t.Errorf("%d policies, %d periods", len(r.Policies.List), len(r.Shadow.Periods))
	}
	for _, write := range []func(io.Writer) error{r.WriteJSON, r.WriteMarkdown, r.WriteHTML} {
		var out strings.Builder
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 1<<20 || !strings.Contains(out.String(), "9500") {
			t.Errorf("the report has %d bytes, and does not say what it leaves out", out.Len())
		}
	}
	var back Report
	data, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(data, &back)
	}
	if err != nil || back.Incidents.List[0].ID != in.List[0].ID {
		t.Errorf("the JSON is read as %+v, %v", back.Incidents.List[0], err)
	}
}

// TestHostileText: nothing that was recorded becomes markup.
func TestHostileText(t *testing.T) {
	b := full()
	o := b.options()
	o.VerifyCommand = "countersign ledger verify ```\n# forged <img src=x>"
	r := mustBuild(t, b, o)
	var md, page strings.Builder
	if err := errors.Join(r.WriteMarkdown(&md), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<b>", "<img", "\u202e", "href="} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for n, line := range strings.Split(md.String(), "\n") {
		plain := strings.NewReplacer(`\|`, "", `\\`, "").Replace(line)
		if strings.HasPrefix(line, "|") && strings.Count(plain, "|") != len(strings.Split(plain, " |")) {
			t.Errorf("line %d has another number of cells: %s", n+1, line)
		}
		if strings.HasPrefix(line, "# forged") || strings.HasPrefix(line, "| forged") {
			t.Errorf("line %d is forged: %s", n+1, line)
		}
	}
	for _, bad := range []string{"http://evil", "](", "<script", "\u202e"} {
		if strings.Contains(strings.ReplaceAll(md.String(), `\]`, ""), bad) {
			t.Errorf("the Markdown has %q", bad)
		}
	}
	if !strings.Contains(md.String(), "\n````\n") {
		t.Error("the command can end its own block")
	}
}

// TestOfRealEntries: what the incident machine writes is understood.
func TestOfRealEntries(t *testing.T) {
	b := newBook()
	s := incident.NewState(b.tenant)
	p := policy.Default()
	var decided policy.State
	observe := func(ms float64) {
		b.after(5 * time.Second)
		m := health.Measurement{
			UnixMilli: b.at.UnixMilli(),
			Window:    health.WindowFigures{SpanSeconds: 60, P50MS: &ms, P95MS: &ms, P99MS: &ms, MaxMS: &ms, Samples: 600, Requests: 600, Seen: 600},
			Tick:      health.Tick{UnixMilli: b.at.UnixMilli(), Samples: 50, Requests: 50, P95MS: ms, MaxMS: ms},
		}
		o := incident.Observation{Tenant: b.tenant, Service: "checkout", Policy: p, Before: decided, Input: policy.Input{Time: b.at, Measurement: m}}
		o.After, o.Decision = policy.Decide(o.Before, o.Input, p)
		decided = o.After
		b.after(20 * time.Millisecond)
		drafts, err := s.Step(o, b.at)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range drafts {
			if err := s.Apply(uint64(len(b.entries)), d.Entry); err != nil {
				t.Fatal(err)
			}
			b.entries = append(b.entries, incident.Indexed{Index: uint64(len(b.entries)), Entry: d.Entry})
		}
	}
	for _, ms := range []float64{100, 9000, 100} {
		for range 60 {
			observe(ms)
		}
	}
	r := mustBuild(t, b, b.options())
	if len(r.Incidents.List) != 1 || len(r.Policies.List) != 1 || r.Effects.Links != 1 || r.Effects.Notifications < 3 || r.Effects.Other != 0 {
		t.Fatalf("%+v", r)
	}
	i := r.Incidents.List[0]
	if i.Reached != incident.Validated || i.Stage != incident.Recovered || i.Detected == nil || *i.Detected != 0.02 || len(i.Gates) == 0 || !i.Shadow {
		t.Errorf("%+v", i)
	}
}

// TestFailingWriter: an output that takes nothing is an error.
func TestFailingWriter(t *testing.T) {
	b := full()
	r := mustBuild(t, b, b.options())
	for _, write := range []func(io.Writer) error{r.WriteJSON, r.WriteMarkdown, r.WriteHTML} {
		if err := write(failing{}); err == nil {
			t.Error("no error")
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
