package histogram

import (
	"context"
	"strings"
	"testing"
	"time"
)

// measuredRecorder is a Recorder whose time the test moves.
type measuredRecorder struct {
	t    *testing.T
	r    *Recorder
	lane *Lane
	now  int64
}

func newMeasured(t *testing.T, cfg Config) *measuredRecorder {
	t.Helper()
	m := &measuredRecorder{t: t, now: 12_345_678_901}
	cfg.Now = func() int64 { return m.now }
	var err error
	if m.r, err = NewRecorder(cfg); err != nil {
		t.Fatal(err)
	}
	m.lane = m.r.Lane()
	t.Cleanup(m.lane.Close)
	return m
}

func (m *measuredRecorder) route(method, target string) Route {
	return m.r.Route([]byte(method), []byte(target))
}

// request records one that took d and was answered at once.
func (m *measuredRecorder) request(route Route, o Outcome, d time.Duration) {
	m.lane.Start(route, m.now)
	m.lane.Finish(o, m.now+int64(d), m.now+int64(d))
}

// tick ends a second.
func (m *measuredRecorder) tick() { m.advance(time.Second) }

func (m *measuredRecorder) advance(d time.Duration) {
	m.now += int64(d)
	m.r.Seal(m.now)
}

func (m *measuredRecorder) wantRequests(want uint64, span time.Duration) {
	m.t.Helper()
	s := m.r.Snapshot()
	if got := s.Overall.Requests(); got != want || s.Span != span {
		m.t.Errorf("%d requests in %v; want %d in %v", got, s.Span, want, span)
	}
	if got := s.Overall.Durations.Total(); got != want {
		m.t.Errorf("%d durations of %d requests", got, want)
	}
}

func TestNewRecorderRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"short window", Config{Window: 9 * time.Second}, "from 10s to 1h"},
		{"long window", Config{Window: time.Hour + time.Second}, "from 10s to 1h"},
		{"half seconds", Config{Window: 10500 * time.Millisecond}, "whole seconds"},
		{"negative window", Config{Window: -time.Minute}, "from 10s to 1h"},
		{"many routes", Config{MaxRoutes: 1001}, "1 to 1000"},
		{"negative routes", Config{MaxRoutes: -1}, "1 to 1000"},
	}
	for _, tt := range tests {
		if _, err := NewRecorder(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestWindowExpires(t *testing.T) {
	m := newMeasured(t, Config{Window: 10 * time.Second})
	m.wantRequests(0, 0)
	m.request(0, Success, time.Millisecond)
	m.wantRequests(0, 0)
	m.tick()
	m.wantRequests(1, time.Second)
	m.request(0, Success, time.Millisecond)
	for n := 2; n <= 10; n++ {
		m.tick()
		m.wantRequests(2, time.Duration(n)*time.Second)
	}
	m.tick() // the first request's second has left the window
	m.wantRequests(1, 10*time.Second)
	m.tick()
	m.wantRequests(0, 10*time.Second)
	if got := m.r.Totals(); got.Seen != 2 || got.Routes[0].Durations.Total() != 2 {
		t.Errorf("totals %+v", got)
	}
}

func TestWindowTime(t *testing.T) {
	tests := []struct {
		name     string
		steps    []time.Duration
		requests uint64
		span     time.Duration
	}{
		{"standing still", []time.Duration{0, 0, 0}, 0, 0},
		{"less than a second", []time.Duration{999 * time.Millisecond}, 0, 0},
		{"a second", []time.Duration{999 * time.Millisecond, time.Millisecond}, 1, time.Second},
		{"the same second twice", []time.Duration{time.Second, 0}, 1, time.Second},
		{"backwards", []time.Duration{2 * time.Second, -5 * time.Second, time.Second}, 1, 2 * time.Second},
		{"backwards from the start", []time.Duration{-3 * time.Second}, 0, 0},
		{"three at once", []time.Duration{3500 * time.Millisecond}, 1, 3 * time.Second},
		{"a window at once", []time.Duration{10 * time.Second}, 1, 10 * time.Second},
		{"many windows at once", []time.Duration{time.Hour}, 1, 10 * time.Second},
		{"and out again", []time.Duration{time.Second, 9 * time.Second}, 1, 10 * time.Second},
		{"and out again, at once", []time.Duration{time.Second, 10 * time.Second}, 0, 10 * time.Second},
		{"and out again, far", []time.Duration{time.Second, time.Hour}, 0, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMeasured(t, Config{Window: 10 * time.Second})
			m.request(0, Success, time.Millisecond)
			for _, step := range tt.steps {
				m.advance(step)
			}
			m.wantRequests(tt.requests, tt.span)
		})
	}
}

// What is missed or late is counted later, and only once.
func TestLateRequests(t *testing.T) {
	m := newMeasured(t, Config{Window: 10 * time.Second})
	m.tick()
	m.lane.Start(0, m.now)
	m.advance(3 * time.Second)
	m.lane.Finish(Success, m.now, m.now)
	m.wantRequests(0, 4*time.Second)
	m.tick()
	m.wantRequests(1, 5*time.Second)
	m.advance(9 * time.Second)
	m.wantRequests(1, 10*time.Second)
	m.tick()
	m.wantRequests(0, 10*time.Second)
}

func TestOutcomes(t *testing.T) {
	m := newMeasured(t, Config{})
	users, orders := m.route("GET", "/users/1"), m.route("POST", "/orders")
	for range 6 {
		m.request(users, Success, time.Millisecond)
	}
	m.request(users, ClientError, time.Millisecond)
	m.request(orders, ServerError, time.Millisecond)
	m.request(orders, GatewayError, time.Second)
	m.lane.Start(orders, m.now)
	m.lane.FinishStream(Success, m.now+int64(time.Millisecond))
	m.lane.Start(orders, m.now)
	m.lane.Discard(ClientGone)
	m.lane.Unparsed(HTTP2)
	m.lane.Overhead(5000)
	m.tick()

	s := m.r.Snapshot()
	if want := [NumOutcomes]uint64{Success: 7, ClientError: 1, ServerError: 1, GatewayError: 1}; s.Overall.Outcomes != want {
		t.Errorf("outcomes %v, want %v", s.Overall.Outcomes, want)
	}
	if got := s.Overall.ErrorRate(); got != 0.2 {
		t.Errorf("error rate %v", got)
	}
	if s.Overall.Streams != 1 || s.Overall.Durations.Total() != 9 || s.Overall.TTFB.Total() != 10 {
		t.Errorf("%d streams, %d durations, %d TTFB", s.Overall.Streams, s.Overall.Durations.Total(), s.Overall.TTFB.Total())
	}
	if want := [NumReasons]uint64{ClientGone: 1, HTTP2: 1}; s.Unmeasured != want || s.Seen != 12 {
		t.Errorf("seen %d, unmeasured %v", s.Seen, s.Unmeasured)
	}
	if len(s.Routes) != 2 || s.Routes[0].Name != "GET /users/{id}" || s.Routes[1].Name != "POST /orders" || s.Routes[1].Streams != 1 {
		t.Errorf("routes %+v", s.Routes)
	}

	totals := m.r.Totals()
	if totals.Seen != 12 || totals.Unmeasured != s.Unmeasured || totals.Overhead.Total() != 1 || totals.InFlight != 0 {
		t.Errorf("totals %+v", totals)
	}
	if len(totals.Routes) != 2 || totals.Routes[1].Name != "POST /orders" || totals.Routes[1].Outcomes[GatewayError] != 1 || totals.Routes[1].Streams != 1 {
		t.Errorf("totals by route %+v", totals.Routes)
	}
}

func TestErrorRateOfNothing(t *testing.T) {
	if got := (Series{}).ErrorRate(); got != 0 {
		t.Errorf("%v", got)
	}
}

// A snapshot does not change with the recorder.
func TestSnapshotIsACopy(t *testing.T) {
	m := newMeasured(t, Config{})
	m.request(0, Success, time.Millisecond)
	m.tick()
	before, totals := m.r.Snapshot(), m.r.Totals()
	m.request(0, Success, time.Millisecond)
	m.tick()
	if before.Overall.Durations.Total() != 1 || before.Routes[0].Durations.Total() != 1 || totals.Routes[0].TTFB.Total() != 1 {
		t.Error("a later request is in an earlier snapshot")
	}
	before.Routes[0].Durations.Add(1, 100)
	if got := m.r.Snapshot().Overall.Durations.Total(); got != 2 {
		t.Errorf("%d requests after changing a snapshot", got)
	}
}

func TestSnapshotOrder(t *testing.T) {
	m := newMeasured(t, Config{})
	for _, name := range []string{"/b", "/a", "/c", "/c"} {
		m.request(m.route("GET", name), Success, time.Millisecond)
	}
	m.tick()
	var got []string
	for _, r := range m.r.Snapshot().Routes {
		got = append(got, r.Name)
	}
	if want := "GET /c GET /a GET /b"; strings.Join(got, " ") != want {
		t.Errorf("routes %v, want %s", got, want)
	}
}

func TestRunSeals(t *testing.T) {
	r, err := NewRecorder(Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	lane := r.Lane()
	defer lane.Close()
	// More than the log holds, so that Run is woken before the second is over.
	for range 3 * logLimit {
		lane.Start(0, 0)
		lane.Finish(Success, 1, 1)
	}
	deadline := time.Now().Add(20 * time.Second)
	for r.Totals().Seen != 3*logLimit {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests sealed", r.Totals().Seen)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
