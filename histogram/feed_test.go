package histogram

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// What a Feed reports and what Lanes record of the same requests is the same.
func TestFeedAgreesWithLanes(t *testing.T) {
	lanes, fed := newMeasured(t, Config{}), newMeasured(t, Config{})
	feed := fed.r.Feed()
	defer feed.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var report Report
		for range 500 {
			method, path := "GET", "/a"
			if random.IntN(3) == 0 {
				method, path = "POST", "/b/17"
			}
			outcome := Outcome(random.IntN(int(NumOutcomes)))
			ttfb := int64(random.ExpFloat64() * 1e6)
			duration := ttfb + int64(random.IntN(2))*int64(random.ExpFloat64()*1e7)
			lane, route := lanes.lane, lanes.route(method, path)
			lane.Start(route, lanes.now)
			stream := random.IntN(10) == 0
			if stream {
				lane.FinishStream(outcome, lanes.now+ttfb)
			} else {
				lane.Finish(outcome, lanes.now+ttfb, lanes.now+duration)
			}
			c := Count{Route: fed.route(method, path), Outcome: outcome, Bucket: Bucket(duration), N: 1}
			switch {
			case stream:
				c.Figure, c.Bucket = Stream, Bucket(ttfb)
			case Bucket(ttfb) != Bucket(duration):
				c.Figure = Duration
				apart := c
				apart.Figure, apart.Bucket = TTFB, Bucket(ttfb)
				report.Counts = append(report.Counts, apart)
			}
			report.Counts = append(report.Counts, c)
		}
		lanes.lane.Unparsed(MapFull)
		report.Unmeasured[MapFull]++
		feed.Report(report)
		lanes.tick()
		fed.tick()
		if want, got := lanes.r.Snapshot(), fed.r.Snapshot(); !reflect.DeepEqual(got, want) {
			t.Fatalf("snapshot of the feed %+v, of the lanes %+v", got, want)
		}
	}
	if want, got := lanes.r.Totals(), fed.r.Totals(); !reflect.DeepEqual(got, want) || got.Seen != 20*501 {
		t.Errorf("totals of the feed %+v, of the lanes %+v", got, want)
	}
}

func TestFeedCountsMany(t *testing.T) {
	m := newMeasured(t, Config{})
	feed := m.r.Feed()
	defer feed.Close()
	const n = 3_000_000_000
	feed.Report(Report{Counts: []Count{{Outcome: ServerError, Bucket: Bucket(int64(time.Second)), N: n}}})
	m.tick()
	feed.Report(Report{Counts: []Count{{Outcome: ServerError, Bucket: Bucket(int64(time.Second)), N: n}}})
	m.tick()
	s := m.r.Snapshot()
	if s.Seen != 2*n || s.Overall.Outcomes[ServerError] != 2*n || s.Overall.Durations.Total() != 2*n || s.Overall.TTFB.Total() != 2*n {
		t.Errorf("%+v", s.Overall)
	}
}

// Ages are those of the Report: what ended since does not grow older.
func TestFeedInFlight(t *testing.T) {
	m := newMeasured(t, Config{})
	feed := m.r.Feed()
	route := m.route("GET", "/slow")
	feed.Report(Report{InFlight: []Waiting{{Route: route, Age: 3 * time.Second}, {Route: route, Age: -1}}})
	m.now += int64(time.Minute)
	s := m.wantInFlight(2, 1)
	if b := s.Overall.Durations.Max(); b.Low > int64(3*time.Second) || b.High < int64(3*time.Second) {
		t.Errorf("age %v", b)
	}
	if len(s.Routes) != 1 || s.Routes[0].Name != "GET /slow" {
		t.Errorf("routes %+v", s.Routes)
	}
	if n := m.r.Totals().InFlight; n != 2 {
		t.Errorf("%d in flight in totals", n)
	}
	feed.Report(Report{InFlight: []Waiting{{Route: route, Age: 4 * time.Second}}})
	m.wantInFlight(1, 1)
	feed.Close()
	feed.Close()
	m.wantInFlight(0, 0)
}

func TestFeedOutOfRange(t *testing.T) {
	m := newMeasured(t, Config{})
	feed := m.r.Feed()
	defer feed.Close()
	feed.Report(Report{Counts: []Count{
		{Bucket: numBuckets, N: 2},
		{Outcome: NumOutcomes, N: 3},
		{Route: 201, N: 4},
		{Figure: numFigures, N: 5},
		{Figure: TTFB, Bucket: numBuckets, N: 6},
		{Bucket: numBuckets - 1, N: 0},
	}})
	m.tick()
	s := m.r.Snapshot()
	if s.Seen != 14 || s.Unmeasured[Internal] != 14 || len(s.Routes) != 0 {
		t.Errorf("seen %d, unmeasured %v, routes %+v", s.Seen, s.Unmeasured, s.Routes)
	}
}

func TestReasonsHaveNames(t *testing.T) {
	names := map[string]Reason{}
	for r := range NumReasons {
		if other, taken := names[r.String()]; taken || r.String() == "unknown" {
			t.Errorf("reason %d is called %q, like %d", r, r, other)
		}
		names[r.String()] = r
	}
}
