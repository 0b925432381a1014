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

	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

const life = "policy.loaded " +
	"incident.detected effect.suppressed/incident " +
	"incident.proposed " +
	"incident.validated effect.suppressed/validated effect.suppressed/validated " +
	"incident.recovered effect.suppressed/recovered"

// fullLife takes an incident of payments from its begin to its end.
func (s *scene) fullLife() {
	s.t.Helper()
	for range 30 {
		s.sees(breached("payments"), between("orders"))
	}
	if stage := s.stage("payments"); stage != "VALIDATED" {
		s.t.Errorf("after two minutes and a half the stage is %q", stage)
	}
	s.sees(calm("payments"), calm("orders"))
}

func TestLifeOfAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		if v := s.view("payments"); !v.Ready || !v.Shadow || v.Incident != nil || v.Problem != "" {
			t.Errorf("at first the view is %+v", v)
		}
		s.sees(breached("payments"), between("orders"))
		v := s.view("payments")
		if v.Incident == nil || v.Incident.Stage != "DETECTED" || v.Open == nil || v.Open.ID != v.Incident.IncidentID || !v.Open.Shadow {
			t.Errorf("the view is %+v", v)
		}
		if v.Incident.StartedAt != time.Now().Unix() {
			t.Errorf("it started at %d, now is %d", v.Incident.StartedAt, time.Now().Unix())
		}
		if v := s.view("orders"); v.Incident != nil {
			t.Errorf("the other tenant's view is %+v", v)
		}
		s.fullLife()
		if got := kinds(l.entries(t)); got != life {
			t.Errorf("the ledger has\n%s, want\n%s", got, life)
		}
		list := s.Incidents("payments")
		if len(list) != 1 || list[0].Stage != incident.Recovered || list[0].EndedAt.IsZero() || s.view("payments").Incident != nil {
			t.Fatalf("the incidents are %+v", list)
		}
		c, err := s.Case("payments", list[0].ID)
		if err != nil || len(c.Entries) != 8 || c.Stage != incident.Recovered {
			t.Errorf("the case is %+v, %v", c, err)
		}
		if _, err := s.Case("orders", list[0].ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("another tenant's case: %v", err)
		}
		s.stop()
		proper(t, l)
	})
}

// What an operator reads: a line for each event, and none again after a restart.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.sees(target(breached("payments"), "db", policy.Down))
		s.sees(breached("payments"))
		s.stop()
		before := s.log
		s = start(t, l, settings())
		s.sees(target(calm("payments"), "db", policy.Up))
		s.stop()
		proper(t, l)
		var lines []string
		for line := range strings.Lines(before.String() + s.log.String()) {
			level, what, _ := strings.Cut(line[strings.Index(line, "level="):], " tenant=payments")
			lines = append(lines, level)
			if !strings.Contains(what, "incident=inc-") && !strings.Contains(level, "target") {
				t.Errorf("which incident? %s", line)
			}
		}
		want := []string{
			`level=WARN msg="target down"`, `level=WARN msg="incident opened"`, `level=INFO msg="incident advanced"`,
			`level=WARN msg="incident is still open"`, `level=INFO msg="target up"`, `level=INFO msg="incident ended"`,
		}
		if !slices.Equal(lines, want) {
			t.Errorf("the log has\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestUnknownTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.sees(breached("nobody"))
		if _, ok := s.View("nobody"); ok || s.Incidents("nobody") != nil {
			t.Error("an unknown tenant is known")
		}
		if _, err := s.SetShadow(t.Context(), "nobody", false, "ana", ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("SetShadow says %v", err)
		}
		s.stop()
		if got := kinds(l.entries(t)); got != "policy.loaded" {
			t.Errorf("the ledger has %s", got)
		}
	})
}

func TestBeforeAndAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(settings())
		for range 3 {
			d.Submit(breached("payments"))
			d.Denied("payments", "shadow", 403)
		}
		if v, ok := d.View("payments"); !ok || v.Ready || !v.Shadow || v.Problem != "" {
			t.Errorf("before Run the view is %+v", v)
		}
		if _, err := d.SetShadow(t.Context(), "payments", false, "ana", ""); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "not open yet") {
			t.Errorf("before Run SetShadow says %v", err)
		}
		if _, err := d.Blob([32]byte{}); !errors.Is(err, ErrNotReady) {
			t.Errorf("before Run Blob says %v", err)
		}

		s := start(t, newPaper(), settings())
		s.sees(breached("payments"))
		id := s.view("payments").Open.ID
		s.stop()
		s.Submit(breached("payments"))
		s.Submit(calm("payments"))
		s.Denied("payments", "shadow", 403)
		if v := s.view("payments"); !v.Ready || v.Open == nil {
			t.Errorf("after the end the view is %+v", v)
		}
		if err := s.Mark(t.Context(), "payments", id, incident.Confirmed, "", "ana", ""); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("after the end Mark says %v", err)
		}
		if _, err := s.Case("payments", id); !errors.Is(err, ErrNotReady) {
			t.Errorf("after the end Case says %v", err)
		}
		if err := s.Run(t.Context(), s.ledger); err == nil {
			t.Error("Run runs twice")
		}
	})
}

// Only the latest observation counts.
func TestLatestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		hang := make(chan struct{})
		l.befall(fault{hang: hang})
		s.sees(breached("payments"))
		for range 1000 {
			s.Submit(breached("payments"))
		}
		s.Submit(calm("payments"))
		l.befall(fault{})
		close(hang)
		synctest.Wait()
		s.stop()
		want := "policy.loaded incident.detected effect.suppressed/incident incident.recovered effect.suppressed/recovered"
		if got := kinds(l.entries(t)); got != want {
			t.Errorf("the ledger has %s", got)
		}
	})
}

func TestTargetsAndTheirView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		for range 3 {
			s.sees(target(between("payments"), "db", policy.Down))
		}
		if r := s.view("payments").Targets["db"]; r.State != policy.Down || r.LastAlertedAt.IsZero() {
			t.Errorf("the target is %+v", r)
		}
		s.sees(target(between("payments"), "db", policy.Up))
		s.stop()
		want := "policy.loaded target.down effect.suppressed/target_down target.up effect.suppressed/target_up"
		if got := kinds(l.entries(t)); got != want {
			t.Errorf("the ledger has %s", got)
		}
	})
}

func TestChangesBeforeAnIncident(t *testing.T) {
	found := []change.Change{{ID: "1", Tenant: "payments", Source: "ci", Kind: "commit", Ref: "a1b2c3d", Title: "Fix checkout", At: time.Date(1999, 12, 31, 23, 59, 0, 0, time.UTC)}}
	for name, test := range map[string]struct {
		changes func(tenant string, before time.Time) []change.Change
		with    bool
		logged  string
	}{
		"some":  {func(string, time.Time) []change.Change { return found }, true, ""},
		"none":  {func(string, time.Time) []change.Change { return nil }, false, ""},
		"nil":   {nil, false, ""},
		"late":  {func(string, time.Time) []change.Change { time.Sleep(time.Minute); return found }, false, "not found in time"},
		"panic": {func(string, time.Time) []change.Change { panic("store is gone") }, false, "store is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPaper()
				cfg := settings()
				asked := 0
				if test.changes != nil {
					cfg.Changes = func(tenant string, before time.Time) []change.Change {
						if asked++; tenant != "payments" || !before.Equal(time.Now()) {
							t.Errorf("asked for %s before %s", tenant, before)
						}
						return test.changes(tenant, before)
					}
				}
				s := start(t, l, cfg)
				s.sees(between("payments"))
				s.sees(breached("payments"))
				time.Sleep(time.Second)
				s.sees(breached("payments"))
				s.stop()
				e := l.entries(t)[1].Entry
				if _, with := e.Metadata["changes"]; e.Kind != "incident.detected" || with != test.with {
					t.Errorf("the entry is %+v", e)
				}
				if !strings.Contains(s.log.String(), test.logged) {
					t.Errorf("the log has %s", s.log)
				}
				if asked > 1 {
					t.Errorf("asked %d times", asked)
				}
				time.Sleep(2 * time.Minute) // for the late one to end
			})
		})
	}
}

// The entries' time never runs backwards, whatever the clock does.
func TestClockThatRunsBackwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		cfg := settings()
		back := time.Duration(0)
		cfg.Now = func() time.Time { return time.Now().Add(-back) }
		s := start(t, l, cfg)
		s.sees(breached("payments"))
		back = time.Hour
		l.add(`{"v":1,"kind":"sidecar.note","time":"2000-01-01T00:30:00Z"}`)
		s.sees(breached("payments"))
		if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); err != nil {
			t.Error(err)
		}
		s.stop()
		proper(t, l)
		list := l.entries(t)
		if last := list[len(list)-1].Entry; !last.Time.Equal(time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)) {
			t.Errorf("the last entry is of %s", last.Time)
		}
		if strings.Count(s.log.String(), "the clock is behind") != 1 {
			t.Errorf("the log has %s", s.log)
		}
	})
}

// What others do to the same ledger meanwhile is nothing to the docket.
func TestOthersInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper(`{"kind":"other.thing","tenant_id":7,"time":"1999-12-31T04:00:00+01:00"}`, `{"kind":"x","tenant_id":"payments"}`)
		s := start(t, l, settings())
		s.sees(breached("payments"))
		l.add(`{"v":1,"kind":"sidecar.started","time":"2000-01-01T00:00:05Z","service":"x"}`, `{"time":"2000-01-01T00:00:05Z","kind":"app\u002eentry"}`)
		s.fullLife()
		s.stop()
		proper(t, l)
		if got := kinds(l.entries(t)); got != life {
			t.Errorf("the ledger has %s", got)
		}
	})
}

// Whoever waits for an order is not kept longer than its context says.
func TestOrderWhileTheLedgerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		l.befall(fault{hang: make(chan struct{})})
		s.sees(breached("payments"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.SetShadow(ctx, "payments", false, "ana", ""); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "nothing was recorded") {
			t.Errorf("SetShadow says %v", err)
		}
		s.stop()
	})
}

// Everybody may call everything at once.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		var callers sync.WaitGroup
		for n := range 8 {
			callers.Go(func() {
				for i := range 50 {
					tenant := []string{"payments", "orders"}[(n+i)%2]
					s.Submit([]func(string) incident.Observation{breached, between, calm}[i%3](tenant))
					s.Denied(tenant, "shadow", 403)
					if _, err := s.SetShadow(t.Context(), tenant, i%5 > 0, "ana", ""); err != nil {
						t.Error(err)
					}
					for _, listed := range s.Incidents(tenant)[:min(1, len(s.Incidents(tenant)))] {
						if err := s.Mark(t.Context(), tenant, listed.ID, incident.Confirmed, "", "ben", ""); err != nil {
							t.Error(err)
						}
						if _, err := s.Case(tenant, listed.ID); err != nil {
							t.Error(err)
						}
					}
					if v := s.view(tenant); !v.Ready || v.Problem != "" {
						t.Errorf("the view is %+v", v)
					}
					time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				}
			})
		}
		callers.Wait()
		s.stop()
		proper(t, l)
	})
}
