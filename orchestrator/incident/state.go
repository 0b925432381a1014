package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// What a state holds at most, whatever a ledger says.
const (
	maxTargets = 1024
	maxJoined  = 1024
)

// State is what the ledger says of one tenant: the fold of its entries. Make
// one with [NewState]. It is not safe for concurrent use.
type State struct {
	Tenant string
	// Shadow is true while nothing may have an effect outside.
	Shadow bool
	// ShadowSince is the last switch of Shadow, or the tenant's first entry; zero
	// while there is none.
	ShadowSince time.Time
	// Open is the one incident that has not ended, nil while there is none.
	Open *Open
	// Targets are those that the ledger says something of, by name.
	Targets map[string]TargetRecord
	// PolicyVersion and PolicyDigest are those of the last policy.loaded.
	PolicyVersion, PolicyDigest string
	// LastTime is the latest time of an entry.
	LastTime time.Time

	incidents []id // all there ever were, in order
}

// TargetRecord is what the ledger says of a target.
type TargetRecord struct {
	State             policy.TargetState
	Flapping          bool
	LastAlertedAt     time.Time // of the last effect that told of it, suppressed or not
	LastStateChangeAt time.Time
}

// Open is an incident that has not ended.
type Open struct {
	ID        string
	StartedAt time.Time
	Stage     Stage
	StageAt   time.Time
	Joined    map[string]bool // keys of the breaches recorded so far
	// ActionDigest is what was authorized, empty before.
	ActionDigest string
}

// NewState is the state before the first entry: in shadow, nothing open.
func NewState(tenant string) *State {
	return &State{Tenant: tenant, Shadow: true, Targets: map[string]TargetRecord{}}
}

// Clone returns a copy that shares nothing that changes.
func (s State) Clone() *State {
	if s.Open != nil {
		open := *s.Open
		open.Joined = maps.Clone(open.Joined)
		s.Open = &open
	}
	s.Targets = maps.Clone(s.Targets)
	s.incidents = slices.Clip(s.incidents)
	return &s
}

// Has says whether there is an incident of that id, open or ended.
func (s State) Has(incident string) bool {
	i, err := parseID(incident)
	if err != nil {
		return false
	}
	_, ok := slices.BinarySearch(s.incidents, i)
	return ok
}

// Apply takes in the tenant's next entry, number index of the ledger. A step that
// is not legal is refused with an error, usually an [*IllegalError], and the
// state stays as it is. Entries of kind policy.loaded count for every tenant.
func (s *State) Apply(index uint64, e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	if e.TenantID != s.Tenant && e.Kind != KindPolicyLoaded {
		return &IllegalError{"the entry is another tenant's", s.Tenant, e.TenantID}
	}
	if err := s.fold(e); err != nil {
		return err
	}
	if s.ShadowSince.IsZero() && e.TenantID == s.Tenant {
		s.ShadowSince = e.Time
	}
	if e.Time.After(s.LastTime) {
		s.LastTime = e.Time
	}
	return nil
}

func (s *State) fold(e Entry) error {
	switch e.Kind {
	case KindJoined:
		return s.foldJoined(e)
	case KindMarked:
		return s.requireIncident(e)
	case KindTargetDown, KindTargetUp, KindTargetFlapping, KindTargetSteady:
		return s.foldTarget(e)
	case KindEffectSuppressed, KindEffectDue:
		return s.foldEffect(e)
	case KindShadowOn, KindShadowOff:
		return s.foldShadow(e)
	case KindPolicyLoaded:
		s.PolicyVersion, s.PolicyDigest = e.PolicyVersion, e.PolicyDigest
		return nil
	case KindAccessDenied:
		return nil
	}
	return s.foldStage(e)
}

// foldStage takes the incident to the entry's stage.
func (s *State) foldStage(e Entry) error {
	if e.Stage == Detected {
		return s.foldDetected(e)
	}
	if s.Open == nil || s.Open.ID != e.IncidentID {
		return s.notOpen(e)
	}
	from := s.Open.Stage
	if !from.May(e.Stage) {
		text := "illegal transition"
		if e.Stage == Executed {
			text = "execution without authorization"
		}
		return &IllegalError{text + " of " + e.IncidentID, "from " + string(from) + " to " + stages(from.Next()), string(e.Stage)}
	}
	if s.Shadow && (e.Stage == Authorized || e.Stage == Executed) {
		return &IllegalError{fmt.Sprintf("%s is %s in shadow mode", e.IncidentID, e.Stage), "nothing that has an effect while shadow mode is on", e.Kind}
	}
	if e.Stage == Executed && e.ActionDigest != s.Open.ActionDigest {
		return &IllegalError{"what " + e.IncidentID + " executes is not what was authorized", s.Open.ActionDigest, clean(e.ActionDigest, maxName)}
	}
	if e.Stage.Terminal() {
		s.Open = nil
		return nil
	}
	open := *s.Open
	open.Stage, open.StageAt = e.Stage, e.Time
	if e.Stage == Authorized {
		open.ActionDigest = clean(e.ActionDigest, maxName)
	}
	s.Open = &open
	return nil
}

// notOpen says why an entry's incident is not the open one.
func (s *State) notOpen(e Entry) error {
	expected := "an incident that is open; none is"
	if s.Open != nil {
		expected = s.Open.ID + ", which is open"
	}
	found := e.IncidentID + ", which the ledger does not have"
	if s.Has(e.IncidentID) {
		found = e.IncidentID + ", which has ended"
	}
	return &IllegalError{"illegal transition: " + e.Kind + " of an incident that is not open", expected, found}
}

func stages(list []Stage) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, " or ")
}

func (s *State) foldDetected(e Entry) error {
	if s.Open != nil {
		return &IllegalError{"two open incidents of one tenant", s.Open.ID + " to end first", e.IncidentID}
	}
	i, err := parseID(e.IncidentID)
	if err != nil {
		return err
	}
	if i>>hashBits <= s.lastIncident()>>hashBits {
		return &IllegalError{"an incident's id must be later than those before", "later than " + s.lastIncident().String(), e.IncidentID}
	}
	joined := map[string]bool{}
	for _, gate := range e.gates() {
		joined[gate] = true
	}
	s.Open = &Open{ID: e.IncidentID, StartedAt: e.Time, Stage: Detected, StageAt: e.Time, Joined: joined}
	s.incidents = append(s.incidents, i)
	return nil
}

// lastIncident is 0 before the first.
func (s *State) lastIncident() id {
	if len(s.incidents) == 0 {
		return 0
	}
	return s.incidents[len(s.incidents)-1]
}

// gates are the keys of the breaches that opened an incident.
func (e Entry) gates() []string {
	var keys []string
	list, _ := e.Metadata["gates"].([]any)
	for _, item := range list {
		gate, _ := item.(map[string]any)
		if key, _ := gate["key"].(string); isName(key) && len(keys) < maxJoined {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *State) foldJoined(e Entry) error {
	key := e.text("key")
	switch {
	case s.Open == nil || s.Open.ID != e.IncidentID:
		return s.notOpen(e)
	case s.Open.Joined[key]:
		return &IllegalError{"what joins " + e.IncidentID + " is part of it already", "", key}
	case len(s.Open.Joined) >= maxJoined:
		return &IllegalError{"too much joins " + e.IncidentID, fmt.Sprintf("at most %d", maxJoined), key}
	}
	open := *s.Open
	open.Joined = maps.Clone(open.Joined)
	open.Joined[key] = true
	s.Open = &open
	return nil
}

// requireIncident refuses an entry about an incident that there never was.
func (s *State) requireIncident(e Entry) error {
	if !s.Has(e.IncidentID) {
		return &IllegalError{"the " + e.Kind + " entry is about an incident that the ledger does not have", "", e.IncidentID}
	}
	return nil
}

func (s *State) foldTarget(e Entry) error {
	name := e.text("target")
	t, ok := s.Targets[name]
	if !ok && len(s.Targets) >= maxTargets {
		return &IllegalError{"there are too many targets", fmt.Sprintf("at most %d", maxTargets), name}
	}
	switch e.Kind {
	case KindTargetDown:
		t.State, t.LastStateChangeAt = policy.Down, e.Time
	case KindTargetUp:
		t.State, t.LastStateChangeAt = policy.Up, e.Time
	case KindTargetFlapping:
		t.Flapping = true
	case KindTargetSteady:
		t.Flapping = false
	}
	s.Targets[name] = t
	return nil
}

func (s *State) foldEffect(e Entry) error {
	if e.IncidentID != "" {
		if err := s.requireIncident(e); err != nil {
			return err
		}
	}
	switch {
	case s.Shadow && e.Kind == KindEffectDue:
		return &IllegalError{"an effect in shadow mode", KindEffectSuppressed, e.Kind}
	case !s.Shadow && e.Kind == KindEffectSuppressed:
		return &IllegalError{"an effect is suppressed by a shadow mode that is off", KindEffectDue, e.Kind}
	}
	s.alerted(e.text("target"), e.Time)
	names, _ := e.Metadata["targets"].([]any)
	for _, item := range names {
		name, _ := item.(string)
		s.alerted(name, e.Time)
	}
	return nil
}

// alerted notes that an effect told of a target.
func (s *State) alerted(name string, at time.Time) {
	if t, ok := s.Targets[name]; ok {
		t.LastAlertedAt = at
		s.Targets[name] = t
	}
}

func (s *State) foldShadow(e Entry) error {
	if was := onOff(s.Shadow); e.text("previous") != was {
		return &IllegalError{"the switch of shadow mode says wrongly what it was before", was, e.text("previous")}
	}
	s.Shadow, s.ShadowSince = e.Kind == KindShadowOn, e.Time
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
