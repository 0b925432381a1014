package diagnosis

import (
	"math"
	"testing"
	"time"
)

// ticks are well for a minute, and then as drawn.
func ticks(drawn ...Moment) []Moment {
	var all []Moment
	for range 12 {
		all = append(all, Moment{P95MS: 40, MaxMS: 60, Samples: 100, Requests: 100, InFlight: 1})
	}
	for _, t := range drawn {
		t.Samples, t.Requests = 100, 100
		all = append(all, t)
	}
	for i := range all {
		all[i].UnixMilli = int64(i) * 5000
	}
	return all
}

// TestQueueOrDelay: within three bad ticks a queue that is served too slowly is told
// from a delay that all have, and from requests of which none is ever answered.
func TestQueueOrDelay(t *testing.T) {
	for _, c := range []struct {
		name    string
		bad     []Moment
		grows   bool
		settles bool
	}{
		{"a queue", []Moment{{P95MS: 1800, MaxMS: 2000, InFlight: 22}, {P95MS: 4500, MaxMS: 4800, InFlight: 34}, {P95MS: 6100, MaxMS: 6400, InFlight: 43}}, true, false},
		{"a delay", []Moment{{P95MS: 1800, MaxMS: 2000, InFlight: 40}, {P95MS: 3900, MaxMS: 4300, InFlight: 80}, {P95MS: 3950, MaxMS: 4350, InFlight: 78}}, false, true},
		{"a delay that varies", []Moment{{P95MS: 1100, MaxMS: 1800, InFlight: 22}, {P95MS: 2000, MaxMS: 3100, InFlight: 16}, {P95MS: 2380, MaxMS: 3800, InFlight: 15}}, false, true},
		{"no end", []Moment{{P95MS: 4000, MaxMS: 4200, InFlight: 60}, {P95MS: 9000, MaxMS: 9200, InFlight: 120}, {P95MS: 14000, MaxMS: 14200, InFlight: 180}}, false, false},
		{"too early", []Moment{{P95MS: 1800, MaxMS: 2000, InFlight: 22}, {P95MS: 4500, MaxMS: 4800, InFlight: 34}}, false, false},
	} {
		all := ticks(c.bad...)
		e := gathered(all)
		says, facts := waiting(&e)
		if (says != "") != c.grows || c.grows && len(facts) != 2 {
			t.Errorf("%s: a queue is seen: %q", c.name, says)
		}
		early, _ := settled(&e)
		later, _ := level(&e)
		if (early+later != "") != c.settles {
			t.Errorf("%s: it stays where it is: %q, %q", c.name, early, later)
		}
	}
}

// gathered is the evidence of ticks alone, of a service whose P95 is usually 40 ms.
func gathered(all []Moment) Evidence {
	m := Material{Signals: &Signals{V: Version, Ticks: all}}
	m.Before.Health.BaselineMS = []float64{40, 40, 40, 40}
	m.Input.Time = time.UnixMilli(all[len(all)-1].UnixMilli)
	return Gather(m)
}

// TestOneStepShowsThatItStays: of three bad ticks the first is bad only in part, and one
// step shows that the P95 stays where it is, not where it goes.
func TestOneStepShowsThatItStays(t *testing.T) {
	for _, c := range []struct {
		last float64
		ok   bool
	}{{4000, true}, {4100, true}, {6000, false}, {2000, false}} {
		course := courseOf(ticks(Moment{P95MS: 900}, Moment{P95MS: 4000}, Moment{P95MS: c.last}), 40)
		if v, ok := course.climb(); ok != c.ok {
			t.Errorf("from 4000 to %.0f ms: %g, %v", c.last, v, ok)
		}
	}
}

// TestSomeRoutesFail: whether something that several routes need is not there shows in
// those that fail; others may be slow meanwhile.
func TestSomeRoutesFail(t *testing.T) {
	route := func(errors, usual float64, bad bool) Fact {
		return Fact{Name: RouteFact, Subject: "GET /a", Value: 100, Unit: Millis, Part: ptr(0.25), Errors: &errors, UsualErrors: &usual, Bad: bad}
	}
	for _, c := range []struct {
		name        string
		routes      []Fact
		some, whole bool
	}{
		{"two of four", []Fact{route(1, 0, true), route(0.97, 0, true), route(0, 0, false), route(0.01, 0.01, false)}, true, true},
		{"two, and the others are slow", []Fact{route(1, 0, true), route(0.97, 0, true), route(0, 0, true), route(0, 0, true)}, true, true},
		{"two, now and then", []Fact{route(0.3, 0, true), route(0.4, 0, true), route(0, 0, false)}, true, false},
		{"all", []Fact{route(1, 0, true), route(0.97, 0, true)}, false, true},
		{"one", []Fact{route(1, 0, true), route(0, 0, false)}, false, true},
		{"as ever", []Fact{route(0.2, 0.2, false), route(0.1, 0.1, false)}, false, false},
		{"slow alone", []Fact{route(0, 0, true), route(0, 0, true)}, false, false},
	} {
		var e Evidence
		for _, f := range c.routes {
			e.add(f)
		}
		some, _ := someFail(&e)
		whole, _ := allOrNone(&e)
		if (some != "") != c.some || (whole != "") != c.whole {
			t.Errorf("%s: %q, %q", c.name, some, whole)
		}
	}
}

// TestTheWorstByFar: where all routes are slower by a little and one by a lot, that one
// is bad.
func TestTheWorstByFar(t *testing.T) {
	route := func(now, usual float64) routeFigures {
		return routeFigures{fact: Fact{Name: RouteFact, Value: now, Usual: &usual, Bad: true}}
	}
	all := []routeFigures{route(6000, 20), route(400, 20), route(700, 20), {fact: Fact{Name: RouteFact, Value: 30, Usual: ptr(20.0), Errors: ptr(0.5), Bad: true}}}
	spare(all)
	for i, want := range []bool{true, false, true, true} {
		if all[i].fact.Bad != want {
			t.Errorf("route %d: %v", i, all[i].fact.Bad)
		}
	}
}

// TestAnotherKindOfTrouble: requests that fail now are looked at alone, however often
// some were slow before; what was failing now and then is not.
func TestAnotherKindOfTrouble(t *testing.T) {
	slow, failing, well := Moment{P95MS: 300}, Moment{P95MS: 40, Errors: 30}, Moment{P95MS: 40}
	once := courseOf(ticks(slow, well, slow, well, slow, well, failing, failing), 40)
	if n := once.pulses(); n != 0 {
		t.Errorf("%d pulses of failing", n)
	}
	if d := once.filled(); d != 5*time.Second {
		t.Errorf("the incident fills %v", d)
	}
	if n := courseOf(ticks(slow, well, slow, well, slow), 40).pulses(); n != 2 {
		t.Errorf("%d pulses of being slow", n)
	}
	large := Moment{P95MS: 4000}
	if c := courseOf(ticks(slow, well, slow, well, large, large, large), 40); c.pulses() != 0 || c.run() != 3 {
		t.Errorf("of seconds after moments: %d pulses, a run of %d", c.pulses(), c.run())
	}
	again := courseOf(ticks(failing, well, failing, well, failing), 40)
	if again.pulses() != 2 || again.filled() != 30*time.Second {
		t.Errorf("%d pulses, %v", again.pulses(), again.filled())
	}
}

func TestRamp(t *testing.T) {
	double := func(n int, every float64) (all []float64) {
		for i := range n {
			all = append(all, 40*math.Exp2(float64(i)/every))
		}
		return all
	}
	for _, c := range []struct {
		name   string
		series []float64
		want   bool
	}{
		{"it doubles every third", double(8, 3), true},
		{"it doubles every tenth", double(30, 10), true},
		{"a straight line", []float64{40, 52, 61, 70, 83, 91, 99, 111}, true},
		{"a step", []float64{40, 41, 40, 42, 400, 410}, false},
		{"a step in two", []float64{37, 37.2, 37.9, 38.4, 300, 1020}, false},
		{"as ever", []float64{40, 42, 39, 41, 40, 43}, false},
		{"nothing", []float64{0, 0, 0, 0, 0, 0}, false},
		{"few", []float64{40, 80, 160}, false},
	} {
		if factor, steady := ramp(c.series); steady != c.want {
			t.Errorf("%s: %g, %v", c.name, factor, steady)
		}
	}
}
