package synthetic

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// scene is a service with a fault, and what is known around it.
type scene struct {
	*service
	rng      *rand.Rand
	length   float64 // seconds after the fault in which the incident must open
	changes  []change.Change
	check    string // the reason of failing checks while nothing is answered
	expected []diagnosis.Cause
	// atFirst are as right as long as the incident has just opened.
	atFirst []diagnosis.Cause
}

// scenario draws the parameters of one kind of fault.
type scenario struct {
	name string
	draw func(*scene)
}

// between draws a number; spread evenly over the factors.
func (s *scene) between(low, high float64) float64 {
	return low * math.Exp(s.rng.Float64()*math.Log(high/low))
}

// changed adds a change so many seconds before the fault.
func (s *scene) changed(kind string, age float64) {
	s.changes = append(s.changes, change.Change{
		ID: kind, Source: "event", Kind: kind, At: clock(s.fault.at - age), Title: "release of the day",
	})
}

func all(cause ...diagnosis.Cause) []diagnosis.Cause { return cause }

// depends says whether a route needs the dependency.
func (s *scene) depends(r int) bool { return s.routes[r].depend }

// failEverything is a fault by which a part of the requests has a gateway failure.
func (s *scene) failEverything(name string, part, after float64) {
	s.fault.effect = func(t float64, _ int) effect {
		if s.rng.Float64() < part {
			return effect{failure: name, after: after}
		}
		return effect{}
	}
}

var scenarios = []scenario{
	{"upstream-down", func(s *scene) {
		s.failEverything("upstream_refused", 1, 0)
		s.check = "connection refused"
		s.fault.retry = 0.3 * s.rng.Float64()
		s.expected = all(diagnosis.UpstreamDown)
	}},
	{"upstream-crashing", func(s *scene) {
		up := s.between(3, 20)
		s.fault.effect = func(t float64, _ int) effect {
			if math.Mod(t, up+8) < 8 {
				return effect{failure: []string{"upstream_refused", "upstream_refused", "upstream_closed"}[s.rng.IntN(3)]}
			}
			return effect{}
		}
		s.expected = all(diagnosis.UpstreamDown)
	}},
	{"upstream-hang", func(s *scene) {
		s.fault.effect = func(float64, int) effect { return effect{never: true} }
		s.clientTimeout = 60
		s.expected = all(diagnosis.UpstreamHang)
	}},
	{"dead-dependency", func(s *scene) {
		status, after := []int{500, 502, 503, 504}[s.rng.IntN(4)], 0.0
		if s.rng.IntN(3) == 0 {
			after = s.between(0.05, 1.5) // until its own connection attempt times out
		}
		s.fault.effect = func(_ float64, r int) effect {
			if s.depends(r) && s.rng.Float64() < 0.99 {
				return effect{status: status, after: after}
			}
			return effect{}
		}
		s.expected = all(diagnosis.DeadDependency)
	}},
	{"dead-dependency-everywhere", func(s *scene) {
		for i := range s.routes {
			s.routes[i].depend = true
		}
		status := []int{502, 503, 504}[s.rng.IntN(3)]
		s.fault.effect = func(float64, int) effect { return effect{status: status, after: s.rng.Float64() * 0.02} }
		s.expected = all(diagnosis.DeadDependency)
	}},
	{"slow-dependency", func(s *scene) {
		slow, wide := s.between(0.9, 6), 0.1+0.3*s.rng.Float64()
		s.pool = make(times, 400)
		s.fault.effect = func(float64, int) effect {
			return effect{depAdded: slow * math.Exp(wide*s.rng.NormFloat64())}
		}
		s.expected = all(diagnosis.SlowDependency)
	}},
	{"slow-dependency-everywhere", func(s *scene) {
		for i := range s.routes {
			s.routes[i].depend = true
		}
		s.pool = make(times, 500)
		slow := s.between(0.9, 5)
		s.fault.effect = func(float64, int) effect { return effect{depAdded: slow * math.Exp(0.2*s.rng.NormFloat64())} }
		s.expected = all(diagnosis.SlowDependency)
	}},
	{"pool-exhaustion", func(s *scene) {
		for i := range s.routes {
			s.routes[i].depend = s.routes[i].depend || s.rng.IntN(2) == 0
		}
		s.clientTimeout = 60
		// So few are left that what the dependency is asked for does not get through.
		share := 0.0
		for _, r := range s.routes {
			share += r.weight
		}
		var dep float64
		for _, r := range s.routes {
			if r.depend {
				dep += r.weight / share
			}
		}
		s.depTime = s.between(0.03, 0.12)
		needed := s.rate * dep * s.depTime
		s.pool = make(times, int(needed*3)+4)
		left := max(1, int(needed*(0.3+0.35*s.rng.Float64())))
		leak := s.between(1, 30)
		s.fault.pool = func(t float64) int { return max(left, int(float64(len(s.pool))*(1-t/leak))) }
		s.expected = all(diagnosis.PoolExhaustion)
	}},
	{"bad-deploy-route", func(s *scene) {
		s.badRoute()
		s.changed([]string{"deployment", "commit", "image"}[s.rng.IntN(3)], s.between(10, 20*60))
		s.expected = all(diagnosis.BadDeployRoute)
	}},
	{"bad-route", func(s *scene) {
		s.badRoute()
		s.expected = all(diagnosis.BadRoute)
	}},
	{"deployment", func(s *scene) {
		s.badEverywhere()
		s.changed([]string{"deployment", "image"}[s.rng.IntN(2)], s.between(5, 8*60))
		s.expected = all(diagnosis.Deployment)
	}},
	{"configuration", func(s *scene) {
		s.badEverywhere()
		s.changed([]string{"flag", "config", "migration", "infrastructure"}[s.rng.IntN(4)], s.between(5, 8*60))
		s.expected = all(diagnosis.Configuration)
	}},
	{"gc-pauses", func(s *scene) {
		pause, every := s.between(1.2, 5), s.between(8, 25)
		for t := s.fault.at; t < s.fault.at+s.length; t += pause + every*(0.7+0.6*s.rng.Float64()) {
			s.pauses = append(s.pauses, [2]float64{t, t + pause*(0.8+0.4*s.rng.Float64())})
		}
		s.expected = all(diagnosis.PauseOfProcess)
	}},
	{"retry-storm", func(s *scene) {
		s.clientTimeout = s.between(1.5, 5)
		s.fault.retry = 0.75 + 0.24*s.rng.Float64()
		slow := s.between(4, 12)
		s.workers = make(times, int(s.rate*0.5)+6)
		s.fault.effect = func(float64, int) effect { return effect{added: slow * (0.6 + 0.6*s.rng.Float64())} }
		s.expected = all(diagnosis.RetryStorm)
	}},
	{"traffic-spike", func(s *scene) {
		times3 := s.between(2.2, 7)
		var work float64
		for _, r := range s.routes {
			work += r.median * 1.2 / float64(len(s.routes))
		}
		work += s.depTime
		capacity := 1.2 + (times3-1.2)*(0.4+0.5*s.rng.Float64())
		s.workers = make(times, max(1, int(s.rate*work*capacity)))
		s.fault.rate = func(t float64) float64 { return 1 + (times3-1)*min(1, t/10) }
		s.expected = all(diagnosis.TrafficSpike)
	}},
	{"cold-start", func(s *scene) {
		down, half := s.between(3, 15), s.between(8, 25)
		slow := s.between(60, 300)
		s.fault.effect = func(t float64, _ int) effect {
			if t < down {
				return effect{failure: "upstream_refused"}
			}
			return effect{factor: 1 + slow*math.Exp2(-(t-down)/half)}
		}
		s.length = 300
		s.atFirst = all(diagnosis.UpstreamDown)
		if s.rng.IntN(2) == 0 {
			s.changed("deployment", 5)
			s.atFirst = all(diagnosis.UpstreamDown, diagnosis.Deployment)
		}
		s.expected = all(diagnosis.ColdStart)
	}},
	{"resource-ramp", func(s *scene) {
		double := s.between(90, 300)
		s.fault.effect = func(t float64, _ int) effect { return effect{factor: math.Exp2(t / double)} }
		s.length = 3600
		s.rate = min(s.rate, 25)
		s.expected = all(diagnosis.ResourceRamp)
	}},
	{"dns-failure", func(s *scene) {
		s.failEverything("upstream_not_found", []float64{1, 1, 0.5 + 0.5*s.rng.Float64()}[s.rng.IntN(3)], 0.01)
		s.check = "host api.internal not found"
		s.expected = all(diagnosis.NameNotFound)
	}},
	{"certificate", func(s *scene) {
		s.failEverything([]string{"upstream_certificate_expired", "upstream_certificate", "upstream_tls"}[s.rng.IntN(3)], 0.6+0.4*s.rng.Float64(), 0.004)
		s.check = "the certificate has expired or is not yet valid"
		s.expected = all(diagnosis.Certificate)
	}},
	{"network", func(s *scene) {
		loss := s.between(0.08, 0.9)
		s.fault.effect = func(float64, int) effect {
			if s.rng.Float64() < loss {
				if s.rng.IntN(3) > 0 {
					return effect{failure: "upstream_connect_timeout", after: 5}
				}
				return effect{failure: []string{"upstream_unreachable", "upstream_reset"}[s.rng.IntN(2)], after: 0.5 * s.rng.Float64()}
			}
			return effect{added: s.between(0.005, 1)}
		}
		s.fault.connect = func(float64) float64 { return s.between(0.3, 3) }
		s.expected = all(diagnosis.Network)
	}},
	{"partial-outage", func(s *scene) {
		part := 1 / float64(2+s.rng.IntN(5))
		status := []int{500, 500, 502}[s.rng.IntN(3)]
		s.fault.effect = func(float64, int) effect {
			if s.rng.Float64() < part {
				return effect{status: status}
			}
			return effect{}
		}
		s.expected = all(diagnosis.PartialOutage)
	}},
	{"slow-instance", func(s *scene) {
		part, slow := 1/float64(2+s.rng.IntN(4)), s.between(1.2, 6)
		s.fault.effect = func(float64, int) effect {
			if s.rng.Float64() < part {
				return effect{added: slow * math.Exp(0.15*s.rng.NormFloat64())}
			}
			return effect{}
		}
		s.expected = all(diagnosis.PartialOutage)
	}},
	{"riddle-two-at-once", func(s *scene) {
		// The load doubles, a certificate is not accepted now and then, and one route is slow.
		slow := s.rng.IntN(len(s.routes))
		s.fault.rate = func(float64) float64 { return 1.2 + 0.3*s.rng.Float64() }
		s.fault.effect = func(_ float64, r int) effect {
			switch x := s.rng.Float64(); {
			case x < 0.04:
				return effect{failure: "upstream_reset"}
			case x < 0.08:
				return effect{failure: "upstream_closed"}
			case r == slow:
				return effect{added: 3 * s.rng.Float64()}
			case x < 0.2:
				return effect{status: 500}
			}
			return effect{}
		}
		s.expected = all(diagnosis.Unknown)
	}},
	{"riddle-noise", func(s *scene) {
		// Each route fails and is slow at a rate of its own, without any pattern.
		fail, slow := make([]float64, len(s.routes)), make([]float64, len(s.routes))
		for i := range s.routes {
			fail[i], slow[i] = 0.3*s.rng.Float64(), 2*s.rng.Float64()
		}
		s.fault.effect = func(_ float64, r int) effect {
			if s.rng.Float64() < fail[r] {
				return effect{status: 500}
			}
			return effect{added: slow[r] * s.rng.Float64()}
		}
		s.expected = all(diagnosis.Unknown)
	}},
}

// badRoute makes one route slow or failing: one with enough traffic to matter.
func (s *scene) badRoute() {
	bad := s.rng.IntN(len(s.routes))
	s.routes[bad].weight = max(s.routes[bad].weight, 0.12*float64(len(s.routes)))
	fails, slow := s.rng.IntN(2) == 0, s.between(1.5, 8)
	rate := 0.5 + 0.5*s.rng.Float64()
	s.fault.effect = func(_ float64, r int) effect {
		switch {
		case r != bad:
			return effect{}
		case fails && s.rng.Float64() < rate:
			return effect{status: 500}
		case fails:
			return effect{}
		}
		return effect{added: slow * math.Exp(0.3*s.rng.NormFloat64())}
	}
}

// badEverywhere makes all routes slow or failing, as a bad version does.
func (s *scene) badEverywhere() {
	fails, slow, rate := s.rng.IntN(2) == 0, s.between(1.2, 6), s.between(0.15, 1)
	s.fault.effect = func(float64, int) effect {
		if fails {
			if s.rng.Float64() < rate {
				return effect{status: 500}
			}
			return effect{}
		}
		return effect{added: slow * math.Exp(0.3*s.rng.NormFloat64())}
	}
}

// surround adds what has nothing to do with it: old changes, and now and then one
// that is young enough to mislead.
func (s *scene) surround() {
	for range s.rng.IntN(3) {
		s.changed("commit", s.between(45*60, 10*3600))
	}
	slices.SortFunc(s.changes, func(a, b change.Change) int { return b.At.Compare(a.At) })
}

func (s *scene) checks(t float64) []policy.CheckResult {
	if s.check == "" || t < s.fault.at {
		return nil
	}
	return []policy.CheckResult{{Target: "health", Time: clock(t).Add(-time.Second), Reason: s.check, LatencyMS: 1}}
}
