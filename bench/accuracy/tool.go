package main

import (
	"time"

	"github.com/DataDog/sketches-go/ddsketch"

	"github.com/countersign-dev/countersign/histogram"
)

// window is what every P95 is about: the minute before it is asked for.
const window = time.Minute

// tool is a way to a P95 that people use. Its methods are called in the order of
// time, from one goroutine.
type tool interface {
	// observe is told of a request that ended at a time since the start, and of
	// how long it took; both in nanoseconds.
	observe(end, duration int64)
	// begin says that the measured minute begins.
	begin()
	// p95 is what the tool reports at the end of the measured minute.
	p95() (estimate, error)
}

// named is a tool and how it is set up.
type named struct {
	name, what string
	// make takes when the measured minute ends, in nanoseconds since the start.
	make func(until int64) (tool, error)
}

// tools are those that are fed with the durations themselves.
var tools = []named{
	{name: ours, what: "histogram.Recorder with its window of 60 s", make: newRecorder},
	{name: "access log, ms", what: "a line with whole milliseconds each, as nginx and HAProxy write it, sorted", make: newAccessLog},
	{name: "Prometheus classic", what: "client_golang's DefBuckets, histogram_quantile's linear interpolation", make: newClassic},
	{name: "Prometheus native", what: "bucket factor 1.1, exponential interpolation", make: newNative},
	{name: "Prometheus summary", what: "objective 0.95 ± 0.005, maximum age 10 min, which is the default", make: newSummary},
	{name: "DDSketch", what: "relative accuracy 1 %, a sketch of the minute", make: newSketch},
}

// ours is the name of what is compared with the others.
const ours = "Countersign"

// recorder is the sidecar's own histogram on a simulated clock.
type recorder struct {
	recorder           *histogram.Recorder
	lane               *histogram.Lane
	now, sealed, until int64
}

func newRecorder(until int64) (tool, error) {
	r := &recorder{until: until}
	var err error
	r.recorder, err = histogram.NewRecorder(histogram.Config{Window: window, Now: func() int64 { return r.now }})
	if err != nil {
		return nil, err
	}
	r.lane = r.recorder.Lane()
	return r, nil
}

func (r *recorder) observe(end, duration int64) {
	r.pass(end)
	r.lane.Start(0, end-duration)
	r.lane.Finish(histogram.Success, end, end)
}

// pass seals the seconds that have ended, as Recorder.Run does.
func (r *recorder) pass(now int64) {
	for r.sealed+int64(time.Second) <= now {
		r.sealed += int64(time.Second)
		r.recorder.Seal(r.sealed)
	}
	r.now = now
}

func (r *recorder) begin() {}

func (r *recorder) p95() (estimate, error) {
	r.pass(r.until)
	b, ok := r.recorder.Snapshot().Overall.Durations.Quantile(0.95)
	if !ok {
		return estimate{}, errNothing
	}
	return estimate{Value: float64(b.Value), Low: b.Low, High: b.High}, nil
}

// accessLog has a line for each request with its time in milliseconds: the
// difference of two readings of a clock that is cut to them.
type accessLog struct {
	lines []int64
}

func newAccessLog(int64) (tool, error) { return &accessLog{}, nil }

func (l *accessLog) observe(end, duration int64) {
	const ms = int64(time.Millisecond)
	l.lines = append(l.lines, (end/ms-(end-duration)/ms)*ms)
}

func (l *accessLog) begin() { l.lines = l.lines[:0] }

func (l *accessLog) p95() (estimate, error) {
	if len(l.lines) == 0 {
		return estimate{}, errNothing
	}
	return estimate{Value: float64(exact(l.lines))}, nil
}

// sketch is a DDSketch of the measured minute: agents make one of a few seconds
// each, and merging those loses nothing.
type sketch struct{ sketch *ddsketch.DDSketch }

func newSketch(int64) (tool, error) {
	s, err := ddsketch.NewDefaultDDSketch(0.01)
	return &sketch{s}, err
}

func (s *sketch) observe(_, duration int64) { _ = s.sketch.Add(float64(duration)) } // fails only for what is no positive number

func (s *sketch) begin() { s.sketch.Clear() }

func (s *sketch) p95() (estimate, error) {
	v, err := s.sketch.GetValueAtQuantile(0.95)
	return estimate{Value: v}, err
}
