package histogram

import (
	"sync"
	"testing"
	"time"
)

func (m *measuredRecorder) wantInFlight(inFlight, included int) *Snapshot {
	m.t.Helper()
	s := m.r.Snapshot()
	if s.InFlight != inFlight || s.InFlightIncluded != included {
		m.t.Errorf("%d in flight, %d of them included; want %d and %d", s.InFlight, s.InFlightIncluded, inFlight, included)
	}
	return s
}

func TestInFlightCountsAtItsAge(t *testing.T) {
	m := newMeasured(t, Config{})
	route := m.route("GET", "/slow")
	hanging := m.r.Lane()
	defer hanging.Close()
	hanging.Start(route, m.now)
	if got := m.r.Totals().InFlight; got != 1 {
		t.Errorf("%d in flight in totals", got)
	}

	// Nothing has finished: it counts, whatever its age.
	m.now += int64(time.Millisecond)
	s := m.wantInFlight(1, 1)
	if b := s.Overall.Durations.Max(); b.Low > int64(time.Millisecond) || b.High < int64(time.Millisecond) {
		t.Errorf("age %v", b)
	}
	if s.Overall.Requests() != 0 || s.Seen != 0 {
		t.Errorf("%d requests, seen %d", s.Overall.Requests(), s.Seen)
	}
	if len(s.Routes) != 1 || s.Routes[0].Name != "GET /slow" || s.Routes[0].Durations.Total() != 1 || s.Routes[0].TTFB.Total() != 0 {
		t.Errorf("routes %+v", s.Routes)
	}

	// Others finish, in 10 ms at P95: it counts from then on.
	for range 95 {
		m.request(route, Success, 10*time.Millisecond)
	}
	for range 5 {
		m.request(route, Success, 30*time.Millisecond)
	}
	m.now += int64(time.Second)
	m.r.Seal(m.now)
	hanging.Restamp(m.now)
	m.now += int64(10 * time.Millisecond)
	m.wantInFlight(1, 0)
	m.now += int64(10 * time.Millisecond)
	s = m.wantInFlight(1, 1)
	if s.Overall.Durations.Total() != 101 || s.Overall.Requests() != 100 || s.Routes[0].Durations.Total() != 101 {
		t.Errorf("%d durations, %d requests", s.Overall.Durations.Total(), s.Overall.Requests())
	}
	if got := m.r.SnapshotLast(5 * time.Second); got.InFlightIncluded != 1 {
		t.Errorf("the tick includes %d", got.InFlightIncluded)
	}

	// It ends, and is no longer counted twice or at all before its second is sealed.
	hanging.Finish(GatewayError, m.now, m.now)
	m.wantInFlight(0, 0)
	m.tick()
	s = m.wantInFlight(0, 0)
	if s.Overall.Requests() != 101 || s.Overall.Durations.Total() != 101 || s.Overall.Outcomes[GatewayError] != 1 {
		t.Errorf("%d requests, %d durations", s.Overall.Requests(), s.Overall.Durations.Total())
	}
}

// A hung upstream raises P95 while every request to it is still waiting.
func TestHungUpstreamShows(t *testing.T) {
	m := newMeasured(t, Config{})
	for range 1000 {
		m.request(0, Success, time.Millisecond)
	}
	m.tick()
	for range 100 {
		lane := m.r.Lane()
		defer lane.Close()
		lane.Start(0, m.now)
	}
	m.advance(4 * time.Second)
	b, _ := m.r.Snapshot().Overall.Durations.Quantile(0.95)
	if b.Low > int64(4*time.Second) || b.High < int64(4*time.Second) {
		t.Errorf("P95 is %v while a tenth of all requests hang for 4 s", b)
	}
}

func TestReceivingHasNoAge(t *testing.T) {
	m := newMeasured(t, Config{})
	m.lane.Start(0, m.now)
	m.lane.Receiving()
	m.now += int64(time.Hour)
	m.wantInFlight(1, 0)
	m.lane.Restamp(m.now)
	m.now += int64(time.Second)
	m.wantInFlight(1, 1)
	m.lane.Finish(Success, m.now, m.now)
	m.tick()
	if b := m.r.Snapshot().Overall.Durations.Max(); b.Low > int64(time.Second) || b.High < int64(time.Second) {
		t.Errorf("latency %v, want it from the end of the body", b)
	}
}

func TestLaneMisused(t *testing.T) {
	tests := []struct {
		name       string
		use        func(l *Lane, now int64)
		requests   uint64
		unmeasured [NumReasons]uint64
	}{
		{"finish without start", func(l *Lane, now int64) { l.Finish(Success, now, now) }, 0, [NumReasons]uint64{}},
		{"stream without start", func(l *Lane, now int64) { l.FinishStream(Success, now) }, 0, [NumReasons]uint64{}},
		{"discard without start", func(l *Lane, _ int64) { l.Discard(Internal) }, 0, [NumReasons]uint64{}},
		{"restamp without start", func(l *Lane, now int64) { l.Restamp(now); l.Receiving() }, 0, [NumReasons]uint64{}},
		{"start twice", func(l *Lane, now int64) {
			l.Start(0, now)
			l.Start(0, now)
			l.Finish(Success, now, now)
		}, 1, [NumReasons]uint64{Internal: 1}},
		{"finish twice", func(l *Lane, now int64) {
			l.Start(0, now)
			l.Finish(Success, now, now)
			l.Finish(Success, now, now)
		}, 1, [NumReasons]uint64{}},
		{"closed open, twice", func(l *Lane, now int64) {
			l.Start(0, now)
			l.Close()
			l.Close()
		}, 0, [NumReasons]uint64{ClientGone: 1}},
		{"ends before it starts", func(l *Lane, now int64) {
			l.Start(0, now)
			l.Finish(Success, now-5, now-3)
		}, 1, [NumReasons]uint64{}},
		{"unknown reason", func(l *Lane, _ int64) { l.Unparsed(99) }, 0, [NumReasons]uint64{Internal: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMeasured(t, Config{})
			lane := m.r.Lane()
			defer lane.Close()
			tt.use(lane, m.now)
			m.tick()
			s := m.r.Snapshot()
			if s.Overall.Requests() != tt.requests || s.Unmeasured != tt.unmeasured || s.InFlight != 0 {
				t.Errorf("%d requests, unmeasured %v, %d in flight", s.Overall.Requests(), s.Unmeasured, s.InFlight)
			}
		})
	}
}

// Whatever the ring's state when a second ends, nothing is lost or seen twice.
func TestRingAtEveryPosition(t *testing.T) {
	m := newMeasured(t, Config{})
	var want uint64
	for n := range 3*ringSize + 1 {
		for range n {
			m.request(0, Success, time.Millisecond)
			want++
		}
		m.lane.Start(0, m.now)
		m.wantInFlight(1, 1-min(int(m.r.Snapshot().Overall.Requests()), 1))
		m.tick()
		m.lane.Finish(Success, m.now, m.now)
		want++
		m.wantInFlight(0, 0)
	}
	m.tick()
	if got := m.r.Totals().Seen; got != want {
		t.Errorf("%d requests of %d", got, want)
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	m := newMeasured(t, Config{})
	method, target := []byte("GET"), []byte("/users/42/orders/7?x=y")
	record := func() {
		m.lane.Start(m.r.Route(method, target), m.now)
		m.lane.Finish(Success, m.now+5, m.now+1000)
	}
	for range 2 * logLimit {
		record()
	}
	if n := testing.AllocsPerRun(2*logLimit, record); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

// Many connections record, come and go while seconds are sealed and snapshots
// taken: the totals are exact.
func TestConcurrentRecording(t *testing.T) {
	const lanes, connections, requests = 8, 20, 500
	r, err := NewRecorder(Config{})
	if err != nil {
		t.Fatal(err)
	}
	var recording sync.WaitGroup
	for i := range lanes {
		recording.Go(func() {
			for c := range connections {
				lane := r.Lane()
				route := r.Route([]byte("GET"), []byte{'/', byte('a' + i)})
				for n := range int64(requests) {
					lane.Start(route, n)
					switch n % 10 {
					case 0:
						lane.Discard(EarlyResponse)
					case 1:
						lane.FinishStream(ClientError, 2*n)
					default:
						lane.Finish(ServerError, n+n*int64(i), n+n*int64(i)*2)
					}
				}
				if c%2 == 0 {
					lane.Start(route, 0)
				}
				lane.Unparsed(Malformed)
				lane.Close()
			}
		})
	}
	done := make(chan struct{})
	go func() {
		recording.Wait()
		close(done)
	}()
	now := r.epoch
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		now += second
		r.Seal(now)
		if s := r.Snapshot(); s.InFlight > lanes {
			t.Errorf("%d in flight on %d lanes", s.InFlight, lanes)
		}
	}
	r.Seal(now + second)
	const all = lanes * connections
	totals := r.Totals()
	want := [NumReasons]uint64{EarlyResponse: all * requests / 10, ClientGone: all / 2, Malformed: all}
	if totals.Unmeasured != want || totals.InFlight != 0 {
		t.Errorf("unmeasured %v, want %v; %d in flight", totals.Unmeasured, want, totals.InFlight)
	}
	if len(totals.Routes) != lanes {
		t.Fatalf("%d routes", len(totals.Routes))
	}
	for _, route := range totals.Routes {
		const each = connections * requests / 10
		if route.Outcomes[ServerError] != 8*each || route.Outcomes[ClientError] != each || route.Streams != each ||
			route.Durations.Total() != 8*each || route.TTFB.Total() != 9*each {
			t.Errorf("%s: %v, %d streams, %d durations, %d TTFB", route.Name, route.Outcomes, route.Streams, route.Durations.Total(), route.TTFB.Total())
		}
	}
	if totals.Seen != all*(requests+1)+all/2 {
		t.Errorf("seen %d", totals.Seen)
	}
}

// Connections that close during a walk neither hide others nor show them twice.
func TestWalkWhileLanesClose(t *testing.T) {
	m := newMeasured(t, Config{})
	var steady []*Lane
	for range 4 * walkStride {
		lane := m.r.Lane()
		lane.Start(0, m.now)
		steady = append(steady, lane)
	}
	stop := make(chan struct{})
	var churning sync.WaitGroup
	for range 2 {
		churning.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var brief [64]*Lane
				for i := range brief {
					brief[i] = m.r.Lane()
				}
				for _, lane := range brief {
					lane.Close()
				}
			}
		})
	}
	for range 200 {
		if n := m.r.Snapshot().InFlight; n != len(steady) {
			t.Errorf("%d in flight of %d", n, len(steady))
			break
		}
	}
	close(stop)
	churning.Wait()
	for _, lane := range steady {
		lane.Close()
	}
	m.wantInFlight(0, 0)
}
