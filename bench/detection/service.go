package main

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// shape is how latencies are spread when all is well: a draw around 1, to be
// multiplied with the route's typical latency.
type shape struct {
	name string
	draw func(*rand.Rand) float64
}

var shapes = []shape{
	{"log-normal", func(r *rand.Rand) float64 { return math.Exp(0.5 * r.NormFloat64()) }},
	{"bimodal", func(r *rand.Rand) float64 {
		if r.Float64() < 0.9 {
			return 1 + 0.2*r.NormFloat64()
		}
		return 8 + r.NormFloat64()
	}},
	{"heavy-tailed", func(r *rand.Rand) float64 { return 0.7 / math.Sqrt(1-r.Float64()) }},
}

// routes are what is asked for, with their share and their typical latency.
var routes = []struct {
	target string
	share  float64
	ms     float64
}{
	{"/products", 0.5, 20}, {"/search", 0.3, 60}, {"/orders", 0.15, 90}, {"/reports", 0.05, 250},
}

// service is an API and its customers in simulated time, measured by the
// sidecar's own Recorder.
type service struct {
	shape shape
	rate  float64
	rng   *rand.Rand
	// Times are simulated. Faults and events are in the order in which they begin;
	// those of more than longestEvent ago are in past.
	start, now, end time.Time
	events, past    []event
	faults          []fault

	requests    uint64
	load, speed wander

	recorder *histogram.Recorder
	clock    int64 // the Recorder's, in nanoseconds
	routes   []histogram.Route
	silent   bool              // nothing answers in this second
	free     []*histogram.Lane // without a request in flight
	// ending are the requests in flight that end in a second, by that modulo.
	ending [maxSeconds + 2][]flight
}

// maxSeconds is the longest a request takes; without an answer the proxy gives up
// on it after patience.
const (
	maxSeconds = 60
	patience   = 30 * time.Second
)

// flight is a request that has not ended in the second in which it came.
type flight struct {
	lane    *histogram.Lane
	outcome histogram.Outcome
	end     int64
}

func newService(s shape, rate float64, seed uint64, days int) *service {
	v := &service{
		shape: s, rate: rate, rng: rand.New(rand.NewPCG(seed, 1)), start: monday, now: monday,
		end:  monday.AddDate(0, 0, days),
		load: wander{spread: 0.1, keep: 1 - 1.0/300}, speed: wander{spread: 0.05, keep: 1 - 1.0/120},
	}
	v.events = happenings(rand.New(rand.NewPCG(seed, 2)), days)
	var err error
	if v.recorder, err = histogram.NewRecorder(histogram.Config{Now: func() int64 { return v.clock }}); err != nil {
		panic(err) // the Config is the default one
	}
	for _, r := range routes {
		v.routes = append(v.routes, v.recorder.Route([]byte("GET"), []byte(r.target)))
	}
	return v
}

// wander is a number that drifts around 0: an autoregressive process of the first
// order, by the second.
type wander struct{ spread, keep, at float64 }

func (w *wander) next(r *rand.Rand) float64 {
	w.at = w.keep*w.at + w.spread*math.Sqrt(1-w.keep*w.keep)*r.NormFloat64()
	return w.at
}

// tick lets one tick's seconds pass, and returns what the policy is to decide on.
func (s *service) tick() policy.Input {
	for range history.Interval / time.Second {
		s.second()
	}
	in := policy.Input{
		Time:        s.now,
		Measurement: health.Measure(s.now, s.recorder.Snapshot(), s.recorder.SnapshotLast(history.Interval)),
	}
	if in.Measurement.Tick.Requests == 0 {
		in.Checks = []policy.CheckResult{{Target: policy.UpstreamTarget, Time: s.now, OK: !s.silent, Reason: "no answer"}}
	}
	return in
}

// second is one second of traffic.
func (s *service) second() {
	now := condition{load: usual(s.now), slower: 1, errors: 0.001}
	// A busier hour is a slower one.
	now.slower *= 1 + 0.3*(now.load-1)
	now.load *= math.Exp(s.load.next(s.rng))
	now.slower *= math.Exp(s.speed.next(s.rng))
	for _, e := range s.events {
		if into := s.now.Sub(e.from); into >= 0 && into < e.lasts {
			e.happening.act(&now, into, e.size)
		}
	}
	for _, f := range s.faults {
		if !f.from.After(s.now) && s.now.Before(f.to) {
			f.kind.act(&now)
		}
	}
	s.silent = now.dead || now.hangs
	for range poisson(s.rng, s.rate*now.load) {
		s.request(now)
	}
	s.finish()
	s.now = s.now.Add(time.Second)
	s.clock += int64(time.Second)
	s.recorder.Seal(s.clock)
	for len(s.events) > 0 && s.events[0].from.Add(longestEvent).Before(s.now) {
		s.events, s.past = s.events[1:], append(s.past, s.events[0])
	}
}

// request is one customer's.
func (s *service) request(now condition) {
	s.requests++
	at := s.clock + s.rng.Int64N(int64(time.Second))
	route, ms := s.pick()
	outcome := histogram.Success
	ms = ms*max(s.shape.draw(s.rng), 0.1)*now.slower + now.addedMS
	switch {
	case now.hangs:
		outcome, ms = histogram.GatewayError, float64(patience.Milliseconds())
	case now.dead:
		outcome, ms = histogram.GatewayError, 0.5
	case s.rng.Float64() < now.errors:
		outcome, ms = histogram.ServerError, ms/4
	case s.rng.Float64() < 0.02:
		outcome = histogram.ClientError
	}
	end := at + int64(min(ms*1e6, maxSeconds*1e9))
	if len(s.free) == 0 {
		s.free = append(s.free, s.recorder.Lane())
	}
	l := s.free[len(s.free)-1]
	l.Start(route, at)
	if end < s.clock+int64(time.Second) {
		l.Finish(outcome, end, end)
		return
	}
	s.free = s.free[:len(s.free)-1]
	in := s.place(end)
	s.ending[in] = append(s.ending[in], flight{l, outcome, end})
}

// finish ends the requests that end in this second.
func (s *service) finish() {
	in := s.place(s.clock)
	for _, f := range s.ending[in] {
		f.lane.Finish(f.outcome, f.end, f.end)
		s.free = append(s.free, f.lane)
	}
	s.ending[in] = s.ending[in][:0]
}

// place is where a time's second is in ending.
func (s *service) place(at int64) int { return int(at / int64(time.Second) % int64(len(s.ending))) }

func (s *service) pick() (histogram.Route, float64) {
	at := s.rng.Float64()
	for i, r := range routes {
		if at -= r.share; at < 0 {
			return s.routes[i], r.ms
		}
	}
	return s.routes[0], routes[0].ms
}

// usual is the load of an hour as a share of a weekday's mean: little at night,
// most in the afternoon, less at weekends.
func usual(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60 + float64(t.Second())/3600
	day := 1 - 0.85*math.Cos(2*math.Pi*(hour-3)/24)
	if d := t.Weekday(); d == time.Saturday || d == time.Sunday {
		day *= 0.6
	}
	return day
}

// poisson draws how many come when mean are expected.
func poisson(r *rand.Rand, mean float64) int {
	n, sum := 0, r.ExpFloat64()
	for sum < mean {
		n++
		sum += r.ExpFloat64()
	}
	return n
}
