package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// newIncidents makes the bundle of a ledger with an incident that the policy
// has decided on, and returns its directory and the incident's id.
func newIncidents(t *testing.T) (dir, id string) {
	t.Helper()
	temp := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	l, err := ledger.Open(t.Context(), ledger.Options{
		Dir: filepath.Join(temp, "data"), Origin: scriptOrigin, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	s, p, before := incident.NewState("acme"), policy.Default(), policy.State{}
	for i := range 40 {
		counts := new(histogram.Counts)
		counts.Add(int64(50*time.Millisecond), 600)
		if i >= 10 && i < 25 {
			counts.Add(int64(5*time.Second), 600)
		}
		series := histogram.Series{Durations: counts}
		series.Outcomes[0] = counts.Total()
		window := &histogram.Snapshot{Span: time.Minute, Overall: series, Seen: counts.Total()}
		o := incident.Observation{Tenant: "acme", Service: "checkout", Policy: p, Window: window, Before: before}
		o.Input = policy.Input{Time: now, Measurement: health.Measure(now, window, window)}
		o.After, o.Decision = policy.Decide(before, o.Input, p)
		before = o.After
		drafts, err := s.Step(o, now)
		if err != nil {
			t.Fatal(err)
		}
		var entries []ledger.Entry
		for _, d := range drafts {
			leaf, err := d.Entry.Leaf()
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, ledger.Entry{Leaf: leaf, Blobs: d.Blobs})
			if err := s.Apply(0, d.Entry); err != nil {
				t.Fatal(err)
			}
			if d.Entry.Stage == incident.Detected {
				id = d.Entry.IncidentID
			}
		}
		if len(entries) > 0 {
			if _, err := l.Append(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(5 * time.Second)
	}
	dir = filepath.Join(temp, "bundle")
	if err := l.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, id
}

func TestIncidentCommands(t *testing.T) {
	dir, id := newIncidents(t)
	for _, c := range []struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		{[]string{"list", dir}, 0, id + "  RECOVERED", ""},
		{[]string{"list", dir, "--tenant", "other"}, 0, "no incidents", ""},
		{[]string{"list", dir, "--json"}, 0, `"incident_id": "` + id + `"`, ""},
		{[]string{"show", id, dir}, 0, "incident.validated", ""},
		{[]string{"show", id, dir, "--json"}, 0, `"kind": "incident.detected"`, ""},
		{[]string{"show", "inc-000000-1", dir}, 2, "", "the ledger has no such incident: inc-000000-1"},
		{[]string{"show", dir}, 0, id, ""},
		{[]string{"replay", dir}, 0, "SAME: 3 decisions were made again", ""},
		{[]string{"show", dir, "--tenant", "other"}, 2, "", "the ledger has no incident yet"},
		{[]string{"show", "inc-1", dir}, 2, "", "takes an incident and a log"},
		{[]string{"show", "inc-1"}, 2, "", "is not the id of an incident"},
		{[]string{"show", id, dir, "more"}, 2, "", "is one more"},
		{[]string{"replay", id, dir}, 0, "SAME: 3 decisions were made again", ""},
		{[]string{"replay", id, dir, "--json"}, 0, `"outcome": "same"`, ""},
		{[]string{"replay", id, dir, "--tenant", "other"}, 2, "", "no such incident"},
		{[]string{"ask"}, 2, "", "needs the id"},
		{[]string{"ask", id}, 2, "", "--action names"},
		{[]string{"ask", id, "--action", "restart"}, 2, "", "--who names"},
		{[]string{"ask", id, "more", "--action", "restart"}, 2, "", "one incident"},
		{[]string{"ask", id, "--action", "restart", "--who", "ana", "--secret-file", filepath.Join(dir, "none")}, 2, "", "none"},
		{[]string{"ask", id, "--action", "restart", "--who", "ana", "--admin", "127.0.0.1:1"}, 7, "", "127.0.0.1:1"},
		{[]string{"mark"}, 2, "", "needs the id"},
		{[]string{"mark", id}, 2, "", "either --false-alarm or --confirmed"},
		{[]string{"mark", id, "--false-alarm", "--confirmed"}, 2, "", "either"},
		{[]string{"mark", id, "--confirmed"}, 2, "", "--who"},
		{[]string{"mark", id, "--confirmed", "--who", "ana", "--secret-file", filepath.Join(dir, "none")}, 2, "", "none"},
		{[]string{"mark", id, "--confirmed", "--who", "ana", "--admin", "127.0.0.1:1"}, 7, "", "127.0.0.1:1"},
	} {
		var stdout, stderr bytes.Buffer
		code := execute(append([]string{"countersign", "incident"}, c.args...), &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%v: %d\n%s%s", c.args, code, &stdout, &stderr)
		}
	}
}

// TestReplayWithoutEvidence takes the evidence away.
func TestReplayWithoutEvidence(t *testing.T) {
	dir, id := newIncidents(t)
	if err := os.RemoveAll(filepath.Join(dir, "blob")); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := execute([]string{"countersign", "incident", "replay", id, dir, "--json"}, &stdout, &stderr); code != 1 || stderr.Len() > 0 {
		t.Errorf("%d %s", code, &stderr)
	}
	var r incident.Replayed
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || r.Outcome != incident.Unproven || len(r.Steps[0].Missing) == 0 {
		t.Errorf("%v %+v", err, r)
	}
}

func TestVerifyAuditsIncidents(t *testing.T) {
	dir, _ := newIncidents(t)
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{dir}, 0, "VERIFIED"},
		{[]string{dir, "--max-open", "1h"}, 0, "VERIFIED"},
		{[]string{dir, "--max-open", "0s"}, 2, "--max-open"},
	} {
		var out bytes.Buffer
		if code := execute(append([]string{"countersign", "ledger", "verify"}, c.args...), &out, &out); code != c.code || !strings.Contains(out.String(), c.text) {
			t.Errorf("%v: %d\n%s", c.args, code, &out)
		}
	}
}

// TestVerifyNamesTheRule breaks the life of an incident in a log that is
// otherwise as it was signed.
func TestVerifyNamesTheRule(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	l, err := ledger.Open(t.Context(), ledger.Options{Dir: t.TempDir(), Origin: scriptOrigin, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	const about = `"tenant_id":"acme","service":"checkout","actor":"policy","policy_version":"1","policy_digest":"sha256:` +
		`0000000000000000000000000000000000000000000000000000000000000000","time":"2026-01-02T03:04:05Z"`
	for _, leaf := range []string{
		`{"v":1,"kind":"policy.loaded",` + strings.Replace(about, `"policy"`, `"system"`, 1) + `}`,
		`{"v":1,"kind":"incident.detected","stage":"DETECTED","incident_id":"inc-00000a-1",` + about + `}`,
		`{"v":1,"kind":"incident.validated","stage":"VALIDATED","incident_id":"inc-00000a-1",` + about + `}`,
	} {
		if _, err := l.Append(t.Context(), []ledger.Entry{{Leaf: []byte(leaf)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := execute([]string{"countersign", "ledger", "verify", dir}, &stdout, &stderr)
	for _, want := range []string{"INVALID", "entry 3", "illegal transition of inc-00000a-1", "from DETECTED to PROPOSED or RECOVERED", "found:          VALIDATED"} {
		if code != 5 || !strings.Contains(stdout.String(), want) {
			t.Errorf("%d, without %q\n%s%s", code, want, &stdout, &stderr)
		}
	}
}
