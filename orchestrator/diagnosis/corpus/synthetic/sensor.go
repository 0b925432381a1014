package synthetic

import (
	"cmp"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// second 0 of every recording.
var epoch = time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)

func clock(t float64) time.Time { return epoch.Add(time.Duration(t * float64(time.Second))) }

const tick = 5 // seconds

// sensor measures and decides as the sidecar does.
type sensor struct {
	s       *service
	byEnd   []int // requests, by when they end
	next    int
	ticks   []*histogram.Snapshot // of the finished requests, oldest first, at most twelve
	began   []int                 // requests in flight
	arrived int
	watch   diagnosis.Watch
	count   diagnosis.Counters
	state   policy.State
	policy  *policy.Policy
	signals func() *diagnosis.Signals // of the last step
	checks  func(t float64) []policy.CheckResult
}

// observed is a tick of the sensor.
type observed struct {
	before   policy.State
	input    policy.Input
	decision policy.Decision
	window   *histogram.Snapshot
	signals  *diagnosis.Signals
	changes  []change.Change
}

func newSensor(s *service) *sensor {
	x := &sensor{s: s, policy: policy.Default(), count: diagnosis.Counters{Failures: map[string]uint64{}, Statuses: map[int]uint64{}}}
	x.byEnd = make([]int, len(s.requests))
	for i := range x.byEnd {
		x.byEnd[i] = i
	}
	slices.SortFunc(x.byEnd, func(a, b int) int { return cmp.Compare(s.requests[a].end, s.requests[b].end) })
	return x
}

// step measures the tick that ends at t and decides on it.
func (x *sensor) step(t float64) observed {
	finished := x.blank()
	for ; x.next < len(x.byEnd) && x.s.requests[x.byEnd[x.next]].end <= t; x.next++ {
		x.finish(finished, &x.s.requests[x.byEnd[x.next]])
	}
	made := x.s.churn * tick
	ms := x.s.connectMS
	if t >= x.s.fault.at && x.s.fault.connect != nil {
		ms = 1000 * x.s.fault.connect(t-x.s.fault.at)
		made *= 4
	}
	x.count.Connects += uint64(made + 0.99)
	x.count.ConnectTime += time.Duration(float64(uint64(made+0.99)) * ms * 1e6)

	if x.ticks = append(x.ticks, finished); len(x.ticks) > 12 {
		x.ticks = x.ticks[1:]
	}
	waiting := x.waiting(t)
	window, last := x.last(12, t, waiting), x.last(1, t, waiting)
	o := observed{before: x.state, window: window}
	o.input = policy.Input{Time: clock(t), Measurement: health.Measure(clock(t), window, last)}
	if x.checks != nil {
		o.input.Checks = x.checks(t)
	}
	x.state, o.decision = policy.Decide(x.state, o.input, x.policy)
	x.watch.Show(diagnosis.Reading{At: clock(t), Window: window, Tick: last, Counters: x.count, Well: len(o.decision.Breaches) == 0 && !o.decision.Breached})
	x.signals = func() *diagnosis.Signals {
		return x.watch.Signals(func(d time.Duration) *histogram.Snapshot { return x.seconds(d.Seconds(), t, waiting) })
	}
	return o
}

func (x *sensor) blank() *histogram.Snapshot {
	s := &histogram.Snapshot{Span: tick * time.Second, Overall: histogram.Series{Durations: new(histogram.Counts), TTFB: new(histogram.Counts)}}
	for i, r := range x.s.routes {
		s.Routes = append(s.Routes, histogram.RouteSeries{
			Route: histogram.Route(i), Name: r.name, Series: histogram.Series{Durations: new(histogram.Counts), TTFB: new(histogram.Counts)},
		})
	}
	return s
}

func (x *sensor) finish(to *histogram.Snapshot, r *request) {
	to.Seen++
	if r.gone {
		to.Unmeasured[histogram.ClientGone]++
		return
	}
	for _, s := range []*histogram.Series{&to.Overall, &to.Routes[r.route].Series} {
		s.Durations.Add(nanos(r.end-r.arrival), 1)
		s.TTFB.Add(nanos(r.end-r.arrival), 1)
		s.Outcomes[r.outcome]++
	}
	if r.failure != "" {
		x.count.Failures[r.failure]++
	}
	if r.status >= 400 {
		x.count.Statuses[r.status]++
	}
}

// waiting are the requests in flight at t.
func (x *sensor) waiting(t float64) []*request {
	for ; x.arrived < len(x.s.requests) && x.s.requests[x.arrived].arrival <= t; x.arrived++ {
		x.began = append(x.began, x.arrived)
	}
	x.began = slices.DeleteFunc(x.began, func(i int) bool { return x.s.requests[i].end <= t })
	var all []*request
	for _, i := range x.began {
		all = append(all, &x.s.requests[i])
	}
	return all
}

// seconds is the snapshot of the last seconds, with those who wait.
func (x *sensor) seconds(d, t float64, waiting []*request) *histogram.Snapshot {
	s := x.blank()
	for i := x.next - 1; i >= 0 && x.s.requests[x.byEnd[i]].end > t-d; i-- {
		r := x.s.requests[x.byEnd[i]]
		r.failure, r.status = "", 0 // counted already
		x.finish(s, &r)
	}
	return x.add(s, time.Duration(d*1e9), nil, t, waiting)
}

// last is the snapshot of the newest n ticks, with those who wait.
func (x *sensor) last(n int, t float64, waiting []*request) *histogram.Snapshot {
	parts := x.ticks[max(0, len(x.ticks)-n):]
	return x.add(x.blank(), time.Duration(len(parts))*tick*time.Second, parts, t, waiting)
}

func (x *sensor) add(s *histogram.Snapshot, span time.Duration, parts []*histogram.Snapshot, t float64, waiting []*request) *histogram.Snapshot {
	s.Span = span
	add := func(to, from *histogram.Series) {
		to.Durations.Merge(from.Durations)
		to.TTFB.Merge(from.TTFB)
		for i, n := range from.Outcomes {
			to.Outcomes[i] += n
		}
	}
	for _, p := range parts {
		add(&s.Overall, &p.Overall)
		for i := range p.Routes {
			add(&s.Routes[i].Series, &p.Routes[i].Series)
		}
		s.Seen += p.Seen
		for i, n := range p.Unmeasured {
			s.Unmeasured[i] += n
		}
	}
	p95, some := s.Overall.Durations.Quantile(0.95)
	s.InFlight = len(waiting)
	for _, r := range waiting {
		age := nanos(t - r.arrival)
		if some && age <= p95.High {
			continue
		}
		s.InFlightIncluded++
		s.Overall.Durations.Add(age, 1)
		s.Routes[r.route].Durations.Add(age, 1)
	}
	s.Routes = slices.DeleteFunc(s.Routes, func(r histogram.RouteSeries) bool { return r.Durations.Total() == 0 })
	slices.SortStableFunc(s.Routes, func(a, b histogram.RouteSeries) int { return cmp.Compare(b.Requests(), a.Requests()) })
	return s
}
