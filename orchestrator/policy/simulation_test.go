package policy

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
)

var start = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

const tickSpan = 5 * time.Second

// simulation is a service under a policy, in a time of its own: traffic is
// drawn for a tick, kept for a minute, and decided on.
type simulation struct {
	p       *Policy
	state   State
	now     time.Time
	ticks   []sample // of the last minute
	waiting []time.Time
	rng     *rand.Rand
	results []CheckResult
}

// sample is what finished in one tick.
type sample struct {
	durations        *histogram.Counts // nil for none
	requests, errors uint64
}

func simulate(seed uint64) *simulation {
	return &simulation{p: Default(), now: start, rng: rand.New(rand.NewPCG(seed, 42))}
}

// tick lets five seconds pass in which s finished, and decides.
func (m *simulation) tick(s sample) Decision {
	m.now = m.now.Add(tickSpan)
	m.ticks = append(m.ticks, s)
	if len(m.ticks) > 12 {
		m.ticks = m.ticks[1:]
	}
	in := Input{
		Time:        m.now,
		Measurement: health.Measure(m.now, m.snapshot(m.ticks), m.snapshot(m.ticks[len(m.ticks)-1:])),
		Checks:      m.results,
	}
	m.results = nil
	var d Decision
	m.state, d = Decide(m.state, in, m.p)
	return d
}

func (m *simulation) snapshot(ticks []sample) *histogram.Snapshot {
	s := &histogram.Snapshot{Span: time.Duration(len(ticks)) * tickSpan}
	s.Overall = histogram.Series{Durations: new(histogram.Counts), TTFB: new(histogram.Counts)}
	for _, t := range ticks {
		if t.durations != nil {
			s.Overall.Durations.Merge(t.durations)
		}
		s.Overall.Outcomes[histogram.ServerError] += t.errors
		s.Overall.Outcomes[histogram.Success] += t.requests - t.errors
	}
	s.Seen = s.Overall.Requests()
	s.InFlight = len(m.waiting)
	p95, finished := s.Overall.Durations.Quantile(0.95)
	for _, since := range m.waiting {
		age := int64(m.now.Sub(since))
		if finished && age <= p95.High {
			continue
		}
		s.InFlightIncluded++
		s.Overall.Durations.Add(age, 1)
	}
	return s
}

// draw is a tick of about rate requests a second whose durations come from d,
// with a share of errors.
func (m *simulation) draw(rate float64, d func(*rand.Rand) time.Duration, errors float64) sample {
	s := sample{durations: new(histogram.Counts), requests: poisson(m.rng, rate*tickSpan.Seconds())}
	for range s.requests {
		s.durations.Add(int64(d(m.rng)), 1)
		if m.rng.Float64() < errors {
			s.errors++
		}
	}
	return s
}

func poisson(r *rand.Rand, mean float64) uint64 {
	n, sum := uint64(0), r.ExpFloat64()
	for sum < mean {
		n++
		sum += r.ExpFloat64()
	}
	return n
}

func msec(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }

// distributions are latencies of services in good health.
var distributions = map[string]func(*rand.Rand) time.Duration{
	"normal":    func(r *rand.Rand) time.Duration { return msec(max(1, 100+15*r.NormFloat64())) },
	"lognormal": func(r *rand.Rand) time.Duration { return msec(40 * math.Exp(0.7*r.NormFloat64())) },
	"bimodal": func(r *rand.Rand) time.Duration {
		if r.Float64() < 0.9 {
			return msec(max(1, 5+r.NormFloat64()))
		}
		return msec(max(1, 220+30*r.NormFloat64()))
	},
	"pareto": func(r *rand.Rand) time.Duration { return msec(min(60_000, 10/math.Sqrt(1-r.Float64()))) },
}

// daily is a factor with the rhythm of a day, of which an hour of simulation
// sees two.
func daily(tick int) float64 { return 1 + 0.6*math.Sin(2*math.Pi*float64(tick)/360) }
