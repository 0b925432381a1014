package diagnosis

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
)

// Signals are what the sensor showed before and at a decision, beyond what the
// decision was made of: every part of it may be missing. Encode makes JSON of it, to
// be kept as evidence of its own.
type Signals struct {
	V int `json:"v"`
	// Ticks are the last few minutes tick by tick, Minutes the last hour; both
	// oldest first.
	Ticks   []Moment `json:"ticks,omitempty"`
	Minutes []Moment `json:"minutes,omitempty"`
	// Recent is the traffic of the last few ticks, Usual that of times in which
	// the service was well.
	Recent *Traffic `json:"recent,omitempty"`
	Usual  *Traffic `json:"usual,omitempty"`
	// The following count over the span of the measured window. Failures are by
	// why the upstream could not be used, as the Countersign-Error header names
	// it; Statuses by the status of its answers of 400 and above.
	Span     float64           `json:"span_seconds,omitempty"`
	Failures map[string]uint64 `json:"failures,omitempty"`
	Statuses map[int]uint64    `json:"statuses,omitempty"`
	Connects uint64            `json:"connects,omitempty"`
	// ConnectMS is the mean time to make a connection, UsualConnectMS before.
	ConnectMS      *float64 `json:"connect_ms,omitempty"`
	UsualConnectMS *float64 `json:"usual_connect_ms,omitempty"`
}

// MaxSignals is how long Encode makes it at the most, in bytes.
const MaxSignals = 48 << 10

// Encode is s as JSON of at most [MaxSignals] bytes. Where that is too little, what
// matters least is left out: routes beyond the busiest, the minutes, and at last the
// histograms.
func (s Signals) Encode() ([]byte, error) {
	shorten := []func(){
		func() {},
		func() { s.Recent, s.Usual = s.Recent.first(20), s.Usual.first(20) },
		func() { s.Minutes = nil },
		func() { s.Recent, s.Usual = s.Recent.bare(), s.Usual.bare() },
	}
	for _, f := range shorten {
		f()
		data, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("the signals cannot be encoded: %w", err)
		}
		if len(data) <= MaxSignals {
			return data, nil
		}
	}
	return nil, fmt.Errorf("the signals are longer than %d bytes, whatever is left out", MaxSignals)
}

// first is the traffic with so many routes at most.
func (t *Traffic) first(routes int) *Traffic {
	if t == nil {
		return nil
	}
	short := *t
	short.Routes = short.Routes[:min(len(short.Routes), routes)]
	return &short
}

// bare is the traffic without its histogram.
func (t *Traffic) bare() *Traffic {
	if t == nil {
		return nil
	}
	short := *t
	short.Durations = nil
	return &short
}

// Moment is one tick, or one minute. Latencies are milliseconds.
type Moment struct {
	UnixMilli int64   `json:"t"`
	P50MS     float64 `json:"p50,omitempty"`
	P95MS     float64 `json:"p95,omitempty"`
	MaxMS     float64 `json:"max,omitempty"`
	Samples   uint64  `json:"n,omitempty"`
	Requests  uint64  `json:"requests,omitempty"`
	Errors    uint64  `json:"errors,omitempty"`
	// Seen is every request that ended, measured or not.
	Seen     uint64 `json:"seen,omitempty"`
	InFlight int    `json:"in_flight,omitempty"`
}

// Traffic is what was measured over some time.
type Traffic struct {
	Seconds float64 `json:"seconds"`
	// Durations are HdrHistogram V2, in nanoseconds, as [histogram.DecodeV2] reads.
	Durations []byte         `json:"durations_hdr_v2,omitempty"`
	Routes    []health.Route `json:"routes,omitempty"`
	Requests  uint64         `json:"requests"`
	Errors    uint64         `json:"errors"`
}

// Counters are what the sensor has counted since it started.
type Counters struct {
	Failures    map[string]uint64
	Statuses    map[int]uint64
	Connects    uint64
	ConnectTime time.Duration
}

// Reading is one tick of the sidecar's own service.
type Reading struct {
	At time.Time
	// Window and Tick are the snapshots that the tick was decided on. They are
	// only read, and not kept.
	Window, Tick *histogram.Snapshot
	Counters     Counters
	// Well says that nothing breaches and no incident is open: the tick shows
	// what is usual.
	Well bool
}

// How much is kept.
const (
	keptTicks   = 48
	keptMinutes = 60
	keptUsual   = 10 // minutes of well-being that what is usual is made of
	keptRoutes  = 60
)

// Watch keeps what [Signals] are made of: it is shown every tick. It takes well
// below 200 KB, and a millisecond once a minute. Not safe for concurrent use; the
// zero value is ready.
type Watch struct {
	ticks, minutes []Moment
	minute         []Moment  // the ticks of the present minute
	counters       []counted // of the ticks of a window, oldest first
	usual          []Traffic
	usualAt        time.Time
	wellSince      time.Time // zero while it is not well
	connect        ewma
}

type counted struct {
	at time.Time
	Counters
}

// ewma is the mean of what is usual, the later the weightier.
type ewma struct {
	mean float64
	set  bool
}

func (e *ewma) add(v float64) {
	if !e.set {
		e.mean, e.set = v, true
		return
	}
	e.mean += (v - e.mean) / 16
}

// Show takes in the next tick.
func (w *Watch) Show(r Reading) {
	m := momentOf(r)
	w.ticks = lastOf(w.ticks, m, keptTicks)
	if n := len(w.minute); n > 0 && w.minute[0].UnixMilli/60000 != m.UnixMilli/60000 {
		w.minutes = lastOf(w.minutes, mean(w.minute), keptMinutes)
		w.minute = w.minute[:0]
	}
	w.minute = append(w.minute, m)
	if len(w.minute) > 120 { // the clock stands still
		w.minute = w.minute[1:]
	}
	w.count(r)
	if !r.Well {
		w.wellSince = time.Time{}
		return
	}
	if w.wellSince.IsZero() {
		w.wellSince = r.At
	}
	// The whole window must have been well: what comes and goes is not usual.
	if r.At.Sub(w.wellSince) >= r.Window.Span-r.Tick.Span && r.At.Sub(w.usualAt).Abs() >= time.Minute {
		w.usualAt = r.At
		w.usual = lastOf(w.usual, trafficOf(r.Window), keptUsual)
	}
}

func (w *Watch) count(r Reading) {
	now := counted{r.At, Counters{maps.Clone(r.Counters.Failures), maps.Clone(r.Counters.Statuses), r.Counters.Connects, r.Counters.ConnectTime}}
	if len(w.counters) == 0 { // the sensor started when the watch did
		w.counters = append(w.counters, counted{at: r.At.Add(-r.Tick.Span)})
	}
	if n := len(w.counters); r.Well {
		last := w.counters[n-1]
		if made := now.Connects - last.Connects; now.Connects > last.Connects {
			w.connect.add(milliseconds(now.ConnectTime-last.ConnectTime) / float64(made))
		}
	}
	w.counters = append(w.counters, now)
	for len(w.counters) > 2 && r.At.Sub(w.counters[1].at) >= r.Window.Span {
		w.counters = w.counters[1:]
	}
}

// Signals is what the ticks shown so far come to. last takes a snapshot of the
// latest traffic, as [histogram.Recorder.SnapshotLast] does; it may be nil. It is
// asked for as much as the incident fills, so that what went well before does not
// dilute it: two seconds of one that has just begun, thirty at the most.
func (w *Watch) Signals(last func(time.Duration) *histogram.Snapshot) *Signals {
	s := &Signals{V: Version, Ticks: slices.Clone(w.ticks), Minutes: slices.Clone(w.minutes)}
	if len(w.minute) > 0 {
		s.Minutes = append(s.Minutes, mean(w.minute))
	}
	if len(w.usual) > 0 {
		s.Usual = ptr(merged(w.usual))
	}
	if last != nil {
		s.Recent = w.recent(s, last)
	}
	if w.connect.set {
		s.UsualConnectMS = ptr(w.connect.mean)
	}
	if n := len(w.counters); n > 1 {
		first, last := w.counters[0], w.counters[n-1]
		s.Span = last.at.Sub(first.at).Seconds()
		s.Failures = rise(first.Failures, last.Failures)
		s.Statuses = rise(first.Statuses, last.Statuses)
		if last.Connects > first.Connects {
			s.Connects = last.Connects - first.Connects
			s.ConnectMS = ptr(milliseconds(last.ConnectTime-first.ConnectTime) / float64(s.Connects))
		}
	}
	return s
}

// enough is how many requests a snapshot of only two seconds must have.
const enough = 25

func (w *Watch) recent(s *Signals, last func(time.Duration) *histogram.Snapshot) *Traffic {
	usual := 0.0
	if c := s.Usual.counts(); c != nil {
		usual = at(c, 0.95)
	}
	for _, span := range []time.Duration{courseOf(s.Ticks, usual).filled(), 5 * time.Second, 15 * time.Second} {
		if t := trafficOf(last(span)); t.Requests >= enough || span == 15*time.Second {
			return &t
		}
	}
	return nil
}

// rise is by how much the counters grew, without those that did not.
func rise[K comparable](from, to map[K]uint64) map[K]uint64 {
	grown := map[K]uint64{}
	for k, n := range to {
		if n > from[k] {
			grown[k] = n - from[k]
		}
	}
	return grown
}

func momentOf(r Reading) Moment {
	d := r.Tick.Overall.Durations
	m := Moment{
		UnixMilli: r.At.UnixMilli(), Samples: d.Total(), Requests: r.Tick.Overall.Requests(),
		Errors: r.Tick.Overall.Errors(), Seen: r.Tick.Seen, InFlight: r.Tick.InFlight,
	}
	if d.Total() > 0 {
		p50, _ := d.Quantile(0.5)
		p95, _ := d.Quantile(0.95)
		m.P50MS, m.P95MS, m.MaxMS = round(ms(p50.Value)), round(ms(p95.Value)), round(ms(d.Max().Value))
	}
	return m
}

// mean is one moment for several: the median of their latencies, the sum of
// their requests.
func mean(ticks []Moment) Moment {
	m := Moment{UnixMilli: ticks[0].UnixMilli}
	var p50, p95 []float64
	for _, t := range ticks {
		if t.Samples > 0 {
			p50, p95 = append(p50, t.P50MS), append(p95, t.P95MS)
		}
		m.MaxMS, m.InFlight = max(m.MaxMS, t.MaxMS), max(m.InFlight, t.InFlight)
		m.Samples, m.Requests, m.Errors, m.Seen = m.Samples+t.Samples, m.Requests+t.Requests, m.Errors+t.Errors, m.Seen+t.Seen
	}
	m.P50MS, m.P95MS = median(p50), median(p95)
	return m
}

// trafficOf is a snapshot in short.
func trafficOf(s *histogram.Snapshot) Traffic {
	t := Traffic{Seconds: s.Span.Seconds(), Requests: s.Overall.Requests(), Errors: s.Overall.Errors()}
	few := *s
	few.Routes = few.Routes[:min(len(few.Routes), keptRoutes)]
	t.Routes = health.RoutesOf(&few)
	for i := range t.Routes {
		if p := t.Routes[i].P95MS; p != nil {
			*p = round(*p)
		}
	}
	if data, err := s.Overall.Durations.EncodeV2(); err == nil {
		t.Durations = data
	}
	return t
}

// merged is several times of well-being as one: the histograms added, and of
// each route the median of its P95s.
func merged(parts []Traffic) Traffic {
	var t Traffic
	all := new(histogram.Counts)
	type sums struct {
		p95             []float64
		errors, samples float64
	}
	routes := map[string]*sums{}
	var names []string
	for _, p := range parts {
		t.Seconds, t.Requests, t.Errors = t.Seconds+p.Seconds, t.Requests+p.Requests, t.Errors+p.Errors
		if c, err := histogram.DecodeV2(p.Durations); err == nil {
			all.Merge(c)
		}
		for _, r := range p.Routes {
			s := routes[r.Route]
			if s == nil {
				s = new(sums)
				routes[r.Route] = s
				names = append(names, r.Route)
			}
			if r.P95MS != nil {
				s.p95 = append(s.p95, *r.P95MS)
			}
			if r.ErrorRate != nil {
				s.errors += *r.ErrorRate * float64(r.SampleSize)
			}
			s.samples += float64(r.SampleSize)
		}
	}
	for _, name := range names[:min(len(names), keptRoutes)] {
		s := routes[name]
		r := health.Route{Route: name, SampleSize: uint64(s.samples)}
		if len(s.p95) > 0 {
			r.P95MS = ptr(median(s.p95))
		}
		if s.samples > 0 {
			r.ErrorRate = ptr(s.errors / s.samples)
		}
		t.Routes = append(t.Routes, r)
	}
	if data, err := all.EncodeV2(); err == nil {
		t.Durations = data
	}
	return t
}

// lastOf is the newest limit values of old followed by v. It may write into old.
func lastOf[T any](old []T, v T, limit int) []T {
	if len(old) >= limit {
		old = slices.Delete(old, 0, len(old)+1-limit)
	}
	return append(old, v)
}

// median is 0 for no values.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

func milliseconds(d time.Duration) float64 { return float64(d) / 1e6 }
