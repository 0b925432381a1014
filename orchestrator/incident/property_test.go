package incident

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// TestNoSequenceGoesWrong steps through random sequences of all that can
// happen to a tenant, and audits what comes out with rules of its own.
func TestNoSequenceGoesWrong(t *testing.T) {
	seeds, least := uint64(40), 3
	if testing.Short() {
		seeds, least = 8, 1
	}
	seen := map[string]int{}
	for seed := range seeds {
		s := newScene(t)
		s.plan = Plan{Actions: recovery.Catalogue{shed, restart}, Own: true, Contacts: []string{"ana", "ben"}, Patience: approval.LinkLife}
		if seed%2 == 1 {
			slices.Reverse(s.plan.Actions)
		}
		r := rand.New(rand.NewPCG(seed, 1))
		a := &auditor{t: t, seed: seed, shadow: true}
		for range 400 {
			before := len(s.entries)
			s.happen(r)
			for _, e := range s.entries[before:] {
				a.take(e.Entry)
				seen[e.Entry.Kind]++
			}
		}
		again := NewState(tenant)
		for _, e := range s.entries {
			if err := again.Apply(e.Index, e.Entry); err != nil {
				t.Fatalf("seed %d: entry %d: %v", seed, e.Index, err)
			}
		}
		if !reflect.DeepEqual(again, s.state) {
			t.Fatalf("seed %d: folding gives\n%+v, stepping\n%+v", seed, again, s.state)
		}
	}
	for kind := range actors {
		if seen[kind] < least && kind != KindAccessDenied {
			t.Errorf("there were %d of %s: the test tests too little", seen[kind], kind)
		}
	}
}

// happen lets something happen.
func (s *scene) happen(r *rand.Rand) {
	s.t.Helper()
	if s.state.Asking() != nil && r.IntN(16) == 0 {
		s.pass(6 * time.Minute) // and every link expires
	}
	if s.state.Asking() != nil && r.IntN(2) == 0 {
		s.tap([]string{"ana", "ben"}[r.IntN(2)], r.IntN(4) > 0)
		return
	}
	if s.state.Open != nil && s.state.Open.Stage == Authorized && r.IntN(2) == 0 {
		s.carry()
		return
	}
	if s.state.Open == nil && r.IntN(8) == 0 {
		s.pass(30 * time.Minute) // so that what is held, or cools down, is not for ever
		return
	}
	switch r.IntN(29) {
	case 0:
		s.switchShadow(r.IntN(3) == 0)
		return
	case 1:
		s.pass(time.Duration(r.IntN(7200)-3600) * time.Second) // the clock leaps, or goes back
		return
	case 2:
		s.restart()
		return
	case 3:
		if n := len(s.state.incidents); n > 0 {
			d, err := Mark(s.about(), s.state.incidents[r.IntN(n)].String(), FalseAlarm, "", "ana", "")
			if err != nil {
				s.t.Fatal(err)
			}
			s.take(d)
		}
		return
	case 28:
		if s.state.Open != nil {
			s.diagnose(theory(s.state.Open.Stage, "slow_dependency", r.Float64()))
		}
		return
	case 4, 5, 6:
		s.force(r)
		return
	case 7:
		s.policy = policy.Default()
		s.policy.Version = fmt.Sprint(r.IntN(3))
		s.policy.Incident.ValidateAfterSeconds = float64(r.IntN(60))
		return
	case 8:
		s.plan.Actions = [][]recovery.Action{nil, {shed}, {restart}, {shed, restart}, {restart, shed}}[r.IntN(5)]
		return
	case 9, 10, 11, 12, 13:
		if len(s.state.questions) > 0 {
			s.tap([]string{"ana", "ben", "eve"}[r.IntN(3)], r.IntN(8) > 0)
		}
		if r.IntN(2) == 0 {
			s.carry()
		}
		return
	case 14, 15:
		s.carry()
		return
	case 16, 19:
		if s.state.Pending() != nil {
			s.receive([]recovery.Outcome{recovery.Accepted, recovery.Refused, recovery.Unsent, recovery.Unknown}[r.IntN(4)])
		}
		return
	case 17:
		if s.state.Asking() != nil {
			d, _, err := s.state.Offer(s.about(), []string{"ana", "ben", "eve"}[r.IntN(3)])
			if err != nil {
				s.t.Fatal(err)
			}
			s.take(d)
		}
		return
	case 18:
		s.receipt(r)
		return
	case 20:
		if open := s.state.Open; open != nil && len(s.plan.Actions) > 0 {
			name := s.plan.Actions[r.IntN(len(s.plan.Actions))].Name
			if drafts, err := s.state.Request(s.about(), s.plan, open.ID, name, []string{"ana", "ben"}[r.IntN(2)], ""); err == nil {
				s.take(drafts...)
			}
		}
		return
	}
	s.pass(time.Duration(r.IntN(20)) * time.Second)
	drafts, err := s.state.Step(s.anything(r), s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	if r.IntN(4) > 0 { // else the append is lost, as a whole
		s.take(drafts...)
	}
}

// receipt tries to record that a message about anything was delivered.
func (s *scene) receipt(r *rand.Rand) {
	s.t.Helper()
	if len(s.entries) == 0 {
		return
	}
	of := s.entries[r.IntN(len(s.entries))]
	d := Receipt(s.about(), of.Entry.IncidentID, ActorExecutor, "delivered", "", map[string]any{"effect_indices": []any{float64(of.Index)}, "outcome": "delivered"})
	s.attempt(d, of.Entry.Kind == KindEffectDue && of.Entry.text("effect") != Execution)
}

// attempt appends a draft when it is legal; must says that it has to be.
func (s *scene) attempt(d Draft, must bool) {
	s.t.Helper()
	before := s.state.Clone()
	if err := s.state.Apply(uint64(len(s.entries))+1, d.Entry); err != nil {
		if must || !reflect.DeepEqual(before, s.state) {
			s.t.Fatalf("refused with %v, and the state changed from\n%+v to\n%+v", err, before, s.state)
		}
		return
	}
	s.append(d)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// force tries to take an incident to any stage, as a person or an executor may.
func (s *scene) force(r *rand.Rand) {
	s.t.Helper()
	id := newID(tenant, service, s.now, s.state.lastIncident()).String()
	if s.state.Open != nil && r.IntN(4) > 0 {
		id = s.state.Open.ID
	}
	stages := []Stage{Detected, Proposed, Validated, Authorized, Executed, Resolved, Recovered, Rejected, Expired, Failed}
	e := s.about().entry("", "")
	e.Stage = stages[r.IntN(len(stages))]
	if s.state.Open != nil && r.IntN(4) > 0 { // else hardly any would be legal
		legal := s.state.Open.Stage.Next() // the last is that it recovers
		e.Stage = legal[r.IntN(max(1, len(legal)-1))]
	}
	e.Kind, e.IncidentID, e.Time = KindOf(e.Stage), id, later(e.Time, s.state.LastTime)
	if e.Actor = actors[e.Kind][0]; e.Actor == anyHuman {
		e.Actor = humanPrefix + "ana"
	}
	s.attempt(Draft{Entry: e}, false)
}

// restart forgets everything but the ledger.
func (s *scene) restart() {
	s.state = NewState(tenant)
	for _, e := range s.entries {
		if err := s.state.Apply(e.Index, e.Entry); err != nil {
			s.t.Fatal(err)
		}
	}
}

// anything is any observation.
func (s *scene) anything(r *rand.Rand) Observation {
	var keys []string
	for _, key := range []string{"z_score", "flapping", "absolute_threshold/latency_spike", "consecutive_failures:upstream", "consecutive_failures:db"} {
		if r.IntN(3) == 0 {
			keys = append(keys, key)
		}
	}
	o := s.breached(keys...)
	switch r.IntN(8) {
	case 0, 1:
		o.Decision.Breached = false
	case 2:
		o = s.recovered()
		if r.IntN(2) == 0 { // so that it is not for a target that it goes on
			for name := range s.state.Targets {
				o.After.Targets[name] = policy.Target{State: policy.Up}
			}
			return o
		}
	}
	for _, name := range []string{"upstream", "db", "mail"} {
		o.After.Targets[name] = policy.Target{
			State: []policy.TargetState{policy.Up, policy.Down, policy.Unknown}[r.IntN(3)], ConsecutiveFailures: r.IntN(5), Flapping: r.IntN(4) == 0,
		}
	}
	return o
}

// auditor knows the rules in another way than the machine does.
type auditor struct {
	t      *testing.T
	seed   uint64
	shadow bool
	open   string
	stage  Stage
	last   time.Time
	ids    map[string]bool

	at       uint64            // the number of the entry
	digest   string            // of what is asked
	quorum   float64           // of who must approve it
	approved map[string]bool   // who did
	executed map[string]int    // by incident
	receipts map[string]int    // of executions, by incident
	due      map[uint64]string // what was due, by entry
	ended    time.Time         // when the last incident was rejected or expired and did not clear
}

func (a *auditor) take(e Entry) {
	a.t.Helper()
	wrong := func(format string, args ...any) {
		a.t.Helper()
		a.t.Fatalf("seed %d: %s: %s", a.seed, e.Kind, fmt.Sprintf(format, args...))
	}
	if e.Time.Before(a.last) {
		wrong("time runs backwards")
	}
	a.last = e.Time
	a.at++
	a.effects(e, wrong)
	a.approvals(e, wrong)
	switch {
	case e.Kind == KindShadowOn, e.Kind == KindShadowOff:
		if a.shadow = e.Kind == KindShadowOn; a.shadow {
			a.quorum = 0 // what was asked is withdrawn
		}
	case e.Kind == KindEffectDue && a.shadow, e.Kind == KindEffectSuppressed && !a.shadow:
		wrong("shadow is %t", a.shadow)
	case a.shadow && (e.Kind == KindOf(Authorized) || e.Kind == KindOf(Executed)):
		wrong("in shadow")
	case e.Kind == KindOf(Detected):
		if a.open != "" || a.ids[e.IncidentID] {
			wrong("%s is open, or the id was there before", a.open)
		}
		if a.ids == nil {
			a.ids = map[string]bool{}
		}
		targets := strings.Contains(fmt.Sprint(e.Metadata["gates"]), "consecutive_failures") || e.Metadata["gates"] == nil // forced
		if !a.ended.IsZero() && e.Time.Sub(a.ended) < time.Hour && !targets {
			wrong("asked anew after %s", e.Time.Sub(a.ended))
		}
		a.open, a.stage, a.ids[e.IncidentID], a.ended = e.IncidentID, Detected, true, time.Time{}
		a.quorum, a.approved = 0, map[string]bool{}
	case e.Kind == KindCleared:
		if a.open != "" {
			wrong("%s is open", a.open)
		}
		a.ended = time.Time{}
	case e.Kind == KindRevised:
		if a.stage != Proposed {
			wrong("in %s", a.stage)
		}
	case strings.HasPrefix(e.Kind, "incident.") && e.Kind != KindMarked && e.Kind != KindJoined:
		legal := map[string]bool{
			"DETECTED>PROPOSED": true, "PROPOSED>VALIDATED": true,
			"VALIDATED>AUTHORIZED": true, "AUTHORIZED>EXECUTED": true, "EXECUTED>RESOLVED": true,
			"VALIDATED>REJECTED": true, "VALIDATED>EXPIRED": true, "AUTHORIZED>EXPIRED": true, "EXECUTED>FAILED": true,
			"DETECTED>RECOVERED": true, "PROPOSED>RECOVERED": true, "VALIDATED>RECOVERED": true, "AUTHORIZED>RECOVERED": true, "EXECUTED>RECOVERED": true,
		}
		if e.IncidentID != a.open || !legal[string(a.stage)+">"+string(e.Stage)] {
			wrong("of %s, %s is open and %s", e.IncidentID, a.open, a.stage)
		}
		if e.Stage == Rejected || e.Stage == Expired && e.Decision == "expire" {
			a.ended = e.Time
		}
		switch a.stage = e.Stage; e.Stage {
		case Resolved, Recovered, Rejected, Expired, Failed:
			a.open = ""
		}
	}
}

func (a *auditor) effects(e Entry, wrong func(string, ...any)) {
	if a.due == nil {
		a.due, a.executed, a.receipts = map[uint64]string{}, map[string]int{}, map[string]int{}
	}
	switch e.Kind {
	case KindOf(Executed):
		if a.executed[e.IncidentID]++; a.executed[e.IncidentID] > 1 || a.stage != Authorized || e.ActionDigest != a.digest {
			wrong("%d executions, after %s, of %s where %s was asked", a.executed[e.IncidentID], a.stage, e.ActionDigest, a.digest)
		}
	case KindEffectDue:
		a.due[a.at] = e.text("effect")
		if e.text("effect") == Execution && a.stage != Executed {
			wrong("an execution is due in %s", a.stage)
		}
	case KindEffectReceipt:
		list, _ := e.effects()
		for _, index := range list {
			if (a.due[index] == Execution) != (e.text("effect") == Execution) || a.due[index] == "" {
				wrong("of entry %d, which is %q", index, a.due[index])
			}
		}
		if e.text("effect") == Execution {
			if a.receipts[e.IncidentID]++; a.receipts[e.IncidentID] > a.executed[e.IncidentID] {
				wrong("too many receipts")
			}
		}
	}
}

func (a *auditor) approvals(e Entry, wrong func(string, ...any)) {
	asked, _ := e.Metadata["approval"].(map[string]any)
	switch e.Kind {
	case KindOf(Validated), KindAsked:
		if e.Kind == KindAsked && a.stage != Validated {
			wrong("in %s", a.stage)
		}
		a.digest, a.quorum, a.approved = e.ActionDigest, 0, map[string]bool{}
		if asked != nil {
			a.quorum, _ = asked["quorum"].(float64)
		}
		if asked != nil && a.shadow {
			wrong("asked in shadow")
		}
	case KindOffered, KindApproved, KindOf(Authorized):
		if a.shadow || a.stage != Validated || a.quorum == 0 || e.ActionDigest != a.digest {
			wrong("in %s, shadow is %t, %v must approve %s", a.stage, a.shadow, a.quorum, a.digest)
		}
		if e.Kind == KindOffered {
			return
		}
		if a.approved[e.Actor] {
			wrong("%s approves twice", e.Actor)
		}
		a.approved[e.Actor] = true
		if (e.Kind == KindOf(Authorized)) != (float64(len(a.approved)) == a.quorum) {
			wrong("%d of %v have approved", len(a.approved), a.quorum)
		}
	}
}
