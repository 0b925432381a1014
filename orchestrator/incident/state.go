package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
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

	// After is what an incident left behind that a person or the time ended while
	// the service was not well; nil when the service was well since, or another
	// incident began.
	After *After
	// Runs are the actions that were run, the oldest first: the newest 256.
	Runs []Run

	incidents []id     // all there ever were, in order
	effects   []uint64 // the entries of all effects that were due, in order
	questions []*Asked // the newest, the oldest first
}

// After is an incident that has ended in [Rejected], [Expired] or [Failed].
type After struct {
	ID      string
	Stage   Stage
	EndedAt time.Time
	Joined  map[string]bool // as of [Open]
	// Undecided says that nobody's decision ended it, nor that nobody took one: what
	// was asked or authorized was changed.
	Undecided bool
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
	// Reason, Causes and Changes are what its detection says of why it is.
	Reason          string
	Causes, Changes []string
	// Proposal is the action that is proposed, nil when there is none.
	Proposal *Proposal
	// Wanted is what a person asks for in its place, nil when nobody does.
	Wanted *Wanted
	// Told says that people were told that it holds, and not in shadow mode.
	Told bool
	// ActionDigest is what was authorized, empty before.
	ActionDigest string
}

// Proposal names the action that is proposed.
// Because says in plain words what speaks for it.
type Proposal struct {
	Action, Title, Digest, Because string
	// Risk and Approvals are the action's; 0 approvals when the entry does not say.
	Risk      approval.Risk
	Approvals int
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
	s.incidents, s.effects = slices.Clip(s.incidents), slices.Clip(s.effects)
	s.Runs, s.questions = slices.Clip(s.Runs), slices.Clip(s.questions)
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
// Number 0 is the ledger's own and stands for one that is not known yet.
func (s *State) Apply(index uint64, e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	if e.TenantID != s.Tenant && e.Kind != KindPolicyLoaded {
		return &IllegalError{"the entry is another tenant's", s.Tenant, e.TenantID}
	}
	if err := s.fold(index, e); err != nil {
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

func (s *State) fold(index uint64, e Entry) error {
	switch e.Kind {
	case KindJoined:
		return s.foldJoined(e)
	case KindMarked:
		return s.requireIncident(e)
	case KindTargetDown, KindTargetUp, KindTargetFlapping, KindTargetSteady:
		return s.foldTarget(e)
	case KindRevised:
		return s.foldRevised(e)
	case KindCleared:
		return s.foldCleared(e)
	case KindRequested:
		return s.foldRequested(e)
	case KindAsked:
		return s.foldAsked(e)
	case KindOffered, KindApproved, KindRefused:
		return s.foldApproval(e)
	case KindEffectSuppressed, KindEffectDue:
		return s.foldEffect(index, e)
	case KindEffectReceipt:
		return s.foldReceipt(e)
	case KindShadowOn, KindShadowOff:
		return s.foldShadow(e)
	case KindPolicyLoaded:
		s.PolicyVersion, s.PolicyDigest = e.PolicyVersion, e.PolicyDigest
		return nil
	case KindAccessDenied:
		return nil
	case KindDiagnosed:
		return s.foldDiagnosed(e)
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
	if err := s.foldQuestion(from, e); err != nil {
		return err
	}
	s.staged(e.IncidentID, e.Stage)
	open := *s.Open
	open.Stage, open.StageAt = e.Stage, e.Time
	switch e.Stage {
	case Proposed:
		open.Proposal = e.proposal()
	case Authorized:
		open.ActionDigest = clean(e.ActionDigest, maxName)
	case Executed:
		s.began(e)
	case Rejected, Expired, Failed:
		s.After = &After{ID: open.ID, Stage: e.Stage, EndedAt: e.Time, Joined: open.Joined, Undecided: e.Decision == decisionLapse}
	}
	s.Open = &open
	if e.Stage.Terminal() {
		s.Open = nil
	}
	return nil
}

// foldRevised replaces a proposal about which nothing was asked yet.
func (s *State) foldRevised(e Entry) error {
	switch {
	case s.Open == nil || s.Open.ID != e.IncidentID:
		return s.notOpen(e)
	case s.Open.Stage != Proposed:
		return &IllegalError{"what is proposed for " + e.IncidentID + " is revised too late", string(Proposed), string(s.Open.Stage)}
	}
	open := *s.Open
	open.Proposal = e.proposal()
	s.Open = &open
	return nil
}

// proposal is what an entry proposes, nil when that is no action.
func (e Entry) proposal() *Proposal {
	m, _ := e.Metadata["proposal"].(map[string]any)
	name, _ := m["action"].(string)
	title, _ := m["title"].(string)
	because, _ := m["because"].(string)
	if name == "" || e.ActionDigest == "" {
		return nil
	}
	risk, _ := m["risk"].(string)
	p := &Proposal{Action: clean(name, maxName), Title: clean(title, maxName), Digest: clean(e.ActionDigest, maxName), Because: clean(because, maxPhrase), Risk: approval.Risk(risk)}
	switch n := m["approvals"].(type) {
	case int: // of a draft
		p.Approvals = n
	case float64:
		p.Approvals = int(n)
	}
	return p
}

func (s *State) foldCleared(e Entry) error {
	if s.After == nil || s.After.ID != e.IncidentID {
		return &IllegalError{e.IncidentID + " left nothing behind that could clear", "an incident that ended REJECTED, EXPIRED or FAILED and was the last", e.Kind}
	}
	s.After = nil
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
	s.Open = &Open{
		ID: e.IncidentID, StartedAt: e.Time, Stage: Detected, StageAt: e.Time, Joined: joined,
		Reason: clean(e.Reason, maxReason), Causes: e.list("causes"), Changes: e.list("changes"),
	}
	s.After = nil
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

// list is a list of short texts of the metadata.
func (e Entry) list(name string) []string {
	var out []string
	list, _ := e.Metadata[name].([]any)
	for _, item := range list[:min(len(list), keptGates)] {
		if text, ok := item.(string); ok {
			out = append(out, clean(text, maxPhrase))
		}
	}
	return out
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

func (s *State) foldShadow(e Entry) error {
	if was := onOff(s.Shadow); e.text("previous") != was {
		return &IllegalError{"the switch of shadow mode says wrongly what it was before", was, e.text("previous")}
	}
	s.Shadow, s.ShadowSince = e.Kind == KindShadowOn, e.Time
	if s.Shadow {
		s.withdraw()
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
