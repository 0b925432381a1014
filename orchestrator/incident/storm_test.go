package incident

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// stormScene is a service of 40 requests a second, of which three times as many come at
// last and most fail, with an action that sheds load behind one that restarts.
func stormScene(t *testing.T) (*scene, func(requests, errors uint64) []Entry) {
	s := newScene(t)
	shedding := shed
	shedding.Shed, shedding.Gates = true, nil
	s.plan = Plan{Actions: recovery.Catalogue{restart, shedding}, Own: true, Contacts: []string{"ana", "ben"}, Patience: approval.LinkLife}
	s.switchShadow(false)
	var state policy.State
	tick := func(requests, errors uint64) []Entry {
		s.pass(5 * time.Second)
		ms := 40.0
		o := s.observation()
		o.Before = state
		o.Input.Measurement = health.Measurement{UnixMilli: s.now.UnixMilli(), Window: health.WindowFigures{
			SpanSeconds: 5, P95MS: &ms, Samples: requests, Requests: requests, ServerErrors: errors,
		}, Tick: health.Tick{UnixMilli: s.now.UnixMilli(), Samples: requests, P50MS: ms, P95MS: ms, MaxMS: ms, Requests: requests, Ended: requests, Errors: errors}}
		state, o.Decision = policy.Decide(state, o.Input, s.policy)
		o.After = state
		return s.step(o)
	}
	for range 30 {
		tick(200, 0)
	}
	return s, tick
}

// replayed repeats the open or last incident from its evidence, with a change of its
// entries.
func (s *scene) replayed(change func(*Entry)) Replayed {
	s.t.Helper()
	var entries []Indexed
	for _, e := range s.entries {
		if e.Entry.IncidentID == s.state.incidents[len(s.state.incidents)-1].String() {
			change(&e.Entry)
			entries = append(entries, e)
		}
	}
	c, err := NewCase(entries)
	if err != nil {
		s.t.Fatal(err)
	}
	return Replay(c, func(sum [32]byte) ([]byte, error) {
		if blob, ok := s.blobs[fmt.Sprintf("%x", sum)]; ok && sha256.Sum256(blob) == sum {
			return blob, nil
		}
		return nil, fmt.Errorf("there is no blob %x", sum)
	})
}

// TestStormShedsBeforeItRestarts: what sheds load is proposed first in a retry storm,
// and a replay decides it again.
func TestStormShedsBeforeItRestarts(t *testing.T) {
	s, tick := stormScene(t)
	tick(600, 500) // detected
	got := tick(600, 500)
	if last := got[len(got)-1]; last.Kind != KindOf(Proposed) || last.Metadata["proposal"].(map[string]any)["action"] != "shed" || last.Metadata["load"] == nil {
		t.Errorf("%+v", last)
	}
	for range 5 {
		got = tick(600, 500)
	}
	s.wants("validated", got, KindOf(Validated), KindOffered, KindOffered, KindEffectDue, KindEffectDue)
	if q := s.state.Asking(); q.Action != "shed" || !strings.Contains(got[3].text("text"), "retry storm") {
		t.Errorf("%+v, %s", q, got[3].text("text"))
	}
	again := s.replayed(func(*Entry) {}) // without a histogram, which this scene has none of
	if i := slices.IndexFunc(again.Steps, func(s ReplayedStep) bool { return s.Kind == KindOf(Proposed) }); again.Outcome == Differs || !again.Steps[i].Decided || again.Steps[i].Outcome != Same {
		t.Errorf("%+v", again)
	}
	forged := func(e *Entry) {
		if load, ok := e.Metadata["load"].(map[string]any); ok {
			load["goodput"] = 1.0
		}
	}
	if r := s.replayed(forged); r.Outcome != Differs {
		t.Errorf("a load that was not so: %+v", r)
	}
}

// TestNoStormRestarts: without more requests than usual it is the restart.
func TestNoStormRestarts(t *testing.T) {
	s, tick := stormScene(t)
	tick(200, 150)
	tick(200, 150)
	if p := s.state.Open.Proposal; p == nil || p.Action != "restart" {
		t.Errorf("%+v", p)
	}
	storm := func(e *Entry) {
		if p, ok := e.Metadata["proposal"].(map[string]any); ok {
			p["retry_storm"] = true
		}
	}
	if r := s.replayed(storm); r.Outcome != Differs {
		t.Errorf("a storm that was none: %+v", r)
	}
}
