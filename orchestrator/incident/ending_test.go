package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
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
			s.wants("expired", got, KindOf(Expired))
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
			if len(got) != 2 || got[0].Kind != KindOf(Expired) || !strings.Contains(got[0].Reason, c.why) || got[1].text("event") != EventFailed {
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

// TestChangedWhileAsked: a question that nobody can answer any more ends, and
// another is asked.
func TestChangedWhileAsked(t *testing.T) {
	s := asked(t, shed)
	s.plan.Actions = recovery.Catalogue{restart}
	n := s.circumstances()
	n.ActionDigest = ""
	if o := s.state.Asking().Request.Stand(s.state.Asking().Request.Links[linkOf(s, "ana")], n); o.Reason != approval.OtherAction {
		t.Errorf("%+v", o)
	}
	s.pass(approval.LinkLife)
	got := s.step(s.breached("z_score"))
	if s.wants("it ends", got, KindOf(Expired)); !strings.Contains(got[0].Reason, "nobody could decide about shed any more") {
		t.Errorf("%+v", got[0])
	}
	s.wants("anew", s.step(s.breached("z_score")), KindOf(Detected), KindEffectDue)
}

func linkOf(s *scene, contact string) string {
	for id, link := range s.state.Asking().Request.Links {
		if link.Contact == contact {
			return id
		}
	}
	return ""
}
