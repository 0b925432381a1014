package approval

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// maxQuorum is how many people can be asked to agree.
	maxQuorum = 16
	// maxLinks bounds the links of one request, maxRefused the refusals on record:
	// whoever has a link can tap it all night.
	maxLinks   = 256
	maxRefused = 64
)

// Request is what the ledger says of one question. It is folded from steps:
// nothing else changes it. The zero value has not been asked. It is not safe for
// concurrent use.
type Request struct {
	Tenant, Incident string
	ActionDigest     string
	PolicyDigest     string
	SubmittedBy      string // "human:" and a contact, or empty
	Risk             Risk
	Quorum           int
	AskedAt          time.Time
	Links            map[string]Claims // by id
	Approvals        []Approval        // of different people
	End              *End              // nil while it can be decided

	refused map[refusal]bool
}

// Approval is one person's.
type Approval struct {
	Contact string
	LinkID  string
	At      time.Time
}

// End is how a request ended. By and LinkID are whose tap ended it, empty when it
// was none.
type End struct {
	Kind   StepKind // authorized, rejected, expired or ended
	By     string
	LinkID string
	At     time.Time
	Stage  string // of ended
}

// refusal is what is on record of a link once.
type refusal struct {
	link   string
	reason Reason
}

// Fold makes a request of its steps. The error names the step that may not be.
func Fold(steps iter.Seq[Step]) (*Request, error) {
	r := new(Request)
	n := 0
	for s := range steps {
		if err := r.Apply(s); err != nil {
			return nil, fmt.Errorf("step %d: %w", n, err)
		}
		n++
	}
	return r, nil
}

// Clone is a copy that shares nothing with r.
func (r *Request) Clone() *Request {
	c := *r
	c.Links, c.refused, c.Approvals = maps.Clone(r.Links), maps.Clone(r.refused), slices.Clone(r.Approvals)
	if r.End != nil {
		end := *r.End
		c.End = &end
	}
	return &c
}

// Expires is when the last of the links does, zero when there is none.
func (r *Request) Expires() time.Time {
	var last time.Time
	for _, l := range r.Links {
		if l.ExpiresAt.After(last) {
			last = l.ExpiresAt
		}
	}
	return last
}

// Apply takes in a step that was recorded. One that may not be is an error and
// changes nothing: an approval without its link, an authorization without its
// quorum, anything after the end.
func (r *Request) Apply(s Step) error {
	if s.At.IsZero() {
		return fmt.Errorf("the step %q has no time", s.Kind)
	}
	if s.Kind == StepAsked {
		return r.ask(s)
	}
	switch {
	case r.Quorum == 0:
		return fmt.Errorf("%s before anything was asked", s.Kind)
	case s.Tenant != r.Tenant || s.Incident != r.Incident:
		return fmt.Errorf("%s is of another incident than %s", s.Kind, r.Incident)
	case s.Kind == StepRefused:
		r.note(s)
		return nil
	case r.End != nil:
		return fmt.Errorf("%s after it was %s", s.Kind, r.End.Kind)
	}
	switch s.Kind {
	case StepOffered:
		return r.offer(s)
	case StepApproved, StepAuthorized, StepRejected:
		return r.tap(s)
	case StepExpired:
		if r.Links == nil || s.At.Before(r.Expires()) {
			return errors.New("it expired while a link was good, or before there was one")
		}
	case StepEnded:
	default:
		return fmt.Errorf("%q is no step of a request", s.Kind)
	}
	r.End = &End{Kind: s.Kind, At: s.At, Stage: s.Stage}
	return nil
}

// ask takes in the question. Asked anew, it is another question: what was
// approved before counts for nothing.
func (r *Request) ask(s Step) error {
	switch {
	case s.Tenant == "" || s.Incident == "" || s.ActionDigest == "" || s.PolicyDigest == "":
		return errors.New("what is asked must name a tenant, an incident, an action and a policy")
	case s.Quorum < 1 || s.Quorum > maxQuorum:
		return fmt.Errorf("%d approvals are asked for: it must be 1 to %d", s.Quorum, maxQuorum)
	case !s.Risk.known():
		return fmt.Errorf("the risk is %q: it must be %s, %s or %s", s.Risk, Low, Medium, High)
	case r.End != nil:
		return fmt.Errorf("asked after it was %s", r.End.Kind)
	case r.Quorum != 0 && (s.Tenant != r.Tenant || s.Incident != r.Incident):
		return fmt.Errorf("asked for another incident than %s", r.Incident)
	}
	r.Tenant, r.Incident, r.ActionDigest, r.PolicyDigest = s.Tenant, s.Incident, s.ActionDigest, s.PolicyDigest
	r.SubmittedBy, r.Risk, r.Quorum, r.AskedAt = s.SubmittedBy, s.Risk, s.Quorum, s.At
	r.Approvals = nil
	return nil
}

func (r *Request) offer(s Step) error {
	c := s.Claims()
	if err := c.check(); err != nil {
		return err
	}
	if _, there := r.Links[c.ID]; there {
		return errors.New("two links have one id")
	}
	if len(r.Links) == maxLinks {
		return fmt.Errorf("there are more than %d links", maxLinks)
	}
	if c.ActionDigest != r.ActionDigest || c.PolicyDigest != r.PolicyDigest {
		return errors.New("a link is offered for something else than was asked")
	}
	if r.Links == nil {
		r.Links = map[string]Claims{}
	}
	r.Links[c.ID] = c
	return nil
}

// tap takes in what a person decided.
func (r *Request) tap(s Step) error {
	link, ok := r.Links[s.LinkID]
	switch {
	case !ok || link.Contact != s.Contact:
		return fmt.Errorf("%s by %q without a link of theirs", s.Kind, s.Contact)
	case !s.At.Before(link.ExpiresAt):
		return fmt.Errorf("%s by a link that had expired", s.Kind)
	case link.ActionDigest != r.ActionDigest || link.PolicyDigest != r.PolicyDigest:
		return fmt.Errorf("%s by a link for something else than is asked", s.Kind)
	}
	if s.Kind == StepRejected {
		r.End = &End{Kind: StepRejected, By: s.Contact, LinkID: s.LinkID, At: s.At}
		return nil
	}
	last := len(r.Approvals)+1 >= r.Quorum
	switch {
	case r.approved(s.Contact):
		return fmt.Errorf("%q approves twice", s.Contact)
	case r.alone(s.Contact):
		return fmt.Errorf("%q asked for an action of high risk, and nobody else approves it", s.Contact)
	case last != (s.Kind == StepAuthorized):
		return fmt.Errorf("%s with %d of %d approvals", s.Kind, len(r.Approvals)+1, r.Quorum)
	}
	approvals := append(slices.Clone(r.Approvals), Approval{s.Contact, s.LinkID, s.At})
	if last {
		if s.ActionDigest != r.ActionDigest || s.PolicyDigest != r.PolicyDigest {
			return errors.New("something else is authorized than was asked")
		}
		if !slices.Equal(s.Approvers, contacts(approvals)) {
			return fmt.Errorf("authorized by %q, and %q approved", s.Approvers, contacts(approvals))
		}
		r.End = &End{Kind: StepAuthorized, By: s.Contact, LinkID: s.LinkID, At: s.At}
	}
	r.Approvals = approvals
	return nil
}

func (r *Request) note(s Step) {
	if r.refused == nil {
		r.refused = map[refusal]bool{}
	}
	if len(r.refused) < maxRefused {
		r.refused[refusal{s.LinkID, s.Reason}] = true
	}
}

// approved says whether a person is among those who approved.
func (r *Request) approved(contact string) bool {
	return slices.ContainsFunc(r.Approvals, func(a Approval) bool { return samePerson(a.Contact, contact) })
}

// alone says whether an action of high risk would be approved by nobody but who
// asked for it.
func (r *Request) alone(contact string) bool {
	if r.Risk != High || r.Quorum > 1 || r.SubmittedBy == "" {
		return false
	}
	return samePerson(r.SubmittedBy, contact)
}

// samePerson compares contacts as people read them, with or without what an
// entry's actor has before a person's name.
func samePerson(a, b string) bool { return strings.EqualFold(bare(a), bare(b)) }

func bare(contact string) string {
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(contact), "human:"))
}

func contacts(list []Approval) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.Contact)
	}
	return out
}
