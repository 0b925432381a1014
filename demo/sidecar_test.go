package demo_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/histogram/clock"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/proxy"
)

// sidecar is the sample API with the proxy in front, on real sockets, and
// with the passing of time in the test's hand.
type sidecar struct {
	t        *testing.T
	api      *demo.API
	url      string
	recorder *histogram.Recorder
	ahead    atomic.Int64 // ns that the recorder's clock is ahead
	time     time.Time
	state    policy.State
}

func start(t *testing.T) *sidecar {
	t.Helper()
	s := &sidecar{t: t, time: time.Unix(1_800_000_000, 0)}
	var err error
	if s.api, err = demo.Open("127.0.0.1:0", 1); err != nil {
		t.Fatal(err)
	}
	s.recorder, err = histogram.NewRecorder(histogram.Config{Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Upstream: "http://" + s.api.Addr(), Recorder: s.recorder})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- p.Serve(ln) }()
	t.Cleanup(func() {
		s.api.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(p.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *sidecar) now() int64 { return clock.Now() + s.ahead.Load() }

// tick lets d pass for the recorder, and decides.
func (s *sidecar) tick(d time.Duration) health.Document {
	s.t.Helper()
	s.ahead.Add(int64(d))
	s.time = s.time.Add(d)
	s.recorder.Seal(s.now())
	window := s.recorder.Snapshot()
	var decided policy.Decision
	s.state, decided = policy.Decide(s.state, policy.Input{
		Time: s.time, Measurement: health.Measure(s.time, window, s.recorder.SnapshotLast(d)),
	}, policy.Default())
	return health.NewDocument(decided.Verdict, health.About{Service: "demo", Time: s.time, Routes: health.RoutesOf(window)})
}

// send makes n requests at once; wait returns the number of answers by status.
func (s *sidecar) send(n int) (wait func() map[int]int) {
	s.t.Helper()
	var all sync.WaitGroup
	statuses := make(chan int, n)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for range n {
		all.Go(func() {
			res, err := client.Get(s.url + "/products/7")
			if err != nil {
				statuses <- 0
				return
			}
			_ = res.Body.Close()
			statuses <- res.StatusCode
		})
	}
	return func() map[int]int {
		all.Wait()
		close(statuses)
		count := map[int]int{}
		for status := range statuses {
			count[status]++
		}
		return count
	}
}

func (s *sidecar) set(f demo.Faults) {
	s.t.Helper()
	if err := s.api.SetFaults(f); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sidecar) expect(got map[int]int, status, n int) {
	s.t.Helper()
	if got[status] != n || len(got) != 1 {
		s.t.Fatalf("answers by status: %v, want %d × %d", got, n, status)
	}
}

const enough = 40 // requests, for every gate to have its least number

func TestDocumentIsWellWhenNothingIsWrong(t *testing.T) {
	s := start(t)
	s.expect(s.send(enough)(), 200, enough)
	doc := s.tick(5 * time.Second)
	if doc.Status != health.OK || doc.Metrics.SampleSize != enough || doc.HealthScore.Score != 100 {
		t.Errorf("%s, score %v, %d samples", doc.Status, doc.HealthScore.Score, doc.Metrics.SampleSize)
	}
}

func TestDocumentSeesLatency(t *testing.T) {
	s := start(t)
	s.set(demo.Faults{LatencyMS: 1100})
	s.expect(s.send(enough)(), 200, enough)
	doc := s.tick(5 * time.Second)
	if doc.Status != health.Warning || *doc.Metrics.OverallP95MS < 1100 {
		t.Errorf("%s with a P95 of %v ms", doc.Status, *doc.Metrics.OverallP95MS)
	}
}

func TestDocumentSeesFastErrorsAsCritical(t *testing.T) {
	s := start(t)
	s.set(demo.Faults{ErrorRate: 1})
	s.expect(s.send(enough)(), 500, enough)
	doc := s.tick(5 * time.Second)
	if doc.Status != health.Critical || doc.HealthScore.Status != health.ScoreCritical || *doc.Metrics.ErrorRate != 1 {
		t.Errorf("%s, score %v, error rate %v", doc.Status, doc.HealthScore.Score, *doc.Metrics.ErrorRate)
	}
}

func TestDocumentSeesAHangBeforeAnyTimeout(t *testing.T) {
	s := start(t)
	s.expect(s.send(enough)(), 200, enough)
	if doc := s.tick(5 * time.Second); doc.Status != health.OK {
		t.Fatalf("before: %s", doc.Status)
	}
	s.set(demo.Faults{Hang: true})
	wait := s.send(enough)
	for deadline := time.Now().Add(30 * time.Second); s.recorder.Snapshot().InFlight < enough; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("only %d requests arrived", s.recorder.Snapshot().InFlight)
		}
	}
	doc := s.tick(5 * time.Second)
	if doc.Status != health.Critical || *doc.Metrics.OverallP95MS < 5000 || doc.Metrics.InFlightIncluded != enough {
		t.Errorf("hanging: %s, P95 %v ms, %d in flight included", doc.Status, *doc.Metrics.OverallP95MS, doc.Metrics.InFlightIncluded)
	}
	s.set(demo.Faults{})
	s.expect(wait(), 200, enough)
}

func TestDocumentSeesADeadAPIAndItsReturn(t *testing.T) {
	s := start(t)
	s.set(demo.Faults{Die: true})
	s.expect(s.send(enough)(), 502, enough)
	if doc := s.tick(5 * time.Second); doc.Status != health.Critical || *doc.Metrics.ErrorRate != 1 {
		t.Errorf("dead: %s, error rate %v", doc.Status, *doc.Metrics.ErrorRate)
	}
	s.set(demo.Faults{})
	s.expect(s.send(enough)(), 200, enough)
	// A window later the errors are past.
	s.tick(60 * time.Second)
	s.expect(s.send(enough)(), 200, enough)
	if doc := s.tick(5 * time.Second); doc.Status != health.OK || *doc.Metrics.ErrorRate != 0 {
		t.Errorf("back: %s, error rate %v", doc.Status, *doc.Metrics.ErrorRate)
	}
}
