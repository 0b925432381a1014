package histogram

// Totals is what was measured since the Recorder was made, for counters that
// only grow.
type Totals struct {
	Routes     []RouteTotals // the routes with samples, in the order they were registered
	Unmeasured [NumReasons]uint64
	Seen       uint64  // measured + unmeasured
	Overhead   *Counts // the sensor's own added time, sampled, in nanoseconds
	InFlight   int     // requests being served now
}

// RouteTotals is what was measured on one route since the Recorder was made.
type RouteTotals struct {
	Name            string
	Outcomes        [NumOutcomes]uint64
	Streams         uint64
	Durations, TTFB *Counts
}

// Totals is everything that was sealed since the Recorder was made, and how
// much is in flight.
func (r *Recorder) Totals() Totals {
	inFlight := len(r.fed(r.inFlight(), 0))
	r.mu.Lock()
	defer r.mu.Unlock()
	ever := &r.window.ever
	t := Totals{Unmeasured: ever.unmeasured, Overhead: r.overhead.Clone(), InFlight: inFlight}
	for _, n := range t.Unmeasured {
		t.Seen += n
	}
	for i, sums := range ever.routes {
		if sums == nil {
			continue
		}
		s := sums.clone().series()
		t.Seen += s.Requests()
		t.Routes = append(t.Routes, RouteTotals{
			Name:      r.RouteName(Route(i)),
			Outcomes:  s.Outcomes,
			Streams:   s.Streams,
			Durations: s.Durations,
			TTFB:      s.TTFB,
		})
	}
	return t
}
