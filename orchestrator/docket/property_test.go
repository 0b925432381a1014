package docket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// Whatever happens in whatever order, the ledger has no illegal step, no effect
// in shadow and no time that runs backwards, and what is shown is what the
// ledger says.
func TestAnyOrderOfEvents(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 6
	}
	runs := 0
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runs += anyOrder(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
	if runs < int(seeds)/3 {
		t.Errorf("%d actions were run in all: the test tests too little", runs)
	}
}

func anyOrder(t *testing.T, r *rand.Rand) (runs int) {
	l := newPaper()
	o := new(outside)
	actions := []recovery.Action{restart, again}[r.IntN(2)]
	actions.CoolDown = time.Minute
	cfg := acting(o, actions)
	outcomes := rand.New(rand.NewPCG(r.Uint64(), 2)) // under the outside's lock
	o.answer = func(ctx context.Context, c call) recovery.Receipt {
		o.mu.Lock()
		rest := time.Duration(outcomes.IntN(4)) * 3 * time.Second
		outcome := []recovery.Outcome{recovery.Accepted, recovery.Refused, recovery.Unsent, recovery.Unknown}[outcomes.IntN(4)]
		o.mu.Unlock()
		select {
		case <-time.After(rest):
			return receipt(c, outcome)
		case <-ctx.Done():
			return receipt(c, recovery.Unknown)
		}
	}
	var skew atomic.Int64
	cfg.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	cfg.Policy = policy.Default()
	cfg.Policy.Incident.ValidateAfterSeconds = 10
	faults := rand.New(rand.NewPCG(r.Uint64(), 1))
	healthy, hanging := false, []chan struct{}{} // under the ledger's lock, as fault is
	l.fault = func() fault {
		switch n := faults.IntN(8); {
		case healthy || n > 3:
			return fault{}
		case n == 0:
			return fault{err: ledger.ErrNoSpace}
		case n == 1:
			return fault{err: ledger.ErrUncertain, written: true}
		case n == 2:
			hang := make(chan struct{})
			hanging = append(hanging, hang)
			return fault{hang: hang}
		}
		return fault{err: ledger.ErrUncertain, written: faults.IntN(2) == 0}
	}
	release := func() {
		synctest.Wait()
		l.mu.Lock()
		for _, hang := range hanging {
			close(hang)
		}
		hanging = nil
		l.mu.Unlock()
		synctest.Wait()
	}
	observation := func(tenant string) incident.Observation {
		o := []func(string) incident.Observation{breached, breached, breached, breached, between, calm}[r.IntN(6)](tenant)
		o.Policy, o.Input.Time = cfg.Policy, time.Now()
		for _, name := range []string{"db", "queue"} {
			o = target(o, name, []policy.TargetState{policy.Unknown, policy.Up, policy.Down}[r.IntN(3)])
		}
		return o
	}

	s := start(t, l, cfg)
	live := map[string]bool{}
	for range 250 {
		tenant := cfg.Tenants[r.IntN(2)].ID
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		switch r.IntN(16) {
		default:
			s.Submit(observation(tenant))
		case 0:
			s.Submit(observation(tenant))
			s.Submit(observation(tenant))
			time.Sleep(time.Duration(r.IntN(10)) * time.Second)
		case 1:
			on := r.IntN(4) == 0
			if _, err := s.SetShadow(ctx, tenant, on, "ana", ""); err == nil {
				live[tenant] = !on
				if s.view(tenant).Shadow != on {
					t.Errorf("shadow mode was set to %v and is not", on)
				}
			} else {
				delete(live, tenant)
			}
		case 2:
			for _, i := range s.Incidents(tenant) {
				// What the verdict's fate is, is the ledger's to say.
				_ = s.Mark(ctx, tenant, i.ID, []string{incident.FalseAlarm, incident.Confirmed}[r.IntN(2)], "", "ben", "")
				break
			}
		case 3:
			s.Denied(tenant, "shadow", 403)
		case 4, 11, 12:
			release()
		case 5:
			skew.Store(int64(r.IntN(20)-10) * int64(time.Second))
		case 6:
			if r.IntN(3) == 0 {
				s.stop()
				s = start(t, l, cfg)
			}
		case 7, 8, 9, 10:
			if open := s.view(tenant).Open; open != nil {
				// What a tap leads to is the ledger's to say.
				c, err := s.Offer(ctx, tenant, open.ID, []string{"ana", "ben", "cleo", "dan"}[r.IntN(4)])
				if err != nil {
					break
				}
				_, _ = s.Decide(ctx, c, approval.Verdict{Approve: r.IntN(6) > 0})
				if r.IntN(3) == 0 {
					s.Refused(approval.Refusal{Reason: approval.CrossSite, Claims: c, Status: 403, What: "POST"})
				}
			}
		}
		cancel()
		if r.IntN(2) == 0 {
			time.Sleep(time.Duration(r.IntN(12)) * time.Second)
		}
	}
	l.mu.Lock()
	healthy = true
	l.mu.Unlock()
	release()
	for range 10 {
		for _, tenant := range cfg.Tenants {
			o := calm(tenant.ID)
			o.Policy = cfg.Policy
			s.sees(o)
		}
	}
	for _, tenant := range cfg.Tenants {
		v := s.view(tenant.ID)
		if v.Problem != "" || v.Incident != nil {
			t.Errorf("at last the view of %s is %+v", tenant.ID, v)
		}
		if on, known := live[tenant.ID]; known && v.Shadow == on {
			t.Errorf("at last the shadow mode of %s is %v", tenant.ID, v.Shadow)
		}
	}
	before := fmt.Sprint(s.Incidents("payments"), s.view("payments"))
	s.stop()
	s = start(t, l, cfg)
	if after := fmt.Sprint(s.Incidents("payments"), s.view("payments")); after != before {
		t.Errorf("after a restart\n%s is\n%s", before, after)
	}
	s.stop()
	proper(t, l)
	return executed(t, l, o, actions.Idempotent)
}

// executed compares what was run with what the ledger has of it, and returns how
// often something was.
func executed(t *testing.T, l *paper, o *outside, idempotent bool) int {
	t.Helper()
	keys := map[string]bool{}
	for _, e := range l.entries(t) {
		if e.Entry.Kind == incident.KindOf(incident.Executed) {
			keys[recovery.Key(e.Entry.IncidentID, e.Entry.ActionDigest)] = true
		}
	}
	first := map[string]call{}
	for _, c := range o.made() {
		before, repeated := first[c.key]
		if !keys[c.key] || repeated && (!idempotent || before != c) {
			t.Errorf("%+v was run, before it %+v; the ledger has %v", c, before, keys)
		}
		first[c.key] = c
	}
	return len(o.made())
}
