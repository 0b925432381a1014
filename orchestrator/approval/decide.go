package approval

import (
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Verdict is what a person decides.
type Verdict struct {
	Approve bool
	Reason  string // why not, when they say so
	// Trusted is whose diagnosis they trust, of two that differ; empty when they do not
	// say. It is recorded, and counts for nothing.
	Trusted string
}

// Circumstances are what else counts at the moment of a decision.
type Circumstances struct {
	Time time.Time
	// ActionDigest and PolicyDigest are those in force now.
	ActionDigest, PolicyDigest string
	// Recovered says that the service is healthy again, recorded or not.
	Recovered bool
	// Shadow says that shadow mode is on, Withdrawn that it was on since this was asked.
	Shadow, Withdrawn bool
}

// OutcomeKind is where a request stands for the holder of a link.
type OutcomeKind string

// The outcomes. Only the first two let something be decided.
const (
	Open       OutcomeKind = "open"       // not decided: look and decide
	Waiting    OutcomeKind = "waiting"    // this person has approved, others have to
	Authorized OutcomeKind = "authorized" // this tap was the last approval
	Rejected   OutcomeKind = "rejected"   // this tap rejected it
	Already    OutcomeKind = "already"    // it was decided before, by whom and when
	Refused    OutcomeKind = "refused"    // for a reason
	Expired    OutcomeKind = "expired"
	Recovered  OutcomeKind = "recovered" // nothing needs to run any more
)

// Outcome says where a request stands, after a tap or without one.
type Outcome struct {
	Kind OutcomeKind
	// Reason is that of a refusal. Of open and waiting it is [Requester] or
	// [SamePerson] when this person cannot approve, and may still reject.
	Reason Reason
	// Decided is StepAuthorized or StepRejected, when it is; StepExpired when nobody
	// decided in time, and not only this link has expired.
	Decided StepKind
	// By and At are who decided and when; of waiting, when this person approved.
	By string
	At time.Time
	// Approvals are how many there are, of Quorum.
	Approvals, Quorum int
}

// Stand says where the request stands for the holder of a link, whose token was
// verified. It is not in the name of anybody and changes nothing.
func (r *Request) Stand(c Claims, n Circumstances) Outcome {
	o := Outcome{Kind: Open, Approvals: len(r.Approvals), Quorum: r.Quorum}
	refuse := func(why Reason) Outcome {
		o.Kind, o.Reason = Refused, why
		return o
	}
	switch {
	case c.Tenant != r.Tenant:
		return refuse(OtherTenant)
	case c.Incident != r.Incident:
		return refuse(OtherIncident)
	case !r.Links[c.ID].same(c):
		return refuse(UnknownLink)
	case r.End != nil:
		return r.ended(o)
	case n.Recovered:
		o.Kind = Recovered
		return o
	case !n.Time.Before(c.ExpiresAt):
		o.Kind = Expired
		return o
	case c.ActionDigest != r.ActionDigest || c.ActionDigest != n.ActionDigest:
		return refuse(OtherAction)
	case c.PolicyDigest != r.PolicyDigest || c.PolicyDigest != n.PolicyDigest:
		return refuse(OtherPolicy)
	case n.Shadow:
		return refuse(InShadow)
	case n.Withdrawn:
		return refuse(Withdrawn)
	case r.approved(c.Contact):
		o.Kind, o.Reason, o.By = Waiting, SamePerson, c.Contact
		i := slices.IndexFunc(r.Approvals, func(a Approval) bool { return samePerson(a.Contact, c.Contact) })
		o.At = r.Approvals[i].At
	case r.alone(c.Contact):
		o.Reason = Requester
	}
	return o
}

// ended is where a request stands that has.
func (r *Request) ended(o Outcome) Outcome {
	o.By, o.At = r.End.By, r.End.At
	switch r.End.Kind {
	case StepAuthorized, StepRejected:
		o.Kind, o.Decided = Already, r.End.Kind
	case StepExpired:
		o.Kind, o.Decided = Expired, StepExpired
	default:
		o.Kind = Recovered
	}
	return o
}

// Decide says what a tap leads to: the outcome if the steps are recorded, which
// is then so only when they are. There is at most one step. A tap that counts for
// nothing is a step as well, once for each link and reason. A request is decided
// by the first tap whose step was recorded; whoever calls Decide sees to it that
// nothing else is recorded in between.
func (r *Request) Decide(c Claims, v Verdict, n Circumstances) (Outcome, []Step) {
	o := r.Stand(c, n)
	s := Step{At: n.Time, Tenant: r.Tenant, Incident: r.Incident, LinkID: c.ID, Contact: c.Contact}
	switch {
	case o.Kind != Open && o.Kind != Waiting:
		return o, r.refuse(s, reasonOf(o))
	case !v.Approve:
		s.Kind, s.Text = StepRejected, plain.Line(v.Reason, maxWhy)
		o.Kind, o.Reason, o.Decided = Rejected, "", StepRejected
	case o.Reason != "":
		o.Kind = Refused
		return o, r.refuse(s, o.Reason)
	case o.Approvals+1 < r.Quorum:
		s.Kind, s.Trusted = StepApproved, plain.Line(v.Trusted, maxID)
		o.Kind, o.Approvals = Waiting, o.Approvals+1
	default:
		s.Kind, s.ActionDigest, s.PolicyDigest = StepAuthorized, r.ActionDigest, r.PolicyDigest
		s.Trusted = plain.Line(v.Trusted, maxID)
		s.Approvers = append(contacts(r.Approvals), c.Contact)
		o.Kind, o.Decided, o.Approvals = Authorized, StepAuthorized, o.Approvals+1
	}
	o.By, o.At = c.Contact, n.Time
	return o, []Step{s}
}

// reasonOf is why a tap is refused, by where the request stands.
func reasonOf(o Outcome) Reason {
	switch o.Kind {
	case Already:
		return UsedUp
	case Expired:
		return TooLate
	case Recovered:
		return HasRecovered
	}
	return o.Reason
}

// Refuse is the step that says that a tap counted for nothing, when it is not on
// record for this link and reason. It is for links that were refused before
// [Request.Decide], with the claims that [Key.Verify] returned beside its error.
func (r *Request) Refuse(c Claims, why Reason, now time.Time) []Step {
	return r.refuse(Step{At: now, Tenant: r.Tenant, Incident: r.Incident, LinkID: c.ID, Contact: c.Contact}, why)
}

func (r *Request) refuse(s Step, why Reason) []Step {
	if r.Quorum == 0 || r.refused[refusal{s.LinkID, why}] || len(r.refused) == maxRefused {
		return nil
	}
	if r.End != nil && r.End.LinkID == s.LinkID && why == UsedUp {
		return nil // the second half of a double tap
	}
	s.Kind, s.Reason = StepRefused, why
	return []Step{s}
}

// Expire is the step that ends a request in which nobody has decided and every
// link has expired.
func (r *Request) Expire(now time.Time) []Step {
	if r.Quorum == 0 || r.End != nil || len(r.Links) == 0 || now.Before(r.Expires()) {
		return nil
	}
	return []Step{{Kind: StepExpired, At: now, Tenant: r.Tenant, Incident: r.Incident}}
}
