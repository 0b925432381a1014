package docket

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// outside is where actions are run. Safe for concurrent use.
type outside struct {
	mu    sync.Mutex
	calls []call
	// answer is what becomes of the next; accepted when nil.
	answer func(ctx context.Context, c call) recovery.Receipt
}

type call struct {
	tenant, action, key string
	vars                recovery.Vars
}

func (o *outside) execute(ctx context.Context, tenant string, a recovery.Action, v recovery.Vars, key string) recovery.Receipt {
	c := call{tenant, a.Name, key, v}
	o.mu.Lock()
	o.calls = append(o.calls, c)
	answer := o.answer
	o.mu.Unlock()
	if answer != nil {
		return answer(ctx, c)
	}
	return receipt(c, recovery.Accepted)
}

func (o *outside) made() []call {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.calls)
}

func receipt(c call, outcome recovery.Outcome) recovery.Receipt {
	return recovery.Receipt{Action: c.action, Key: c.key, Outcome: outcome, Attempts: 1, Note: "as the test wants it"}
}

// restart and again are actions; the second may be sent twice.
var (
	restart = recovery.Action{
		Name: "restart", URL: "https://ops.example/restart", Method: "POST", Unsigned: true, Risk: recovery.Low, Approvals: 1,
		Gates: []string{"*"}, CoolDown: 10 * time.Minute, Watch: time.Minute, Timeout: time.Second,
		Body: `{"incident":"{{incident_id}}","by":"{{approver}}"}`,
	}
	again = func() recovery.Action { a := restart; a.Idempotent = true; return a }()
)

func acting(o *outside, actions ...recovery.Action) Config {
	cfg := settings()
	cfg.Actions, cfg.Execute = actions, o.execute
	cfg.Contacts = []Contact{{ID: "ana", Name: "Ana"}, {ID: "ben"}, {ID: "cleo", Level: 1}, {ID: "dan", Tenant: "orders"}}
	return cfg
}

// live switches payments' shadow mode off.
func (s *scene) live() {
	s.t.Helper()
	if _, err := s.SetShadow(s.t.Context(), "payments", false, "ana", "the month is over"); err != nil {
		s.t.Fatal(err)
	}
}

// asked takes an incident of payments to where people are asked.
func (s *scene) asked() string {
	s.t.Helper()
	for range 10 {
		s.sees(breached("payments"))
		if s.stage("payments") == "VALIDATED" {
			return s.view("payments").Open.ID
		}
	}
	s.t.Fatalf("the stage is %q", s.stage("payments"))
	return ""
}

func (s *scene) link(id, contact string) approval.Claims {
	s.t.Helper()
	c, err := s.Offer(s.t.Context(), "payments", id, contact)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *scene) tap(c approval.Claims, approve bool) approval.Outcome {
	s.t.Helper()
	o, err := s.Decide(s.t.Context(), c, approval.Verdict{Approve: approve, Reason: "not now"})
	if err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	return o
}

const untilAsked = "policy.loaded shadow.off incident.detected effect.due/incident incident.proposed " +
	"incident.validated approval.offered approval.offered effect.due/validated effect.due/validated"

func (s *scene) has(t *testing.T, more string) {
	t.Helper()
	got := kinds(entriesOf(t, s.ledger))
	if want := strings.TrimSpace(untilAsked + " " + more); got != want {
		t.Errorf("the ledger has\n%s, want\n%s", got, want)
	}
}

func TestApproveAndRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, changed := new(outside), 0
		cfg := acting(o, restart)
		cfg.Changed = func() { changed++ }
		cfg.Show = func(tenant string, v *approval.View) { v.Chart.Points = []approval.Point{{}} }
		s := start(t, newPaper(), cfg)
		s.live()
		id := s.asked()
		c := s.link(id, "ana")
		if again := s.link(id, "ana"); again != c {
			t.Errorf("another link: %+v, %+v", again, c)
		}
		before := changed
		v, err := s.Look(t.Context(), c)
		if err != nil || v.Standing.Kind != approval.Open || v.Action.Name != "restart" || !strings.Contains(v.Action.Body, id) || v.Names["ana"] != "Ana" ||
			v.Stage != "VALIDATED" || v.LedgerSize == 0 || v.LedgerRoot == "" || v.Issue == "" || v.Score == nil || len(v.Chart.Points) != 1 || v.Chart.Errors || v.Because == "" || v.SubmittedBy != "" || v.Expires != c.ExpiresAt {
			t.Errorf("%+v, %v", v, err)
		}
		if changed != before || len(o.made()) != 0 {
			t.Error("a look changes something")
		}
		if asked := s.view("payments").Asked; asked == nil || asked.Action != "restart" || asked.Request.Quorum != 1 {
			t.Errorf("the view is of %+v", asked)
		}
		if out := s.tap(c, true); out.Kind != approval.Authorized {
			t.Errorf("%+v", out)
		}
		calls := o.made()
		if len(calls) != 1 || calls[0].tenant != "payments" || calls[0].key != recovery.Key(id, restart.Digest()) || calls[0].vars.Approver != "ana" || calls[0].vars.Time.IsZero() {
			t.Fatalf("%+v", calls)
		}
		if out := s.tap(c, true); out.Kind != approval.Already {
			t.Errorf("the second half of a double tap: %+v", out)
		}
		if v, err := s.Look(t.Context(), c); err != nil || v.Standing.Kind != approval.Already || v.Stage != "EXECUTED" || v.Standing.By != "ana" {
			t.Errorf("%+v, %v", v, err)
		}
		s.sees(calm("payments"))
		s.has(t, "incident.authorized incident.executed effect.due/execution effect.receipt/execution incident.resolved effect.due/recovered")
		if changed < 6 {
			t.Errorf("changed is called %d times", changed)
		}
		s.stop()
		proper(t, s.ledger)
	})
}

func TestRejectAndWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(outside)
		s := start(t, newPaper(), acting(o, restart))
		s.live()
		id := s.asked()
		c, other := s.link(id, "ana"), s.link(id, "ben")
		unknown := c
		unknown.ID = "another"
		if out := s.tap(unknown, true); out.Kind != approval.Refused || out.Reason != approval.UnknownLink {
			t.Errorf("an unknown link: %+v", out)
		}
		s.Refused(approval.Refusal{Reason: approval.TooLate, Claims: other, Status: 410, What: "POST /action/recover/confirm"})
		s.Refused(approval.Refusal{Reason: approval.Forged, Status: 403, What: "POST /action/recover/confirm"})
		nowhere := c
		nowhere.Incident = "inc-000000-1"
		for _, claims := range []approval.Claims{nowhere, {Tenant: "nobody"}} {
			if _, err := s.Decide(t.Context(), claims, approval.Verdict{Approve: true}); !errors.Is(err, approval.ErrNoRequest) {
				t.Errorf("%+v: %v", claims, err)
			}
			if _, err := s.Look(t.Context(), claims); !errors.Is(err, approval.ErrNoRequest) {
				t.Errorf("%+v: %v", claims, err)
			}
		}
		synctest.Wait()
		if out := s.tap(c, false); out.Kind != approval.Rejected {
			t.Errorf("%+v", out)
		}
		if out := s.tap(other, true); out.Kind != approval.Already || out.Decided != approval.StepRejected {
			t.Errorf("%+v", out)
		}
		if _, err := s.Offer(t.Context(), "payments", id, "ana"); !errors.Is(err, ErrNoLink) {
			t.Errorf("a link after the end: %v", err)
		}
		s.sees(breached("payments"))
		s.sees(calm("payments"))
		s.stop()
		if len(o.made()) != 0 {
			t.Errorf("%+v", o.made())
		}
		got := kinds(entriesOf(t, s.ledger))
		for _, want := range []string{"approval.refused approval.refused", "access.denied", "incident.rejected approval.refused", "incident.cleared effect.due/recovered"} {
			if !strings.Contains(got, want) {
				t.Errorf("there is no %q in %s", want, got)
			}
		}
		if strings.Count(got, "incident.detected") != 1 {
			t.Errorf("asked anew: %s", got)
		}
		proper(t, s.ledger)
	})
}

// TestRecoveredBeforeTheTap: an observation that nobody has looked at yet counts.
func TestRecoveredBeforeTheTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(outside)
		l := newPaper()
		s := start(t, l, acting(o, restart))
		s.live()
		c := s.link(s.asked(), "ana")
		// The docket is busy with the ledger while the service recovers.
		hang := make(chan struct{})
		l.befall(fault{hang: hang})
		go func() { _, _ = s.SetShadow(context.Background(), "orders", false, "ana", "") }()
		synctest.Wait()
		s.Submit(calm("payments"))
		done := make(chan approval.Outcome)
		go func() {
			out, err := s.Decide(context.Background(), c, approval.Verdict{Approve: true})
			if err != nil {
				t.Error(err)
			}
			done <- out
		}()
		synctest.Wait()
		close(hang)
		if out := <-done; out.Kind != approval.Recovered {
			t.Errorf("%+v", out)
		}
		s.stop()
		if len(o.made()) != 0 {
			t.Error("it was run")
		}
		proper(t, l)
	})
}

func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newPaper(), acting(new(outside), restart))
		s.live()
		if _, err := s.Offer(t.Context(), "payments", "inc-000000-1", "ana"); !errors.Is(err, ErrNoLink) {
			t.Errorf("before anything is asked: %v", err)
		}
		id := s.asked()
		for contact, want := range map[string]error{"eve": ErrNotFound, "dan": ErrNotFound, "cleo": nil} {
			if _, err := s.Offer(t.Context(), "payments", id, contact); !errors.Is(err, want) {
				t.Errorf("%s: %v", contact, err)
			}
		}
		if _, err := s.Offer(t.Context(), "nobody", id, "ana"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v", err)
		}
		first := s.link(id, "ana")
		time.Sleep(4*time.Minute + time.Second)
		second := s.link(id, "ana")
		if second.ID == first.ID || !second.ExpiresAt.After(first.ExpiresAt) {
			t.Errorf("%+v, %+v", first, second)
		}
		time.Sleep(time.Minute)
		if out := s.tap(first, true); out.Kind != approval.Expired {
			t.Errorf("the first link: %+v", out)
		}
		// There is a second level of contacts, so that it goes on for five minutes more.
		for range 100 {
			if s.stage("payments") != "" {
				s.sees(breached("payments"))
			}
		}
		s.stop()
		list := entriesOf(t, s.ledger)
		last := list[len(list)-1].Entry
		if last.Stage != incident.Expired || last.Time.Sub(list[2].Entry.Time) < 10*time.Minute {
			t.Errorf("%+v", last)
		}
		proper(t, s.ledger)
	})
}

// TestThousandConfirms has a thousand confirm at once, on a ledger as it is in use.
func TestThousandConfirms(t *testing.T) {
	o, dir := new(outside), t.TempDir()
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	cfg := acting(o, restart)
	s := openWith(t, dir, now, cfg)
	if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []incident.Stage{incident.Detected, incident.Proposed, incident.Validated} {
		s.Submit(breached("payments"))
		s.await("it is "+string(stage), stageIs(stage))
		mu.Lock()
		at = at.Add(30 * time.Second)
		mu.Unlock()
	}
	v, _ := s.View("payments")
	var links []approval.Claims
	for _, contact := range []string{"ana", "ben"} {
		c, err := s.Offer(t.Context(), "payments", v.Open.ID, contact)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, c)
	}
	var wg sync.WaitGroup
	var authorized, already int
	for i := range 1000 {
		wg.Go(func() {
			out, err := s.Decide(context.Background(), links[i%2], approval.Verdict{Approve: true})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Error(err)
			case out.Kind == approval.Authorized:
				authorized++
			case out.Kind == approval.Already:
				already++
			default:
				t.Errorf("%+v", out)
			}
		})
	}
	wg.Wait()
	s.await("it was run", func(v View) bool {
		return v.Open != nil && v.Open.Stage == incident.Executed && strings.Contains(kinds(entriesOf(t, s.log)), "effect.receipt/execution")
	})
	if authorized != 1 || already != 999 {
		t.Errorf("%d decided, %d came too late", authorized, already)
	}
	got := kinds(entriesOf(t, s.log))
	if strings.Count(got, "incident.authorized") != 1 || strings.Count(got, "incident.executed") != 1 || strings.Count(got, "effect.due/execution") != 1 ||
		len(o.made()) != 1 || strings.Count(got, "approval.refused") > 2 {
		t.Errorf("%d calls, and the ledger has %s", len(o.made()), got)
	}
	proper(t, s.log)
	s.end()
}

var _ Ledger = (*ledger.Log)(nil)
