package histogram

import "time"

// Feed hands a Recorder what a sensor counted by itself, in bulk: a probe in
// the kernel, say, that reads its counts once a second. It stands beside Lane,
// for sensors that no request passes through.
//
// Everything reported lands in the second that is not sealed yet. Quantiles are
// as exact as with Lanes if the sensor counted by Bucket, and what it saw is
// measured + unmeasured here too. A Feed is safe for concurrent use.
type Feed struct {
	recorder *Recorder
	waiting  []Waiting // guarded by recorder.mu
}

// Report is what a sensor has counted since its last one.
type Report struct {
	Counts     []Count
	Unmeasured [NumReasons]uint64
	// InFlight is every request that has not ended. It replaces what the Feed's
	// last Report said; Report keeps the slice.
	InFlight []Waiting
}

// Count is N requests of one route and outcome with something in common.
type Count struct {
	Route   Route
	Outcome Outcome
	Figure  Figure
	Bucket  uint16 // of the Figure, as Bucket gives it
	N       uint32
}

// Figure is which latency of a request a Count is about. A request is counted
// by Both or by Stream, or else by Duration and, separately, by TTFB.
type Figure uint8

const (
	Both     Figure = iota // duration and time to the first byte share a bucket
	Duration               // the duration of a request whose TTFB is counted apart
	TTFB                   // the TTFB of a request whose duration is counted apart
	Stream                 // the TTFB of a stream, which has no duration

	numFigures
)

// Waiting is one request in flight.
type Waiting struct {
	Route Route
	// Age is how long ago it was fully received, in nanoseconds at the time
	// of the Report. Snapshots count it as of then: what may have ended since
	// does not grow older. Negative: its body is still on its way.
	Age time.Duration
}

// Feed makes a Feed for a sensor. It must be closed. Safe for concurrent use.
func (r *Recorder) Feed() *Feed {
	f := &Feed{recorder: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeds = append(r.feeds, f)
	return f
}

// Report counts what the sensor has counted. A Count beyond the Recorder's
// routes, outcomes or buckets is N requests unmeasured as Internal.
func (f *Feed) Report(report Report) {
	r := f.recorder
	r.sealing.Lock() // so that no snapshot has a request both in flight and ended
	defer r.sealing.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range report.Counts {
		r.tally.countMany(c)
	}
	for reason, n := range report.Unmeasured {
		r.tally.unmeasured[reason] += n
	}
	f.waiting = report.InFlight
}

// Close ends the Feed: what was in flight is forgotten. Closing again does
// nothing.
func (f *Feed) Close() {
	r := f.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.feeds {
		if other == f {
			r.feeds = append(r.feeds[:i:i], r.feeds[i+1:]...)
			return
		}
	}
}

// Bucket is the index by which a latency of ns nanoseconds is counted, below
// 33 × 1024: HdrHistogram's at 3 significant figures with 1 as the lowest
// discernible value. Negative values count as 0 and values above Highest as
// Highest.
func Bucket(ns int64) uint16 { return uint16(bucketOf(ns)) }

// fed is what the feeds have in flight, as records whose age at now is the one
// reported.
func (r *Recorder) fed(found []record, now int64) []record {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.feeds {
		for _, w := range f.waiting {
			e := inFlight(w.Route)
			if w.Age < 0 {
				e = e.as(kindReceiving)
			} else {
				e |= since(now - int64(w.Age))
			}
			found = append(found, e)
		}
	}
	return found
}

// countMany counts c, or what is wrong with it.
func (t *tally) countMany(c Count) {
	if int(c.Route) >= len(t.routes) || c.Outcome >= NumOutcomes || c.Bucket >= numBuckets || c.Figure >= numFigures {
		if c.Figure != TTFB {
			t.unmeasured[Internal] += uint64(c.N)
		}
		return
	}
	if c.N == 0 {
		return
	}
	rt := t.route(c.Route)
	switch c.Figure {
	case Both:
		t.add(&rt.both, int(c.Bucket), c.N)
	case Duration:
		t.add(&rt.durations, int(c.Bucket), c.N)
	case TTFB:
		t.add(&rt.ttfb, int(c.Bucket), c.N)
		return
	case Stream:
		t.add(&rt.ttfb, int(c.Bucket), c.N)
		rt.streams += uint64(c.N)
	}
	rt.outcomes[c.Outcome] += uint64(c.N)
}
