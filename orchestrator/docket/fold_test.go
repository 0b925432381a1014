package docket

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func TestRestart(t *testing.T) {
	for _, stage := range []string{"DETECTED", "PROPOSED", "VALIDATED"} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPaper()
				s := start(t, l, settings())
				for s.stage("payments") != stage {
					s.sees(target(breached("payments"), "db", policy.Down), target(between("orders"), "queue", policy.Down))
				}
				if _, err := s.SetShadow(t.Context(), "orders", false, "ana", ""); err != nil {
					t.Fatal(err)
				}
				before := s.view("payments")
				s.stop()

				s = start(t, l, settings())
				after := s.view("payments")
				if !reflect.DeepEqual(after.Open, before.Open) || *after.Incident != *before.Incident || !after.Shadow {
					t.Errorf("it was %+v and is %+v", before.Open, after.Open)
				}
				if v := s.view("orders"); v.Shadow || v.Targets["queue"].State != policy.Down {
					t.Errorf("the other's view is %+v", v)
				}
				for range 30 {
					s.sees(target(breached("payments"), "db", policy.Down), target(between("orders"), "queue", policy.Down))
				}
				s.sees(target(calm("payments"), "db", policy.Up), target(between("orders"), "queue", policy.Up))
				s.stop()
				proper(t, l)
				got := kinds(l.entries(t))
				for kind, want := range map[string]int{
					"incident.detected": 1, "incident.proposed": 1, "incident.validated": 1, "incident.recovered": 1,
					"target.down": 2, "/target_down": 2, "target.up": 2, "effect.due/target_up": 1,
				} {
					if n := strings.Count(got, kind); n != want {
						t.Errorf("%d of %s: the ledger has %s", n, kind, got)
					}
				}
			})
		})
	}
}

func TestEntryThatIsRefused(t *testing.T) {
	good := incident.Entry{
		V: 1, Kind: "shadow.off", Time: time.Date(1999, 12, 31, 4, 0, 0, 0, time.UTC), TenantID: "payments", Service: "payments-api",
		Actor: "human:ana", PolicyVersion: "1", PolicyDigest: inForce.Digest(), Metadata: map[string]any{"previous": "on"},
	}
	with := func(change func(*incident.Entry)) string {
		e := good
		change(&e)
		return leaf(t, e)
	}
	for name, test := range map[string]struct {
		leaf string
		all  bool // it could be anybody's
	}{
		"unknown kind":  {leaf: with(func(e *incident.Entry) { e.Kind = "incident.escalated" })},
		"newer version": {leaf: strings.Replace(with(func(*incident.Entry) {}), `"v":1`, `"v":2`, 1)},
		"illegal": {leaf: with(func(e *incident.Entry) {
			e.Kind, e.Stage, e.IncidentID = "incident.validated", "VALIDATED", "inc-abcdef-1"
		})},
		"wrong type":       {leaf: strings.Replace(with(func(*incident.Entry) {}), `"payments-api"`, `7`, 1)},
		"name in capitals": {leaf: strings.Replace(with(func(*incident.Entry) {}), `"actor"`, `"ACTOR"`, 1)},
		"no tenant":        {leaf: with(func(e *incident.Entry) { e.TenantID = "" }), all: true},
		"tenant is number": {leaf: strings.Replace(with(func(*incident.Entry) {}), `"tenant_id":"payments"`, `"tenant_id":7`, 1), all: true},
		"policy of nobody": {leaf: with(func(e *incident.Entry) { e.Kind, e.PolicyDigest = "policy.loaded", "none" }), all: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newPaper(`{"v":1,"kind":"sidecar.started","time":"1999-12-31T03:30:00Z"}`, test.leaf, test.leaf)
				s := start(t, l, settings())
				s.sees(breached("payments"), breached("orders"))
				v := s.view("payments")
				if !strings.Contains(v.Problem, "entry 2 of the ledger is refused") || !v.Shadow || !v.Ready || v.Incident != nil {
					t.Errorf("the view is %+v", v)
				}
				if o := s.view("orders"); (o.Problem != "") != test.all || (o.Incident == nil) != test.all {
					t.Errorf("the other's view is %+v", o)
				}
				if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); err == nil || !strings.Contains(err.Error(), "entry 2") {
					t.Errorf("SetShadow says %v", err)
				}
				s.stop()
			})
		})
	}
}

// One that comes while the docket is at work is refused as well.
func TestEntryThatIsRefusedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.sees(breached("payments"))
		l.add(`{"v":1,"kind":"incident.escalated","time":"2000-01-01T00:00:05Z","tenant_id":"payments"}`)
		s.sees(calm("payments"), breached("orders"))
		if v := s.view("payments"); !strings.Contains(v.Problem, "is refused") || v.Incident != nil {
			t.Errorf("the view is %+v", v)
		}
		if s.stage("orders") != "DETECTED" {
			t.Error("the other tenant does not go on")
		}
		s.stop()
	})
}

// Of a long ledger only the newest incidents are kept.
func TestManyIncidents(t *testing.T) {
	const incidents = 2*maxSummaries + 100
	life := newEndless(t, 0, 1)
	life.size = uint64(incidents * len(life.life))
	d := New(settings())
	var l Ledger = life
	d.clerk.ledger, d.clerk.ready = l, true
	d.reading.Store(&l)
	if err := d.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.publish()
	list := d.Incidents("payments")
	if len(list) != maxSummaries || list[0].ID != life.idOf(incidents-1) || list[maxSummaries-1].ID != life.idOf(incidents-maxSummaries) {
		t.Fatalf("there are %d incidents, the newest is %+v", len(list), list[0])
	}
	oldest := list[maxSummaries-1]
	if c, err := d.Case("payments", oldest.ID); err != nil || len(c.Entries) != len(life.life) || c.Stage != incident.Recovered {
		t.Errorf("the case is %+v, %v", c, err)
	}
	if _, err := d.Case("payments", life.idOf(incidents-maxSummaries-1)); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "newest 500") {
		t.Errorf("a case from before: %v", err)
	}
	if len(d.desks[0].records) > 2*maxSummaries {
		t.Errorf("%d records are kept", len(d.desks[0].records))
	}
}

func TestHeading(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for leaf, want := range map[string]struct {
		heading
		quick bool
	}{
		`{"v":1,"kind":"incident.detected","time":"2026-03-01T03:00:00Z","tenant_id":"payments","service":"x"}`: {heading{"incident.detected", at, "payments"}, true},
		`{"v":1,"kind":"sidecar.started","time":"2026-03-01T03:00:00Z","service":"x"}`:                          {heading{"sidecar.started", at, ""}, true},
		`{"v":1,"kind":"incident.detected","time":"2026-03-01T03:00:00Z","service":"x"}`:                        {heading{"incident.detected", at, ""}, false},
		`{"v":1,"kind":"incident.detected","time":"2026-03-01T03:00:00Z","tenant_id":"pay\"ments"}`:             {heading{"incident.detected", at, `pay"ments`}, false},
		`{"kind":"x","v":1}`: {heading{kind: "x"}, false},
		`{"tenant_id":"a","time":"2026-03-01T04:00:00+01:00","kind":"y","KIND":"z"}`: {heading{"y", at, "a"}, false},
	} {
		if _, quick := quickHeading([]byte(leaf)); quick != want.quick {
			t.Errorf("%s: read quickly: %v", leaf, quick)
		}
		h, err := headingOf([]byte(leaf))
		if err != nil || h.kind != want.kind || h.tenant != want.tenant || !h.time.Equal(want.time) {
			t.Errorf("%s: %+v, %v", leaf, h, err)
		}
	}
	for _, leaf := range []string{``, `[]`, `{"kind":7}`, `{"kind":"x","time":"yesterday"}`} {
		if h, err := headingOf([]byte(leaf)); err == nil {
			t.Errorf("%s: %+v", leaf, h)
		}
	}
}

// What is read quickly is what the whole JSON says.
func FuzzHeading(f *testing.F) {
	f.Add("incident.detected", "2026-03-01T03:00:00Z", "payments")
	f.Add("a\u202e", "2026-03-01T03:00:00.5+01:00", `\"<`)
	f.Fuzz(func(t *testing.T, kind, at, tenant string) {
		leaf := []byte(`{"v":1`)
		for _, m := range [][2]string{{"kind", kind}, {"time", at}, {"tenant_id", tenant}} {
			value, err := json.Marshal(m[1])
			if err != nil {
				t.Fatal(err)
			}
			leaf = fmt.Appendf(leaf, `,"%s":%s`, m[0], value)
		}
		leaf = append(leaf, '}')
		quick, ok := quickHeading(leaf)
		slow, err := slowHeading(leaf)
		if ok && (err != nil || quick.kind != slow.kind || quick.ours() && quick.tenant != slow.tenant || !quick.time.Equal(slow.time)) {
			t.Errorf("%s: %+v, and in full %+v, %v", leaf, quick, slow, err)
		}
	})
}
