package docket

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

const (
	untilRun = "incident.authorized incident.executed effect.due/execution"
	unknown  = " effect.receipt/execution effect.due/unknown"
)

// approved takes an incident of payments to where it is authorized.
func (s *scene) approved() (id string) {
	s.t.Helper()
	s.live()
	id = s.asked()
	if out := s.tap(s.link(id, "ana"), true); out.Kind != approval.Authorized {
		s.t.Fatalf("%+v", out)
	}
	return id
}

func TestOutcomes(t *testing.T) {
	for outcome, want := range map[recovery.Outcome]string{
		recovery.Accepted: " effect.receipt/execution",
		recovery.Refused:  " effect.receipt/execution incident.failed effect.due/not_run",
		recovery.Unsent:   " effect.receipt/execution incident.failed effect.due/not_run",
		recovery.Unknown:  unknown,
		"panic":           unknown,
	} {
		synctest.Test(t, func(t *testing.T) {
			o := &outside{answer: func(_ context.Context, c call) recovery.Receipt {
				if outcome == "panic" {
					panic("the action")
				}
				return receipt(c, outcome)
			}}
			s := start(t, newPaper(), acting(o, restart))
			s.approved()
			s.has(t, untilRun+want)
			s.stop()
			proper(t, s.ledger)
		})
	}
}

// TestNotHelped: the policy watches, and people are told when it did not help.
func TestNotHelped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newPaper(), acting(new(outside), restart))
		s.approved()
		for range 13 {
			s.sees(breached("payments"))
		}
		s.has(t, untilRun+" effect.receipt/execution incident.failed effect.due/failed")
		s.stop()
		proper(t, s.ledger)
	})
}

// TestLedgerFailsAround fails each append from the tap on: nothing is run before its
// entry is durable, and nothing is run twice or forgotten.
func TestLedgerFailsAround(t *testing.T) {
	broken := errors.New("no space left on device")
	for at := range 3 { // AUTHORIZED, EXECUTED, the receipt
		for _, written := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				o, l := new(outside), newPaper()
				s := start(t, l, acting(o, restart))
				s.live()
				c := s.link(s.asked(), "ana")
				n := 0
				l.mu.Lock()
				l.fault = func() fault {
					if n++; n-1 == at {
						return fault{err: broken, written: written}
					}
					return fault{}
				}
				l.mu.Unlock()
				out, err := s.Decide(t.Context(), c, approval.Verdict{Approve: true})
				synctest.Wait()
				if failed := at == 0 && !written; failed != (err != nil) || !failed && out.Kind != approval.Authorized {
					t.Fatalf("append %d, written %t: %+v, %v", at, written, out, err)
				}
				if at == 0 && !written {
					if len(o.made()) != 0 {
						t.Error("it was run without an authorization")
					}
					s.tap(c, true)
				}
				if at == 1 && !written && len(o.made()) != 0 {
					t.Error("it was run before its entry was durable")
				}
				s.sees(breached("payments"))
				if len(o.made()) != 1 {
					t.Errorf("append %d, written %t: it was run %d times", at, written, len(o.made()))
				}
				s.has(t, untilRun+" effect.receipt/execution")
				s.stop()
				proper(t, l)
			})
		}
	}
}

// TestEndBeforeExecution: the process ends between AUTHORIZED and EXECUTED.
func TestEndBeforeExecution(t *testing.T) {
	for name, c := range map[string]struct {
		next  recovery.Action
		rest  time.Duration
		sees  incident.Observation
		calls int
		want  string
	}{
		"goes on":     {restart, 0, breached("payments"), 1, "incident.authorized incident.executed effect.due/execution effect.receipt/execution"},
		"recovered":   {restart, 0, calm("payments"), 0, "incident.authorized incident.recovered effect.due/recovered"},
		"too late":    {restart, 10 * time.Minute, breached("payments"), 0, "incident.authorized incident.expired effect.due/not_run"},
		"was changed": {again, 0, breached("payments"), 0, "incident.authorized incident.expired effect.due/not_run"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, l := new(outside), newPaper()
				s := start(t, l, acting(o, restart))
				s.live()
				link := s.link(s.asked(), "ana")
				n := 0
				l.mu.Lock()
				l.fault = func() fault {
					if n++; n > 1 {
						return fault{err: errors.New("the process is about to end")}
					}
					return fault{}
				}
				l.mu.Unlock()
				s.tap(link, true)
				s.stop()
				l.befall(fault{})

				time.Sleep(c.rest)
				s = start(t, l, acting(o, c.next))
				if len(o.made()) != 0 {
					t.Error("it was run before the service was looked at again")
				}
				s.sees(c.sees)
				s.sees(between("payments"))
				if len(o.made()) != c.calls {
					t.Errorf("it was run %d times", len(o.made()))
				}
				s.has(t, c.want)
				s.stop()
				proper(t, l)
			})
		})
	}
}

// TestEndDuringExecution: the process ends between EXECUTED and the receipt.
func TestEndDuringExecution(t *testing.T) {
	for name, c := range map[string]struct {
		action recovery.Action
		change func(*Config)
		sees   incident.Observation
		calls  int
		want   string
	}{
		"once only":            {restart, nil, breached("payments"), 1, unknown},
		"once only, recovered": {restart, nil, calm("payments"), 1, unknown + " incident.resolved effect.due/recovered"},
		"again":                {again, nil, breached("payments"), 2, " effect.receipt/execution"},
		"again, recovered":     {again, nil, calm("payments"), 1, " incident.resolved effect.due/recovered effect.receipt/execution"},
		"again, changed":       {again, func(c *Config) { c.Actions = recovery.Catalogue{restart} }, breached("payments"), 1, unknown},
		"no more actions":      {again, func(c *Config) { c.Execute = nil }, breached("payments"), 1, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &outside{answer: func(ctx context.Context, c call) recovery.Receipt {
					<-ctx.Done()
					return receipt(c, recovery.Unknown)
				}}
				l := newPaper()
				s := start(t, l, acting(o, c.action))
				s.approved()
				s.sees(breached("payments")) // which does not wait for the action
				s.stop()
				o.mu.Lock()
				o.answer = nil
				o.mu.Unlock()

				cfg := acting(o, c.action)
				if c.change != nil {
					c.change(&cfg)
				}
				s = start(t, l, cfg)
				if len(o.made()) != 1 {
					t.Error("it was run before the service was looked at again")
				}
				s.sees(c.sees)
				calls := o.made()
				if len(calls) != c.calls || calls[0] != calls[len(calls)-1] {
					t.Errorf("it was run as %+v", calls)
				}
				s.has(t, untilRun+c.want)
				s.stop()
				proper(t, l)
			})
		})
	}
}

// TestSlowExecution: what is under way at the end has a second to say what became
// of it.
func TestSlowExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{answer: func(ctx context.Context, c call) recovery.Receipt {
			time.Sleep(500 * time.Millisecond)
			if ctx.Err() != nil {
				return receipt(c, recovery.Unknown)
			}
			return receipt(c, recovery.Accepted)
		}}
		s := start(t, newPaper(), acting(o, restart))
		s.approved()
		s.stop()
		s.has(t, untilRun+" effect.receipt/execution")
	})
}

// TestShadowAfterTheTap: what is authorized is not run once shadow mode is on.
func TestShadowAfterTheTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := new(outside), newPaper()
		s := start(t, l, acting(o, restart))
		s.live()
		link := s.link(s.asked(), "ana")
		n := 0
		l.mu.Lock()
		l.fault = func() fault {
			if n++; n == 2 { // EXECUTED
				return fault{err: errors.New("not now")}
			}
			return fault{}
		}
		l.mu.Unlock()
		s.tap(link, true)
		if _, err := s.SetShadow(t.Context(), "payments", true, "ana", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.sees(breached("payments"))
		if len(o.made()) != 0 {
			t.Error("it was run in shadow mode")
		}
		s.has(t, "incident.authorized shadow.on incident.expired effect.suppressed/not_run incident.detected effect.suppressed/incident")
		s.stop()
		proper(t, l)
	})
}

// TestThroughTheGate: actions leave by the gate, and by nothing else.
func TestThroughTheGate(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer server.Close()
	for _, shadow := range []bool{true, false} {
		gate := egress.New(egress.Options{Shadow: func(string) bool { return shadow }})
		a := restart
		a.URL, a.AllowPrivate, a.Timeout = server.URL, true, 5*time.Second
		v := recovery.Vars{IncidentID: "inc-000000-1", Tenant: "payments", Service: "payments-api", Approver: "ana", Time: time.Unix(1, 0)}
		r := Through(gate, recovery.Executor{})(t.Context(), "payments", a, v, "key-1")
		switch {
		case shadow && (r.Outcome != recovery.Unsent || got != nil || !strings.Contains(r.Note, "shadow mode")):
			t.Errorf("in shadow: %+v", r)
		case !shadow && (r.Outcome != recovery.Accepted || got.Get("Idempotency-Key") != "key-1"):
			t.Errorf("%+v, %v", r, got)
		}
	}
}
