package health

import (
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

var start = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// traffic is a snapshot in the making.
type traffic struct{ *histogram.Snapshot }

func newTraffic(span time.Duration) traffic {
	s := &histogram.Snapshot{Span: span}
	s.Overall = emptySeries()
	return traffic{s}
}

func emptySeries() histogram.Series {
	return histogram.Series{Durations: new(histogram.Counts), TTFB: new(histogram.Counts)}
}

// requests adds n requests of a route that took d each and ended in o.
func (t traffic) requests(route string, n int, d time.Duration, o histogram.Outcome) traffic {
	r := t.route(route)
	for _, s := range []*histogram.Series{&t.Overall, &r.Series} {
		s.Durations.Add(int64(d), uint64(n))
		s.TTFB.Add(int64(d), uint64(n))
		s.Outcomes[o] += uint64(n)
	}
	t.Seen += uint64(n)
	return t
}

// waiting adds n requests in flight that count at age d.
func (t traffic) waiting(route string, n int, d time.Duration) traffic {
	t.Overall.Durations.Add(int64(d), uint64(n))
	t.route(route).Durations.Add(int64(d), uint64(n))
	t.InFlight += n
	t.InFlightIncluded += n
	return t
}

func (t traffic) unmeasured(r histogram.Reason, n int) traffic {
	t.Unmeasured[r] += uint64(n)
	t.Seen += uint64(n)
	return t
}

func (t traffic) route(name string) *histogram.RouteSeries {
	for i := range t.Routes {
		if t.Routes[i].Name == name {
			return &t.Routes[i]
		}
	}
	t.Routes = append(t.Routes, histogram.RouteSeries{Route: histogram.Route(len(t.Routes) + 1), Name: name, Series: emptySeries()})
	return &t.Routes[len(t.Routes)-1]
}

// ok is n good requests of duration d, all of them in the window's last tick.
func ok(n int, d time.Duration) traffic {
	return newTraffic(time.Minute).requests("GET /", n, d, histogram.Success)
}

// series judges ticks one after another, five seconds apart.
type series struct {
	t     *testing.T
	p     Params
	state State
	at    time.Time
}

func newSeries(t *testing.T) *series {
	p := DefaultParams()
	p.ZTicks = 1 // a tick speaks for itself; TestAnomaliesInARow has the default
	return &series{t: t, p: p, at: start}
}

// see judges one tick in which the window holds the same as the tick.
func (s *series) see(tr traffic) Document { return s.seeBoth(tr, tr) }

func (s *series) seeBoth(window, tick traffic) Document {
	s.t.Helper()
	if err := s.p.Validate(); err != nil {
		s.t.Fatal(err)
	}
	var v Verdict
	s.state, v = Judge(s.state, Measure(s.at, window.Snapshot, tick.Snapshot), s.p)
	doc := NewDocument(v, About{
		Service: "shop", Instance: "shop-1", Time: s.at, Routes: RoutesOf(window.Snapshot),
		Policy: Policy{Version: "default", Digest: "sha256:00"}, Shadow: true,
	})
	s.at = s.at.Add(5 * time.Second)
	return doc
}

// train sees n ticks, alternately of a and of b.
func (s *series) train(n int, a, b time.Duration) {
	s.t.Helper()
	for i := range n {
		d := a
		if i%2 == 1 {
			d = b
		}
		if doc := s.see(ok(100, d)); doc.Status != OK {
			s.t.Fatalf("tick %d of training: status %s, alerts %+v", i, doc.Status, doc.Alerts)
		}
	}
}

// alertsByType also fails the test when a type occurs twice.
func alertsByType(t *testing.T, d Document) map[string]Alert {
	t.Helper()
	m := map[string]Alert{}
	for _, a := range d.Alerts {
		if _, twice := m[a.Type]; twice && a.Type != TypeRateOfChange {
			t.Errorf("two alerts of type %s", a.Type)
		}
		m[a.Type] = a
	}
	return m
}
