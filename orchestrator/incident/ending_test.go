package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

func TestRejectedAndExpired(t *testing.T) {
	for name, end := range map[string]func(*scene) Stage{
		"rejected": func(s *scene) Stage {
			out, got := s.tap("ana", false)
			s.wants("rejected", got, KindOf(Rejected))
			if out.Kind != approval.Rejected || got[0].Reason != "not at night" {
				s.t.Errorf("%+v %+v", out, got[0])
			}
			return Rejected
		},
		"expired": func(s *scene) Stage {
			s.pass(4 * time.Minute)
			s.wants("still asked", s.step(s.breached("z_score")))
			s.pass(30 * time.Second)
			got := s.step(s.breached("z_score"))
			s.wants("expired", got, KindOf(Expired), KindEffectDue)
			if got[1].text("event") != EventExpired || !strings.Contains(got[1].text("text"), "Nobody decided about shed in time") {
				s.t.Errorf("people are told %q", got[1].text("text"))
			}
			if got[0].Actor != ActorPolicy || !strings.Contains(got[0].Reason, "nobody decided about shed in time") {
				s.t.Errorf("%+v", got[0])
			}
			return Expired
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := asked(t, shed)
			id := s.state.Open.ID
			stage := end(s)
			if out, got := s.tap("ben", true); out.Kind == approval.Authorized || len(got) != 1 || got[0].Kind != KindRefused || len(s.carry()) != 0 {
				t.Errorf("decided again: %+v %v", out, got)
			}
			if after := s.state.After; after == nil || after.ID != id || after.Stage != stage {
				t.Errorf("%+v", after)
			}
			// Nobody is asked anew about the same trouble, but about another target.
			s.pass(59 * time.Minute)
			s.wants("the same trouble", s.step(s.breached("z_score", "burn_rate")))
			other := s.state.Clone()
			if drafts, err := other.Step(s.breached("consecutive_failures:db"), s.now); err != nil || len(drafts) != 2 {
				t.Errorf("another target: %d drafts, %v", len(drafts), err)
			}
			s.pass(2 * time.Minute)
			if drafts, err := s.state.Step(s.breached("z_score"), s.now); err != nil || len(drafts) != 2 {
				t.Errorf("after an hour: %d drafts, %v", len(drafts), err)
			}
			got := s.step(s.recovered())
			s.wants("cleared", got, KindCleared, KindEffectDue)
			if got[0].IncidentID != id || got[0].Stage != stage || got[1].text("event") != EventRecovered {
				t.Errorf("%+v", got)
			}
			s.wants("and once", s.step(s.recovered()))
			s.wants("re-opened", s.step(s.breached("z_score")), KindOf(Detected), KindEffectDue)
		})
	}
}

// TestAnotherActionAfterOneThatFailed: it is asked about at once, while it would
// not be after a person said no.
func TestAnotherActionAfterOneThatFailed(t *testing.T) {
	s := asked(t, shed, restart)
	s.tap("ana", true)
	s.carry()
	s.receive(recovery.Refused)
	s.wants("opened anew", s.step(s.breached("z_score")), KindOf(Detected), KindEffectDue)
	s.step(s.breached("z_score"))
	if p := s.state.Open.Proposal; p == nil || p.Action != "restart" {
		t.Errorf("%+v", p)
	}
}

func TestAuthorizationThatLapsed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scene)
		why    string
	}{
		"another action": {func(s *scene) { s.plan.Actions = recovery.Catalogue{restart} }, "changed or taken out"},
		"another policy": {func(s *scene) { s.policy.Version = "next" }, "the policy was changed"},
		"too late":       {func(s *scene) { s.pass(authorizationLife + time.Second) }, "not run within 5m"},
		"shadow":         {func(s *scene) { s.switchShadow(true) }, "shadow mode was switched on"},
	} {
		t.Run(name, func(t *testing.T) {
			s := asked(t, shed)
			s.tap("ana", true)
			c.change(s)
			got := s.carry()
			if len(got) != 2 || got[0].Kind != KindOf(Expired) || !strings.Contains(got[0].Reason, c.why) || got[1].text("event") != EventNotRun {
				t.Errorf("%+v", got)
			}
			if s.state.Pending() != nil || len(s.state.Runs) != 0 {
				t.Error("it was run")
			}
			// People are asked anew at once: it was not they who ended it.
			if got := s.step(s.breached("z_score")); got[len(got)-2].Kind != KindOf(Detected) {
				t.Errorf("then %v", kinds(got))
			}
		})
	}
	s := asked(t, shed)
	s.tap("ana", true)
	n := s.circumstances()
	if n.Recovered = true; n.Recovered {
		if drafts, err := s.state.Carry(s.about(), s.plan.Actions, n); err != nil || len(drafts) != 0 {
			t.Errorf("recovered before it was run: %v, %v", drafts, err)
		}
	}
	s.wants("recovered", s.step(s.recovered()), KindOf(Recovered), KindEffectDue)
}

// TestTakenOutWhileAsked: a question that nobody can answer any more ends, and another
// is asked when there is one.
func TestTakenOutWhileAsked(t *testing.T) {
	s := asked(t, shed)
	s.plan.Actions = nil
	n := s.circumstances()
	n.ActionDigest = ""
	if o := s.state.Asking().Request.Stand(s.state.Asking().Request.Links[linkOf(s, "ana")], n); o.Reason != approval.OtherAction {
		t.Errorf("%+v", o)
	}
	s.wants("nothing to ask", s.step(s.breached("z_score")))
	s.pass(approval.LinkLife)
	got := s.step(s.breached("z_score"))
	if s.wants("it ends", got, KindOf(Expired), KindEffectDue); !strings.Contains(got[0].Reason, "nobody could decide about shed any more") || got[1].text("event") != EventExpired {
		t.Errorf("%+v", got)
	}
	s.wants("the same trouble", s.step(s.breached("z_score")))
	s.plan.Actions = recovery.Catalogue{restart}
	s.wants("anew", s.step(s.breached("z_score")), KindOf(Detected), KindEffectDue)
}

// anew are the entries of a question about an incident that was validated before.
var anew = []string{KindAsked, KindOffered, KindOffered, KindEffectDue}

// TestAskedAnew: what was changed while people are asked is asked at once, and what
// they were sent before is void.
func TestAskedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*scene)
		void   approval.Reason
		why    string
	}{
		"another action": {func(s *scene) { s.plan.Actions = recovery.Catalogue{restart} }, approval.OtherAction, "the action was changed, and earlier links are void: score 20"},
		"another policy": {func(s *scene) { s.policy = policy.Default(); s.policy.Version = "next" }, approval.OtherPolicy, "the policy was changed, and earlier links are void: score 20"},
	} {
		t.Run(name, func(t *testing.T) {
			s := asked(t, shed)
			old := s.state.Asking().Request.Links[linkOf(s, "ana")]
			c.change(s)
			got := s.step(s.breached("z_score"))
			if got[0].Kind == KindPolicyLoaded {
				got = got[1:]
			}
			s.wants("at once", got, anew...)
			q := s.state.Asking()
			if !strings.HasPrefix(got[0].Reason, c.why) || q == nil || q.Request.ActionDigest != s.plan.Actions[0].Digest() || got[3].text("event") != EventValidated || got[3].text("effect") != ApprovalLink {
				t.Errorf("%+v, %+v", got, q)
			}
			out, steps := q.Request.Decide(old, approval.Verdict{Approve: true}, s.circumstances())
			if out.Kind != approval.Refused || out.Reason != c.void || len(steps) != 1 || steps[0].Kind != approval.StepRefused {
				t.Errorf("the link before: %+v, %+v", out, steps)
			}
			s.wants("once", s.step(s.breached("z_score")))
			s.restart()
			for _, contact := range []string{"ana", "ben"}[:s.state.Asking().Request.Quorum] {
				if out, _ := s.tap(contact, true); out.Kind != approval.Authorized && out.Kind != approval.Waiting {
					t.Errorf("the new link: %+v", out)
				}
			}
			s.wants("run", s.carry(), KindOf(Executed), KindEffectDue)
		})
	}
}

// TestShadowWhileAsked: nothing is decided in shadow mode, and people are asked anew
// when it is switched off, without what was approved before.
func TestShadowWhileAsked(t *testing.T) {
	s := asked(t, restart)
	s.tap("ana", true)
	s.switchShadow(true)
	if out, got := s.tap("ben", true); out.Reason != approval.InShadow || len(got) != 1 || got[0].Kind != KindRefused {
		t.Errorf("%+v, %v", out, kinds(got))
	}
	s.pass(time.Hour)
	s.wants("in shadow mode", s.step(s.breached("z_score")))
	s.switchShadow(false)
	if s.state.Asking() != nil {
		t.Error("what was withdrawn is asked")
	}
	got := s.step(s.breached("z_score"))
	s.wants("live", got, anew...)
	if !strings.HasPrefix(got[0].Reason, "shadow mode was switched off: ") || len(s.state.Asking().Request.Approvals) != 0 {
		t.Errorf("%+v", got[0])
	}
	s.switchShadow(true)
	s.switchShadow(false)
	for _, e := range []Entry{got[1], {Kind: KindOf(Rejected), Stage: Rejected}} {
		if e.Kind == KindOf(Rejected) {
			e = rejection(s, got[1])
		}
		if err := s.state.Clone().Apply(0, e); err == nil {
			t.Errorf("%s of what was withdrawn", e.Kind)
		}
	}
	s.wants("not well, not breached", s.step(s.observation()))
	s.wants("recovered", s.step(s.recovered()), KindOf(Recovered), KindEffectDue)
}

// rejection is one by the link that an entry offers.
func rejection(s *scene, offered Entry) Entry {
	e := s.about().entry(KindOf(Rejected), humanPrefix+"ana")
	e.Stage, e.IncidentID, e.Metadata = Rejected, offered.IncidentID, map[string]any{"approval": offered.Metadata["approval"]}
	return e
}

// TestLiveAfterTheValidation: an incident that was validated in shadow mode is asked
// about, or at least told of, once it is live.
func TestLiveAfterTheValidation(t *testing.T) {
	s := newScene(t)
	s.plan = Plan{Actions: recovery.Catalogue{shed}, Own: true, Contacts: []string{"ana", "ben"}, Patience: approval.LinkLife}
	s.validated()
	s.wants("in shadow mode", s.step(s.breached("z_score")))
	s.switchShadow(false)
	if s.state.Asking() != nil {
		t.Error("nobody was asked yet")
	}
	s.wants("live", s.step(s.breached("z_score")), anew...)
	s.tap("ana", true)
	s.wants("run", s.carry(), KindOf(Executed), KindEffectDue)

	s = newScene(t)
	s.validated()
	s.switchShadow(false)
	got := s.step(s.breached("z_score"))
	if s.wants("told", got, KindEffectDue); got[0].text("event") != EventValidated || got[0].Stage != Validated || got[0].IncidentID != s.state.Open.ID {
		t.Errorf("%+v", got[0])
	}
	s.wants("once", s.step(s.breached("z_score")))
	s.plan = Plan{Actions: recovery.Catalogue{shed}, Own: true, Contacts: []string{"ana", "ben"}, Patience: approval.LinkLife}
	got = s.step(s.breached("z_score"))
	if s.wants("configured meanwhile", got, anew...); !strings.HasPrefix(got[0].Reason, "it can be decided now: ") {
		t.Errorf("%+v", got[0])
	}
}

// TestAskedAgainAndAgain: however often it is, there is room for the next links.
func TestAskedAgainAndAgain(t *testing.T) {
	s := asked(t, shed)
	for i := range 200 {
		s.policy = policy.Default()
		s.policy.Version = strings.Repeat("x", i+1)
		if got := s.step(s.breached("z_score")); len(got) != 5 {
			t.Fatalf("time %d: %v", i, kinds(got))
		}
	}
}

func linkOf(s *scene, contact string) string {
	for id, link := range s.state.Asking().Request.Links {
		if link.Contact == contact {
			return id
		}
	}
	return ""
}
