package incident

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// Wanted is the action that a person asks for, in the place of what the policy
// proposes.
type Wanted struct {
	By     string // the actor: "human:" and a contact
	Action string
	Digest string
	Reason string // what they gave as the reason, or empty
}

// Request drafts the entry of a contact who asks for an action of the plan while an
// incident is open: what is asked next, at the validation or, of an incident that is
// VALIDATED, at the next observation. There is no draft when they have asked for it
// already. The error is a sentence for whoever asks, and says how to mend it.
func (s State) Request(a About, plan Plan, id, action, who, reason string) ([]Draft, error) {
	chosen, err := s.requested(a, plan, id, action, who)
	if err != nil {
		return nil, err
	}
	actor, err := human(who)
	if err != nil {
		return nil, err
	}
	p := &recovery.Proposal{Action: chosen, Digest: chosen.Digest(), Because: clean(reason, maxPhrase)}
	if w := s.Open.Wanted; w != nil && w.Digest == p.Digest {
		if w.By == actor {
			return nil, nil
		}
		return nil, fmt.Errorf("%s was asked for by %s already: the page of a link says where it stands", chosen.Name, strings.TrimPrefix(w.By, humanPrefix))
	}
	st := &step{State: s.Clone(), about: a}
	e := a.entry(KindRequested, actor)
	e.IncidentID, e.Stage, e.Decision = id, s.Open.Stage, "request"
	w := &Wanted{By: actor, Action: chosen.Name, Digest: p.Digest, Reason: clean(reason, maxPhrase)}
	st.Open.Wanted = w
	d := st.proposing(e, p, w.why(), new(exhibits))
	if st.err != nil {
		return nil, st.err
	}
	d.Entry.Reason = w.Reason
	return []Draft{d}, nil
}

// requested is the action that is asked for, or why it cannot be.
func (s State) requested(a About, plan Plan, id, name, who string) (recovery.Action, error) {
	var none recovery.Action
	switch {
	case s.Open == nil || s.Open.ID != id:
		return none, fmt.Errorf("%s has ended, and only of an incident that is open an action can be asked for", id)
	case s.Open.Stage != Detected && s.Open.Stage != Proposed && s.Open.Stage != Validated:
		return none, fmt.Errorf("%s is %s: an action was authorized already, and no other is asked for until it is known whether it helped", id, s.Open.Stage)
	case s.Shadow:
		return none, errors.New("shadow mode is on, in which nobody is asked and nothing is run: countersign shadow off ends it")
	}
	actions := plan.Actions.For(s.Tenant, plan.Own)
	i := slices.IndexFunc(actions, func(a recovery.Action) bool { return a.Name == name })
	people := slices.Concat(plan.Contacts, plan.Later)
	switch {
	case len(actions) == 0:
		return none, errors.New("no action is configured for this tenant: list some under actions")
	case i < 0:
		return none, fmt.Errorf("there is no action %q: those for this tenant are %s", clean(name, maxName), listed(actions))
	case len(plan.Contacts) == 0:
		return none, errors.New("nobody can be asked: configure contacts and the public URL")
	case !slices.Contains(people, who):
		return none, fmt.Errorf("%q is no contact of this tenant, so that nobody could tell who asks from who approves: name one of %s", clean(who, maxName), strings.Join(people, ", "))
	}
	chosen := actions[i]
	if chosen.Risk == recovery.High && chosen.Approvals <= 1 && len(people) == 1 {
		return none, fmt.Errorf("%s is of high risk, and nobody but %s could approve it, who asks for it: configure another contact, or have the policy propose it", chosen.Name, who)
	}
	if by, asked := s.already(a, chosen.Digest()); asked {
		return none, fmt.Errorf("%s is what %s already: approve or reject it by a link", chosen.Name, by)
	}
	return chosen, nil
}

// already says whether an action that nobody asked for is asked about, or will be.
func (s State) already(a About, digest string) (string, bool) {
	if q := s.Asking(); q != nil {
		return "people are asked about", s.Open.Wanted == nil && q.Request.SubmittedBy == "" && q.Request.ActionDigest == digest && q.Request.PolicyDigest == a.PolicyDigest
	}
	p := s.Open.Proposal
	return "the policy proposes", s.Open.Wanted == nil && p != nil && p.Digest == digest
}

func listed(actions recovery.Catalogue) string {
	var names []string
	for _, a := range actions {
		names = append(names, a.Name)
	}
	return strings.Join(names, ", ")
}

// foldRequested notes what a person asks for.
func (s *State) foldRequested(e Entry) error {
	p := e.proposal()
	switch {
	case s.Open == nil || s.Open.ID != e.IncidentID:
		return s.notOpen(e)
	case s.Open.Stage != Detected && s.Open.Stage != Proposed && s.Open.Stage != Validated:
		return &IllegalError{"an action is asked for about " + e.IncidentID + " too late", stages([]Stage{Detected, Proposed, Validated}), string(s.Open.Stage)}
	case s.Shadow:
		return &IllegalError{"an action is asked for in shadow mode", "nothing that has an effect while shadow mode is on", e.Kind}
	case p == nil:
		return &IllegalError{"it is not said which action is asked for about " + e.IncidentID, "metadata.proposal and action_digest", ""}
	}
	open := *s.Open
	open.Wanted = &Wanted{By: e.Actor, Action: p.Action, Digest: p.Digest, Reason: clean(e.Reason, maxPhrase)}
	s.Open = &open
	return nil
}

// submitter is who asks for an action of the open incident, as an actor; empty when
// the policy does.
func (s State) submitter(digest string) string {
	if w := s.Open.Wanted; w != nil && w.Digest == digest {
		return w.By
	}
	return ""
}

// checkSubmitter sees to it that a question is asked in the name of who has asked
// for the action, and of nobody else: who approves is compared with that.
func (s State) checkSubmitter(e Entry, asked approval.Step) error {
	if by := s.submitter(e.ActionDigest); by != asked.SubmittedBy {
		return &IllegalError{"the question about " + e.IncidentID + " is not in the name of who asked for the action", orPolicy(by), clean(orPolicy(asked.SubmittedBy), maxName)}
	}
	return nil
}

func orPolicy(actor string) string {
	if actor == "" {
		return ActorPolicy
	}
	return actor
}

// wanted is what a person asks for, nil when nobody does or the catalogue does not
// have it any more, and why.
func (st *step) wanted() (*recovery.Proposal, string) {
	w := st.Open.Wanted
	if w == nil {
		return nil, ""
	}
	action, there := st.o.Plan.Actions.Find(w.Digest)
	if !there {
		return nil, ""
	}
	return &recovery.Proposal{Action: action, Digest: w.Digest, Because: w.Reason}, w.why()
}

// why says it as a proposal's reason.
func (w Wanted) why() string {
	text := w.Action + " is asked for by " + strings.TrimPrefix(w.By, humanPrefix)
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return text
}

// overdue says whether a person asks for something else than is asked.
func (st *step) overdue(q *Asked) bool {
	p, _ := st.wanted()
	return p != nil && (q == nil || q.Request.ActionDigest != p.Digest || q.Request.SubmittedBy != st.Open.Wanted.By)
}
