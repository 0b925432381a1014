package backtest

import (
	"encoding/json"
	"errors"
	"flag"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

var update = flag.Bool("update", false, "write the golden files")

var epoch = time.Date(2026, 11, 21, 12, 0, 2, 0, time.UTC)

// stretch is a time of one kind.
type stretch struct {
	ticks    int
	p95      float64 // of the window and of each tick
	off      bool    // nothing is recorded
	breached bool    // by the policy that was in force
	incident string
	check    string // a target that is asked, and fails with "!" at its end
}

// recorded are the minutes of stretches, from epoch on.
func recorded(stretches ...stretch) iter.Seq2[history.Minute, error] {
	return func(yield func(history.Minute, error) bool) {
		at := epoch
		var m history.Minute
		for _, s := range stretches {
			for range s.ticks {
				if start := at.Truncate(time.Minute); !start.Equal(m.Start) {
					if len(m.Ticks) > 0 && !yield(m, nil) {
						return
					}
					m = history.Minute{V: 1, Start: start}
				}
				if !s.off {
					m.Ticks = append(m.Ticks, s.tick(at))
				}
				at = at.Add(history.Interval)
			}
		}
		if len(m.Ticks) > 0 {
			yield(m, nil)
		}
	}
}

func (s stretch) tick(at time.Time) history.Tick {
	p95 := s.p95
	t := history.Tick{Breached: s.breached, IncidentID: s.incident, PolicyDigest: "sha256:" + strings.Repeat("0f", 32)}
	t.Input = policy.Input{Time: at, Measurement: health.Measurement{
		UnixMilli: at.UnixMilli(),
		Window:    health.WindowFigures{SpanSeconds: 60, P50MS: &p95, P95MS: &p95, P99MS: &p95, MaxMS: &p95, Samples: 600, Requests: 600, Seen: 600},
		Tick:      health.Tick{UnixMilli: at.UnixMilli(), Samples: 50, Requests: 50, P95MS: p95, MaxMS: p95},
	}}
	if s.check != "" {
		name, fails := strings.CutSuffix(s.check, "!")
		t.Input.Checks = []policy.CheckResult{{Target: name, Time: at, OK: !fails, Reason: "refused"}}
	}
	return t
}

// strict is a policy that calls 500 ms critical.
func strict() *policy.Policy {
	p := policy.Default()
	p.Version = "strict"
	p.Health.P95MS = health.Limit{Warning: 300, Critical: 500}
	return p
}

func mustRun(t *testing.T, p *policy.Policy, from time.Time, minutes iter.Seq2[history.Minute, error]) Result {
	t.Helper()
	r, err := Run(p, from, minutes)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBesideWhatWasRecorded(t *testing.T) {
	calm := stretch{ticks: 60, p95: 100}
	live := func(n int) []stretch { // as it is recorded: the first tick has no incident yet
		return []stretch{{ticks: 1, p95: 9000, breached: true}, {ticks: n - 1, p95: 9000, breached: true, incident: "inc-000001-1"}}
	}
	for _, tc := range []struct {
		name      string
		p         *policy.Policy
		stretches []stretch
		want      Summary
	}{
		{"nothing", policy.Default(), []stretch{calm}, Summary{}},
		{"the same policy", policy.Default(), append(append([]stretch{calm}, live(30)...), calm), Summary{Would: 1, Both: 1, Recorded: 1}},
		{"a stricter policy", strict(), []stretch{calm, {ticks: 30, p95: 800}, calm}, Summary{Would: 1, New: 1}},
		{"the same is not stricter", policy.Default(), []stretch{calm, {ticks: 30, p95: 800}, calm}, Summary{}},
		{"recorded by a stricter one", policy.Default(), []stretch{calm, {ticks: 30, p95: 800, breached: true, incident: "inc-000001-1"}, calm}, Summary{Recorded: 1, Missed: 1}},
		{"breached while the ledger was not kept", policy.Default(), []stretch{calm, {ticks: 30, p95: 9000, breached: true}, calm}, Summary{Would: 1, Both: 1, Recorded: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "a stricter policy" || strings.HasPrefix(tc.name, "the same is not") || strings.HasPrefix(tc.name, "recorded by") {
				tc.p.Health.ZThreshold = 1e6 // only the threshold is compared
				tc.p.Health.Gates.ZScore = health.Off
			}
			r := mustRun(t, tc.p, time.Time{}, recorded(tc.stretches...))
			if r.Summary != tc.want {
				t.Errorf("summary %+v, want %+v\n%+v", r.Summary, tc.want, r)
			}
		})
	}
}

// TestPausesAreNoContinuity: what was open when the sidecar stopped ends
// there, and begins again when it still holds afterwards.
func TestPausesAreNoContinuity(t *testing.T) {
	r := mustRun(t, policy.Default(), time.Time{}, recorded(
		stretch{ticks: 60, p95: 100}, stretch{ticks: 20, p95: 9000}, stretch{ticks: 120, off: true}, stretch{ticks: 12, p95: 9000}))
	if len(r.Would) != 2 || r.Would[0].End != Paused || r.Would[1].End != StillOpen {
		t.Fatalf("would: %+v", r.Would)
	}
	if got := r.Would[0].Seconds(); got != 19*5 {
		t.Errorf("the first lasts %v s", got)
	}
	if r.Gaps != 1 || r.MissingSeconds != 600 {
		t.Errorf("%d gaps, %v s", r.Gaps, r.MissingSeconds)
	}
	if !r.Would[0].Validated {
		t.Error("95 seconds do not validate")
	}
}

// TestBeforeOnlyPrepares: what comes before the period teaches the baseline
// and is not told of.
func TestBeforeOnlyPrepares(t *testing.T) {
	from := epoch.Add(100 * history.Interval)
	minutes := recorded(stretch{ticks: 40, p95: 9000}, stretch{ticks: 60, p95: 100}, stretch{ticks: 30, p95: 101})
	r := mustRun(t, policy.Default(), from, minutes)
	if r.Ticks != 30 || !r.From.Equal(from) || len(r.Would) != 0 || r.Gaps != 0 {
		t.Errorf("%+v", r)
	}
}

func TestTargetsWithoutChecks(t *testing.T) {
	p := policy.Default()
	p.Checks = []policy.Check{{Name: "db"}, {Name: "cache"}}
	r := mustRun(t, p, time.Time{}, recorded(stretch{ticks: 20, p95: 100, check: "db"}, stretch{ticks: 20, p95: 100, check: "db!"}))
	if strings.Join(r.Unchecked, " ") != "cache" {
		t.Errorf("unchecked %q", r.Unchecked)
	}
	if len(r.Would) != 1 || !strings.Contains(strings.Join(r.Would[0].Gates, " "), "db") {
		t.Errorf("would: %+v", r.Would)
	}
}

func TestDamage(t *testing.T) {
	broken := errors.New("the disk is gone")
	minutes := func(last error) iter.Seq2[history.Minute, error] {
		return func(yield func(history.Minute, error) bool) {
			for m := range recorded(stretch{ticks: 24, p95: 100}) {
				if !yield(m, nil) || !yield(history.Minute{}, &history.Damage{File: "a.jsonl", Line: 3, Err: errors.New("no record")}) {
					return
				}
			}
			if last != nil {
				yield(history.Minute{}, last)
			}
		}
	}
	r := mustRun(t, policy.Default(), time.Time{}, minutes(nil))
	if r.Damaged != 2 || r.FirstDamage != "a.jsonl, line 3: no record" || r.Ticks != 24 {
		t.Errorf("%+v", r)
	}
	if _, err := Run(policy.Default(), time.Time{}, minutes(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// TestText compares both forms with what they were.
func TestText(t *testing.T) {
	p := strict()
	p.Checks = []policy.Check{{Name: "cache"}}
	p.Burn.Mode = health.Shadow
	long := recorded(
		stretch{ticks: 60, p95: 100}, stretch{ticks: 1, p95: 9000, breached: true}, stretch{ticks: 29, p95: 9000, breached: true, incident: "inc-000001-1"},
		stretch{ticks: 60, p95: 100}, stretch{ticks: 24, p95: 450, breached: true, incident: "inc-\x1b[31m-2"}, stretch{ticks: 120, off: true},
		stretch{ticks: 30, p95: 100}, stretch{ticks: 24, p95: 800},
	)
	for name, r := range map[string]Result{
		"full":  mustRun(t, p, time.Time{}, long),
		"empty": mustRun(t, policy.Default(), time.Time{}, recorded(stretch{ticks: 24, p95: 100})),
	} {
		r.Policy.Digest = "sha256:" + strings.Repeat("ab", 32) // of the policy's own tests
		var text, data strings.Builder
		if err := errors.Join(r.WriteText(&text), r.WriteJSON(&data)); err != nil {
			t.Fatal(err)
		}
		var back Result
		if err := json.Unmarshal([]byte(data.String()), &back); err != nil || back.Summary != r.Summary {
			t.Errorf("%s: the JSON is read as %+v, %v", name, back.Summary, err)
		}
		if strings.ContainsRune(text.String(), '\x1b') {
			t.Error("what a file says reaches the terminal as it is")
		}
		golden(t, name+".txt", text.String())
		golden(t, name+".json", data.String())
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
