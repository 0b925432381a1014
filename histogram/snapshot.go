package histogram

import (
	"cmp"
	"slices"
	"time"
)

// Snapshot is what was measured over a span of sealed one-second slots,
// together with the requests in flight when it was taken. It shares nothing
// with the Recorder: it may be kept, read concurrently and merged into.
type Snapshot struct {
	// Span is how much time the sealed slots cover, at most the window.
	Span time.Duration
	// Overall is every route together.
	Overall Series
	// Routes holds the routes with samples, most requests first, then by name.
	Routes []RouteSeries
	// InFlight is how many requests were being served.
	InFlight int
	// InFlightIncluded is how many of those were counted at their present age.
	InFlightIncluded int
	// Seen is every request that ended in the span: measured or not.
	Seen uint64
	// Unmeasured counts the requests seen and not measured, by Reason.
	Unmeasured [NumReasons]uint64
}

// Series is the measurements of one route or of all of them.
type Series struct {
	// Durations are in nanoseconds: finished requests, and the requests in
	// flight that count at their present age. Streams have none.
	Durations *Counts
	// TTFB is the time to the first byte in nanoseconds, streams included.
	TTFB *Counts
	// Outcomes counts requests that ended, streams included, by Outcome.
	Outcomes [NumOutcomes]uint64
	// Streams is how many of Outcomes were streams.
	Streams uint64
}

// Requests is the number of requests that ended and were measured.
func (s Series) Requests() uint64 {
	var n uint64
	for _, c := range s.Outcomes {
		n += c
	}
	return n
}

// Errors is how many of the requests ended in an outcome that IsError.
func (s Series) Errors() uint64 {
	var n uint64
	for o, c := range s.Outcomes {
		if Outcome(o).IsError() {
			n += c
		}
	}
	return n
}

// ErrorRate is errors ÷ requests, 0 to 1, and 0 when there were no requests.
func (s Series) ErrorRate() float64 {
	n := s.Requests()
	if n == 0 {
		return 0
	}
	return float64(s.Errors()) / float64(n)
}

// RouteSeries is the measurements of one route.
type RouteSeries struct {
	Route Route
	Name  string // as RouteName gives it
	Series
}

// Snapshot is what the whole window holds, and what is in flight. A request in
// flight for longer than the 95th percentile of the window's finished ones
// counts at its present age, and every one does when none finished: what hangs
// shows before it ends.
func (r *Recorder) Snapshot() *Snapshot {
	return r.SnapshotLast(time.Duration(len(r.window.slots)) * time.Second)
}

// SnapshotLast is like Snapshot for the most recent d of the window, at least
// one second and in whole ones.
func (r *Recorder) SnapshotLast(d time.Duration) *Snapshot {
	r.sealing.Lock()
	defer r.sealing.Unlock()
	waiting := r.inFlight()
	now := r.now()
	waiting = r.fed(waiting, now)
	s := r.finished(max(int64(d/time.Second), 1))
	s.InFlight = len(waiting)
	r.censor(s, waiting, now)
	s.sort()
	return s
}

// finished is a Snapshot of the last n sealed slots.
func (r *Recorder) finished(n int64) *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = r.window.covered(n)
	s := &Snapshot{
		Span:    time.Duration(n) * time.Second,
		Overall: Series{Durations: new(Counts), TTFB: new(Counts)},
	}
	from, shared := &r.window.sum, true
	if n < int64(len(r.window.slots)) && n < r.window.sealed {
		from, shared = r.window.last(n), false
	}
	s.Unmeasured = from.unmeasured
	for _, n := range s.Unmeasured {
		s.Seen += n
	}
	for i, sums := range from.routes {
		if sums == nil || sums.requests() == 0 {
			continue
		}
		if shared {
			sums = sums.clone()
		}
		series := sums.series()
		s.Seen += series.Requests()
		s.Overall.merge(series)
		s.Routes = append(s.Routes, RouteSeries{Route: Route(i), Name: r.RouteName(Route(i)), Series: series})
	}
	return s
}

// series is the sums as a snapshot has them. They are used up by it.
func (r *routeSums) series() Series {
	r.durations.Merge(&r.both)
	r.ttfb.Merge(&r.both)
	return Series{Durations: &r.durations, TTFB: &r.ttfb, Outcomes: r.outcomes, Streams: r.streams}
}

func (s *Series) merge(o Series) {
	s.Durations.Merge(o.Durations)
	s.TTFB.Merge(o.TTFB)
	for i, n := range o.Outcomes {
		s.Outcomes[i] += n
	}
	s.Streams += o.Streams
}

// censor counts the requests in flight that have waited longer than P95.
func (r *Recorder) censor(s *Snapshot, waiting []record, now int64) {
	p95, finished := s.Overall.Durations.Quantile(0.95)
	for _, e := range waiting {
		age := e.age(now)
		if e.kind() != kindInFlight || finished && age <= p95.High {
			continue
		}
		s.InFlightIncluded++
		s.Overall.Durations.Add(age, 1)
		r.series(s, e.route()).Durations.Add(age, 1)
	}
}

// series is the route's part of s, made if there is none.
func (r *Recorder) series(s *Snapshot, route Route) *Series {
	for i := range s.Routes {
		if s.Routes[i].Route == route {
			return &s.Routes[i].Series
		}
	}
	s.Routes = append(s.Routes, RouteSeries{
		Route:  route,
		Name:   r.RouteName(route),
		Series: Series{Durations: new(Counts), TTFB: new(Counts)},
	})
	return &s.Routes[len(s.Routes)-1].Series
}

func (s *Snapshot) sort() {
	slices.SortFunc(s.Routes, func(a, b RouteSeries) int {
		return cmp.Or(cmp.Compare(b.Requests(), a.Requests()), cmp.Compare(a.Name, b.Name))
	})
}

// inFlight is every request being served on the Lanes.
func (r *Recorder) inFlight() []record {
	var found []record
	for _, s := range r.shards {
		found = s.walk(found)
	}
	return found
}
