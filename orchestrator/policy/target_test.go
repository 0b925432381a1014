package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

func TestTargetStates(t *testing.T) {
	for _, c := range []struct {
		name   string
		checks string // + a success, - a failure
		state  TargetState
		failed int
	}{
		{"never checked", "", Unknown, 0},
		{"one failure is not conclusive", "-", Unknown, 1},
		{"two in a row", "--", Down, 2},
		{"the counter moves on", "-----", Down, 5},
		{"one success", "+", Up, 0},
		{"one failure after it", "+-", Up, 1},
		{"failures that are not in a row", "-+-+-", Up, 1},
		{"up on the first success", "----+", Up, 0},
		{"down again", "--+--", Down, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, target := Default(), Target{State: Unknown}
			at, changed := start, time.Time{}
			for _, r := range c.checks {
				at = at.Add(tickSpan)
				was := target.State
				target = target.checked(CheckResult{OK: r == '+', Reason: "timeout"}, at, p)
				if target.State != was {
					changed = at
				}
			}
			if target.State != c.state || target.ConsecutiveFailures != c.failed || !target.LastStateChangeAt.Equal(changed) || len(c.checks) > 0 && !target.LastCheckedAt.Equal(at) {
				t.Errorf("target %+v, want %s after %d failures, changed at %s", target, c.state, c.failed, changed)
			}
			if (target.Reason == "timeout") != (c.failed > 0) {
				t.Errorf("reason %q after %d failures", target.Reason, c.failed)
			}
		})
	}
}

func TestTrafficChecksTheUpstream(t *testing.T) {
	for _, c := range []struct {
		name       string
		tick       health.Tick
		conclusive bool
		ok         bool
		says       string
	}{
		{"nothing", health.Tick{}, false, false, ""},
		{"enough, all well", health.Tick{Requests: 5}, true, true, ""},
		{"enough, just below the line", health.Tick{Requests: 100, Errors: 49}, true, true, ""},
		{"enough, at the line", health.Tick{Requests: 100, Errors: 50}, true, false, "50 of 100 requests"},
		{"enough, all failed", health.Tick{Requests: 5, Errors: 5}, true, false, "5 of 5 requests"},
		{"few, all failed", health.Tick{Requests: 4, Errors: 4}, false, true, ""},
		{"few, one failed", health.Tick{Requests: 4, Errors: 1}, false, true, ""},
		{"one that went well", health.Tick{Requests: 1}, true, true, ""},
		{"enough that hang", health.Tick{Waiting: 5, MaxMS: 3000}, true, false, "5 requests wait"},
		{"too few that hang", health.Tick{Waiting: 4, MaxMS: 30_000}, false, false, ""},
		{"waiting, but not for long", health.Tick{Waiting: 50, MaxMS: 2999}, false, false, ""},
		{"some hang and others finish", health.Tick{Requests: 10, Waiting: 50, MaxMS: 30_000}, true, true, ""},
		{"a negative number waits", health.Tick{Waiting: -1, MaxMS: 30_000}, false, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, conclusive := traffic(c.tick, Default())
			if conclusive != c.conclusive || conclusive && r.OK != c.ok || conclusive && !strings.Contains(r.Reason, c.says) {
				t.Errorf("conclusive %v, %+v", conclusive, r)
			}
		})
	}
}

func TestTrafficIsBetterEvidenceThanACheck(t *testing.T) {
	s := newSeries(t)
	broken := CheckResult{Target: UpstreamTarget, Reason: "timeout"}
	s.see(fine, broken, broken, broken)
	if got := s.state.Targets[UpstreamTarget]; got.State != Up || got.ConsecutiveFailures != 0 {
		t.Errorf("upstream %+v, want UP by the hundred requests that it answered", got)
	}
	dead := measured(100, 100, 5)
	s.see(dead, broken)
	if got := s.state.Targets[UpstreamTarget]; got.ConsecutiveFailures != 1 {
		t.Errorf("a tick and a check of the same seconds counted %d times", got.ConsecutiveFailures)
	}
}

func TestAnyTargetDownOpens(t *testing.T) {
	s := newSeries(t)
	s.p.Checks = []Check{{Name: "search", URL: "http://127.0.0.1:1/", Method: "GET", Status: []int{}, IntervalSeconds: 5, TimeoutSeconds: 1}}
	s.see(fine)
	if got := s.state.Targets["search"].State; got != Unknown {
		t.Errorf("a target that was never checked is %q", got)
	}
	refused := CheckResult{Target: "search", Reason: "status 503, expected 200 to 299"}
	if d := s.see(fine, refused); d.Breached {
		t.Errorf("breached by one failure: %s", d.Why)
	}
	d := s.see(fine, refused)
	if !d.Breached || d.Breaches[0].Target != "search" || d.Breaches[0].Key != "consecutive_failures:search" || !strings.Contains(d.Why, "status 503") {
		t.Errorf("breached %v by %+v: %s", d.Breached, d.Breaches, d.Why)
	}
	if d.Verdict.Status != health.Critical || d.Verdict.HealthScore.Score != 100 {
		t.Errorf("status %s, score %v", d.Verdict.Status, d.Verdict.HealthScore.Score)
	}
	s.see(fine, CheckResult{Target: "search", OK: true})
	s.see(fine)
	if d := s.see(fine); !d.Recovered {
		t.Errorf("not recovered: %s", d.Why)
	}
}

func TestResultsOfManyNamesDoNotGrowTheState(t *testing.T) {
	s := newSeries(t)
	for i := range 1000 {
		in := Input{Time: start.Add(time.Duration(i) * tickSpan), Measurement: fine}
		in.Checks = []CheckResult{{Target: fmt.Sprint("target-", i), OK: true}}
		s.state, _ = Decide(s.state, in, s.p)
	}
	if n := len(s.state.Targets); n > maxTargets {
		t.Errorf("%d targets are kept", n)
	}
	if s.state.Targets[UpstreamTarget].State != Up {
		t.Error("the upstream was crowded out")
	}
}

// A target that goes up and down tells of it until the fifth change, is then
// flapping, and is steady after five minutes of quiet.
func TestAFlappingTarget(t *testing.T) {
	s := newSeries(t)
	see := func(ok bool) Target {
		s.see(silence, CheckResult{Target: UpstreamTarget, OK: ok, Reason: "refused"})
		return s.state.Targets[UpstreamTarget]
	}
	see(true)
	changes, began := 0, 0
	was := Target{State: Up}
	for range 10 {
		for _, ok := range []bool{false, false, true} {
			now := see(ok)
			if now.State != was.State {
				changes++
			}
			if now.Flapping && !was.Flapping {
				began = changes
			}
			was = now
		}
	}
	if began != 5 || !was.Flapping || len(was.Changes) > 5 {
		t.Fatalf("flapping since change %d: %+v; want since the fifth", began, was)
	}
	quiet := 0
	for ; see(true).Flapping; quiet++ {
		d := s.see(silence)
		if s.state.Targets[UpstreamTarget].Flapping && !d.Breached || d.Breached && d.Breaches[0].Key != "consecutive_failures:upstream" {
			t.Fatalf("flapping, breached %v by %+v", d.Breached, d.Breaches)
		}
	}
	if quiet != 30 {
		t.Errorf("steady after %d ticks of quiet, want the 60 of five minutes", 2*quiet)
	}
	var d Decision
	for range 3 {
		d = s.see(silence, CheckResult{Target: UpstreamTarget, OK: true})
	}
	if !d.Recovered {
		t.Errorf("not recovered when steady: %s", d.Why)
	}
}

func TestFlappingLooksBackOnlySoFar(t *testing.T) {
	f := Default().Flap
	target, at := Target{State: Up}, start
	for i := range 20 {
		at = at.Add(151 * time.Second) // the fifth change is 604 s after the first
		target = target.become([]TargetState{Down, Up}[i%2], at, f)
	}
	if target.Flapping || len(target.Changes) > f.Changes {
		t.Errorf("a change every two and a half minutes is no flapping: %+v", target)
	}
	target, at = Target{State: Up}, start
	for i := range 5 {
		at = at.Add(150 * time.Second)
		target = target.become([]TargetState{Down, Up}[i%2], at, f)
	}
	if !target.Flapping {
		t.Errorf("five changes within ten minutes: %+v", target)
	}
}

func TestClockJumpsLeaveFlappingAlone(t *testing.T) {
	f := Default().Flap
	flapping := Target{State: Up, Flapping: true, QuietSince: start, LastStateChangeAt: start, LastCheckedAt: start, Changes: []time.Time{start}}
	for _, jump := range []time.Duration{-time.Hour, 9 * time.Hour} {
		now := start.Add(jump)
		got := flapping.jumped(now).settle(now, f)
		if !got.Flapping || got.LastStateChangeAt.After(now) || got.LastCheckedAt.After(now) {
			t.Errorf("jump of %s: %+v", jump, got)
		}
		if got = got.settle(now.Add(301*time.Second), f); got.Flapping {
			t.Errorf("jump of %s: still flapping after five minutes of quiet", jump)
		}
	}
}
