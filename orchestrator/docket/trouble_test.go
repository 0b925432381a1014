package docket

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// While the ledger takes nothing, nothing happens and everybody can see why;
// when it takes entries again, the next observation goes on, and nothing is
// there twice.
func TestLedgerThatRefuses(t *testing.T) {
	for _, failure := range []error{
		ledger.ErrNoSpace, ledger.ErrClosed, ledger.ErrFailed, fmt.Errorf("append: %w", errors.New("input/output error")),
		&ledger.EntryError{Position: -1, Problem: "the call is too large"},
	} {
		t.Run(failure.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPaper()
				s := start(t, l, settings())
				s.sees(between("payments"))
				l.befall(fault{err: failure})
				for range 3 {
					s.sees(breached("payments"), between("orders"))
					if v := s.view("payments"); !strings.Contains(v.Problem, failure.Error()) || v.Incident != nil || !v.Ready {
						t.Errorf("the view is %+v", v)
					}
					if v := s.view("orders"); v.Problem != "" {
						t.Errorf("the view of who has nothing to record is %+v", v)
					}
				}
				if changed, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); changed || !errors.Is(err, failure) {
					t.Errorf("SetShadow says %v, %v", changed, err)
				}
				if n := strings.Count(s.log.String(), "decisions are not recorded"); n != 1 {
					t.Errorf("it was logged %d times", n)
				}
				l.befall(fault{})
				s.fullLife()
				if v := s.view("payments"); v.Problem != "" || !v.Shadow {
					t.Errorf("at last the view is %+v", v)
				}
				s.stop()
				proper(t, l)
				if got := kinds(l.entries(t)); got != life {
					t.Errorf("the ledger has %s", got)
				}
			})
		})
	}
}

// What could not be recorded and is over by now is no problem any more.
func TestMissedIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		l.befall(fault{err: ledger.ErrNoSpace})
		s.sees(breached("payments"))
		if s.view("payments").Problem == "" {
			t.Error("there is no problem")
		}
		s.sees(calm("payments"))
		if p := s.view("payments").Problem; p != "" {
			t.Errorf("the problem is still %q", p)
		}
		s.stop()
	})
}

// A ledger that has failed says so even while there is nothing to record.
func TestFailedLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		l.set(&l.broken, ledger.ErrFailed)
		s.sees(between("payments"))
		if v := s.view("payments"); !strings.Contains(v.Problem, "restart") {
			t.Errorf("the view is %+v", v)
		}
		if err := s.Mark(t.Context(), "payments", "inc-000000-1", incident.Confirmed, "", "ana", ""); !errors.Is(err, ErrNotReady) || !errors.Is(err, ledger.ErrFailed) {
			t.Errorf("Mark says %v", err)
		}
		s.stop()
	})
}

func TestAppendThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.sees(between("payments"))
		hang := make(chan struct{})
		l.befall(fault{hang: hang})
		for i := range 60 {
			s.sees(breached("payments"), between("orders"))
			v := s.view("payments")
			if i > 0 && (!strings.Contains(v.Problem, "has not answered") || s.view("orders").Problem == "") {
				t.Errorf("after %d ticks the view is %+v", i+1, v)
			}
			if v.Incident != nil {
				t.Errorf("an incident that is not recorded is shown: %+v", v)
			}
		}
		if n := strings.Count(s.log.String(), "does not answer"); n != 1 {
			t.Errorf("it was logged %d times", n)
		}
		l.befall(fault{})
		close(hang)
		synctest.Wait()
		if v := s.view("payments"); v.Problem != "" || v.Incident == nil {
			t.Errorf("when it answers again the view is %+v", v)
		}
		s.fullLife()
		s.stop()
		proper(t, l)
		if got := kinds(l.entries(t)); got != life {
			t.Errorf("the ledger has %s", got)
		}
	})
}

// A ledger that answers late, and with an error, has answered.
func TestAppendThatFailsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		hang := make(chan struct{})
		l.befall(fault{hang: hang, err: ledger.ErrNoSpace})
		s.sees(breached("payments"))
		time.Sleep(time.Minute)
		close(hang)
		synctest.Wait()
		if p := s.view("payments").Problem; p != ledger.ErrNoSpace.Error() {
			t.Errorf("the problem is %q", p)
		}
		if p := s.view("orders").Problem; p != "" {
			t.Errorf("the other's problem is %q", p)
		}
		s.stop()
	})
}

// The end of the run ends an append that hangs.
func TestEndWhileTheLedgerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		l.befall(fault{hang: make(chan struct{})})
		s.sees(breached("payments"))
		s.Denied("payments", "shadow", 401)
		began := time.Now()
		s.stop()
		if took := time.Since(began); took > farewell {
			t.Errorf("the end took %s", took)
		}
	})
}

// An append whose acknowledgement was lost has happened.
func TestLostAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		l.befall(fault{err: ledger.ErrUncertain, written: true})
		s := start(t, l, settings())
		s.fullLife()
		if v := s.view("payments"); v.Problem != "" {
			t.Errorf("the view is %+v", v)
		}
		s.Denied("payments", "shadow", 401)
		if changed, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); !changed || err != nil {
			t.Errorf("SetShadow says %v, %v", changed, err)
		}
		for range 30 {
			s.sees(between("payments"))
		}
		s.stop()
		proper(t, l)
		if got, want := kinds(l.entries(t)), life+" access.denied shadow.off"; got != want && got != life+" shadow.off access.denied" {
			t.Errorf("the ledger has %s", got)
		}
	})
}

// State is only what was read back.
func TestLedgerThatCannotBeReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.sees(between("payments"))
		l.set(&l.damaged, errors.New("checksum mismatch"))
		for range 3 {
			s.sees(breached("payments"))
		}
		if v := s.view("payments"); !strings.Contains(v.Problem, "checksum mismatch") || v.Incident != nil {
			t.Errorf("the view is %+v", v)
		}
		if l.calls != 2 {
			t.Errorf("%d appends were tried", l.calls)
		}
		l.set(&l.damaged, nil)
		s.fullLife()
		s.stop()
		proper(t, l)
		if got := kinds(l.entries(t)); got != life {
			t.Errorf("the ledger has %s", got)
		}
	})
}

// A ledger that cannot be read at first is read when it can be.
func TestLedgerThatCannotBeReadAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		l.set(&l.damaged, errors.New("checksum mismatch"))
		s := start(t, l, settings())
		s.sees(breached("payments"))
		if v := s.view("payments"); v.Ready || !v.Shadow || !strings.Contains(v.Problem, "entry 0 of the ledger cannot be read: checksum mismatch") {
			t.Errorf("the view is %+v", v)
		}
		if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); !errors.Is(err, ErrNotReady) {
			t.Errorf("SetShadow says %v", err)
		}
		l.set(&l.damaged, nil)
		s.fullLife()
		s.stop()
		proper(t, l)
	})
}

// The policy is on record before anything that follows from it.
func TestNoSpaceForThePolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		l.befall(fault{err: ledger.ErrNoSpace})
		s := start(t, l, settings())
		s.sees(breached("payments"))
		if v := s.view("orders"); !strings.Contains(v.Problem, "policy in force") || !v.Ready {
			t.Errorf("the view is %+v", v)
		}
		l.befall(fault{})
		s.fullLife()
		s.stop()
		proper(t, l)
		if got := kinds(l.entries(t)); got != life {
			t.Errorf("the ledger has %s", got)
		}
	})
}

// A panic stops the decisions of the one tenant.
func TestPanicInADecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.desks[0].state = nil
		s.sees(breached("payments"), breached("orders"))
		if v := s.view("payments"); !strings.Contains(v.Problem, "panic while deciding") || !v.Shadow || v.Incident != nil {
			t.Errorf("the view is %+v", v)
		}
		if s.stage("orders") != "DETECTED" {
			t.Errorf("the other's view is %+v", s.view("orders"))
		}
		if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); !errors.Is(err, ErrNotReady) {
			t.Errorf("SetShadow says %v", err)
		}
		if !strings.Contains(s.log.String(), "observe.go") {
			t.Errorf("the log has no stack: %s", s.log)
		}
		s.stop()
		proper(t, l)
	})
}

// A panic elsewhere ends the run, and nothing else.
func TestPanicInTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, panicking{newPaper()}, settings())
		if err := <-s.done; err == nil || !strings.Contains(err.Error(), "rows are gone") {
			t.Errorf("Run ended with %v", err)
		}
		if v := s.view("payments"); !strings.Contains(v.Problem, "rows are gone") || !v.Shadow {
			t.Errorf("the view is %+v", v)
		}
		s.Submit(breached("payments"))
		if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "rows are gone") {
			t.Errorf("SetShadow says %v", err)
		}
		s.cancel()
	})
}

type panicking struct{ *paper }

func (panicking) Checkpoint() ledger.Checkpoint { panic("rows are gone") }
