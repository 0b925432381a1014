package incident

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// risky is an action that its requester cannot be the only one to approve.
var risky = func() recovery.Action {
	a := shed
	a.Name, a.Title, a.Risk, a.Gates = "roll-back", "Roll back", recovery.High, []string{"burn_rate"}
	return a
}()

func (s *scene) request(action, who, reason string) []Entry {
	s.t.Helper()
	drafts, err := s.state.Request(s.about(), s.plan, s.state.Open.ID, action, who, reason)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.take(drafts...)
}

func (s *scene) mustNotRequest(action, who, want string) {
	s.t.Helper()
	id := "inc-000000-1"
	if s.state.Open != nil {
		id = s.state.Open.ID
	}
	if drafts, err := s.state.Request(s.about(), s.plan, id, action, who, ""); err == nil || !strings.Contains(err.Error(), want) {
		s.t.Errorf("%s asks for %s: %d entries, %v; want %s", who, action, len(drafts), err, want)
	}
}

// TestWhoAsksCannotApproveAlone: a person asks for another action than the policy, and
// somebody else has to approve it.
func TestWhoAsksCannotApproveAlone(t *testing.T) {
	s := asked(t, shed, risky)
	got := s.request("roll-back", "ana", "the deployment did it")
	s.wants("asked for", got, KindRequested)
	if e := got[0]; e.Actor != "human:ana" || e.Stage != Validated || e.ActionDigest != risky.Digest() || e.Reason != "the deployment did it" || e.Evidence[0].Name != ActionFile {
		t.Errorf("%+v", e)
	}
	if again := s.request("roll-back", "ana", "once more"); len(again) != 0 {
		t.Errorf("asked twice: %v", kinds(again))
	}
	s.mustNotRequest("roll-back", "ben", "was asked for by ana already")
	calm := s.observation() // neither breached nor recovered
	calm.Decision.Why = "score 71 is above 70, for 5s of 30s"
	got = s.step(calm)
	s.wants("asked anew", got, anew...)
	about, _ := got[0].Metadata["approval"].(map[string]any)
	if about["submitted_by"] != "human:ana" || about["risk"] != "high" || !strings.HasPrefix(got[0].Reason, "another action was asked for, and earlier links are void: ") {
		t.Errorf("%+v", got[0])
	}
	if text := got[3].text("text"); !strings.Contains(text, "Roll-back is asked for by ana: the deployment did it.") {
		t.Error(text)
	}
	if v := s.state.Asking().Variables(); v.Requester != "ana" {
		t.Errorf("the request would name %q", v.Requester)
	}
	if out, got := s.tap("ana", true); out.Kind != approval.Refused || out.Reason != approval.Requester || len(got) != 1 || got[0].Kind != KindRefused {
		t.Errorf("ana alone: %+v, %v", out, kinds(got))
	}
	s.pass(5 * time.Second)
	s.wants("nothing new", s.step(s.breached("z_score")))
	if out, _ := s.tap("ben", true); out.Kind != approval.Authorized {
		t.Errorf("ben: %+v", out)
	}
	s.mustNotRequest("shed", "ana", "is AUTHORIZED")
	s.carry()
	s.receive(recovery.Accepted)
	s.pass(5 * time.Second)
	s.wants("resolved", s.step(s.recovered()), KindOf(Resolved), KindEffectDue)
	s.mustNotRequest("shed", "ana", "has ended")
	if err := audited(t, entriesOf(s)); err != nil {
		t.Error(err)
	}
}

func entriesOf(s *scene) []Entry {
	var list []Entry
	for _, e := range s.entries {
		list = append(list, e.Entry)
	}
	return list
}

// TestAskedForBeforeTheValidation: what is asked for early is proposed, and asked when
// the incident is validated. Taken out of the catalogue, it is the policy's turn again.
func TestAskedForBeforeTheValidation(t *testing.T) {
	s := liveScene(t, shed, risky)
	s.step(s.breached("z_score"))
	s.request("roll-back", "ben", "")
	s.pass(5 * time.Second)
	got := s.step(s.breached("z_score"))
	if s.wants("proposed", got, KindOf(Proposed)); got[0].ActionDigest != risky.Digest() || got[0].Reason != "roll-back is asked for by ben" {
		t.Errorf("%+v", got[0])
	}
	s.pass(30 * time.Second)
	got = s.step(s.breached("z_score"))
	s.wants("validated", got, KindOf(Validated), KindOffered, KindOffered, KindEffectDue, KindEffectDue)
	if about, _ := got[0].Metadata["approval"].(map[string]any); about["submitted_by"] != "human:ben" {
		t.Errorf("%+v", got[0])
	}
	s.plan.Actions = recovery.Catalogue{shed}
	s.pass(5 * time.Second)
	got = s.step(s.breached("z_score"))
	s.wants("asked anew", got, anew...)
	if about, _ := got[0].Metadata["approval"].(map[string]any); about["submitted_by"] != nil || got[0].ActionDigest != shed.Digest() {
		t.Errorf("%+v", got[0])
	}
}

// TestAskedForAcrossShadowMode: what shadow mode has withdrawn is asked anew in the same
// name.
func TestAskedForAcrossShadowMode(t *testing.T) {
	s := asked(t, shed, risky)
	s.request("roll-back", "ana", "")
	s.step(s.breached("z_score"))
	s.switchShadow(true)
	s.mustNotRequest("shed", "ana", "shadow mode is on")
	s.switchShadow(false)
	s.pass(5 * time.Second)
	got := s.step(s.breached("z_score"))
	s.wants("asked anew", got, anew...)
	if about, _ := got[0].Metadata["approval"].(map[string]any); about["submitted_by"] != "human:ana" {
		t.Errorf("%+v", got[0])
	}
}

// TestAskedForManyTimes has two people ask for one thing and another by turns, until
// links of the first questions are forgotten: the replay forgets the same ones.
func TestAskedForManyTimes(t *testing.T) {
	s := asked(t, shed, risky)
	for i := range 12 {
		s.plan.Contacts = append(s.plan.Contacts, fmt.Sprintf("guest-%d", i))
	}
	for i := range 24 {
		s.request([]string{"roll-back", "shed"}[i%2], "ana", "")
		s.pass(5 * time.Second)
		s.wants("asked anew", s.step(s.breached("z_score"))[:1], KindAsked)
	}
	links := 0
	for _, e := range entriesOf(s) {
		if e.Kind == KindOffered {
			links++
		}
	}
	if links < 257 {
		t.Fatalf("only %d links", links)
	}
	for _, step := range s.replayed(func(*Entry) {}).Steps {
		for _, d := range step.Differences {
			if d.Field == "approval" {
				t.Errorf("entry %d: %s", step.Index, d.Replayed)
			}
		}
	}
}

// TestAskedForByAnother: while a wish is not asked about yet, another may still wish for
// what people are asked about now.
func TestAskedForByAnother(t *testing.T) {
	s := asked(t, shed, risky)
	s.request("roll-back", "ana", "")
	s.request("shed", "ben", "")
	s.pass(5 * time.Second)
	got := s.step(s.breached("z_score"))
	if about, _ := got[0].Metadata["approval"].(map[string]any); got[0].Kind != KindAsked || about["submitted_by"] != "human:ben" || got[0].ActionDigest != shed.Digest() {
		t.Errorf("%+v", got[0])
	}
}

func TestErrorsAlone(t *testing.T) {
	for keys, want := range map[string]bool{
		"": false, "absolute_threshold/error_anomaly": true, "burn_rate consecutive_failures:checkout": true, "consecutive_failures:db": false,
		"absolute_threshold/error_anomaly z_score": false, "burn_rate absolute_threshold/latency_spike": false, "absolute_threshold/requests_stalled burn_rate": false,
	} {
		joined := map[string]bool{}
		for _, key := range strings.Fields(keys) {
			joined[key] = true
		}
		if got := errorsAlone(joined); got != want {
			t.Errorf("%q: %t", keys, got)
		}
	}
}

func TestWhatCannotBeAskedFor(t *testing.T) {
	other := risky
	other.Name, other.Tenant = "theirs", "else"
	s := asked(t, shed, risky, other)
	s.mustNotRequest("fix", "ana", `there is no action "fix": those for this tenant are shed, roll-back`)
	s.mustNotRequest("theirs", "ana", "there is no action")
	s.mustNotRequest("roll-back", "eve", `"eve" is no contact of this tenant`)
	s.mustNotRequest("shed", "ana", "is what people are asked about already")
	s.plan.Contacts = []string{"ana"}
	s.mustNotRequest("roll-back", "ana", "nobody but ana could approve it")
	s.plan.Later = []string{"cleo"}
	if drafts, err := s.state.Request(s.about(), s.plan, s.state.Open.ID, "roll-back", "cleo", ""); err != nil || len(drafts) != 1 {
		t.Errorf("a contact who is asked later: %v", err)
	}
	s.plan.Contacts = nil
	s.mustNotRequest("roll-back", "ana", "nobody can be asked")
	s.plan.Actions = nil
	s.mustNotRequest("roll-back", "ana", "no action is configured")

	s = liveScene(t, shed, risky)
	s.mustNotRequest("shed", "ana", "has ended")
	s.step(s.breached("z_score"))
	s.pass(5 * time.Second)
	s.step(s.breached("z_score"))
	s.mustNotRequest("shed", "ana", "is what the policy proposes already")
}
