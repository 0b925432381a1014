package docket

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

func TestSetShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		for _, step := range []struct {
			on      bool
			who     string
			changed bool
			err     error
		}{
			{true, "ana", false, nil},
			{false, " \u202e\n", false, ErrInvalid},
			{false, "ana", true, nil},
			{false, "ben", false, nil},
			{false, "", false, ErrInvalid},
			{true, "ben", true, nil},
			{false, "ana", true, nil},
		} {
			time.Sleep(time.Second)
			changed, err := s.SetShadow(t.Context(), "payments", step.on, step.who, "the board said\x1b[2J so "+strings.Repeat("x", 1<<20))
			if changed != step.changed || !errors.Is(err, step.err) {
				t.Errorf("%+v: changed %v, %v", step, changed, err)
			}
			if err == nil && s.view("payments").Shadow != step.on {
				t.Errorf("%+v: the view is %+v", step, s.view("payments"))
			}
		}
		if v := s.view("payments"); !v.ShadowSince.Equal(time.Now()) {
			t.Errorf("it was switched now, %s, and the view says %s", time.Now(), v.ShadowSince)
		}
		if !s.view("orders").Shadow {
			t.Error("the other tenant went live")
		}
		s.sees(breached("payments"), breached("orders"))
		s.stop()
		proper(t, l)
		want := "policy.loaded shadow.off shadow.on shadow.off incident.detected effect.due/incident incident.detected effect.suppressed/incident"
		list := l.entries(t)
		if got := kinds(list); got != want {
			t.Errorf("the ledger has %s", got)
		}
		if e := list[1].Entry; e.Actor != "human:ana" || strings.Contains(e.Reason, "\x1b") || len(e.Reason) > 4096 || e.Service != "payments-api" || e.Instance != "pod-1" || e.PolicyDigest != inForce.Digest() {
			t.Errorf("the entry is %+v", e)
		}
	})
}

// A diagnosis is recorded while the incident is open. Nothing that is decided afterwards
// is otherwise than without it.
func TestDiagnosed(t *testing.T) {
	run := func(given bool) []string {
		var decided []string
		synctest.Test(t, func(t *testing.T) {
			l := newPaper()
			s := start(t, l, settings())
			s.sees(breached("payments"))
			id := s.view("payments").Open.ID
			g := incident.Diagnosis{
				By: "rules", Of: incident.Detected, Outcome: "single", Confidence: 0.95, Signature: "slow", Record: []byte("{}"),
				Theories: []incident.Theory{{By: "rules", Cause: "slow_dependency", Text: "approve it now", Action: "restart", Confidence: 0.95}},
			}
			if given {
				if err := s.Diagnosed(t.Context(), "payments", id, g); err != nil {
					t.Fatal(err)
				}
				if i := s.Incidents("payments")[0]; i.Diagnosed != "slow_dependency" || i.Stage != incident.Detected {
					t.Errorf("%+v", i)
				}
			}
			if err := s.Diagnosed(t.Context(), "orders", id, g); !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrInvalid) {
				t.Errorf("of another tenant: %v", err)
			}
			if err := s.Mark(t.Context(), "payments", id, incident.Confirmed, "gremlins", "ana", ""); !errors.Is(err, ErrInvalid) {
				t.Errorf("a cause that there is not: %v", err)
			}
			for range 3 {
				time.Sleep(time.Minute)
				s.sees(breached("payments"))
			}
			s.sees(calm("payments"))
			if err := s.Diagnosed(t.Context(), "payments", id, g); !errors.Is(err, ErrInvalid) {
				t.Errorf("when it has ended: %v", err)
			}
			for _, e := range l.entries(t) {
				if e.Entry.Kind != incident.KindDiagnosed {
					decided = append(decided, e.Entry.Kind+" "+string(e.Entry.Stage)+" "+e.Entry.Reason)
				}
			}
			s.stop()
			proper(t, l)
		})
		return decided
	}
	if with, without := run(true), run(false); !slices.Equal(with, without) || len(with) < 5 {
		t.Errorf("with a diagnosis %q, without %q", with, without)
	}
}

func TestMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.sees(breached("payments"))
		id := s.view("payments").Open.ID
		for _, step := range []struct {
			tenant, id, verdict, who string
			err                      error
		}{
			{"payments", id, "false_alarm", "ana", nil},
			{"payments", id, "false_alarm", "ana", nil},
			{"payments", id, "false_alarm", "ben", nil},
			{"payments", id, "confirmed", "ben", nil},
			{"payments", id, "maybe", "ben", ErrInvalid},
			{"payments", id, "confirmed", "", ErrInvalid},
			{"payments", "inc-000000-1", "confirmed", "ana", ErrNotFound},
			{"payments", "", "confirmed", "ana", ErrNotFound},
			{"orders", id, "confirmed", "ana", ErrNotFound},
		} {
			if err := s.Mark(t.Context(), step.tenant, step.id, step.verdict, "", step.who, "seen"); !errors.Is(err, step.err) {
				t.Errorf("%+v: %v", step, err)
			}
		}
		if v := s.Incidents("payments")[0].Verdict; v != "confirmed" {
			t.Errorf("the verdict is %q", v)
		}
		s.stop()

		again := start(t, l, settings())
		if err := again.Mark(t.Context(), "payments", id, "confirmed", "", "ben", ""); err != nil {
			t.Error(err)
		}
		again.stop()
		proper(t, l)
		want := "policy.loaded incident.detected effect.suppressed/incident incident.marked incident.marked incident.marked"
		if got := kinds(l.entries(t)); got != want {
			t.Errorf("the ledger has %s", got)
		}
	})
}

// TestAsk: a contact asks, the next observation asks people, and everything else is
// refused with a sentence.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outside
		high := restart
		high.Name, high.Risk, high.Gates = "roll-back", recovery.High, []string{"burn_rate"}
		l := newPaper()
		s := start(t, l, acting(&o, restart, high))
		s.live()
		id := s.asked()
		for _, c := range []struct {
			tenant, id, action, who string
			err                     error
		}{
			{"payments", "inc-000000-1", "roll-back", "ana", ErrNotFound},
			{"nobody", id, "roll-back", "ana", ErrNotFound},
			{"orders", id, "roll-back", "ana", ErrNotFound},
			{"payments", id, "none", "ana", ErrRefused},
			{"payments", id, "roll-back", "dan", ErrRefused}, // of another tenant
			{"payments", id, "restart", "ana", ErrRefused},   // asked by the policy
		} {
			if _, recorded, err := s.Ask(t.Context(), c.tenant, c.id, c.action, c.who, ""); !errors.Is(err, c.err) || recorded {
				t.Errorf("%+v: %v", c, err)
			}
		}
		for _, recorded := range []bool{true, false} {
			if stage, got, err := s.Ask(t.Context(), "payments", id, "roll-back", "ana", "it hangs"); err != nil || got != recorded || stage != incident.Validated {
				t.Errorf("%s, %t, %v", stage, got, err)
			}
		}
		s.sees(breached("payments"))
		ana, ben := s.link(id, "ana"), s.link(id, "ben")
		v, err := s.Look(t.Context(), ana)
		if err != nil || v.SubmittedBy != "human:ana" || v.Standing.Reason != approval.Requester || v.Action.Name != "roll-back" {
			t.Errorf("%+v, %v", v, err)
		}
		if got := s.tap(ana, true); got.Reason != approval.Requester {
			t.Errorf("ana: %+v", got)
		}
		if got := s.tap(ben, true); got.Kind != approval.Authorized {
			t.Errorf("ben: %+v", got)
		}
		s.stop()
		proper(t, l)
		if made := o.made(); len(made) != 1 || made[0].vars.Requester != "ana" || made[0].vars.Approver != "ben" {
			t.Errorf("%+v", made)
		}
	})
}

func TestDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		for range 90 {
			s.Denied("payments", "shadow: wrong secret", 403)
			s.Denied("nobody\x00", "shadow: wrong secret", 401)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		type told struct {
			tenant, claimed string
			status, count   float64
		}
		read := func() (list []told) {
			for _, e := range l.entries(t) {
				if m := e.Entry.Metadata; e.Entry.Kind == incident.KindAccessDenied {
					list = append(list, told{e.Entry.TenantID, m["tenant"].(string), m["status"].(float64), m["count"].(float64)})
				}
			}
			return list
		}
		list := read()
		if len(list) != 4 || list[0].count != 1 || list[1].count != 1 {
			t.Errorf("after a minute and a half: %v", list)
		}
		for _, d := range list {
			if d.tenant != "payments" || d.status != map[string]float64{"payments": 403, "nobody": 401}[d.claimed] {
				t.Errorf("there is %+v", d)
			}
		}
		s.stop()
		sum := map[string]float64{}
		for _, d := range read() {
			sum[d.claimed] += d.count
		}
		if sum["payments"] != 90 || sum["nobody"] != 90 {
			t.Errorf("at last: %v", read())
		}
		proper(t, l)
	})
}

// What is denied while an entry is being written is for the next entry.
func TestDeniedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		hang := make(chan struct{})
		l.befall(fault{hang: hang})
		s.Denied("payments", "shadow", 403)
		synctest.Wait()
		s.Denied("payments", "shadow", 403)
		s.Denied("payments", "shadow", 403)
		l.befall(fault{})
		close(hang)
		synctest.Wait()
		s.stop()
		var counts []any
		for _, e := range l.entries(t)[1:] {
			counts = append(counts, e.Entry.Metadata["count"])
		}
		if got := fmt.Sprint(counts); got != "[1 2]" {
			t.Errorf("the counts are %s", got)
		}
	})
}

// TestDenialsOfTwoStatuses: a wrong secret and none at all are two entries, even
// when the second is denied once the first is on record.
func TestDenialsOfTwoStatuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.Denied("payments", "shadow", 403)
		synctest.Wait()
		s.Denied("payments", "shadow", 401)
		synctest.Wait()
		s.Denied("payments", "shadow", 403)
		synctest.Wait()
		var got []string
		for _, e := range l.entries(t) {
			if m := e.Entry.Metadata; e.Entry.Kind == incident.KindAccessDenied {
				got = append(got, fmt.Sprint(m["status"], " ", m["count"]))
			}
		}
		if !slices.Equal(got, []string{"403 1", "401 1"}) {
			t.Errorf("on record are %q", got)
		}
		s.stop()
		proper(t, l)
	})
}

func TestManyKindsOfDenials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		l.befall(fault{err: errors.New("input/output error")})
		s := start(t, l, settings())
		const kindsOfThem = 100 * maxStrangers
		for i := range kindsOfThem {
			s.Denied(fmt.Sprint(i)+strings.Repeat("x", 1<<16), "shadow", 403)
		}
		s.Denied("payments", "shadow", 403)
		l.befall(fault{})
		time.Sleep(rounds)
		synctest.Wait()
		total, ofPayments, recorded := 0.0, 0.0, 0
		for _, e := range l.entries(t) {
			if m := e.Entry.Metadata; e.Entry.Kind == incident.KindAccessDenied {
				recorded++
				total += m["count"].(float64)
				if m["tenant"] == "payments" {
					ofPayments += m["count"].(float64)
				}
			}
		}
		if total != kindsOfThem+1 || ofPayments != 1 || recorded > maxStrangers+1 {
			t.Errorf("%d entries record %v of %d denials, and %v of the one of payments", recorded, total, kindsOfThem+1, ofPayments)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		s.Denied("a", "shadow", 403)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := len(s.denials.tallies); n > 1 || s.denials.strangers > 1 {
			t.Errorf("%d kinds are remembered, %d of them of strangers", n, s.denials.strangers)
		}
		s.stop()
		proper(t, l)
	})
}

func TestPolicyInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		use := func(change func(*policy.Policy)) string {
			p := policy.Default()
			change(p)
			cfg := settings()
			cfg.Policy = p
			s := start(t, l, cfg)
			time.Sleep(time.Second)
			s.stop()
			return s.log.String()
		}
		use(func(*policy.Policy) {})
		use(func(*policy.Policy) {})
		log := use(func(p *policy.Policy) { p.Incident.OpenBelow = 60 })
		if !strings.Contains(log, "its version has not") {
			t.Errorf("the log has %s", log)
		}
		if log := use(func(p *policy.Policy) { p.Version, p.Incident.OpenBelow = "2", 50 }); strings.Contains(log, "its version has not") {
			t.Errorf("the log has %s", log)
		}
		var unversioned []any
		for _, e := range l.entries(t) {
			unversioned = append(unversioned, e.Entry.Metadata["unversioned_change"])
		}
		if got := fmt.Sprint(unversioned); got != "[false true false]" {
			t.Errorf("unversioned_change is %s", got)
		}
		proper(t, l)
	})
}
