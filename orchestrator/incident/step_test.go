package incident

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func TestIncidentInShadow(t *testing.T) {
	s := newScene(t)
	steps := []struct {
		name string
		pass time.Duration
		do   func() Observation
		want []string
	}{
		{"calm", 0, s.recovered, []string{"policy.loaded"}},
		{"in between", 5 * time.Second, s.observation, nil},
		{"breached", 5 * time.Second, func() Observation { return s.breached("z_score") }, []string{"incident.detected", "effect.suppressed"}},
		{"next", 5 * time.Second, func() Observation { return s.breached("z_score") }, []string{"incident.proposed"}},
		{"too early to validate", 24 * time.Second, func() Observation { return s.breached("z_score") }, nil},
		{"another joins", time.Second / 2, func() Observation { return s.breached("z_score", "burn_rate") }, []string{"incident.joined"}},
		{"late, but not breached", time.Minute, s.observation, nil},
		{"validated", 5 * time.Second, func() Observation { return s.breached("z_score", "burn_rate") }, []string{"incident.validated", "effect.suppressed", "effect.suppressed"}},
		{"stays", time.Hour, func() Observation { return s.breached("z_score", "burn_rate") }, nil},
		{"recovered", 5 * time.Second, s.recovered, []string{"incident.recovered", "effect.suppressed"}},
		{"calm again", 5 * time.Second, s.recovered, nil},
	}
	for _, step := range steps {
		s.pass(step.pass)
		if got := kinds(s.step(step.do())); !slices.Equal(got, step.want) {
			t.Fatalf("%s: %v, want %v", step.name, got, step.want)
		}
	}
	var said []string
	for _, e := range s.entries {
		if e.Entry.Kind == KindEffectSuppressed {
			if e.Entry.Actor != ActorShadow || e.Entry.Decision != "shadow" || e.Entry.Metadata["shadow_mode"] != true || e.Entry.IncidentID == "" {
				t.Errorf("%+v", e.Entry)
			}
			said = append(said, e.Entry.text("suppressed_action")+" "+e.Entry.text("event")+" "+string(e.Entry.Stage)+": "+e.Entry.text("text"))
		}
	}
	id := s.entries[1].Entry.IncidentID
	want := []string{
		"notification incident DETECTED: checkout has an incident (" + id + "). Score 20 is below 70.",
		"notification validated VALIDATED: checkout: the incident " + id + " still holds after 1m35s. Score 20 is below 70. No action is configured: tell a person.",
		"approval_link validated VALIDATED: checkout: a link to look at the incident " + id + " and to decide what is done.",
		"notification recovered RECOVERED: checkout has recovered from the incident " + id + ", which lasted 1h1m40s. Score 100 is above 70.",
	}
	if !slices.Equal(said, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

func TestStepLive(t *testing.T) {
	s := newScene(t)
	s.switchShadow(false)
	got := s.step(s.breached("z_score"))
	if want := []string{"policy.loaded", "incident.detected", "effect.due"}; !slices.Equal(kinds(got), want) {
		t.Fatalf("%v, want %v", kinds(got), want)
	}
	e := got[2]
	if _, ok := e.Metadata["channel"]; !ok || e.Actor != ActorPolicy || e.Decision != "due" || e.text("effect") != Notification || e.text("event") != EventIncident {
		t.Errorf("%+v", e)
	}
	if got[1].Metadata["shadow_mode"] != false {
		t.Errorf("%+v", got[1].Metadata)
	}
}

func TestIDs(t *testing.T) {
	s := newScene(t)
	var ids []string
	for _, pass := range []time.Duration{0, 0, -time.Hour, 2 * time.Hour} {
		s.pass(pass)
		s.step(s.breached("z_score"))
		ids = append(ids, s.state.Open.ID)
		s.step(s.recovered())
	}
	want := []string{"inc-850da6-1767323045", "inc-850da6-1767323046", "inc-850da6-1767323047", "inc-850da6-1767326645"}
	if !slices.Equal(ids, want) {
		t.Errorf("%v, want %v", ids, want)
	}
	for _, id := range ids {
		if i, err := parseID(id); err != nil || i.String() != id || !s.state.Has(id) {
			t.Errorf("%s is %v, %v", id, i, err)
		}
	}
	for _, id := range []string{"", "inc-f7f08a-01", "inc-F7F08A-1", "inc-f7f08a-", "inc-f7f08a-9999999999999", "xinc-f7f08a-1", "inc-f7f08a-1\n"} {
		if _, err := parseID(id); err == nil || s.state.Has(id) {
			t.Errorf("%q is taken", id)
		}
	}
}

func TestTargets(t *testing.T) {
	const name = "db"
	up, down := policy.Target{State: policy.Up}, policy.Target{State: policy.Down, ConsecutiveFailures: 2, Reason: "connection refused"}
	flapping := policy.Target{State: policy.Up, Flapping: true}
	observe := func(s *scene, target policy.Target) Observation {
		o := s.observation()
		o.After.Targets[name] = target
		return o
	}
	s := newScene(t)
	for i, step := range []struct {
		target policy.Target
		want   []string
	}{
		{policy.Target{State: policy.Unknown}, []string{"policy.loaded"}},
		{up, nil}, // is no news
		{down, []string{"target.down", "effect.suppressed"}},
		{down, nil},
		{policy.Target{State: policy.Unknown}, nil}, // a restart
		{up, []string{"target.up", "effect.suppressed"}},
		{flapping, []string{"target.flapping", "effect.suppressed"}},
		{policy.Target{State: policy.Down, Flapping: true}, nil},
		{flapping, nil},
		{down, []string{"target.steady", "target.down", "effect.suppressed"}},
		{flapping, []string{"target.flapping", "effect.suppressed"}},
		{up, []string{"target.steady", "target.up", "effect.suppressed"}},
		{flapping, []string{"target.flapping", "effect.suppressed"}},
		{up, []string{"target.steady"}},
	} {
		s.pass(5 * time.Second)
		got := s.step(observe(s, step.target))
		if len(step.want) != len(got) || len(got) > 0 && !slices.Equal(kinds(got), step.want) {
			t.Fatalf("step %d: %v, want %v", i, kinds(got), step.want)
		}
	}
	if r := s.state.Targets[name]; r.State != policy.Up || r.Flapping || r.LastAlertedAt.IsZero() || !r.LastAlertedAt.Before(s.now) {
		t.Errorf("%+v", r)
	}
}

func TestTargetOfIncident(t *testing.T) {
	s := newScene(t)
	o := s.breached("consecutive_failures:db")
	o.After.Targets["db"] = policy.Target{State: policy.Down, ConsecutiveFailures: 2}
	o.After.Targets["mail"] = policy.Target{State: policy.Down, ConsecutiveFailures: 2}
	got := s.step(o)
	want := []string{"policy.loaded", "target.down", "target.down", "effect.suppressed", "incident.detected", "effect.suppressed"}
	if !slices.Equal(kinds(got), want) {
		t.Fatalf("%v, want %v", kinds(got), want)
	}
	if got[3].text("target") != "mail" || got[3].text("event") != EventTargetDown || got[3].IncidentID != "" {
		t.Errorf("%+v", got[3])
	}
	if at := s.state.Targets["db"].LastAlertedAt; !at.Equal(s.now) {
		t.Errorf("the incident told of db at %s", at)
	}
	// It joins when it was not the opening, and is told by that as well.
	s.pass(5 * time.Second)
	o = s.breached("consecutive_failures:db", "consecutive_failures:mail")
	o.After.Targets["db"], o.After.Targets["mail"] = policy.Target{State: policy.Up}, policy.Target{State: policy.Up}
	got = s.step(o)
	if want := []string{"target.up", "target.up", "incident.joined", "incident.proposed"}; !slices.Equal(kinds(got), want) {
		t.Fatalf("%v, want %v", kinds(got), want)
	}
}

func TestFlappingService(t *testing.T) {
	s := newScene(t)
	s.step(s.breached("z_score"))
	s.pass(5 * time.Second)
	o := s.breached("z_score", "flapping")
	o.Decision.Breaches[1].Gate = health.GateFlapping
	got := s.step(o)
	if want := []string{"incident.joined", "effect.suppressed", "incident.proposed"}; !slices.Equal(kinds(got), want) {
		t.Fatalf("%v, want %v", kinds(got), want)
	}
	if got[1].text("event") != EventTargetFlapping {
		t.Errorf("%+v", got[1])
	}
}

func TestPolicyChange(t *testing.T) {
	s := newScene(t)
	s.step(s.breached("z_score"))
	s.policy = policy.Default()
	s.policy.Incident.OpenBelow = 60
	s.pass(5 * time.Second)
	got := s.step(s.breached("z_score"))
	if want := []string{"policy.loaded", "incident.proposed"}; !slices.Equal(kinds(got), want) {
		t.Fatalf("%v, want %v", kinds(got), want)
	}
	m := got[0].Metadata
	if m["unversioned_change"] != true || m["previous_version"] != "default" || m["previous_digest"] != policy.Default().Digest() ||
		got[1].PolicyDigest != s.policy.Digest() || got[0].Evidence[0].Name != PolicyFile {
		t.Errorf("%+v", got[0])
	}
}

func TestNoObservation(t *testing.T) {
	s := newScene(t)
	for name, spoil := range map[string]func(*Observation){
		"no policy": func(o *Observation) { o.Policy = nil }, "no service": func(o *Observation) { o.Service = " \x00" },
		"another tenant's": func(o *Observation) { o.Tenant = "other" },
	} {
		o := s.breached("z_score")
		spoil(&o)
		if drafts, err := s.state.Step(o, s.now); err == nil || drafts != nil {
			t.Errorf("%s: %v, %v", name, drafts, err)
		}
	}
}

// TestBounds has a hostile observation make the largest step there is.
func TestBounds(t *testing.T) {
	s := newScene(t)
	hostile := strings.Repeat("\"\\\u202e\x00\xff<\u2028", 400)
	s.policy.Version = strings.Repeat(`"`, 300)
	o := s.breached()
	o.Service = strings.Repeat(`"`, 1000)
	o.Decision.Why = hostile
	o.Document = bytes.Repeat([]byte(hostile), 20)
	o.Signals = bytes.Repeat([]byte("1"), maxSignals)
	o.Window = &histogram.Snapshot{Overall: histogram.Series{Durations: new(histogram.Counts)}}
	for i := range int64(20_000) {
		o.Window.Overall.Durations.Add(i*i*775, uint64(i*i%100_003))
	}
	for i := range 400 {
		name := strings.Repeat(`"`, 200) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		o.After.Targets[name] = policy.Target{State: policy.Down, Reason: hostile}
		o.Decision.Breaches = append(o.Decision.Breaches, policy.Breach{
			Key: hostile[:100] + name, Gate: health.Gate(hostile), Target: hostile[:i], Severity: health.Status(hostile), Message: hostile, Reason: hostile,
		})
		o.Routes = append(o.Routes, health.Route{Route: hostile})
		c := change.Change{ID: hostile, Title: hostile, Author: hostile, URL: hostile}
		for range 30 {
			c.Files = append(c.Files, hostile)
		}
		o.Changes = append(o.Changes, c)
	}
	for i := range 8 {
		drafts, err := s.state.Step(o, s.now)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, d := range drafts {
			leaf, err := d.Entry.Leaf()
			if err != nil {
				t.Fatal(err)
			}
			total += len(leaf)
			for _, blob := range d.Blobs {
				total += len(blob)
			}
		}
		if total > 560_000 {
			t.Errorf("step %d has %d bytes in %d entries", i, total, len(drafts))
		}
		s.take(drafts...)
		s.pass(time.Minute)
	}
	if s.state.Open == nil || s.state.Open.Stage != Validated {
		t.Errorf("%+v", s.state.Open)
	}
}

// TestTooManyTargets makes sure that an incident opens whatever there is of
// targets.
func TestTooManyTargets(t *testing.T) {
	s := newScene(t)
	for i := range maxTargets {
		s.state.Targets[fmt.Sprint("target", i)] = TargetRecord{State: policy.Up}
	}
	o := s.breached("consecutive_failures:db")
	o.After.Targets["db"] = policy.Target{State: policy.Down}
	o.After.Targets["target7"] = policy.Target{State: policy.Down}
	got := s.step(o)
	if want := []string{"policy.loaded", "target.down", "effect.suppressed", "incident.detected", "effect.suppressed"}; !slices.Equal(kinds(got), want) {
		t.Errorf("%v, want %v", kinds(got), want)
	}
}

// TestTargetUnheardOf: after a restart the policy does not know that a target
// was DOWN, and the incident that is about it must not end before it does.
func TestTargetUnheardOf(t *testing.T) {
	s := newScene(t)
	o := s.breached("consecutive_failures:db")
	o.After.Targets["db"] = policy.Target{State: policy.Down, ConsecutiveFailures: 2}
	s.step(o)
	s.restart()
	state := func(now policy.TargetState) Observation {
		s.pass(5 * time.Second)
		o := s.recovered()
		o.After.Targets["db"] = policy.Target{State: now}
		return o
	}
	if got := kinds(s.step(state(policy.Unknown))); slices.Contains(got, KindOf(Recovered)) {
		t.Errorf("db was not asked since: %v", got)
	}
	if got := kinds(s.step(state(policy.Up))); !slices.Contains(got, KindOf(Recovered)) {
		t.Errorf("db is up again: %v", got)
	}
	// A gate that does not count does not keep it open, nor does a target that
	// the policy has no more.
	for name, o := range map[string]func() Observation{
		"shadow": func() Observation {
			s.policy.Failures.Mode = health.Shadow
			return state(policy.Unknown)
		},
		"no target": s.recovered,
	} {
		s.policy = policy.Default()
		down := s.breached("consecutive_failures:db")
		down.After.Targets["db"] = policy.Target{State: policy.Down, ConsecutiveFailures: 2}
		s.step(down)
		if got := kinds(s.step(o())); !slices.Contains(got, KindOf(Recovered)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFlappingGoesOnAfterARestart: a target that was flapping is not steady, and
// not told of anew, because the policy has forgotten that it was.
func TestFlappingGoesOnAfterARestart(t *testing.T) {
	s := newScene(t)
	o := s.breached("consecutive_failures:db")
	o.After.Targets["db"] = policy.Target{State: policy.Down, Flapping: true}
	s.step(o)
	s.restart()
	s.pass(time.Minute)
	changed := s.now
	see := func(state policy.TargetState) []string {
		o := s.recovered()
		o.After.Targets["db"] = policy.Target{State: state}
		if state != policy.Unknown {
			o.After.Targets["db"] = policy.Target{State: state, LastStateChangeAt: changed}
		}
		return kinds(s.step(o))
	}
	for _, state := range []policy.TargetState{policy.Unknown, policy.Up, policy.Down, policy.Up} {
		for _, kind := range see(state) {
			if kind != KindOf(Proposed) {
				t.Errorf("%s: %s", state, kind)
			}
		}
	}
	s.pass(5*time.Minute - time.Second)
	if got := see(policy.Up); len(got) > 0 {
		t.Errorf("a second too early: %v", got)
	}
	s.pass(time.Second)
	if got, want := see(policy.Up), []string{KindTargetSteady, KindOf(Recovered), KindEffectSuppressed}; !slices.Equal(got, want) {
		t.Errorf("after five minutes of quiet: %v, want %v", got, want)
	}
}

// TestClockBehindTheLedger: while a clock that was put back has all entries at
// one time, an incident is validated by the ticks' times.
func TestClockBehindTheLedger(t *testing.T) {
	s := newScene(t)
	s.step(s.recovered())
	s.pass(-3 * time.Hour)
	began := s.now
	breached := func() Observation {
		o := s.breached("z_score")
		o.After.Service = policy.Target{State: policy.Down, LastStateChangeAt: began}
		return o
	}
	var got []string
	for range 8 {
		s.pass(5 * time.Second)
		for _, e := range s.step(breached()) {
			got = append(got, fmt.Sprintf("%s %s", e.Kind, s.now.Sub(began)))
			if !e.Time.Equal(start) {
				t.Errorf("%s is of %s", e.Kind, e.Time)
			}
		}
	}
	want := []string{
		"incident.detected 5s", "effect.suppressed 5s", "incident.proposed 10s",
		"incident.validated 30s", "effect.suppressed 30s", "effect.suppressed 30s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestLargestDecisionIsRecorded: with the longest baseline, the most checks and
// the longest reasons that there are, what was decided on is still evidence.
func TestLargestDecisionIsRecorded(t *testing.T) {
	s := newScene(t)
	s.policy.Health.MaxBaselineTicks = 4320
	for i := range 50 {
		s.policy.Checks = append(s.policy.Checks, policy.Check{
			Name: fmt.Sprintf("%s-%02d", strings.Repeat("c", 60), i), URL: "http://127.0.0.1/", Method: "GET", IntervalSeconds: 5, TimeoutSeconds: 1,
		})
	}
	if err := s.policy.Validate(); err != nil {
		t.Fatal(err)
	}
	var before policy.State
	for i := range 4320 {
		before.Health.BaselineMS = append(before.Health.BaselineMS, 1234.567891+float64(i))
	}
	for i := range int64(360) {
		before.Burn = append(before.Burn, policy.Minute{Unix: start.Unix() + i*60, Requests: 1_000_000, Errors: 100_000})
	}
	var o Observation
	for range 2 {
		s.pass(5 * time.Second)
		o = s.observation()
		for _, c := range s.policy.Checks {
			o.Input.Checks = append(o.Input.Checks, policy.CheckResult{Target: c.Name, Time: s.now, Reason: strings.Repeat("<", 200), LatencyMS: 1234.567891})
		}
		o.Before = before
		o.After, o.Decision = policy.Decide(before, o.Input, s.policy)
		before = o.After
	}
	for _, e := range s.step(o) {
		if e.Metadata["evidence_omitted"] != nil {
			t.Errorf("%s: %v", e.Kind, e.Metadata["evidence_omitted"])
		}
	}
	if s.state.Open == nil {
		t.Error("no incident opened")
	}
}
