package policy

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// Input is what is known at one tick.
type Input struct {
	Time        time.Time          `json:"time"`
	Measurement health.Measurement `json:"measurement"`
	// Checks are the results since the last tick, oldest first.
	Checks []CheckResult `json:"checks,omitempty"`
	// Reported is the verdict of a remote health document, nil for the own service.
	Reported *Reported `json:"reported,omitempty"`
}

// Reported is what a remote service says of itself.
type Reported struct {
	Status health.Status `json:"status"`
	Score  float64       `json:"score"`
}

// State is what one decision leaves for the next. It is a plain value that
// survives JSON; Decide never changes the one it is given.
type State struct {
	// At is when the last decision was made.
	At      time.Time         `json:"at,omitzero"`
	Health  health.State      `json:"health"`
	Targets map[string]Target `json:"targets,omitempty"`
	Burn    []Minute          `json:"burn,omitempty"`
	// Service is the whole service as a target: DOWN while Breached. It is
	// what keeps an oscillating service from opening an incident a cycle.
	Service Target `json:"service"`
	// CalmSince is since when the conditions to recover have held.
	CalmSince time.Time `json:"calm_since,omitzero"`
	// Proven says that the service was seen to work since it last breached.
	Proven bool `json:"proven"`
	// Since is when the ticks began to come without a pause or a leap of the clock.
	Since time.Time `json:"since,omitzero"`
	// Rates are of requests, usual ones and the latest.
	Rates Rates `json:"rates,omitzero"`
}

// Breach is one condition that holds against the service.
type Breach struct {
	// Key names it: the gate, the type after a slash for a gate that raises
	// several, and the target after a colon where there is one.
	Key      string        `json:"key"`
	Gate     health.Gate   `json:"gate"`
	Target   string        `json:"target,omitempty"`
	Severity health.Status `json:"severity"`
	Message  string        `json:"message"`
	Reason   string        `json:"reason"` // the comparison, with its numbers
}

// Decision is what the policy concludes of one tick.
type Decision struct {
	Verdict health.Verdict `json:"verdict"`
	// Breaches hold and count, the gravest first; Shadowed hold, of gates that
	// are only watched.
	Breaches []Breach `json:"breaches"`
	Shadowed []Breach `json:"shadowed"`
	// Breached says that an incident must be open, Recovered that an open one
	// has recovered. Never both; neither in between.
	Breached  bool `json:"breached"`
	Recovered bool `json:"recovered"`
	// Why says in a sentence with its numbers why it is so.
	Why string `json:"why"`
	// Load is nil while too little is known of it.
	Load *Load `json:"load,omitempty"`
}

const (
	// maxTickGap is the time between two ticks above which nobody knows what was
	// in between, so that no duration is measured across it.
	maxTickGap = time.Minute
	// settling is how long after a start too few latencies to judge by are
	// waited for: an incident that a crash has interrupted must not recover
	// only because the window is still empty.
	settling = time.Minute
)

// Decide concludes what one tick means by a policy that Validate accepts. It
// is pure: the same arguments give the same state and decision.
func Decide(s State, in Input, p *Policy) (State, Decision) {
	now := in.Time.UTC().Truncate(time.Millisecond)
	s = s.arrive(now)
	next := s
	next.At = now

	var d Decision
	var proof bool
	next.Targets, proof = check(s.Targets, in, now, p)
	next.Health, d.Verdict = health.Judge(s.Health, in.Measurement, p.Health)
	next.Burn = remember(s.Burn, now, in.Measurement.Tick)
	next.Rates = s.Rates.follow(s.Health.Previous, in.Measurement, p.Health)
	d.Load = next.Rates.load(p.Health)

	t := &tally{}
	t.add(p.Failures.Mode, down(next.Targets, p)...)
	t.add(p.Burn.Mode, burning(next.Burn, p)...)
	t.add(health.On, reported(in.Reported, p)...)
	if in.Reported != nil {
		d.Verdict = d.Verdict.AtMost(in.Reported.Score)
	}
	proof = proof || in.Measurement.Window.Requests >= p.Failures.MinRequests
	next.judgeService(&d, t, proof, now, p)
	t.finish(&d)
	if d.Breached || next.Service.State == Down {
		next.Health.BaselineMS = s.Health.BaselineMS // an incident teaches nothing
	} else if d.Verdict.Status == health.OK {
		next.Rates = next.Rates.learn()
	}
	return next, d
}

// arrive is the state at a new time. After a leap of the clock, either way,
// what was being waited for begins anew.
func (s State) arrive(now time.Time) State {
	if s.Service.State == "" {
		s.Service.State = Unknown
	}
	gap := now.Sub(s.At)
	if !s.At.IsZero() && gap >= 0 && gap <= maxTickGap {
		return s
	}
	s.Since = now
	if s.At.IsZero() {
		return s
	}
	s.CalmSince = time.Time{}
	s.Service = s.Service.jumped(now)
	targets := make(map[string]Target, len(s.Targets))
	for name, t := range s.Targets {
		targets[name] = t.jumped(now)
	}
	s.Targets = targets
	return s
}

// judgeService decides on the service as a whole.
func (s *State) judgeService(d *Decision, t *tally, proof bool, now time.Time, p *Policy) {
	bad, whyBad := t.breached(d.Verdict, p)
	var whyNot string
	if bad {
		s.Proven, s.CalmSince = false, time.Time{}
		s.Service.Reason = whyBad
		s.Service = s.Service.become(Down, now, p.Flap)
	} else {
		s.Proven = s.Proven || proof
		if whyNot = s.notCalm(d.Verdict, t, now, p); whyNot == "" {
			s.Service = s.Service.become(Up, now, p.Flap)
			s.Service.Reason = ""
		}
	}
	s.Service.LastCheckedAt = now
	s.Service = s.Service.settle(now, p.Flap)
	switch {
	case bad:
		d.Breached, d.Why = true, whyBad
	case s.Service.Flapping:
		f := finding{alert: health.Alert{
			Type: health.TypeFlapping, Severity: health.Warning, TriggeredBy: health.GateFlapping,
			Message:          "The service keeps failing and recovering",
			ReasonForTrigger: flapReason(p.Flap),
		}}
		t.add(health.On, f)
		d.Breached, d.Why = true, "the service is flapping: "+f.alert.ReasonForTrigger
	case whyNot != "":
		d.Why = whyNot
	default:
		d.Recovered = true
		d.Why = fmt.Sprintf("score %s is above %s and errors are below %s, with no target DOWN, for %s",
			figure(d.Verdict.HealthScore.Score), figure(p.Incident.RecoverAbove), percent(p.Incident.RecoverErrorRate), now.Sub(s.CalmSince).Round(time.Second))
	}
}

// notCalm says why an incident cannot be called recovered yet; empty when it
// can. It keeps since when it is calm.
func (s *State) notCalm(v health.Verdict, t *tally, now time.Time, p *Policy) string {
	score, after := v.HealthScore.Score, seconds(p.Incident.RecoverAfterSeconds)
	var why string
	switch rate := v.Metrics.ErrorRate; {
	case score <= p.Incident.RecoverAbove:
		why = fmt.Sprintf("score %s is not above %s", figure(score), figure(p.Incident.RecoverAbove))
	case rate != nil && *rate >= p.Incident.RecoverErrorRate:
		why = fmt.Sprintf("error rate %s is not below %s", percent(*rate), percent(p.Incident.RecoverErrorRate))
	case t.holds(health.GateFailures) || t.holds(health.GateBurnRate):
		why = t.first(health.GateFailures, health.GateBurnRate)
	case !s.Proven:
		why = "nothing has shown that the service works: too few requests, and no successful check"
	case s.Service.State == Unknown && now.Sub(s.Since) < settling && !s.judged(v, p):
		why = fmt.Sprintf("too little was measured since the start to say that it works: %d latencies in %s", v.Metrics.SampleSize, now.Sub(s.Since).Round(time.Second))
	}
	if why != "" {
		s.CalmSince = time.Time{}
		return why
	}
	if s.CalmSince.IsZero() || s.CalmSince.After(now) {
		s.CalmSince = now
	}
	if calm := now.Sub(s.CalmSince); calm < after {
		return fmt.Sprintf("score %s is above %s, for %s of %s", figure(score), figure(p.Incident.RecoverAbove), calm.Round(time.Second), after)
	}
	return ""
}

// judged says whether the gates over latencies had enough to speak up.
func (s *State) judged(v health.Verdict, p *Policy) bool {
	if v.Metrics.SampleSize < p.Health.MinSamples {
		return false
	}
	compared := p.Health.Gates.ZScore == health.On && v.Baseline.Ticks >= p.Health.MinBaselineTicks
	return !compared || len(s.Health.Anomalies) >= p.Health.ZTicks-1
}

func reported(r *Reported, p *Policy) []finding {
	if r == nil || !(r.Status == health.Critical || r.Score < p.Incident.OpenBelow) {
		return nil
	}
	f := finding{alert: health.Alert{
		Type: health.TypeReported, Severity: health.Warning, TriggeredBy: health.GateReported,
		Message:          fmt.Sprintf("The service says of itself that it is %s", r.Status),
		ReasonForTrigger: fmt.Sprintf("it reports status %s and score %s; an incident opens below %s", r.Status, figure(r.Score), figure(p.Incident.OpenBelow)),
	}}
	if r.Status == health.Critical {
		f.alert.Severity = health.Critical
	}
	return []finding{f}
}

// finding is an alert and the target it is about.
type finding struct {
	target string
	alert  health.Alert
}

// tally gathers what the policy's own gates found.
type tally struct{ counted, shadowed []finding }

func (t *tally) add(m health.Mode, found ...finding) {
	switch m {
	case health.On:
		t.counted = append(t.counted, found...)
	case health.Shadow:
		t.shadowed = append(t.shadowed, found...)
	}
}

func (t *tally) holds(g health.Gate) bool {
	return slices.ContainsFunc(t.counted, func(f finding) bool { return f.alert.TriggeredBy == g })
}

// first is the message of the first that one of the gates found.
func (t *tally) first(gates ...health.Gate) string {
	for _, f := range t.counted {
		if slices.Contains(gates, f.alert.TriggeredBy) {
			return f.alert.Message + ": " + f.alert.ReasonForTrigger
		}
	}
	return ""
}

// breached says whether an incident must be open, and why.
func (t *tally) breached(v health.Verdict, p *Policy) (bool, string) {
	for _, f := range t.counted {
		opens := f.alert.TriggeredBy == health.GateFailures || f.alert.TriggeredBy == health.GateBurnRate && f.alert.Severity == health.Critical
		if opens {
			return true, f.alert.Message + ": " + f.alert.ReasonForTrigger
		}
	}
	if score := v.HealthScore.Score; score < p.Incident.OpenBelow {
		why := fmt.Sprintf("score %s is below %s", figure(score), figure(p.Incident.OpenBelow))
		if len(v.Alerts) > 0 {
			why += ": " + v.Alerts[0].ReasonForTrigger
		} else if said := t.first(health.GateReported); said != "" {
			why += ": " + said
		}
		return true, why
	}
	return false, ""
}

// finish puts what was found beside what the gates over traffic found.
func (t *tally) finish(d *Decision) {
	counted, shadowed := alertsOf(t.counted), alertsOf(t.shadowed)
	d.Breaches = breaches(t.counted, d.Verdict.Alerts)
	d.Shadowed = breaches(t.shadowed, d.Verdict.ShadowAlerts)
	d.Verdict = d.Verdict.With(counted, shadowed)
}

func alertsOf(found []finding) []health.Alert {
	var alerts []health.Alert
	for _, f := range found {
		alerts = append(alerts, f.alert)
	}
	return alerts
}

// breaches lists what was found, the gravest first.
func breaches(found []finding, alerts []health.Alert) []Breach {
	out := make([]Breach, 0, len(found)+len(alerts))
	for _, f := range found {
		out = append(out, breach(f))
	}
	for _, a := range alerts {
		b := breach(finding{alert: a})
		if !slices.ContainsFunc(out, func(o Breach) bool { return o.Key == b.Key }) {
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b Breach) int { return gravity(b.Severity) - gravity(a.Severity) })
	return out
}

func breach(f finding) Breach {
	key := string(f.alert.TriggeredBy)
	if f.alert.TriggeredBy == health.GateAbsolute {
		key += "/" + f.alert.Type
	}
	if f.target != "" {
		key += ":" + f.target
	}
	return Breach{
		Key: key, Gate: f.alert.TriggeredBy, Target: f.target, Severity: f.alert.Severity,
		Message: f.alert.Message, Reason: f.alert.ReasonForTrigger,
	}
}

func gravity(s health.Status) int {
	if s == health.Critical {
		return 1
	}
	return 0
}

func percent(share float64) string { return figure(share*100) + " %" }

// figure prints a number with two decimals at most.
func figure(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}
