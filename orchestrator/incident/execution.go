package incident

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

const (
	// authorizationLife is how long an authorization may wait to be carried out,
	// as after a crash: what a person saw must still be so.
	authorizationLife = 5 * time.Minute
	// maxRuns is how many are known; the longest cool-down is 7 days.
	maxRuns = 256
	// maxEffects is how many effects one receipt may be of.
	maxEffects = 16
	maxAction  = 64 << 10
	// decisionLapse is the decision of an EXPIRED entry that is not for want of time.
	decisionLapse = "lapse"
	maxRequest    = 64 << 10
)

// Run is an action that was run: what the ledger says of one execution.
type Run struct {
	Incident, Action, ActionDigest string
	// Key is the idempotency key, RequestDigest what was sent with it.
	Key, RequestDigest string
	// At is when it was entered, right before the first try.
	At    time.Time
	Watch time.Duration // how long it has to have its effect
	// Due is the entry that made it due; Ordered says that there is one.
	Due     uint64
	Ordered bool
	// Outcome is that of its receipt, empty while there is none.
	Outcome recovery.Outcome
	// Vars are those that it was, and must be, run with.
	Vars recovery.Vars
}

// execution is what an EXECUTED entry says of it.
type execution struct {
	Action        string    `json:"action"`
	Key           string    `json:"key"`
	RequestDigest string    `json:"request_digest"`
	WatchSeconds  float64   `json:"watch_seconds"`
	Variables     variables `json:"variables"`
}

// variables are recovery.Vars as an entry has them.
type variables struct {
	IncidentID string    `json:"incident_id"`
	Tenant     string    `json:"tenant"`
	Service    string    `json:"service"`
	Approver   string    `json:"approver"`
	Requester  string    `json:"requester"`
	Reason     string    `json:"reason"`
	Cause      string    `json:"cause"`
	Time       time.Time `json:"time"`
}

func (e Entry) execution() execution {
	var x execution
	data, err := json.Marshal(e.Metadata["execution"])
	if err != nil || json.Unmarshal(data, &x) != nil {
		return execution{}
	}
	return x
}

// began notes a run, whose entry is legal.
func (s *State) began(e Entry) {
	x := e.execution()
	watch := time.Duration(0)
	if x.WatchSeconds > 0 && x.WatchSeconds < float64(1<<20) {
		watch = seconds(x.WatchSeconds)
	}
	kept := s.Runs[max(0, len(s.Runs)-maxRuns+1):]
	s.Runs = append(slices.Clone(kept), Run{
		Incident: e.IncidentID, Action: clean(x.Action, maxName), ActionDigest: e.ActionDigest, Key: x.Key,
		RequestDigest: x.RequestDigest, At: e.Time, Watch: watch, Vars: recovery.Vars(x.Variables),
	})
}

// run is the last run, nil when it is not that of the incident.
func (s State) run(incident string) *Run {
	if n := len(s.Runs); n > 0 && s.Runs[n-1].Incident == incident {
		return &s.Runs[n-1]
	}
	return nil
}

// setRun replaces the last run.
func (s *State) setRun(r Run) {
	s.Runs = slices.Clone(s.Runs)
	s.Runs[len(s.Runs)-1] = r
}

// foldDue notes an effect that is due.
func (s *State) foldDue(index uint64, e Entry) error {
	if e.text("effect") == Execution {
		r := s.run(e.IncidentID)
		if r == nil || s.Open == nil || s.Open.Stage != Executed || r.Ordered || r.Key != e.text("key") || r.ActionDigest != e.ActionDigest {
			return &IllegalError{"an execution is due that is not the one of " + e.IncidentID, "one, right after " + KindOf(Executed) + ", with its key and digest", clean(e.text("key"), maxName)}
		}
		ordered := *r
		ordered.Ordered, ordered.Due = true, index
		s.setRun(ordered)
		return nil
	}
	if index > 0 {
		s.effects = append(s.effects, index)
	}
	return nil
}

// effects are the entries that a receipt is of.
func (e Entry) effects() ([]uint64, bool) {
	list, _ := e.Metadata["effect_indices"].([]any)
	if len(list) == 0 || len(list) > maxEffects {
		return nil, false
	}
	var out []uint64
	for _, item := range list {
		n, ok := item.(float64)
		if !ok || n < 0 || n != math.Trunc(n) || n > 1<<53 {
			return nil, false
		}
		out = append(out, uint64(n))
	}
	return out, true
}

// foldReceipt compares a receipt with what is due.
func (s *State) foldReceipt(e Entry) error {
	if e.IncidentID != "" {
		if err := s.requireIncident(e); err != nil {
			return err
		}
	}
	of, _ := e.effects()
	if e.text("effect") == Execution {
		return s.foldOutcome(e, of)
	}
	for _, index := range of {
		if _, due := slices.BinarySearch(s.effects, index); !due {
			return &IllegalError{"a receipt of an effect that was not due", "the entry of an earlier " + KindEffectDue, fmt.Sprintf("entry %d", index)}
		}
	}
	return nil
}

// foldOutcome takes in the receipt of an execution.
func (s *State) foldOutcome(e Entry, of []uint64) error {
	r := s.run(e.IncidentID)
	switch {
	case r == nil || !r.Ordered || len(of) != 1 || of[0] != r.Due || e.text("key") != r.Key || e.ActionDigest != r.ActionDigest:
		return &IllegalError{"a receipt of an execution that was not due", "that of the last " + KindOf(Executed) + ", with its key and digest", clean(e.text("key"), maxName)}
	case r.Outcome != "":
		return &IllegalError{"a second receipt of the execution of " + e.IncidentID, "one", string(r.Outcome)}
	}
	done := *r
	switch o := recovery.Outcome(e.text("outcome")); o {
	case recovery.Accepted, recovery.Refused, recovery.Unsent, recovery.Unknown:
		done.Outcome = o
	default:
		return &IllegalError{"the receipt of an execution does not say what became of it", "accepted, refused, unsent or unknown", clean(e.text("outcome"), maxName)}
	}
	s.setRun(done)
	return nil
}

// Pending is the run that has no receipt, nil when there is none.
func (s State) Pending() *Run {
	if n := len(s.Runs); n > 0 && s.Runs[n-1].Ordered && s.Runs[n-1].Outcome == "" {
		return &s.Runs[n-1]
	}
	return nil
}

// Carry drafts what follows for an incident that is AUTHORIZED: its EXECUTED entry
// with the effect that makes the execution due, which must be durable before
// anything is sent; or its EXPIRED entry, when what was authorized is not so any
// more. None follow while the service has recovered, or of any other stage. n are
// the circumstances now.
func (s State) Carry(a About, c recovery.Catalogue, n approval.Circumstances) ([]Draft, error) {
	if s.Open == nil || s.Open.Stage != Authorized {
		return nil, nil
	}
	q := s.Asked(s.Open.ID)
	if q == nil {
		return nil, &IllegalError{"nobody was asked about " + s.Open.ID, "", ""}
	}
	a.Time = n.Time
	st := &step{State: s.Clone(), about: a}
	action, there := c.Find(s.Open.ActionDigest)
	switch {
	case s.Shadow || n.Shadow:
		st.lapse("shadow mode was switched on after it was authorized")
	case !there:
		st.lapse("the action " + q.Action + " was changed or taken out of the catalogue after it was authorized")
	case n.PolicyDigest != q.Request.PolicyDigest:
		st.lapse("the policy was changed after it was authorized")
	case n.Time.Sub(s.Open.StageAt) > authorizationLife:
		st.lapse(fmt.Sprintf("it was not run within %s of its authorization", authorizationLife))
	case n.Recovered:
	default:
		st.execute(action, q)
	}
	return st.drafts, st.err
}

// lapse ends an incident whose authorization is not good any more.
func (st *step) lapse(why string) {
	e := st.about.entry(KindOf(Expired), ActorPolicy)
	e.IncidentID, e.Stage, e.Decision, e.ActionDigest = st.Open.ID, Expired, decisionLapse, st.Open.ActionDigest
	e.Reason = clean("nothing was run: "+why, maxReason)
	service := e.Service
	st.emit(Draft{Entry: e})
	st.emit(st.tell(e, notice(EventNotRun, "%s: %s Incident %s.", service, sentence(e.Reason), e.IncidentID)))
}

// execute drafts an execution.
func (st *step) execute(action recovery.Action, q *Asked) {
	r := q.Request
	v := recovery.Vars{
		IncidentID: r.Incident, Tenant: st.Tenant, Service: q.Service, Requester: requester(r.SubmittedBy), Reason: clean(q.Reason, maxPhrase), Cause: q.Cause,
		Approver: strings.Join(approvers(r), ", "), Time: st.Open.StageAt.UTC().Truncate(time.Second),
	}
	key := recovery.Key(r.Incident, r.ActionDigest)
	request := action.Request(v, key)
	e := st.about.entry(KindOf(Executed), ActorExecutor)
	e.IncidentID, e.Stage, e.Decision, e.ActionDigest = r.Incident, Executed, "execute", r.ActionDigest
	e.Reason = clean(fmt.Sprintf("%s is run now, as authorized by %s", action.Name, v.Approver), maxReason)
	e.Metadata["execution"] = execution{
		Action: action.Name, Key: key, RequestDigest: digestOf(request), WatchSeconds: action.Watch.Seconds(), Variables: variables(v),
	}.member()
	var x exhibits
	x.add(RequestFile, request, maxRequest)
	x.add(ActionFile, action.Canonical(), maxAction)
	st.emit(x.attach(e))

	due := st.tell(e, message{effect: Execution, event: EventExecution, text: fmt.Sprintf("%s: %s is run for the incident %s.", e.Service, action.Name, e.IncidentID)})
	due.Entry.Metadata["key"] = key
	st.emit(due)
}

// member is the execution as an entry has it.
func (x execution) member() map[string]any {
	data, err := json.Marshal(x)
	var m map[string]any
	if err != nil || json.Unmarshal(data, &m) != nil {
		return nil // which no entry is taken with
	}
	return m
}

// requester names who asked for the action, an actor or empty.
func requester(submittedBy string) string {
	return strings.TrimPrefix(orPolicy(submittedBy), humanPrefix)
}

func approvers(r *approval.Request) []string {
	var out []string
	for _, a := range r.Approvals {
		out = append(out, a.Contact)
	}
	return out
}

// Variables are those that a question's action is shown with, before anybody has
// authorized it.
func (q *Asked) Variables() recovery.Vars {
	r := q.Request
	return recovery.Vars{
		IncidentID: r.Incident, Tenant: r.Tenant, Service: q.Service, Requester: requester(r.SubmittedBy), Reason: clean(q.Reason, maxPhrase), Cause: q.Cause,
	}
}

// Executed drafts the receipt of the execution that is pending, and what follows
// from it at once: FAILED when it was refused or could not be sent, and a message
// to people then, or when it is not known what became of it.
func (s State) Executed(a About, r recovery.Receipt) ([]Draft, error) {
	run := s.Pending()
	if run == nil || run.Key != r.Key {
		return nil, &IllegalError{"a receipt of an execution that is not pending", "", clean(r.Key, maxName)}
	}
	st := &step{State: s.Clone(), about: a}
	e := a.entry(KindEffectReceipt, ActorExecutor)
	e.IncidentID, e.Decision, e.ActionDigest, e.Reason = run.Incident, string(r.Outcome), run.ActionDigest, clean(r.Note, maxReason)
	if s.Open != nil && s.Open.ID == run.Incident {
		e.Stage = s.Open.Stage
	}
	data, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(data, &e.Metadata)
	}
	if err != nil {
		return nil, fmt.Errorf("the receipt of %s cannot be written: %w", run.Action, err)
	}
	e.Metadata["effect"], e.Metadata["event"] = Execution, EventExecution
	e.Metadata["effect_index"], e.Metadata["effect_indices"] = float64(run.Due), []any{float64(run.Due)}
	e.Metadata["key"] = run.Key
	st.emit(Draft{Entry: e})
	if st.Open == nil || st.Open.ID != run.Incident || st.Open.Stage != Executed {
		return st.drafts, st.err
	}
	switch r.Outcome {
	case recovery.Refused, recovery.Unsent:
		f := a.entry(KindOf(Failed), ActorExecutor)
		f.IncidentID, f.Stage, f.Decision, f.ActionDigest = run.Incident, Failed, "fail", run.ActionDigest
		f.Reason = clean(fmt.Sprintf("%s was not run: %s", run.Action, e.Reason), maxReason)
		st.emit(Draft{Entry: f})
		st.emit(st.tell(f, notice(EventNotRun, "%s: %s Incident %s.", f.Service, sentence(f.Reason), run.Incident)))
	case recovery.Unknown:
		st.emit(st.tell(e, notice(EventUnknown, "%s: it is not known whether %s was run for the incident %s. %s Look at the other side for the key %s. The service is watched.",
			e.Service, run.Action, run.Incident, sentence(e.Reason), run.Key)))
	}
	return st.drafts, st.err
}

// notice is a message about an action, or about there being none.
func notice(event, format string, args ...any) message {
	return message{effect: Notification, event: event, text: fmt.Sprintf(format, args...)}
}

// Receipt drafts the entry of a receipt for messages: metadata are the receipt's,
// with the types that come out of JSON, actor is whose step it is.
func Receipt(a About, incident, actor, decision, reason string, metadata map[string]any) Draft {
	e := a.entry(KindEffectReceipt, actor)
	e.IncidentID, e.Decision, e.Reason, e.Metadata = incident, clean(decision, maxName), clean(reason, maxReason), metadata
	return Draft{Entry: e}
}
