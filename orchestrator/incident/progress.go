package incident

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// holdFor is how long the same trouble opens no new incident after one that a
// person or the time ended, unless it cleared in between: nobody is to be asked
// anew at the next tick what was answered at this one.
const holdFor = time.Hour

// incident opens one, or takes the open one a stage further.
func (st *step) incident() {
	if st.Open == nil {
		switch {
		case st.o.Decision.Breached && !st.held():
			st.detect()
		case st.After != nil && st.o.Decision.Recovered && !st.unheard():
			st.clear()
		}
		return
	}
	st.join()
	if st.Open == nil {
		return
	}
	held := heldFor(st.about.Time, st.Open.StartedAt, st.o.Input.Time, st.o.After.Service)
	recovered := st.o.Decision.Recovered && !st.unheard()
	switch {
	case st.Open.Stage == Executed:
		st.judge(recovered)
	case recovered:
		st.recover(held)
	case st.Open.Stage == Detected:
		st.propose()
	case st.Open.Stage == Proposed && st.o.Decision.Breached && held >= seconds(st.o.Policy.Incident.ValidateAfterSeconds):
		st.validate(held)
	case st.Open.Stage == Validated:
		st.standing()
	}
}

// held says whether what breaches is what the last incident left behind. Another
// target that is DOWN is not, nor is anything while there is an action to propose
// after one that failed or was changed under way.
func (st *step) held() bool {
	after := st.After
	if after == nil || st.about.Time.Sub(after.EndedAt) >= holdFor {
		return false
	}
	for _, b := range st.o.Decision.Breaches {
		if b.Target != "" && !after.Joined[keyOf(b)] {
			return false
		}
	}
	if after.Stage != Failed && !after.Undecided {
		return true
	}
	var keys []string
	for _, b := range st.o.Decision.Breaches {
		keys = append(keys, keyOf(b))
	}
	next, _ := st.choose(keys, st.o.Causes)
	return next == nil
}

// choose is the action to propose, nil when there is none, and why.
func (st *step) choose(gates, causes []string) (*recovery.Proposal, string) {
	var history []recovery.Run
	for _, r := range st.Runs {
		history = append(history, recovery.Run{Action: r.Action, At: r.At})
	}
	return recovery.Propose(st.o.Plan.Actions, recovery.Facts{
		Tenant: st.Tenant, Own: st.o.Plan.Own, At: st.about.Time, Gates: gates, Causes: causes, Load: st.load(),
	}, history)
}

// load is what the decision says of it.
func (st *step) load() *recovery.Load {
	l := st.o.Decision.Load
	if l == nil {
		return nil
	}
	return &recovery.Load{Offered: l.Offered, Goodput: l.Goodput, Baseline: l.Usual}
}

// proposal is what is proposed for the open incident.
func (st *step) proposal() (*recovery.Proposal, string) {
	if p, why := st.wanted(); p != nil {
		return p, why
	}
	causes := slices.Concat(st.o.Causes, st.Open.Causes)
	return st.choose(slices.Sorted(maps.Keys(st.Open.Joined)), causes)
}

// causesOf are the kinds of what changed, in the order of the changes.
func causesOf(changes []change.Change) []string {
	var out []string
	for _, c := range changes {
		if kind := clean(c.Kind, maxName); kind != "" && !slices.Contains(out, kind) && len(out) < keptGates {
			out = append(out, kind)
		}
	}
	return out
}

func (st *step) propose() {
	p, why := st.proposal()
	e := st.stage(Proposed)
	e.Decision = "propose"
	st.emit(st.proposing(e, p, why, st.record()))
}

// proposing puts a proposal into an entry, with what it follows from.
func (st *step) proposing(e Entry, p *recovery.Proposal, why string, from *exhibits) Draft {
	e.Reason = clean(why, maxReason)
	if p == nil {
		e.Metadata["proposal"] = map[string]any{"action": nil, "text": e.Reason}
		return Draft{Entry: e}
	}
	a := p.Action
	preview, err := marshal(a.Preview(recovery.Vars{
		IncidentID: st.Open.ID, Tenant: st.Tenant, Service: e.Service, Requester: requester(st.submitter(p.Digest)),
		Reason: clean(st.Open.Reason, maxPhrase), Cause: st.Open.cause(),
	}))
	if err != nil {
		st.err = cmp.Or(st.err, err)
	}
	e.ActionDigest = p.Digest
	e.Metadata["proposal"] = map[string]any{
		"action": clean(a.Name, maxName), "title": clean(a.Title, maxName), "text": e.Reason, "action_digest": p.Digest,
		"preview_digest": digestOf(preview), "risk": string(a.Risk), "approvals": a.Approvals,
		"retry_storm": p.Storm, "because": clean(p.Because, maxPhrase),
	}
	if p.Storm {
		e.Metadata["load"] = loadOf(st.o.Decision)
	}
	var x exhibits
	x.add(ActionFile, a.Canonical(), maxAction)
	x.list, x.blobs, x.omitted = append(x.list, from.list...), append(x.blobs, from.blobs...), append(x.omitted, from.omitted...)
	return x.attach(e)
}

// loadOf is the load as an entry has it.
func loadOf(d policy.Decision) any {
	if d.Load == nil {
		return nil
	}
	return map[string]any{"offered": d.Load.Offered, "goodput": d.Load.Goodput, "usual": d.Load.Usual}
}

func (st *step) validate(held time.Duration) {
	p, why := st.proposal()
	st.revise(p, why)
	if st.err != nil {
		return
	}
	e := st.stage(Validated)
	e.Decision = "validate"
	e.Metadata["held_seconds"] = held.Seconds()
	e.Metadata["facts"] = factsOf(st.o.Decision)
	id, asked := st.Open.ID, st.question(&e, p)
	st.emit(st.evidence().attach(e))
	if asked {
		st.offerAll()
	}
	st.emit(st.tell(e, st.o.validated(id, held, why, asked)))
	if asked || st.Shadow {
		st.emit(st.tell(e, st.o.link(id)))
	}
	if st.Shadow && p != nil {
		st.emit(st.tell(e, st.o.wouldRun(id, p.Action.Name)))
	}
}

// revise records that another action is proposed than before, as when the
// catalogue was changed or another gate joined.
func (st *step) revise(p *recovery.Proposal, why string) {
	before, now := "", ""
	if st.Open.Proposal != nil {
		before = st.Open.Proposal.Digest
	}
	if p != nil {
		now = p.Digest
	}
	if before == now {
		return
	}
	e := st.stage(Proposed)
	e.Kind, e.Decision = KindRevised, "revise"
	st.emit(st.proposing(e, p, why, st.record()))
}

// question makes the entry of a validation ask whether the action may run. It is
// false, and the entry says why, when nothing is asked.
func (st *step) question(e *Entry, p *recovery.Proposal) bool {
	switch {
	case p == nil:
		e.Metadata["not_asked"] = "no action is proposed"
	case st.Shadow:
		e.Metadata["not_asked"] = "shadow mode is on"
	case len(st.o.Plan.Contacts) == 0:
		e.Metadata["not_asked"] = "nobody can be asked: configure contacts and the public URL"
	default:
		e.ActionDigest = p.Digest
		e.Metadata["decide_by"] = st.about.Time.Add(max(st.o.Plan.Patience, approval.LinkLife)).UTC().Format(time.RFC3339Nano)
		err := e.noting(approval.Step{
			Kind: approval.StepAsked, SubmittedBy: st.submitter(p.Digest), Risk: approval.Risk(p.Action.Risk), Quorum: p.Action.Approvals,
		})
		st.err = cmp.Or(st.err, err)
		return err == nil
	}
	return false
}

// offerAll offers a link to everybody who is asked at once.
func (st *step) offerAll() {
	for _, contact := range st.o.Plan.Contacts {
		if st.err != nil {
			return
		}
		d, _, err := st.Offer(st.about, contact)
		if st.err = err; err == nil {
			st.emit(d)
		}
	}
}

// standing looks after an incident that is VALIDATED: people are asked about what is
// so now, or have been told that there is nothing to ask, or it expires.
func (st *step) standing() {
	q := st.Asking()
	if st.Shadow || q != nil && st.stands(q) || !st.o.Decision.Breached && !st.overdue(q) {
		st.expire(q)
		return
	}
	p, why := st.proposal()
	switch {
	case p != nil && len(st.o.Plan.Contacts) > 0:
		st.ask(st.askedBecause(q), p, why)
	case q != nil:
		st.expire(q)
	case !st.Open.Told:
		e := st.stage(Validated)
		e.Metadata = nil
		st.emit(st.tell(e, st.o.validated(st.Open.ID, st.about.Time.Sub(st.Open.StartedAt), why, false)))
	}
}

// stands says whether what is asked is still what would be run, by the policy that
// asked it.
func (st *step) stands(q *Asked) bool {
	_, there := st.o.Plan.Actions.Find(q.Request.ActionDigest)
	return there && q.Request.PolicyDigest == st.about.PolicyDigest && !st.overdue(q)
}

// askedBecause is why people are asked later than at the validation, or again.
func (st *step) askedBecause(q *Asked) string {
	switch {
	case q == nil && !st.Open.Told:
		return "shadow mode was switched off"
	case st.overdue(q) && q == nil:
		return "an action was asked for"
	case st.overdue(q):
		return "another action was asked for, and earlier links are void"
	case q == nil:
		return "it can be decided now"
	case q.Request.PolicyDigest != st.about.PolicyDigest:
		return "the policy was changed, and earlier links are void"
	}
	return "the action was changed, and earlier links are void"
}

// ask asks about an incident that was validated before.
func (st *step) ask(because string, p *recovery.Proposal, why string) {
	e := st.stage(Validated)
	e.Kind, e.Decision = KindAsked, "ask"
	d := st.proposing(e, p, why, st.evidence())
	if !st.question(&d.Entry, p) {
		return
	}
	d.Entry.Reason, d.Entry.Metadata["facts"] = clean(because+": "+st.o.Decision.Why, maxReason), factsOf(st.o.Decision)
	st.emit(d)
	st.offerAll()
	st.emit(st.tell(d.Entry, st.o.asked(st.Open.ID, because, why)))
}

// expire ends an incident about which nobody has decided in time.
func (st *step) expire(q *Asked) {
	if q == nil || st.about.Time.Before(q.DecideBy) || len(q.Request.Expire(st.about.Time)) == 0 {
		return
	}
	e := st.stage(Expired)
	e.Decision, e.ActionDigest = "expire", q.Request.ActionDigest
	e.Reason = clean(fmt.Sprintf("nobody decided about %s in time: %d of %d approvals were given, and nothing was run",
		q.Action, len(q.Request.Approvals), q.Request.Quorum), maxReason)
	if _, there := st.o.Plan.Actions.Find(q.Request.ActionDigest); !there || q.Request.PolicyDigest != st.about.PolicyDigest {
		e.Decision = decisionLapse
		e.Reason = clean(fmt.Sprintf("nobody could decide about %s any more: it or the policy was changed after people were asked, and nothing was run", q.Action), maxReason)
	}
	id := st.Open.ID
	st.emit(Draft{Entry: e})
	st.emit(st.tell(e, notice(EventExpired, "%s: %s Incident %s. %s",
		st.o.Service, sentence(e.Reason), id, sentence(clean(st.o.Decision.Why, maxReason/4)))))
}

// judge ends an incident whose action was run, when it is known what came of it.
func (st *step) judge(healthy bool) {
	run := st.run(st.Open.ID)
	if run == nil {
		return
	}
	result, why := recovery.Action{Name: run.Action, Watch: run.Watch}.Judge(run.At, st.about.Time, healthy)
	if result == recovery.Watching {
		return
	}
	to, decision := Resolved, "resolve"
	if result == recovery.Failed {
		to, decision = Failed, "fail"
	}
	e := st.stage(to)
	if to == Failed {
		e.Reason = clean(why, maxReason)
	}
	e.Decision, e.ActionDigest = decision, run.ActionDigest
	e.Metadata["judgement"] = clean(why, maxReason)
	e.Metadata["facts"] = factsOf(st.o.Decision)
	if run.Outcome != "" {
		e.Metadata["outcome"] = string(run.Outcome)
	}
	id := st.Open.ID
	st.emit(st.evidence().attach(e))
	if to == Resolved {
		st.emit(st.tell(e, st.o.resolved(id, why)))
		return
	}
	failed := notice(EventFailed, "%s: %s Nothing more is run without another approval: a person must look. Incident %s. %s",
		st.o.Service, sentence(why), id, sentence(clean(st.o.Decision.Why, maxReason/4)))
	failed.issue = "Nothing more runs by itself: a person must look. " + sentence(why)
	st.emit(st.tell(e, failed))
}

func (st *step) recover(lasted time.Duration) {
	e := st.stage(Recovered)
	e.Decision = "recover"
	e.Metadata["lasted_seconds"] = lasted.Seconds()
	e.Metadata["facts"] = factsOf(st.o.Decision)
	id := st.Open.ID
	st.emit(st.evidence().attach(e))
	st.emit(st.tell(e, st.o.recovered(id, lasted)))
}

// clear records that the service is healthy again after an incident that had
// ended while it was not.
func (st *step) clear() {
	after := st.After
	e := st.stage(after.Stage)
	e.Kind, e.IncidentID, e.Decision = KindCleared, after.ID, "clear"
	e.Metadata["lasted_seconds"] = st.about.Time.Sub(after.EndedAt).Seconds()
	e.Metadata["facts"] = factsOf(st.o.Decision)
	st.emit(st.evidence().attach(e))
	st.emit(st.tell(e, st.o.cleared(after.ID, after.Stage)))
}
