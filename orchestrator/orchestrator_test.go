package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start makes an orchestrator inside a synctest bubble, over a recorder whose
// clock is the bubble's, and runs both.
func start(t *testing.T) (*Orchestrator, *histogram.Recorder, *syncBuffer) {
	t.Helper()
	origin := time.Now()
	rec, err := histogram.NewRecorder(histogram.Config{Now: func() int64 { return int64(time.Since(origin)) + 1 }})
	if err != nil {
		t.Fatal(err)
	}
	log := new(syncBuffer)
	o, err := New(Config{Recorder: rec, Service: "shop", Instance: "shop-1", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return o, rec, log
}

// run starts the tick; the returned stop ends it and waits.
func run(t *testing.T, o *Orchestrator, rec *histogram.Recorder) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := rec.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func record(rec *histogram.Recorder, now int64, n int, d time.Duration, o histogram.Outcome) {
	lane := rec.Lane()
	defer lane.Close()
	route := rec.Route([]byte("GET"), []byte("/users/17"))
	for range n {
		lane.Start(route, now)
		lane.Finish(o, now+int64(d), now+int64(d))
	}
}

func TestTheFirstDocumentIsThereBeforeTheFirstTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, _ := start(t)
		d := o.Document()
		if d.Status != health.OK || d.Reason != health.ReasonNoData || d.ServiceName != "shop" || d.InstanceID != "shop-1" {
			t.Errorf("the first document is %+v", d)
		}
		if err := o.Alive(); err != nil {
			t.Error(err)
		}
	})
}

func TestTickPublishesWhatWasMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, rec, log := start(t)
		stop := run(t, o, rec)
		defer stop()
		first := o.JSON()
		record(rec, 1, 50, time.Millisecond, histogram.ServerError)
		time.Sleep(TickInterval - time.Millisecond)
		synctest.Wait()
		if !bytes.Equal(o.JSON(), first) {
			t.Error("the document changed before a tick was due")
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		d := o.Document()
		if d.Status != health.Critical || d.Metrics.SampleSize != 50 || d.Routes[0].Route != "GET /users/{id}" {
			t.Errorf("after a tick the document is %+v", d)
		}
		var decoded health.Document
		if err := json.Unmarshal(o.JSON(), &decoded); err != nil || decoded.Status != d.Status || decoded.Timestamp != d.Timestamp {
			t.Errorf("JSON is %s (%v), want the document encoded", o.JSON(), err)
		}
		if n := strings.Count(log.String(), "status changed"); n != 1 {
			t.Errorf("the change of status was logged %d times, want once:\n%s", n, log)
		}
	})
}

func TestHungRequestsShowWithoutAnyThatFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, rec, _ := start(t)
		stop := run(t, o, rec)
		defer stop()
		for range 25 {
			lane := rec.Lane()
			defer lane.Close()
			lane.Start(rec.Route([]byte("GET"), []byte("/")), 1)
		}
		time.Sleep(4*TickInterval + time.Millisecond)
		synctest.Wait()
		d := o.Document()
		if p := d.Metrics.OverallP95MS; p == nil || *p < 19_000 || d.Status != health.Critical {
			t.Errorf("status %s, metrics %+v; want 25 requests that hang for 20 s to be critical", d.Status, d.Metrics)
		}
	})
}

func TestAPanicLeavesAStaleDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, rec, log := start(t)
		good, broken := o.decide, true
		o.decide = func(s policy.State, in policy.Input, p *policy.Policy) (policy.State, policy.Decision) {
			if broken {
				panic("no such baseline")
			}
			return good(s, in, p)
		}
		first := o.JSON()
		stop := run(t, o, rec)
		time.Sleep(staleAfter)
		synctest.Wait()
		if err := o.Alive(); err != nil {
			t.Errorf("dead after two missed ticks: %v", err)
		}
		time.Sleep(time.Second)
		if err := o.Alive(); err == nil || !strings.Contains(err.Error(), "16s old") {
			t.Errorf("after 16 s without an evaluation Alive says %v", err)
		}
		if !bytes.Equal(o.JSON(), first) {
			t.Error("a failed evaluation published something")
		}
		if !strings.Contains(log.String(), "no such baseline") || !strings.Contains(log.String(), "orchestrator_test.go") {
			t.Errorf("the log does not say what panicked and where:\n%s", log)
		}
		stop()

		broken = false
		stop = run(t, o, rec)
		defer stop()
		time.Sleep(TickInterval + time.Millisecond)
		synctest.Wait()
		if err := o.Alive(); err != nil {
			t.Errorf("still dead after a good evaluation: %v", err)
		}
	})
}

func TestADocumentThatCannotBeEncodedIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, _, _ := start(t)
		first := o.JSON()
		o.decide = func(s policy.State, _ policy.Input, _ *policy.Policy) (policy.State, policy.Decision) {
			return s, policy.Decision{Verdict: health.Verdict{HealthScore: health.Score{Score: math.NaN()}}}
		}
		if err := o.tick(); err == nil || !bytes.Equal(o.JSON(), first) {
			t.Errorf("a score of NaN was published (%v)", err)
		}
	})
}

func TestRunTakesInjectedTicks(t *testing.T) {
	rec, err := histogram.NewRecorder(histogram.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ticks, now := make(chan time.Time), time.Unix(1000, 0)
	o, err := New(Config{Recorder: rec, Ticks: ticks, Now: func() time.Time {
		now = now.Add(time.Minute)
		return now
	}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- o.Run(ctx) }()
	ticks <- time.Time{}
	ticks <- time.Time{} // taken only after the first was evaluated
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := o.Document().Timestamp; got != 1180 {
		t.Errorf("timestamp %d, want 1180: the clock's third reading", got)
	}
}

func TestNewNeedsARecorder(t *testing.T) {
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "recorder") {
		t.Errorf("error %v", err)
	}
}

// checked are checks that keep what they were told.
type checked struct {
	results []policy.CheckResult
	idle    []bool
}

func (c *checked) Drain() []policy.CheckResult { return c.results }
func (c *checked) SetIdle(idle bool)           { c.idle = append(c.idle, idle) }

// TestWhatATickDecidesOn: on the checks' results, in the state that the tick
// before left, of which a pause or a restart leaves what is usual and no more.
func TestWhatATickDecidesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, rec, _ := start(t)
		checks := &checked{results: []policy.CheckResult{{Target: "db", OK: true}}}
		ticks := make(chan time.Time)
		o.cfg.Checks, o.cfg.Ticks = checks, ticks
		learned := policy.State{Health: health.State{BaselineMS: []float64{1, 2, 3}}}
		o.cfg.Restore = func() policy.State { return learned }
		var before []policy.State
		var inputs []policy.Input
		o.decide = func(s policy.State, in policy.Input, p *policy.Policy) (policy.State, policy.Decision) {
			before, inputs = append(before, s), append(inputs, in)
			return policy.Decide(s, in, p)
		}
		stop := run(t, o, rec)
		tick := func(after time.Duration) {
			time.Sleep(after)
			ticks <- time.Now()
			synctest.Wait()
		}
		tick(5 * time.Second)
		record(rec, int64(5*time.Second)+1, 1, time.Millisecond, histogram.Success)
		tick(5 * time.Second)
		tick(time.Minute)
		stop()
		if !reflect.DeepEqual(before[0], learned) {
			t.Errorf("the first tick was decided on in %+v, want what was restored", before[0])
		}
		if before[1].At.IsZero() || before[1].Targets["db"].State != policy.Up {
			t.Errorf("the second tick was decided on in %+v, want what the first left", before[1])
		}
		if s := before[2]; !s.At.IsZero() || s.Targets != nil || !slices.Equal(s.Health.BaselineMS, learned.Health.BaselineMS) || len(s.Burn) == 0 {
			t.Errorf("after a pause it was decided on in %+v, want the baseline and the minutes alone", s)
		}
		if in := inputs[0]; len(in.Checks) != 1 || in.Checks[0].Target != "db" {
			t.Errorf("the first tick was decided on with the checks %+v", in.Checks)
		}
		if want := []bool{true, false, true}; !slices.Equal(checks.idle, want) {
			t.Errorf("the checks were told that it is idle: %v, want %v", checks.idle, want)
		}
	})
}
