package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// series decides on ticks one after another, five seconds apart, each with a
// window that holds just what the tick does.
type series struct {
	t     *testing.T
	p     *Policy
	state State
	now   time.Time
}

func newSeries(t *testing.T) *series { return &series{t: t, p: Default(), now: start} }

// measured is n requests with a P95 in milliseconds, some of them failed.
func measured(n, errors int, p95 float64) health.Measurement {
	v := p95
	m := health.Measurement{
		Window: health.WindowFigures{SpanSeconds: 60, Samples: uint64(n), Requests: uint64(n), ServerErrors: uint64(errors), Seen: uint64(n)},
		Tick:   health.Tick{Samples: uint64(n), P95MS: p95, MaxMS: p95, Requests: uint64(n), Errors: uint64(errors)},
	}
	if n > 0 {
		m.Window.P95MS, m.Window.MaxMS = &v, &v
	}
	return m
}

var (
	fine    = measured(100, 0, 50)
	failing = measured(100, 10, 50) // below half, so that the upstream stays UP
	silence = measured(0, 0, 0)
)

func (s *series) see(m health.Measurement, checks ...CheckResult) Decision {
	s.t.Helper()
	s.now = s.now.Add(tickSpan)
	m.UnixMilli, m.Tick.UnixMilli = s.now.UnixMilli(), s.now.UnixMilli()
	return s.decide(Input{Time: s.now, Measurement: m, Checks: checks})
}

// decide also checks what must hold of every decision.
func (s *series) decide(in Input) Decision {
	s.t.Helper()
	next, d := Decide(s.state, in, s.p)
	checkDecision(s.t, s.state, in, s.p, next, d)
	checkAgain(s.t, s.state, in, s.p, next, d)
	s.state = next
	return d
}

func (s *series) times(n int, m health.Measurement) (last Decision) {
	for range n {
		last = s.see(m)
	}
	return last
}

func checkDecision(t *testing.T, before State, in Input, p *Policy, after State, d Decision) {
	t.Helper()
	if d.Breached && d.Recovered {
		t.Fatalf("breached and recovered at once: %s", d.Why)
	}
	if d.Why == "" {
		t.Fatal("a decision without a reason")
	}
	if d.Breached && len(d.Breaches) == 0 {
		t.Fatalf("breached by nothing: %s", d.Why)
	}
	if d.Breached && !reflect.DeepEqual(before.Health.BaselineMS, after.Health.BaselineMS) {
		t.Fatal("the baseline learned during a breach")
	}
	if len(after.Burn) > maxBurnMinutes || len(after.Targets) > maxTargets+51 || len(after.Health.BaselineMS) > p.Health.MaxBaselineTicks || len(after.Service.Changes) > p.Flap.Changes {
		t.Fatalf("the state grew: %d minutes, %d targets, %d ticks", len(after.Burn), len(after.Targets), len(after.Health.BaselineMS))
	}
	for _, b := range slices.Concat(d.Breaches, d.Shadowed) {
		if b.Key == "" || b.Gate == "" || b.Message == "" || b.Reason == "" || (b.Severity != health.Warning && b.Severity != health.Critical) {
			t.Fatalf("breach %+v", b)
		}
	}
}

// checkAgain decides once more, on what was written down.
func checkAgain(t *testing.T, before State, in Input, p *Policy, after State, d Decision) {
	t.Helper()
	var state State
	var input Input
	roundTrip(t, before, &state)
	roundTrip(t, in, &input)
	again, d2 := Decide(state, input, p)
	if a, b := encoded(t, after), encoded(t, again); a != b {
		t.Fatalf("the state came out differently the second time:\n%s\n%s", a, b)
	}
	if a, b := encoded(t, d), encoded(t, d2); a != b {
		t.Fatalf("the decision came out differently the second time:\n%s\n%s", a, b)
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func roundTrip(t *testing.T, from, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(encoded(t, from)), to); err != nil {
		t.Fatal(err)
	}
}

func keys(breaches []Breach) string {
	var k []string
	for _, b := range breaches {
		k = append(k, b.Key)
	}
	return strings.Join(k, " ")
}

func TestOpeningAndRecovering(t *testing.T) {
	type step struct {
		m                   health.Measurement
		breached, recovered bool
		why                 string
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a healthy service recovers from nothing after ten seconds", []step{
			{fine, false, false, "for 0s of 10s"}, {fine, false, false, "for 5s of 10s"}, {fine, false, true, "for 10s"}, {fine, false, true, "for 15s"},
		}},
		{"errors open at once and recovery waits", []step{
			{fine, false, false, ""}, {failing, true, false, "score 61.88"}, {failing, true, false, ""},
			{fine, false, false, "0s of 10s"}, {fine, false, false, ""}, {fine, false, true, ""},
		}},
		{"a relapse begins the wait anew", []step{
			{failing, true, false, ""}, {fine, false, false, ""}, {fine, false, false, ""},
			{failing, true, false, ""}, {fine, false, false, "0s of 10s"}, {fine, false, false, ""}, {fine, false, true, ""},
		}},
		{"silence is no recovery", []step{
			{failing, true, false, ""}, {silence, false, false, "nothing has shown"}, {silence, false, false, ""},
			{silence, false, false, ""}, {silence, false, false, "nothing has shown"}, {fine, false, false, "0s of 10s"},
		}},
		{"silence after proof is", []step{
			{failing, true, false, ""}, {fine, false, false, ""}, {silence, false, false, ""}, {silence, false, true, ""},
		}},
		{"errors at the threshold are not below it", []step{
			{measured(1000, 50, 50), true, false, "score 69.5 is below 70"}, {measured(1000, 49, 50), false, false, "score 70.52 is above 70, for 0s"},
		}},
		{"a score between the two is neither", []step{
			{measured(100, 0, 3040), true, false, "score 69.3"}, {measured(100, 0, 2900), false, false, "0s of 10s"},
		}},
		{"P95 at the critical threshold", []step{
			{measured(100, 0, 3000), true, false, "score 69.5 is below 70"},
		}},
		{"too few samples", []step{{measured(19, 0, 30_000), false, false, ""}}},
		{"just enough samples", []step{{measured(20, 0, 30_000), true, false, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSeries(t)
			for i, step := range c.steps {
				d := s.see(step.m)
				if d.Breached != step.breached || d.Recovered != step.recovered || !strings.Contains(d.Why, step.why) {
					t.Fatalf("step %d: breached %v, recovered %v, because %s; want %v, %v and %q", i, d.Breached, d.Recovered, d.Why, step.breached, step.recovered, step.why)
				}
			}
		})
	}
}

func TestHysteresis(t *testing.T) {
	s := newSeries(t)
	s.p.Incident.RecoverAbove = 90
	s.see(failing)
	// Score 70.52 opens nothing, and does not end what is open.
	if d := s.times(10, measured(1000, 49, 50)); d.Breached || d.Recovered || !strings.Contains(d.Why, "is not above 90") {
		t.Errorf("between the thresholds: breached %v, recovered %v, %s", d.Breached, d.Recovered, d.Why)
	}
	if s.state.Service.State != Down {
		t.Errorf("the service is %s, want DOWN until it has recovered", s.state.Service.State)
	}
	if d := s.times(3, fine); !d.Recovered || s.state.Service.State != Up {
		t.Errorf("recovered %v (%s), service %s", d.Recovered, d.Why, s.state.Service.State)
	}
}

func TestRecoveryIsAboveItsThreshold(t *testing.T) {
	s := newSeries(t)
	between := measured(1000, 49, 50)
	s.see(failing)
	s.p.Incident.RecoverAbove = s.see(between).Verdict.HealthScore.Score
	if d := s.times(10, between); d.Recovered {
		t.Errorf("at the threshold: %s", d.Why)
	}
	s.p.Incident.RecoverAbove -= 0.01
	if d := s.times(3, between); !d.Recovered {
		t.Errorf("above it: %s", d.Why)
	}
}

// TestSilenceIsNoRecovery: that the service worked before it broke is no sign
// that it works.
func TestSilenceIsNoRecovery(t *testing.T) {
	s := newSeries(t)
	s.times(10, fine)
	s.see(failing)
	if d := s.times(30, silence); d.Recovered || !strings.Contains(d.Why, "nothing has shown") {
		t.Errorf("nobody asked: recovered %v, %s", d.Recovered, d.Why)
	}
	s.see(measured(int(s.p.Failures.MinRequests), 0, 50))
	if d := s.times(2, silence); !d.Recovered {
		t.Errorf("it was seen to work: %s", d.Why)
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode             health.Mode
		breached         bool
		alerts, shadowed int
	}{{health.On, true, 1, 0}, {health.Shadow, false, 0, 1}, {health.Off, false, 0, 0}} {
		t.Run("absolute_threshold "+string(c.mode), func(t *testing.T) {
			s := newSeries(t)
			s.p.Health.Gates.Absolute = c.mode
			d := s.see(measured(100, 0, 9000))
			v := d.Verdict
			if d.Breached != c.breached || len(v.Alerts) != c.alerts || len(v.ShadowAlerts) != c.shadowed || len(d.Breaches) != c.alerts || len(d.Shadowed) != c.shadowed {
				t.Errorf("breached %v, alerts %v, shadowed %v", d.Breached, v.Alerts, v.ShadowAlerts)
			}
			if (v.HealthScore.Components.Latency != nil) != (c.mode == health.On) || v.Metrics.OverallP95MS == nil || (v.Status == health.OK) == (c.mode == health.On) {
				t.Errorf("component %v, metric %v, status %s", v.HealthScore.Components.Latency, v.Metrics.OverallP95MS, v.Status)
			}
		})
		t.Run("z_score "+string(c.mode), func(t *testing.T) {
			s := newSeries(t)
			s.p.Health.Gates.ZScore, s.p.Health.Gates.RateOfChange = c.mode, health.Off
			for i := range 30 {
				s.see(measured(100, 0, 90+20*float64(i%2)))
			}
			d := s.times(s.p.Health.ZTicks, measured(100, 0, 900))
			if d.Breached != c.breached || len(d.Verdict.Alerts) != c.alerts || len(d.Verdict.ShadowAlerts) != c.shadowed {
				t.Errorf("breached %v, alerts %v, shadowed %v", d.Breached, d.Verdict.Alerts, d.Verdict.ShadowAlerts)
			}
			if (d.Verdict.HealthScore.Components.Anomalies != nil) != (c.mode == health.On) || d.Verdict.Metrics.AnomalyScore == nil {
				t.Errorf("component %v, metric %v", d.Verdict.HealthScore.Components.Anomalies, d.Verdict.Metrics.AnomalyScore)
			}
		})
		t.Run("consecutive_failures "+string(c.mode), func(t *testing.T) {
			s := newSeries(t)
			s.p.Failures.Mode = c.mode
			s.see(silence, CheckResult{Target: UpstreamTarget, Reason: "connection refused"})
			d := s.see(silence, CheckResult{Target: UpstreamTarget, Reason: "connection refused"})
			if d.Breached != c.breached || len(d.Breaches) != c.alerts || len(d.Shadowed) != c.shadowed || s.state.Targets[UpstreamTarget].State != Down {
				t.Errorf("breached %v, breaches %v, shadowed %v, target %+v", d.Breached, d.Breaches, d.Shadowed, s.state.Targets[UpstreamTarget])
			}
			if c.mode == health.On && (d.Verdict.Status != health.Critical || d.Breaches[0].Key != "consecutive_failures:upstream" || !strings.Contains(d.Breaches[0].Reason, "connection refused")) {
				t.Errorf("status %s, breach %+v", d.Verdict.Status, d.Breaches[0])
			}
		})
	}
}

func TestRemoteServiceIsNoBetterThanItSays(t *testing.T) {
	for _, c := range []struct {
		reported Reported
		breached bool
		score    float64
		keys     string
	}{
		{Reported{health.OK, 100}, false, 100, ""},
		{Reported{health.Warning, 70}, false, 70, ""},
		{Reported{health.Warning, 69.9}, true, 69.9, "reported"},
		{Reported{health.Critical, 20}, true, 20, "reported"},
		{Reported{health.Critical, 80}, false, 80, "reported"},
		{Reported{health.OK, -5}, true, 0, "reported"},
		{Reported{health.OK, 500}, false, 100, ""},
	} {
		s := newSeries(t)
		d := s.decide(Input{Time: start, Measurement: fine, Reported: &c.reported})
		if d.Breached != c.breached || d.Verdict.HealthScore.Score != c.score || keys(d.Breaches) != c.keys {
			t.Errorf("%+v: breached %v, score %v, breaches %v", c.reported, d.Breached, d.Verdict.HealthScore.Score, d.Breaches)
		}
		if _, known := s.state.Targets[UpstreamTarget]; known {
			t.Error("a remote service has no upstream of ours")
		}
	}
}

func TestBaselineLearnsNothingInAnIncident(t *testing.T) {
	s := newSeries(t)
	s.times(30, fine)
	learned := len(s.state.Health.BaselineMS)
	s.see(failing)
	s.see(fine) // healthy, but not recovered
	s.see(fine)
	if n := len(s.state.Health.BaselineMS); n != learned {
		t.Errorf("%d ticks after the breach, want %d until it has recovered", n, learned)
	}
	if d := s.see(fine); !d.Recovered || len(s.state.Health.BaselineMS) != learned+1 {
		t.Errorf("recovered %v, %d ticks; want one more than %d", d.Recovered, len(s.state.Health.BaselineMS), learned)
	}
}

func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-30 * time.Second, -time.Hour, -24 * time.Hour * 400, 5 * time.Hour, 24 * time.Hour * 400} {
		t.Run(fmt.Sprint(jump), func(t *testing.T) {
			s := newSeries(t)
			s.times(30, fine)
			s.now = s.now.Add(jump)
			if d := s.see(fine); d.Breached {
				t.Errorf("the jump opened an incident: %s", d.Why)
			}
			s.see(failing)
			if d := s.see(fine); d.Recovered {
				t.Error("recovered at once")
			}
			s.now = s.now.Add(jump)
			d := s.see(fine)
			if at := s.state.Service.LastStateChangeAt; at.After(s.now) {
				t.Errorf("after the jump the service changed at %s, and it is %s", at, s.now)
			}
			if d.Recovered || d.Breached {
				t.Errorf("after the jump breached %v, recovered %v: %s", d.Breached, d.Recovered, d.Why)
			}
			if d := s.times(2, fine); !d.Recovered {
				t.Errorf("ten seconds after the jump still not recovered: %s", d.Why)
			}
		})
	}
}

// TestARestartIsNoRecovery: a service that is as slow after a restart as it was
// before has not recovered while too little is measured to see it.
func TestARestartIsNoRecovery(t *testing.T) {
	window := func(n int, p95 float64, tick int) health.Measurement {
		m := measured(tick, 0, p95)
		m.Window = measured(n, 0, p95).Window
		return m
	}
	t.Run("the window is empty", func(t *testing.T) {
		s := newSeries(t)
		// One request a second, so that twenty latencies take twenty seconds.
		for n := 5; n < 20; n += 5 {
			if d := s.see(window(n, 4000, 5)); d.Breached || d.Recovered {
				t.Fatalf("with %d latencies breached %v, recovered %v: %s", n, d.Breached, d.Recovered, d.Why)
			}
		}
		if d := s.see(window(20, 4000, 5)); !d.Breached {
			t.Errorf("with 20 latencies: %s", d.Why)
		}
	})
	t.Run("anomalies are not in a row yet", func(t *testing.T) {
		s := newSeries(t)
		s.p.Health.ZTicks, s.p.Health.Gates.RateOfChange = 5, health.Off
		for i := range 30 {
			s.see(measured(100, 0, 90+20*float64(i%2)))
		}
		s.state = State{Health: health.State{BaselineMS: s.state.Health.BaselineMS}} // as after a restart
		for range 4 {
			if d := s.see(measured(100, 0, 900)); d.Breached || d.Recovered {
				t.Fatalf("breached %v, recovered %v: %s", d.Breached, d.Recovered, d.Why)
			}
		}
		if d := s.see(measured(100, 0, 900)); !d.Breached {
			t.Errorf("five in a row: %s", d.Why)
		}
	})
	t.Run("with enough it need not wait", func(t *testing.T) {
		s := newSeries(t)
		if d := s.times(3, fine); !d.Recovered {
			t.Error(d.Why)
		}
	})
	t.Run("with little for good it waits no longer than a minute", func(t *testing.T) {
		s := newSeries(t)
		few := window(10, 50, 1)
		if d := s.times(14, few); d.Recovered {
			t.Errorf("after 65 s: %s", d.Why)
		}
		if d := s.see(few); !d.Recovered {
			t.Errorf("after 70 s: %s", d.Why)
		}
	})
}
