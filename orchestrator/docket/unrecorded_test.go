package docket

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// notices are what people were told beside the ledger. Safe for concurrent use.
type notices struct {
	mu   sync.Mutex
	list []Notice
}

func (n *notices) take(one Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, one)
}

func (n *notices) events() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var events []string
	for _, one := range n.list {
		events = append(events, one.Event)
	}
	return strings.Join(events, " ")
}

// TestToldBesideTheLedger: while nothing can be recorded people are told once of trouble
// and once of its end, whatever the ledger's fault; and never in shadow mode.
func TestToldBesideTheLedger(t *testing.T) {
	for name, c := range map[string]struct {
		hangs  bool // and is not full
		shadow bool
		open   bool // an incident is, before the ledger fails
		want   string
	}{
		"full":            {false, false, false, "incident recovered"},
		"hangs":           {true, false, false, "incident recovered"},
		"full, open":      {false, false, true, "incident"},
		"full, in shadow": {false, true, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told notices
				o, l := new(outside), newPaper()
				cfg := acting(o, restart)
				cfg.Unrecorded = told.take
				s := start(t, l, cfg)
				s.sees(between("payments"))
				if !c.shadow {
					s.live()
				}
				if c.open {
					s.sees(breached("payments"))
				}
				hang := make(chan struct{})
				l.befall(fault{err: ledger.ErrNoSpace})
				if c.hangs {
					l.befall(fault{hang: hang})
				}
				s.sees(breached("payments"))
				s.sees(breached("payments"))
				if got := told.events(); got != "" {
					t.Errorf("at once %q", got)
				}
				for range 30 {
					s.sees(breached("payments"))
				}
				for range 30 {
					s.sees(calm("payments"))
				}
				if got := told.events(); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
				if c.want != "" {
					if n := told.list[0]; n.Tenant != "payments" || n.Service == "" || !strings.Contains(n.Text, "nothing can be approved or run") || n.At.IsZero() {
						t.Errorf("%+v", n)
					}
				}
				l.befall(fault{})
				close(hang)
				synctest.Wait()
				s.sees(calm("payments"))
				s.sees(calm("payments"))
				if got := told.events(); got != c.want || len(o.made()) != 0 {
					t.Errorf("in the end told %q, and %d actions ran", got, len(o.made()))
				}
				s.stop()
				proper(t, l)
			})
		})
	}
}

// TestToldOnce: what the next tick can record is told in the usual way alone, and what
// comes and goes not more than every ten minutes.
func TestToldOnce(t *testing.T) {
	var u unrecorded
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	lost, well := View{Ready: true, Problem: "full"}, View{Ready: true}
	see := func(v View, o incident.Observation) string {
		at = at.Add(5 * time.Second)
		o.Input.Time = at
		event, _ := u.notice(v, o)
		return event
	}
	bad, good := breached("payments"), calm("payments")
	for range 5 {
		if see(lost, bad)+see(well, bad) != "" {
			t.Fatal("told of what was recorded at the next tick")
		}
	}
	count := 0
	for range 60 { // ten minutes of ten seconds' trouble and recovery by turns
		if see(lost, bad)+see(lost, bad)+see(lost, good)+see(well, good) == incident.EventIncident+incident.EventRecovered {
			count++
		}
	}
	if count != 2 {
		t.Errorf("told %d times in 20 minutes", count)
	}
	if see(View{Ready: true, Shadow: true, Problem: "full"}, bad)+see(View{Shadow: true, Problem: "not read"}, bad) != "" {
		t.Error("told in shadow mode, or by who knows nothing")
	}
}
