package incident

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// How much one step records; what is left out comes with the next observation,
// as each is compared with the whole state.
const (
	targetsPerStep = 8
	joinsPerStep   = 8
	keptGates      = 16
	keptLines      = 5
)

// Step compares an observation with the state and drafts the entries that
// follow, none when nothing does. They belong into one call of the ledger, in
// this order; blobs that several name are with the first. Step is pure and
// level-triggered: an observation that is never seen, or entries that are never
// appended, are made up for by the next observation. Entries have the time now,
// or that of the last entry when now is earlier.
//
// The error is that the observation is no observation of this tenant.
func (s State) Step(o Observation, now time.Time) ([]Draft, error) {
	switch {
	case o.Policy == nil:
		return nil, errors.New("the observation names no policy")
	case o.Tenant != s.Tenant || !isName(clean(o.Tenant, maxName)):
		return nil, fmt.Errorf("the observation is of tenant %q, the state of %q", o.Tenant, s.Tenant)
	case !isName(clean(o.Service, maxName)):
		return nil, errors.New("the observation names no service")
	}
	if now.Before(s.LastTime) {
		now = s.LastTime
	}
	o.Service = clean(o.Service, maxName)
	st := &step{State: s.Clone(), o: o, about: About{
		Tenant: o.Tenant, Service: o.Service, Instance: o.Instance,
		PolicyVersion: o.Policy.Version, PolicyDigest: o.Policy.Digest(), Time: now,
	}}
	st.policy()
	st.targets()
	st.incident()
	return st.drafts, st.err
}

// step is one step being made. Its state takes in each draft, so that a
// draft that is not legal cannot leave it.
type step struct {
	*State
	o      Observation
	about  About
	drafts []Draft
	err    error

	recorded *exhibits // the decision, once it is needed
}

// record is the evidence of the decision alone.
func (st *step) record() *exhibits {
	if st.recorded == nil {
		st.recorded = st.o.record()
	}
	return st.recorded.clone()
}

// evidence is all that the observation shows.
func (st *step) evidence() *exhibits {
	x := st.record()
	st.o.addMeasured(x)
	return x
}

func (st *step) emit(d Draft) {
	if st.err == nil {
		st.err = st.Apply(0, d.Entry)
	}
	if st.err == nil {
		st.drafts = append(st.drafts, st.unseen(d))
	}
}

// unseen leaves out the blobs that an earlier draft brings.
func (st *step) unseen(d Draft) Draft {
	var blobs [][]byte
	for i, blob := range d.Blobs {
		brought := slices.ContainsFunc(st.drafts, func(before Draft) bool {
			return slices.ContainsFunc(before.Entry.Evidence, func(e Evidence) bool { return e.SHA256 == d.Entry.Evidence[i].SHA256 })
		})
		if !brought {
			blobs = append(blobs, blob)
		}
	}
	d.Blobs = blobs
	return d
}

// policy sees to it that the policy of every entry is on record before it.
func (st *step) policy() {
	if st.PolicyDigest != st.about.PolicyDigest {
		st.emit(PolicyLoaded(st.about, st.o.Policy, st.PolicyVersion, st.PolicyDigest))
	}
}

// targets records which targets changed.
func (st *step) targets() {
	left := targetsPerStep
	for _, name := range slices.Sorted(maps.Keys(st.o.After.Targets)) {
		t, on := st.o.After.Targets[name], st.Targets[name]
		if !st.recordable(name) || t.State != policy.Up && t.State != policy.Down || st.restless(t, on) {
			continue
		}
		for _, kind := range changed(t, on) {
			if left == 0 {
				return
			}
			left--
			st.target(kind, name, t)
		}
	}
}

// recordable says whether the ledger can have a target of that name.
func (st *step) recordable(name string) bool {
	_, recorded := st.Targets[name]
	return isName(name) && clean(name, maxName) == name && (recorded || len(st.Targets) < maxTargets)
}

// changed are the kinds of the entries that make the record of a target what it
// is. While it is flapping it is neither up nor down.
func changed(t policy.Target, on TargetRecord) []string {
	if t.Flapping {
		if on.Flapping {
			return nil
		}
		return []string{KindTargetFlapping}
	}
	var kinds []string
	if on.Flapping {
		kinds = append(kinds, KindTargetSteady)
	}
	switch {
	case t.State == policy.Down && on.State != policy.Down:
		kinds = append(kinds, KindTargetDown)
	case t.State == policy.Up && on.State == policy.Down:
		kinds = append(kinds, KindTargetUp)
	}
	return kinds
}

func (st *step) target(kind, name string, t policy.Target) {
	e := st.about.entry(kind, ActorPolicy)
	e.Decision = strings.TrimPrefix(kind, "target.")
	reason := clean(t.Reason, maxPhrase)
	switch kind {
	case KindTargetDown:
		e.Reason = fmt.Sprintf("%s is down after %d failures in a row", name, t.ConsecutiveFailures)
		if reason != "" {
			e.Reason += ": " + reason
		}
	case KindTargetUp:
		e.Reason = name + " is up again"
	case KindTargetFlapping:
		e.Reason = fmt.Sprintf("%s keeps changing between up and down: %d times of late", name, len(t.Changes))
	case KindTargetSteady:
		e.Reason = fmt.Sprintf("%s is steady again, and %s", name, t.State)
	}
	e.Metadata["target"], e.Metadata["state"] = name, string(t.State)
	e.Metadata["consecutive_failures"] = t.ConsecutiveFailures
	e.Metadata["observed_at"] = st.observedAt()
	if st.Open != nil {
		e.IncidentID, e.Stage = st.Open.ID, st.Open.Stage
	}
	st.emit(st.record().attach(e))
	if kind != KindTargetSteady && !st.told(name) {
		st.emit(st.tell(e, st.o.targetMessage(kind, e.Reason)))
	}
}

// told says whether an incident that is open, or opens now, tells of a target.
func (st *step) told(name string) bool {
	var joined map[string]bool
	switch {
	case st.Open != nil:
		joined = st.Open.Joined
	case !st.o.Decision.Breached:
		return false
	case st.held():
		joined = st.After.Joined // of which each target that breaches is a part
	}
	for _, b := range st.o.Decision.Breaches {
		if b.Target == name {
			return true
		}
	}
	for key := range joined {
		if _, target, ok := strings.Cut(key, ":"); ok && target == name {
			return true
		}
	}
	return false
}

func (st *step) observedAt() string { return st.o.Input.Time.UTC().Format(time.RFC3339Nano) }

// unheard says whether too little was heard since of a target that is DOWN or
// flapping by the ledger: after a restart the policy does not know that it was.
func (st *step) unheard() bool {
	if st.o.Policy.Failures.Mode != health.On {
		return false
	}
	for name, t := range st.o.After.Targets {
		on := st.Targets[name]
		if t.State == policy.Unknown && (on.State == policy.Down || on.Flapping) || st.restless(t, on) {
			return true
		}
	}
	return false
}

// restless says whether a target that is flapping by the ledger has not yet been
// quiet for long enough, whether or not the policy has forgotten that it was.
func (st *step) restless(t policy.Target, on TargetRecord) bool {
	return on.Flapping && st.o.Input.Time.Sub(t.LastStateChangeAt) < seconds(st.o.Policy.Flap.QuietSeconds)
}

// ahead is how much later than what it is about an entry may be before its time
// must be the ledger's, and not the clock's.
const ahead = time.Minute

// heldFor is how long an incident has lasted by the entries' times. Where a clock
// that went back is behind the ledger these stand still, and it is as long as the
// policy has called the service DOWN, when that is longer.
func heldFor(at, started, observed time.Time, service policy.Target) time.Duration {
	held := at.Sub(started)
	if at.Sub(observed) > ahead && service.State == policy.Down {
		held = max(held, observed.Sub(service.LastStateChangeAt))
	}
	return held
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// stage begins the entry that takes the open incident to a stage.
func (st *step) stage(to Stage) Entry {
	e := st.about.entry(KindOf(to), ActorPolicy)
	e.Stage, e.Reason = to, clean(st.o.Decision.Why, maxReason)
	if st.Open != nil {
		e.IncidentID = st.Open.ID
	}
	e.Metadata["shadow_mode"], e.Metadata["observed_at"] = st.Shadow, st.observedAt()
	return e
}

func (st *step) detect() {
	e := st.stage(Detected)
	e.IncidentID = newID(st.about.Tenant, st.about.Service, st.about.Time, st.lastIncident()).String()
	e.Decision = "open"
	gates, omitted := gatesOf(st.o.Decision.Breaches)
	e.Metadata["gates"] = gates
	if omitted > 0 {
		e.Metadata["gates_omitted"] = omitted
	}
	e.Metadata["facts"] = factsOf(st.o.Decision)
	x := st.evidence()
	var lines []string
	if len(st.o.Changes) > 0 {
		changes := boundedChanges(st.o.Changes)
		addList(x, ChangesFile, changes, maxChanges)
		for _, c := range changes {
			lines = append(lines, clean(c.Line(st.about.Time), maxPhrase))
		}
		e.Metadata["changes"] = texts(lines[:min(len(lines), keptLines)])
		if causes := causesOf(changes); len(causes) > 0 {
			e.Metadata["causes"] = texts(causes)
		}
	}
	st.emit(x.attach(e))
	st.emit(st.tell(e, st.o.opened(e.IncidentID, lines, st.breachedTargets())))
}

// breachedTargets are those that the incident tells of.
func (st *step) breachedTargets() []string {
	var names []string
	for _, b := range st.o.Decision.Breaches {
		if isName(b.Target) && len(names) < keptGates && !slices.Contains(names, b.Target) {
			names = append(names, b.Target)
		}
	}
	return names
}

// gatesOf are the breaches as an entry has them, the gravest first.
func gatesOf(breaches []policy.Breach) (gates []any, omitted int) {
	gates = []any{}
	for _, b := range breaches[:min(len(breaches), keptGates)] {
		gates = append(gates, gateOf(b))
	}
	return gates, len(breaches) - len(gates)
}

func gateOf(b policy.Breach) map[string]any {
	return map[string]any{
		"key": keyOf(b), "gate": clean(string(b.Gate), maxName), "target": clean(b.Target, maxName),
		"severity": clean(string(b.Severity), maxName), "message": clean(b.Message, maxPhrase), "reason": clean(b.Reason, maxPhrase),
	}
}

func keyOf(b policy.Breach) string { return clean(b.Key, maxName) }

// factsOf is what was measured, as an entry has it.
func factsOf(d policy.Decision) map[string]any {
	v := d.Verdict
	facts := map[string]any{
		"status": string(v.Status), "score": v.HealthScore.Score, "sample_size": v.Metrics.SampleSize,
	}
	for name, value := range map[string]*float64{
		"p95_ms": v.Metrics.OverallP95MS, "error_rate": v.Metrics.ErrorRate, "z_score": v.Metrics.ZScore,
	} {
		facts[name] = nil
		if value != nil {
			facts[name] = *value
		}
	}
	return facts
}

// join records breaches that the open incident did not have yet.
func (st *step) join() {
	left := joinsPerStep
	for _, b := range st.o.Decision.Breaches {
		key := keyOf(b)
		if !isName(key) || st.Open.Joined[key] || left == 0 || len(st.Open.Joined) >= maxJoined {
			continue
		}
		left--
		e := st.about.entry(KindJoined, ActorPolicy)
		e.IncidentID, e.Stage, e.Decision, e.Reason = st.Open.ID, st.Open.Stage, "join", clean(b.Reason, maxReason)
		maps.Copy(e.Metadata, gateOf(b))
		e.Metadata["observed_at"] = st.observedAt()
		st.emit(Draft{Entry: e})
		if b.Gate == health.GateFlapping {
			st.emit(st.tell(e, st.o.flapping(e.IncidentID)))
		}
	}
}
