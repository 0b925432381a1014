package policy

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A steady hour of noisy but healthy traffic opens no incident, whatever the
// latencies look like, with few requests and with many.
func TestASteadyHourOpensNothing(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for name, latency := range distributions {
		for _, rate := range []float64{0.2, 2, 5, 50} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					steadyHour(t, seed, rate, latency, seed%2 == 1)
				}
			})
		}
	}
}

func steadyHour(t *testing.T, seed uint64, rate float64, latency func(*rand.Rand) time.Duration, rhythm bool) {
	m := simulate(seed)
	for i := range 720 {
		load, slower := 1.0, 1.0
		if rhythm { // a busier hour is a slower one
			load = daily(i)
			slower = 1 + (load-1)/2
		}
		d := m.tick(m.draw(rate*load, func(r *rand.Rand) time.Duration {
			return time.Duration(float64(latency(r)) * slower)
		}, 0.002))
		if d.Breached {
			t.Fatalf("seed %d, %v requests a second, tick %d: %s", seed, rate, i, d.Why)
		}
	}
	for name, target := range m.state.Targets {
		if target.State == Down || target.Flapping {
			t.Errorf("target %s is %+v", name, target)
		}
	}
}

// fault is what goes wrong, and by when it must have opened an incident.
type fault struct {
	name string
	// tick draws the i-th tick since it began.
	tick func(m *simulation, i int) sample
	// condition is the gate's own: the incident must be open in the tick that
	// meets it.
	condition func(d Decision) bool
	// within is the number of ticks in which it must be met.
	within int
	key    string
}

func steady(r *rand.Rand) time.Duration { return msec(max(1, 100+15*r.NormFloat64())) }

func slowed(factor float64) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(float64(steady(r)) * factor) }
}

func p95AtLeast(ms float64) func(Decision) bool {
	return func(d Decision) bool {
		p95 := d.Verdict.Metrics.OverallP95MS
		return d.Verdict.Metrics.SampleSize >= 20 && p95 != nil && *p95 >= ms
	}
}

func errorsAtLeast(share float64) func(Decision) bool {
	return func(d Decision) bool {
		rate := d.Verdict.Metrics.ErrorRate
		return rate != nil && *rate >= share
	}
}

func anomalous(d Decision) bool {
	c := d.Verdict.HealthScore.Components.Anomalies
	return c != nil && *c <= 50
}

func upstreamDown(m *simulation) func(Decision) bool {
	return func(Decision) bool { return m.state.Targets[UpstreamTarget].State == Down }
}

func TestFaultsOpenAnIncidentAtOnce(t *testing.T) {
	for _, rate := range []float64{10, 50} {
		for _, f := range []fault{
			{
				name: "latency three times as high", within: 3, condition: anomalous, key: "z_score",
				tick: func(m *simulation, _ int) sample { return m.draw(rate, slowed(3), 0) },
			},
			{
				name: "latency step to four seconds", within: 2, condition: p95AtLeast(3000), key: "absolute_threshold/latency_spike",
				tick: func(m *simulation, _ int) sample { return m.draw(rate, slowed(40), 0) },
			},
			{
				name: "a third of requests fails", within: 3, condition: errorsAtLeast(0.05), key: "absolute_threshold/error_anomaly",
				tick: func(m *simulation, _ int) sample { return m.draw(rate, steady, 0.33) },
			},
			{
				name: "six percent fail", within: 14, condition: errorsAtLeast(0.05), key: "absolute_threshold/error_anomaly",
				tick: func(m *simulation, _ int) sample { return m.draw(rate, steady, 0.08) },
			},
			{
				name: "dead, answered by the gateway", within: 2, condition: errorsAtLeast(0.05), key: "absolute_threshold/error_anomaly",
				tick: func(m *simulation, _ int) sample { return m.draw(rate, slowed(0.01), 1) },
			},
			{
				name: "a slow ramp", within: 720, condition: anomalous, key: "z_score",
				tick: func(m *simulation, i int) sample { return m.draw(rate, slowed(math.Pow(1.01, float64(i))), 0) },
			},
		} {
			t.Run(f.name, func(t *testing.T) {
				m := simulate(7)
				for range 120 {
					if d := m.tick(m.draw(rate, steady, 0.002)); d.Breached {
						t.Fatalf("before the fault: %s", d.Why)
					}
				}
				m.expect(t, f)
			})
		}
	}
}

// expect plays the fault until its incident is open.
func (m *simulation) expect(t *testing.T, f fault) {
	t.Helper()
	for i := range f.within {
		d := m.tick(f.tick(m, i))
		if f.condition(d) && !d.Breached {
			t.Fatalf("tick %d: the gate's condition holds and no incident is open: %s", i+1, d.Why)
		}
		if d.Breached {
			if !contains(d.Breaches, f.key) {
				t.Errorf("tick %d: %s is not among the breaches %s", i+1, f.key, keys(d.Breaches))
			}
			return
		}
	}
	t.Fatalf("no incident within %d ticks", f.within)
}

func contains(breaches []Breach, key string) bool {
	for _, b := range breaches {
		if b.Key == key {
			return true
		}
	}
	return false
}

func TestAHangOpensAnIncident(t *testing.T) {
	for _, rate := range []int{2, 10, 50} {
		m := simulate(3)
		for range 60 {
			m.tick(m.draw(float64(rate), steady, 0))
		}
		m.expect(t, fault{
			within: 3, condition: upstreamDown(m), key: "consecutive_failures:upstream",
			tick: func(m *simulation, _ int) sample {
				for i := range rate * 5 {
					m.waiting = append(m.waiting, m.now.Add(time.Duration(i)*tickSpan/time.Duration(rate*5)))
				}
				return sample{}
			},
		})
		m.waiting = nil
		for i := range 20 {
			if d := m.tick(m.draw(float64(rate), steady, 0)); d.Recovered {
				if i < 2 {
					t.Errorf("recovered after %d ticks", i+1)
				}
				break
			} else if i == 19 {
				t.Errorf("never recovered: %s", d.Why)
			}
		}
	}
}

func TestDeathWithoutTrafficOpensAnIncident(t *testing.T) {
	m := simulate(1)
	ask := func(ok bool) sample {
		m.results = []CheckResult{{Target: UpstreamTarget, Time: m.now, OK: ok, Reason: "connection refused"}}
		return sample{}
	}
	for range 5 {
		if d := m.tick(ask(true)); d.Breached {
			t.Fatal(d.Why)
		}
	}
	m.expect(t, fault{
		within: 2, condition: upstreamDown(m), key: "consecutive_failures:upstream",
		tick: func(*simulation, int) sample { return ask(false) },
	})
	var d Decision
	for range 3 {
		d = m.tick(ask(true))
	}
	if !d.Recovered {
		t.Errorf("not recovered after three successful checks: %s", d.Why)
	}
}

// A service that fails for half a minute every two minutes opens one incident
// after another until it is called flapping, and then one that stays open.
func TestAFlappingServiceStaysInOneIncident(t *testing.T) {
	m := simulate(5)
	opened, wasBreached, flapped := 0, false, false
	var d Decision
	for i := range 720 {
		errors := 0.0
		if i > 20 && i%24 < 6 {
			errors = 0.3 // the upstream stays UP: the service alone flaps
		}
		d = m.tick(m.draw(20, steady, errors))
		if d.Breached && !wasBreached {
			opened++
		}
		wasBreached = d.Breached || wasBreached && !d.Recovered
		if m.state.Service.Flapping {
			flapped = true
			if !d.Breached || d.Recovered {
				t.Fatalf("tick %d: flapping, and breached %v, recovered %v", i, d.Breached, d.Recovered)
			}
		}
	}
	if opened > 3 || !flapped {
		t.Errorf("%d incidents in an hour, flapping %v; want at most three and then one that stays", opened, flapped)
	}
	for i := range 80 {
		if d = m.tick(m.draw(20, steady, 0)); d.Recovered {
			if i < 50 {
				t.Errorf("recovered after %d ticks, want five minutes of quiet first", i)
			}
			return
		}
	}
	t.Errorf("not recovered after more than six minutes of quiet: %s", d.Why)
}
