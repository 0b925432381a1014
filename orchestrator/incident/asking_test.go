package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// restart and shed are actions; the first needs two people.
var (
	restart = recovery.Action{
		Name: "restart", Title: "Restart the service", URL: "https://ops.example/restart", Method: "POST", Unsigned: true,
		Body: `{"incident":"{{incident_id}}","by":"{{approver}}","at":"{{time}}"}`, Timeout: time.Second,
		Risk: recovery.Low, Approvals: 2, Gates: []string{"*"}, CoolDown: 10 * time.Minute, Watch: 2 * time.Minute,
	}
	shed = recovery.Action{
		Name: "shed", Title: "Shed load", URL: "https://ops.example/shed", Method: "POST", Unsigned: true, Timeout: time.Second,
		Risk: recovery.Medium, Approvals: 1, Gates: []string{"*"}, CoolDown: 10 * time.Minute, Watch: time.Minute, Idempotent: true,
	}
)

// liveScene is live, with actions and two people to ask.
func liveScene(t testing.TB, actions ...recovery.Action) *scene {
	s := newScene(t)
	s.plan = Plan{Actions: actions, Own: true, Contacts: []string{"ana", "ben"}, Patience: approval.LinkLife}
	s.switchShadow(false)
	return s
}

// asked is a scene in which an incident is VALIDATED and asked about.
func asked(t testing.TB, actions ...recovery.Action) *scene {
	t.Helper()
	s := liveScene(t, actions...)
	s.validated()
	return s
}

func (s *scene) validated() []Entry {
	s.t.Helper()
	var got []Entry
	for range 3 {
		got = s.step(s.breached("z_score"))
		s.pass(30 * time.Second)
	}
	if s.state.Open == nil || s.state.Open.Stage != Validated {
		s.t.Fatalf("the incident is %+v", s.state.Open)
	}
	return got
}

func (s *scene) circumstances() approval.Circumstances {
	n := approval.Circumstances{Time: s.about().Time, PolicyDigest: s.policy.Digest(), Shadow: s.state.Shadow}
	if open := s.state.Open; open != nil && open.Proposal != nil {
		n.ActionDigest = open.Proposal.Digest
	}
	return n
}

// tap has a contact decide, and returns the outcome and the entries.
func (s *scene) tap(contact string, approve bool) (approval.Outcome, []Entry) {
	s.t.Helper()
	q := s.state.questions[len(s.state.questions)-1]
	c := approval.Claims{ID: "of nobody", Contact: contact, Tenant: tenant, Incident: q.Request.Incident}
	for _, link := range q.Request.Links {
		if link.Contact == contact && link.ExpiresAt.After(c.ExpiresAt) {
			c = link
		}
	}
	o, steps := q.Request.Decide(c, approval.Verdict{Approve: approve, Reason: "not at night"}, s.circumstances())
	drafts, err := s.state.Taps(s.about(), steps)
	if err != nil {
		s.t.Fatal(err)
	}
	return o, s.take(drafts...)
}

// carry does what a docket does about an incident that is AUTHORIZED.
func (s *scene) carry() []Entry {
	s.t.Helper()
	drafts, err := s.state.Carry(s.about(), s.plan.Actions, s.circumstances())
	if err != nil {
		s.t.Fatal(err)
	}
	return s.take(drafts...)
}

func (s *scene) receive(o recovery.Outcome) []Entry {
	s.t.Helper()
	run := s.state.Pending()
	drafts, err := s.state.Executed(s.about(), recovery.Receipt{
		Action: run.Action, ActionDigest: run.ActionDigest, Key: run.Key, RequestDigest: run.RequestDigest, Outcome: o, Attempts: 1, Note: "as the test wants it",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.take(drafts...)
}

func (s *scene) wants(what string, got []Entry, want ...string) {
	s.t.Helper()
	if !slices.Equal(kinds(got), want) {
		s.t.Fatalf("%s: %v, want %v", what, kinds(got), want)
	}
}

func TestAskAuthorizeExecuteResolve(t *testing.T) {
	s := liveScene(t, restart)
	o := s.breached("z_score")
	o.Changes = []change.Change{{ID: "1", Kind: "deployment", Ref: "a1b2c3d", At: s.now}}
	s.wants("first", s.step(o), KindPolicyLoaded, KindOf(Detected), KindEffectDue)
	s.pass(5 * time.Second)
	got := s.step(s.breached("z_score"))
	s.wants("proposed", got, KindOf(Proposed))
	p, _ := got[0].Metadata["proposal"].(map[string]any)
	if p["action"] != "restart" || p["approvals"] != 2.0 || p["risk"] != "low" || !isDigest(p["preview_digest"].(string)) || got[0].ActionDigest != restart.Digest() ||
		got[0].Evidence[0].Name != ActionFile || digestPrefix+got[0].Evidence[0].SHA256 != restart.Digest() || !slices.Equal(s.state.Open.Causes, []string{"deployment"}) {
		t.Errorf("%+v", got[0])
	}
	s.pass(time.Minute)
	got = s.step(s.breached("z_score"))
	s.wants("validated", got, KindOf(Validated), KindOffered, KindOffered, KindEffectDue, KindEffectDue)
	if text := got[3].text("text"); !strings.Contains(text, "Restart is proposed: the gate z_score breaches.") || !strings.HasSuffix(text, "Nothing will run without your approval.") {
		t.Errorf("%s", text)
	}
	s.pass(10 * time.Second)
	out, got := s.tap("ben", true)
	s.wants("one of two", got, KindApproved)
	if out.Kind != approval.Waiting || len(s.carry()) != 0 {
		t.Errorf("%+v", out)
	}
	out, got = s.tap("ben", true)
	s.wants("the same again", got, KindRefused)
	if out.Reason != approval.SamePerson || got[0].Actor != "human:ben" {
		t.Errorf("%+v, %+v", out, got[0])
	}
	out, got = s.tap("ana", true)
	s.wants("two of two", got, KindOf(Authorized))
	if out.Kind != approval.Authorized || got[0].Actor != "human:ana" || got[0].ActionDigest != restart.Digest() || got[0].Reason != "approved by ben, ana" {
		t.Errorf("%+v, %+v", out, got[0])
	}
	if _, got := s.tap("ben", true); len(got) != 1 || got[0].Kind != KindRefused || got[0].Stage != Authorized {
		t.Errorf("a tap too late is %v", got)
	}
	got = s.carry()
	s.wants("carried out", got, KindOf(Executed), KindEffectDue)
	run := s.state.Pending()
	if run == nil || run.Key != recovery.Key(run.Incident, restart.Digest()) || got[1].text("key") != run.Key || run.Vars.Approver != "ben, ana" ||
		restart.Preview(run.Vars).RequestDigest != run.RequestDigest || run.Due != s.last().Index {
		t.Errorf("%+v", run)
	}
	s.restart()
	if again := s.state.Pending(); again == nil || again.Vars != run.Vars || !again.At.Equal(run.At) {
		t.Errorf("after a restart %+v, before %+v", again, run)
	}
	if got := s.carry(); len(got) != 0 {
		t.Errorf("carried out again: %v", kinds(got))
	}
	s.wants("accepted", s.receive(recovery.Accepted), KindEffectReceipt)
	s.pass(time.Minute)
	s.wants("watching", s.step(s.breached("z_score")))
	got = s.step(s.recovered())
	s.wants("healthy", got, KindOf(Resolved), KindEffectDue)
	if got[0].Actor != ActorPolicy || got[1].text("event") != EventRecovered || s.state.Open != nil || s.state.After != nil {
		t.Errorf("%+v", got)
	}
	if q := s.state.Asked(got[0].IncidentID); q == nil || q.Stage != Resolved || q.Request.End.By != "ana" {
		t.Errorf("%+v", q)
	}
	// The same action is not proposed again so soon.
	s.pass(time.Minute)
	s.step(s.breached("z_score"))
	got = s.step(s.breached("z_score"))
	if s.wants("again", got, KindOf(Proposed)); !strings.Contains(got[0].Reason, "restart was run 2m ago and is not proposed again within 10m") || got[0].ActionDigest != "" {
		t.Errorf("%+v", got[0])
	}
}

func TestWhatBecomesOfAnExecution(t *testing.T) {
	for name, c := range map[string]struct {
		outcome recovery.Outcome
		healthy bool
		receipt []string // with the receipt
		later   []string // after the watch
		said    string
	}{
		"helped":         {recovery.Accepted, true, []string{KindEffectReceipt}, []string{KindOf(Resolved), KindEffectDue}, "is resolved"},
		"did not help":   {recovery.Accepted, false, []string{KindEffectReceipt}, []string{KindOf(Failed), KindEffectDue}, "still not healthy"},
		"refused":        {recovery.Refused, false, []string{KindEffectReceipt, KindOf(Failed), KindEffectDue}, nil, "was not run: as the test wants it"},
		"unsent":         {recovery.Unsent, true, []string{KindEffectReceipt, KindOf(Failed), KindEffectDue}, []string{KindCleared, KindEffectDue}, "healthy again"},
		"unknown, well":  {recovery.Unknown, true, []string{KindEffectReceipt, KindEffectDue}, []string{KindOf(Resolved), KindEffectDue}, "is resolved"},
		"unknown, worse": {recovery.Unknown, false, []string{KindEffectReceipt, KindEffectDue}, []string{KindOf(Failed), KindEffectDue}, "still not healthy"},
	} {
		t.Run(name, func(t *testing.T) {
			s := asked(t, shed)
			s.tap("ana", true)
			s.carry()
			s.wants("the receipt", s.receive(c.outcome), c.receipt...)
			s.pass(time.Minute)
			o := s.breached("z_score")
			if c.healthy {
				o = s.recovered()
			}
			s.wants("after the watch", s.step(o), c.later...)
			if said := s.last().Entry.text("text"); !strings.Contains(said, c.said) {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestNothingIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scene)
		want   []string
		why    string
	}{
		"no action":  {func(s *scene) { s.plan.Actions = nil }, []string{KindOf(Validated), KindEffectDue}, "no action is proposed"},
		"no contact": {func(s *scene) { s.plan.Contacts = nil }, []string{KindOf(Validated), KindEffectDue}, "nobody can be asked: configure contacts and the public URL"},
		"in shadow": {func(s *scene) { s.switchShadow(true) },
			[]string{KindOf(Validated), KindEffectSuppressed, KindEffectSuppressed, KindEffectSuppressed}, "shadow mode is on"},
	} {
		t.Run(name, func(t *testing.T) {
			s := liveScene(t, shed)
			c.change(s)
			got := s.validated()
			s.wants("validated", got, c.want...)
			if got[0].text("not_asked") != c.why || s.state.Asking() != nil || got[0].ActionDigest != "" {
				t.Errorf("%+v", got[0])
			}
			if last := got[len(got)-1]; last.Kind == KindEffectSuppressed && last.text("suppressed_action") != Execution {
				t.Errorf("%+v", last)
			}
			if _, _, err := s.state.Offer(s.about(), "ana"); err == nil {
				t.Error("a link is offered")
			}
			s.pass(10 * time.Minute)
			s.wants("never expires", s.step(s.breached("z_score")))
		})
	}
}

// TestRevised: what is asked is what is proposed at the moment of asking.
func TestRevised(t *testing.T) {
	s := liveScene(t, restart)
	s.step(s.breached("z_score"))
	s.step(s.breached("z_score"))
	s.plan.Actions = recovery.Catalogue{shed}
	s.pass(time.Minute)
	got := s.step(s.breached("z_score"))
	s.wants("validated", got, KindRevised, KindOf(Validated), KindOffered, KindOffered, KindEffectDue, KindEffectDue)
	if q := s.state.Asking(); q.Request.ActionDigest != shed.Digest() || got[0].ActionDigest != shed.Digest() || got[0].Stage != Proposed {
		t.Errorf("%+v, %+v", q, got[0])
	}
}

func TestQuestionsAreForgotten(t *testing.T) {
	s := liveScene(t, shed)
	first := ""
	for range maxQuestions + 3 {
		s.validated()
		if first == "" {
			first = s.state.Open.ID
		}
		s.step(s.recovered())
	}
	if len(s.state.questions) != maxQuestions || s.state.Asked(first) != nil {
		t.Errorf("%d are kept", len(s.state.questions))
	}
	drafts, err := s.state.Taps(s.about(), []approval.Step{{Kind: approval.StepRefused, At: s.now, Tenant: tenant, Incident: first, LinkID: "x", Contact: "ana", Reason: approval.TooLate}})
	if err != nil {
		t.Fatal(err)
	}
	s.wants("a tap on one that is forgotten", s.take(drafts...), KindRefused)
}

// TestLargestQuestion: with as many contacts as there can be, of the longest names,
// and the largest action, all of it fits into one call of the ledger.
func TestLargestQuestion(t *testing.T) {
	large := shed
	large.Body, large.Title = strings.Repeat("<", 32<<10), strings.Repeat("\"", 400)
	s := liveScene(t, large)
	s.plan.Contacts = nil
	for i := range 64 {
		s.plan.Contacts = append(s.plan.Contacts, strings.Repeat("c", 60)+string(rune('a'+i/26))+string(rune('a'+i%26)))
	}
	s.step(s.breached("z_score"))
	s.step(s.breached("z_score"))
	s.plan.Actions[0].Body += ">" // it is revised, too
	s.pass(time.Minute)
	drafts, err := s.state.Step(s.breached("z_score"), s.now)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, d := range drafts {
		leaf, err := d.Entry.Leaf()
		if err != nil {
			t.Fatal(err)
		}
		total += len(leaf)
		for _, blob := range d.Blobs {
			total += len(blob)
		}
	}
	// The largest decision and window come on top.
	if total += maxDecision + maxWindow + maxRoutes + maxPolicy + maxSignals; total > 560_000 || len(drafts) != 68 {
		t.Errorf("%d bytes in %d entries", total, len(drafts))
	}
}
