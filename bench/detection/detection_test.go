package main

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/backtest"
	"github.com/countersign-dev/countersign/orchestrator/health"
)

// hours plays a service for a while, with what is given alone.
func hours(t *testing.T, n int, events []event, faults []fault) (*service, backtest.Result) {
	t.Helper()
	s := newService(shapes[0], 20, 1, 1)
	s.end = s.start.Add(time.Duration(n) * time.Hour)
	s.events, s.faults = events, faults
	result, err := s.judge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, result
}

// Each kind of fault is found, by an incident that opens within it, and an hour
// without one opens none: otherwise neither figure would say anything.
func TestFaultsAreFoundAndQuietIsQuiet(t *testing.T) {
	if testing.Short() {
		t.Skip("plays two hours for each fault")
	}
	for _, k := range kinds {
		at := monday.Add(90 * time.Minute)
		f := fault{kind: k, from: at, to: at.Add(faultLasts)}
		_, result := hours(t, 2, nil, []fault{f})
		found := find([]fault{f}, result.Would)
		for i, other := range kinds {
			want := 0
			if other.name == k.name {
				want = 1
			}
			if found[i].Faults != want || len(found[i].Seconds) != want {
				t.Errorf("with the fault %q, of %q: %+v", k.name, other.name, found[i])
			}
		}
		for _, i := range result.Would {
			if i.From.Before(f.from) || i.From.After(f.to.Add(afterFault)) {
				t.Errorf("%s: an incident opened at %s, and the fault was from %s: %s", k.name, i.From, f.from, i.Why)
			}
		}
	}
}

func TestWhatTheTrafficIsLike(t *testing.T) {
	s := newService(shapes[0], 20, 3, 1)
	s.events = nil
	s.now = monday.Add(9 * time.Hour) // where the mean of a day is met
	in := s.tick()
	for range 11 {
		in = s.tick()
	}
	w := in.Measurement.Window
	if w.Requests < 900 || w.Requests > 1600 || w.Errors() > 10 || w.P95MS == nil || *w.P95MS < 50 || *w.P95MS > 1000 {
		t.Errorf("a minute at about 20 requests a second came to %+v", w)
	}
	if !in.Time.Equal(s.now) || len(in.Checks) != 0 {
		t.Errorf("the tick at %s is of %s, with checks %v", s.now, in.Time, in.Checks)
	}
	if night, day := usual(monday.Add(3*time.Hour)), usual(monday.Add(15*time.Hour)); night > 0.2 || day < 1.8 {
		t.Errorf("the load is %v at night and %v in the afternoon", night, day)
	}
	if w, d := usual(monday.AddDate(0, 0, 5)), usual(monday); math.Abs(w-0.6*d) > 1e-9 {
		t.Errorf("the load is %v on Saturday and %v on Monday", w, d)
	}
}

// Requests without an answer are in flight until the proxy gives up on them.
func TestAHangIsInFlightFirst(t *testing.T) {
	s := newService(shapes[0], 10, 1, 1)
	s.events = nil
	s.now = monday.Add(12 * time.Hour)
	s.faults = []fault{{kind: kinds[4], from: s.now, to: s.now.Add(time.Hour)}}
	first := s.tick()
	if w := first.Measurement.Window; w.Requests != 0 || w.InFlight == 0 {
		t.Errorf("after five seconds %d have ended and %d are in flight", w.Requests, w.InFlight)
	}
	if len(first.Checks) != 1 || first.Checks[0].OK {
		t.Errorf("the check of an idle upstream came to %+v", first.Checks)
	}
	var last health.WindowFigures
	for range 8 {
		last = s.tick().Measurement.Window
	}
	if last.GatewayErrors == 0 || last.GatewayErrors != last.Requests {
		t.Errorf("after 45 s %d requests have ended, %d of them as errors", last.Requests, last.GatewayErrors)
	}
}

func TestPlansAndHappenings(t *testing.T) {
	faults := plan(rand.New(rand.NewPCG(1, 1)), 2)
	seen := map[string]int{}
	for i, f := range faults {
		seen[f.kind.name]++
		if i > 0 && f.from.Sub(faults[i-1].to) < time.Hour {
			t.Errorf("the fault at %s begins soon after the one before", f.from)
		}
	}
	for _, k := range kinds {
		if n := seen[k.name]; n < len(faults)/len(kinds) {
			t.Errorf("%q comes %d times among %d faults", k.name, n, len(faults))
		}
	}
	names := map[string]int{}
	var before time.Time
	for _, e := range happenings(rand.New(rand.NewPCG(1, 1)), 7) {
		names[e.happening.name]++
		if e.from.Before(before) || e.lasts <= 0 || e.lasts > longestEvent {
			t.Errorf("%s at %s lasts %s, after %s", e.happening.name, e.from, e.lasts, before)
		}
		if day := e.from.Weekday(); e.happening.worktime && (day == time.Saturday || day == time.Sunday || e.from.Hour() < 9 || e.from.Hour() >= 18) {
			t.Errorf("%s at %s, which is not in work time", e.happening.name, e.from)
		}
		before = e.from
	}
	if len(names) != len(usualLife) || names["nightly batch"] != 7 {
		t.Errorf("in a week there are %v", names)
	}
}

func TestDetectionsAreNotedOnce(t *testing.T) {
	var d Detection
	d.note(sight{incident: true}, 5)
	d.note(sight{incident: true, message: true}, 6)
	d.note(sight{incident: true, message: true, link: true}, 40)
	if *d.Incident != 5 || *d.Message != 6 || *d.Link != 40 {
		t.Errorf("noted %v, %v, %v", *d.Incident, *d.Message, *d.Link)
	}
	if m := guide.FindStringSubmatch("\n  findings  http://127.0.0.1:1/health/alerts\n  inbox     http://127.0.0.1:2/  what\n curl -X POST 'http://127.0.0.1:3/demo/faults?x'\nCtrl-C ends it.\n"); len(m) != 4 || m[1] != "127.0.0.1:1" || m[2] != "127.0.0.1:2" || m[3] != "127.0.0.1:3" {
		t.Errorf("the demo's guide is read as %q", m)
	}
	if guide.MatchString("findings  http://127.0.0.1:1/health/alerts") {
		t.Error("half a guide is taken for a whole one")
	}
}

func TestReport(t *testing.T) {
	five, nine := 5.0, 9.0
	r := Report{RatePerSecond: 50, Demos: []Detection{
		{Query: "die=true", Incident: &five, Message: &five}, {Query: "die=true", Round: 1, Incident: &nine, Message: &nine},
		{Query: "die=true", Round: 2, Early: true},
	}}
	w := Week{RatePerSecond: 10, Latencies: "bimodal", Days: 7, False: []Alarm{{At: monday, Validated: true, Why: "because"}, {At: monday}}}
	for i, k := range kinds {
		w.Found = append(w.Found, Found{Kind: k.name, Faults: 3, Seconds: make([]float64, i%4)})
	}
	r.Weeks = []Week{w}
	text := r.markdown()
	for _, want := range []string{
		"| gone (`die=true`) | 2 | 7.0 (5.0 to 9.0) | 7.0 (5.0 to 9.0) | never |", "are 1 of 3 rounds, as an incident", "| bimodal | 10 | 7.0 | 0 | 2 | 1 | 2.0 |",
		"2.00 false alarms a week, 1.00 of them", "| a third of requests fails | 0 of 3 |", "| four seconds slower | 2 of 3, 0 (0) |", "because",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestFlags(t *testing.T) {
	good := options{binary: "x", rounds: 1, parallel: 1, trials: 1, demoRate: 1, wait: time.Second, days: 1, only: "die=true,hang=true"}
	if err := good.check(nil); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*options){
		"no rounds": func(o *options) { o.rounds = 0 }, "no rate": func(o *options) { o.demoRate = math.NaN() }, "a fault that there is not": func(o *options) { o.only = "die" },
		"nothing at all": func(o *options) { o.binary, o.days = "", 0 }, "days before": func(o *options) { o.days = -1 }, "no wait": func(o *options) { o.wait = 0 },
	} {
		o := good
		spoil(&o)
		if o.check(nil) == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if good.check([]string{"extra"}) == nil {
		t.Error("an argument too many is taken")
	}
}

// A simulation that is broken off leaves nothing half done in the report.
func TestBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done, err := weeks(ctx, shapes, []float64{1}, 1, 1, 1)
	if err == nil || len(done) > 0 {
		t.Errorf("%d weeks, %v", len(done), err)
	}
	if text := (Report{Weeks: done}).markdown(); strings.Contains(text, "False alarms") {
		t.Errorf("the report is\n%s", text)
	}
}
