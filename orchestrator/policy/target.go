package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// The targets that every policy has.
const (
	// UpstreamTarget is the one that the traffic and the check of the
	// upstream tell of.
	UpstreamTarget = "upstream"
	// RemoteTarget is the health document of a remote service.
	RemoteTarget = "health_url"
)

// maxTargets bounds the state, whatever names results come with.
const maxTargets = 256

// CheckResult is the outcome of one active check.
type CheckResult struct {
	Target    string    `json:"target"`
	Time      time.Time `json:"time"`
	OK        bool      `json:"ok"`
	Reason    string    `json:"reason,omitempty"` // why it failed
	LatencyMS float64   `json:"latency_ms"`
}

// TargetState is whether a target works.
type TargetState string

// The states. A target is Unknown until its first conclusive check.
const (
	Unknown TargetState = "UNKNOWN"
	Up      TargetState = "UP"
	Down    TargetState = "DOWN"
)

// Target is what is known of one target.
type Target struct {
	State               TargetState `json:"state"`
	ConsecutiveFailures int         `json:"consecutive_failures"`
	LastStateChangeAt   time.Time   `json:"last_state_change_at"`
	LastCheckedAt       time.Time   `json:"last_checked_at"`
	// Reason is why the last check failed.
	Reason string `json:"reason,omitempty"`
	// Changes are the times of the latest changes, as far as Flap looks back.
	Changes  []time.Time `json:"changes,omitempty"`
	Flapping bool        `json:"flapping"`
	// QuietSince is since when a flapping target has not changed.
	QuietSince time.Time `json:"quiet_since,omitzero"`
}

// checked is the target after one check: DOWN after so many failures in a
// row, UP on the first success. A single failure of an Unknown one proves
// nothing yet.
func (t Target) checked(r CheckResult, at time.Time, p *Policy) Target {
	t.LastCheckedAt = at
	if r.OK {
		t.ConsecutiveFailures, t.Reason = 0, ""
		return t.become(Up, at, p.Flap)
	}
	t.ConsecutiveFailures, t.Reason = t.ConsecutiveFailures+1, clip(r.Reason)
	if t.ConsecutiveFailures >= p.Failures.After {
		return t.become(Down, at, p.Flap)
	}
	return t
}

// maxReason bounds what a foreign answer can put into the state, in bytes.
const maxReason = 500

func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}

// traffic is what a tick's requests say of the upstream, if anything: enough
// of them are judged by their error rate, a few are only believed when all
// went well, and enough that all wait too long are a failure.
func traffic(tick health.Tick, p *Policy) (r CheckResult, conclusive bool) {
	r = CheckResult{Target: UpstreamTarget}
	rate, critical := tick.ErrorRate(), p.Health.P95MS.Critical
	switch {
	case tick.Requests >= p.Failures.MinRequests:
		r.OK = rate < p.Failures.ErrorRate
		if !r.OK {
			r.Reason = fmt.Sprintf("%d of %d requests of the last tick failed, %s or more", tick.Errors, tick.Requests, percent(p.Failures.ErrorRate))
		}
	case tick.Requests > 0:
		r.OK = true
		return r, tick.Errors == 0
	case tick.Waiting > 0 && uint64(tick.Waiting) >= p.Failures.MinRequests && tick.MaxMS >= critical:
		r.Reason = fmt.Sprintf("nothing finished in the last tick while %d requests wait, the longest for %.0f ms: %.0f ms or more", tick.Waiting, tick.MaxMS, critical)
	default:
		return r, false
	}
	return r, true
}

// check brings the targets up to date with a tick's results. It returns a
// map of its own, and whether the service itself was seen to work.
func check(old map[string]Target, in Input, now time.Time, p *Policy) (targets map[string]Target, proof bool) {
	targets = maps.Clone(old)
	if targets == nil {
		targets = map[string]Target{}
	}
	for _, c := range p.Checks {
		targets[c.Name] = known(targets, c.Name)
	}
	see := func(r CheckResult) {
		if _, ok := targets[r.Target]; !ok && len(targets) >= maxTargets {
			return
		}
		targets[r.Target] = known(targets, r.Target).checked(r, now, p)
		proof = proof || r.OK && (r.Target == UpstreamTarget || r.Target == RemoteTarget)
	}
	seen, conclusive := traffic(in.Measurement.Tick, p)
	conclusive = conclusive && in.Reported == nil
	for _, r := range in.Checks {
		// What the requests themselves say of the upstream is better evidence
		// than a check of the same seconds, and must not count twice.
		if !conclusive || r.Target != UpstreamTarget {
			see(r)
		}
	}
	if conclusive {
		see(seen)
	}
	if in.Reported == nil {
		targets[UpstreamTarget] = known(targets, UpstreamTarget)
	}
	for name, t := range targets {
		targets[name] = t.settle(now, p.Flap)
	}
	return targets, proof
}

func known(targets map[string]Target, name string) Target {
	if t, ok := targets[name]; ok {
		return t
	}
	return Target{State: Unknown}
}

// down is the breaches of the consecutive_failures gate.
func down(targets map[string]Target, p *Policy) []finding {
	var found []finding
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		t := targets[name]
		f := finding{target: name, alert: health.Alert{Severity: health.Critical, TriggeredBy: health.GateFailures}}
		switch {
		case t.State == Down:
			f.alert.Type = health.TypeTargetDown
			f.alert.Message = fmt.Sprintf("Target %s is DOWN", name)
			f.alert.ReasonForTrigger = fmt.Sprintf("%d checks in a row failed, %d make it DOWN%s", t.ConsecutiveFailures, p.Failures.After, because(t.Reason))
			if t.Flapping {
				f.alert.Message += ", and flapping"
			}
		case t.Flapping:
			f.alert.Type, f.alert.Severity = health.TypeFlapping, health.Warning
			f.alert.Message = fmt.Sprintf("Target %s is flapping: UP at the moment", name)
			f.alert.ReasonForTrigger = flapReason(p.Flap)
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return "; the last: " + reason
}
