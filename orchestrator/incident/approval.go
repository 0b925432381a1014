package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/health"
)

// approvalMember is what an entry says of a step of approval, beside what all
// entries say; see [Entry.approval].
const approvalMember = "approval"

// stepKinds are the steps of approval that entries of a kind are.
var stepKinds = map[string]approval.StepKind{
	KindOf(Validated):  approval.StepAsked,
	KindAsked:          approval.StepAsked,
	KindOffered:        approval.StepOffered,
	KindApproved:       approval.StepApproved,
	KindRefused:        approval.StepRefused,
	KindOf(Authorized): approval.StepAuthorized,
	KindOf(Rejected):   approval.StepRejected,
}

// approval is the step of approval that an entry is, false when it is none. Time,
// incident and digests are the entry's own, so that there is one of each; a tap is
// in the name of the entry's actor.
func (e Entry) approval() (approval.Step, bool, error) {
	kind, may := stepKinds[e.Kind]
	member, there := e.Metadata[approvalMember].(map[string]any)
	if !may || !there {
		return approval.Step{}, false, nil
	}
	data, err := json.Marshal(member)
	var s approval.Step
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return approval.Step{}, false, &IllegalError{"what the " + e.Kind + " entry says of the approval cannot be read", "metadata.approval", clean(err.Error(), maxPhrase)}
	}
	s.Kind, s.At, s.Tenant, s.Incident = kind, e.Time, e.TenantID, e.IncidentID
	s.ActionDigest, s.PolicyDigest = "", ""
	switch kind {
	case approval.StepAsked, approval.StepOffered, approval.StepAuthorized:
		s.ActionDigest, s.PolicyDigest = e.ActionDigest, e.PolicyDigest
	}
	if who, human := strings.CutPrefix(e.Actor, humanPrefix); human && who != clean(s.Contact, maxName) {
		return approval.Step{}, false, &IllegalError{"the " + e.Kind + " entry is in the name of somebody else than its link", clean(s.Contact, maxName), clean(who, maxName)}
	}
	return s, true, nil
}

// noting puts a step of approval into an entry: what the entry does not say
// already.
func (e *Entry) noting(s approval.Step) error {
	data, err := json.Marshal(s)
	var member map[string]any
	if err == nil {
		err = json.Unmarshal(data, &member)
	}
	if err != nil {
		return fmt.Errorf("the step %s of an approval cannot be written: %w", s.Kind, err)
	}
	for _, own := range []string{"kind", "at", "tenant_id", "incident_id", "action_digest", "policy_digest"} {
		delete(member, own)
	}
	e.Metadata[approvalMember] = member
	return nil
}

// Taps drafts the entries of the steps that a decision leads to, as
// [approval.Request.Decide] and [approval.Request.Refuse] give them. The drafts are
// legal, or it is an error.
func (s State) Taps(a About, steps []approval.Step) ([]Draft, error) {
	st := &step{State: s.Clone(), about: a}
	for _, tap := range steps {
		actor, err := human(tap.Contact)
		if err != nil {
			return nil, err
		}
		a.Time = tap.At
		e := a.entry("", actor)
		e.IncidentID = tap.Incident
		asked := s.Asked(tap.Incident)
		if asked != nil {
			e.Stage, e.ActionDigest = asked.Stage, asked.Request.ActionDigest
		}
		switch tap.Kind {
		case approval.StepApproved:
			e.Kind, e.Decision, e.Reason = KindApproved, "approve", "one of several who must approve"
		case approval.StepAuthorized:
			e.Kind, e.Stage, e.Decision = KindOf(Authorized), Authorized, "authorize"
			e.Reason = "approved by " + clean(strings.Join(tap.Approvers, ", "), maxReason-len("approved by "))
		case approval.StepRejected:
			e.Kind, e.Stage, e.Decision, e.Reason = KindOf(Rejected), Rejected, "reject", clean(tap.Text, maxReason)
		case approval.StepRefused:
			e.Kind, e.Decision, e.Reason = KindRefused, "refuse", clean((&approval.Error{Reason: tap.Reason}).Error(), maxReason)
		default:
			return nil, fmt.Errorf("the step %q is not one of a tap", tap.Kind)
		}
		if err := e.noting(tap); err != nil {
			return nil, err
		}
		st.emit(Draft{Entry: e})
	}
	return st.drafts, st.err
}

// Offer drafts the entry of a link for a contact of the open incident, good for
// [approval.LinkLife]. Whose it is and what for follow from the state. It is an
// error when nothing is asked.
func (s State) Offer(a About, contact string) (Draft, approval.Claims, error) {
	asked := s.Asking()
	if asked == nil {
		return Draft{}, approval.Claims{}, &IllegalError{"a link is offered and nothing is asked", "an incident that is VALIDATED and has an action", ""}
	}
	r := asked.Request
	at := a.Time.UTC().Truncate(time.Second)
	link := approval.Step{
		Kind: approval.StepOffered, At: a.Time, Tenant: s.Tenant, Incident: r.Incident, Contact: contact,
		IssuedAt: at, ExpiresAt: at.Add(approval.LinkLife), ActionDigest: r.ActionDigest, PolicyDigest: r.PolicyDigest,
	}
	link.LinkID = linkID(link, len(r.Links))
	e := a.entry(KindOffered, ActorPolicy)
	e.IncidentID, e.Stage, e.ActionDigest, e.PolicyDigest = r.Incident, Validated, r.ActionDigest, r.PolicyDigest
	e.Decision, e.Reason = "offer", fmt.Sprintf("%s may decide until %s", clean(contact, maxName), link.ExpiresAt.Format(time.RFC3339))
	if err := e.noting(link); err != nil {
		return Draft{}, approval.Claims{}, err
	}
	return Draft{Entry: e}, link.Claims(), nil
}

// linkID names the nth link. A name is no secret, as what makes a link is the
// signature: so that it can follow from what is known, and drafting stays pure.
func linkID(s approval.Step, n int) string {
	return digestOf(fmt.Appendf(nil, "countersign link v1\x00%s\x00%s\x00%s\x00%s\x00%d\x00%d",
		s.Tenant, s.Incident, s.Contact, s.ActionDigest, s.IssuedAt.Unix(), n))[len(digestPrefix):][:32]
}

// foldApproval takes in a step of approval that is no stage.
func (s *State) foldApproval(e Entry) error {
	if err := s.requireIncident(e); err != nil {
		return err
	}
	i := s.find(e.IncidentID)
	if e.Kind == KindRefused && i < 0 {
		return nil // of a question that is too long ago to be kept
	}
	if e.Kind != KindRefused {
		switch {
		case s.Open == nil || s.Open.ID != e.IncidentID:
			return s.notOpen(e)
		case s.Shadow:
			return &IllegalError{"a link or an approval in shadow mode", "nothing that has an effect while shadow mode is on", e.Kind}
		case i < 0 || s.questions[i].Withdrawn:
			return &IllegalError{"an approval of " + e.IncidentID + ", of which nothing was asked", KindOf(Validated) + " with metadata.approval", e.Kind}
		}
	}
	tap, _, err := e.approval()
	if err != nil {
		return err
	}
	return s.follow(i, tap)
}

// follow applies a step to a question.
func (s *State) follow(i int, tap approval.Step) error {
	r := s.questions[i].Request.Clone()
	if err := r.Apply(tap); err != nil {
		return &IllegalError{"the approval of " + r.Incident + " is not legal", "", clean(err.Error(), maxPhrase)}
	}
	q := *s.questions[i]
	q.Request = r
	s.replace(i, &q)
	return nil
}

func (s *State) replace(i int, q *Asked) {
	s.questions = append([]*Asked(nil), s.questions...)
	s.questions[i] = q
}

// foldQuestion does to the open incident's question what the entry of a stage
// does, before the stage is taken. from is the stage that it leaves.
func (s *State) foldQuestion(from Stage, e Entry) error {
	i := s.find(e.IncidentID)
	tap, ok, err := e.approval()
	switch {
	case err != nil:
		return err
	case e.Stage == Validated && ok:
		return s.ask(e, s.Open.Proposal, tap)
	case from != Validated:
	case e.Stage == Authorized && (i < 0 || s.questions[i].Withdrawn):
		return &IllegalError{"authorization without a question: nobody was asked about " + e.IncidentID, KindOf(Validated) + " with metadata.approval", e.Kind}
	case (e.Stage == Rejected || e.Stage == Expired) && (i < 0 || s.questions[i].Withdrawn):
		return &IllegalError{e.IncidentID + " is " + string(e.Stage) + ", and nothing was asked", KindOf(Recovered), e.Kind}
	case i < 0:
		return nil
	case e.Stage == Expired:
		if q := s.questions[i]; e.Time.Before(q.DecideBy) {
			return &IllegalError{e.IncidentID + " expired too early", q.DecideBy.UTC().Format(time.RFC3339) + " or later", e.Time.UTC().Format(time.RFC3339)}
		}
		ok, tap = true, approval.Step{Kind: approval.StepExpired, At: e.Time, Tenant: e.TenantID, Incident: e.IncidentID}
	case !ok && e.Stage.Terminal():
		ok, tap = true, approval.Step{Kind: approval.StepEnded, At: e.Time, Tenant: e.TenantID, Incident: e.IncidentID, Stage: string(e.Stage)}
	}
	if !ok || i < 0 {
		return nil
	}
	return s.follow(i, tap)
}

// foldAsked begins a question about an incident that is VALIDATED, in the place of
// any other.
func (s *State) foldAsked(e Entry) error {
	switch {
	case s.Open == nil || s.Open.ID != e.IncidentID:
		return s.notOpen(e)
	case s.Open.Stage != Validated:
		return &IllegalError{"people are asked about " + e.IncidentID + " out of turn", string(Validated), string(s.Open.Stage)}
	}
	asked, _, err := e.approval()
	if err != nil {
		return err
	}
	p := e.proposal()
	if err := s.ask(e, p, asked); err != nil {
		return err
	}
	open := *s.Open
	open.Proposal = p
	s.Open = &open
	return nil
}

func needs(approvals int, risk approval.Risk) string {
	return fmt.Sprintf("%d approvals, %s risk", approvals, clean(string(risk), maxName))
}

// ask begins a question about what is proposed.
func (s *State) ask(e Entry, p *Proposal, asked approval.Step) error {
	switch {
	case s.Shadow:
		return &IllegalError{"something is asked in shadow mode", "nothing that has an effect while shadow mode is on", e.Kind}
	case p == nil || p.Digest != e.ActionDigest:
		proposed := "no action"
		if p != nil {
			proposed = p.Digest
		}
		return &IllegalError{"something else is asked about " + e.IncidentID + " than was proposed", proposed, clean(e.ActionDigest, maxName)}
	}
	if p.Approvals != asked.Quorum || p.Risk != asked.Risk {
		return &IllegalError{"the question about " + e.IncidentID + " is not of what was proposed", needs(p.Approvals, p.Risk), needs(asked.Quorum, asked.Risk)}
	}
	if err := s.checkSubmitter(e, asked); err != nil {
		return err
	}
	until, err := time.Parse(time.RFC3339Nano, e.text("decide_by"))
	if err != nil {
		return &IllegalError{"the question about " + e.IncidentID + " does not say until when it can be decided", "metadata.decide_by", ""}
	}
	q := &Asked{
		Request: new(approval.Request), Action: p.Action, Title: p.Title, DecideBy: until, Stage: Validated,
		Service: e.Service, StartedAt: s.Open.StartedAt, Reason: s.Open.Reason, Cause: s.Open.cause(), Changes: s.Open.Changes,
		Because: p.Because, Errors: errorsAlone(s.Open.Joined),
	}
	i := s.find(e.IncidentID)
	if i >= 0 {
		q.Request = followUp(s.questions[i].Request)
	}
	if err := q.Request.Apply(asked); err != nil {
		return &IllegalError{"the question about " + e.IncidentID + " is not legal", "", clean(err.Error(), maxPhrase)}
	}
	if i >= 0 {
		s.replace(i, q)
		return nil
	}
	kept := s.questions[max(0, len(s.questions)-maxQuestions+1):]
	s.questions = append(append([]*Asked(nil), kept...), q)
	return nil
}

// followUp is what a further question about an incident begins with. Links of the one
// before stay known, so that a page can say why they are void.
func followUp(before *approval.Request) *approval.Request {
	if len(before.Links) > maxKnownLinks {
		return new(approval.Request)
	}
	return before.Clone()
}

// maxKnownLinks is how many links of earlier questions about an incident stay known:
// there must be room for those of the next.
const maxKnownLinks = 128

// maxQuestions is how many of a tenant are known, the ended ones among them: as
// long as somebody may open a link that has expired.
const maxQuestions = 32

// Asked is a question that was asked, open or not. It is shared and must not be
// written to.
type Asked struct {
	// Request is what the ledger says of it.
	Request *approval.Request
	// Action and Title name what would run.
	Action, Title string
	// DecideBy is the time at which nobody is asked any more.
	DecideBy time.Time
	// Withdrawn says that shadow mode was switched on since: nothing can be decided
	// until people are asked anew.
	Withdrawn bool
	// Stage is the incident's, and what follows what its detection said.
	Stage         Stage
	Service       string
	StartedAt     time.Time
	Reason, Cause string
	Changes       []string
	// Because says in plain words why the action is proposed, or what its requester says.
	Because string
	// Errors says that what breached is about errors, and not about latency.
	Errors bool
}

// Asked is the question about an incident, nil when there is none or it is too
// long ago.
func (s State) Asked(incident string) *Asked {
	if i := s.find(incident); i >= 0 {
		return s.questions[i]
	}
	return nil
}

// Asking is the question that can be decided, nil when there is none.
func (s State) Asking() *Asked {
	if s.Open == nil || s.Open.Stage != Validated || s.Shadow {
		return nil
	}
	if q := s.Asked(s.Open.ID); q != nil && !q.Withdrawn {
		return q
	}
	return nil
}

// withdraw ends what is asked, without an end of the incident.
func (s *State) withdraw() {
	if s.Open == nil || s.Open.Stage != Validated {
		return
	}
	open := *s.Open
	open.Told = false
	s.Open = &open
	if i := s.find(open.ID); i >= 0 {
		q := *s.questions[i]
		q.Withdrawn = true
		s.replace(i, &q)
	}
}

func (s State) find(incident string) int {
	for i := len(s.questions) - 1; i >= 0; i-- {
		if s.questions[i].Request.Incident == incident {
			return i
		}
	}
	return -1
}

// staged notes the stage of the incident that a question is about.
func (s *State) staged(incident string, stage Stage) {
	if i := s.find(incident); i >= 0 {
		q := *s.questions[i]
		q.Stage = stage
		s.replace(i, &q)
	}
}

// errorsAlone says whether some of what breaches is about errors, and nothing about
// latency.
func errorsAlone(joined map[string]bool) bool {
	errors := false
	for key := range joined {
		key, _, _ = strings.Cut(key, ":")
		kind, _, _ := strings.Cut(key, "/")
		switch {
		case key == string(health.GateAbsolute)+"/"+health.TypeErrors, kind == string(health.GateBurnRate):
			errors = true
		case kind == string(health.GateAbsolute), kind == string(health.GateAdaptive), kind == string(health.GateZScore):
			return false
		}
	}
	return errors
}

// cause is what was found likely, in words.
func (o Open) cause() string { return clean(strings.Join(o.Causes, ", "), maxPhrase) }
