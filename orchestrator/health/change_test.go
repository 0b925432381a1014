package health

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

func TestRateOfChange(t *testing.T) {
	errs := func(good, bad int) traffic {
		return ok(good, 50*msec).requests("GET /", bad, 50*msec, histogram.ServerError)
	}
	for _, c := range []struct {
		name     string
		was, now traffic
		metric   string // "" for no change
		ratio    float64
	}{
		{"P95 doubled", ok(100, 150*msec), ok(100, 301*msec), metricP95, 2},
		{"P95 not quite doubled", ok(100, 150*msec), ok(100, 299*msec), "", 0},
		{"P95 doubled by less than 100 ms", ok(100, 40*msec), ok(100, 90*msec), "", 0},
		{"P95 halved", ok(100, 400*msec), ok(100, 200*msec), "", 0},
		{"P95 doubled, too few samples before", ok(19, 150*msec), ok(100, 400*msec), "", 0},
		{"P95 doubled, too few samples now", ok(100, 150*msec), ok(19, 400*msec), "", 0},
		{"errors tripled", errs(99, 1), errs(97, 3), metricErrors, 3},
		{"errors doubled", errs(98, 2), errs(96, 4), "", 0},
		{"errors from none", errs(100, 0), errs(97, 3), metricErrors, 0},
		{"errors tripled below 2 %", errs(999, 1), errs(990, 10), "", 0},
		{"two errors are too few", errs(100, 0), errs(38, 2), "", 0},
		{"no errors at all", errs(100, 0), errs(100, 0), "", 0},
		{"nothing before", newTraffic(time.Minute), errs(0, 100), "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSeries(t)
			s.see(c.was)
			// A calm window leaves the change as the only thing to report.
			d := s.seeBoth(ok(100, msec), c.now)
			if c.metric == "" {
				if len(d.RateOfChange) != 0 || len(d.Alerts) != 0 {
					t.Fatalf("changes %+v, alerts %+v; want none", d.RateOfChange, d.Alerts)
				}
				return
			}
			if len(d.RateOfChange) != 1 || len(d.Alerts) != 1 {
				t.Fatalf("changes %+v, alerts %+v; want one of each", d.RateOfChange, d.Alerts)
			}
			ch, a := d.RateOfChange[0], d.Alerts[0]
			if ch.Metric != c.metric || ch.Seconds != 5 {
				t.Errorf("change %+v, want %s in 5 seconds", ch, c.metric)
			}
			if (c.ratio == 0) != (ch.Ratio == nil) || (ch.Ratio != nil && (*ch.Ratio < c.ratio-0.01 || *ch.Ratio > c.ratio+0.01)) {
				t.Errorf("ratio %v, want %v", ch.Ratio, c.ratio)
			}
			if a.Severity != Warning || a.TriggeredBy != GateRateOfChange || a.ReasonForTrigger != ch.ReasonForTrigger || d.Status != Warning {
				t.Errorf("alert %+v, status %s; want a warning by rate_of_change", a, d.Status)
			}
		})
	}
}

func TestRateOfChangeForgetsAnOldTick(t *testing.T) {
	for _, c := range []struct {
		pause time.Duration
		want  int
	}{{15 * time.Second, 1}, {16 * time.Second, 0}, {0, 0}, {-5 * time.Second, 0}} {
		s := newSeries(t)
		s.see(ok(100, 100*msec))
		s.at = start.Add(c.pause)
		if d := s.see(ok(100, 500*msec)); len(d.RateOfChange) != c.want {
			t.Errorf("%d changes against a tick %v ago, want %d", len(d.RateOfChange), c.pause, c.want)
		}
	}
}

func TestReasonsCarryTheirNumbers(t *testing.T) {
	s := newSeries(t)
	s.see(ok(100, 150*msec))
	d := s.see(ok(60, 2*time.Second).requests("GET /", 30, msec, histogram.ServerError).requests("GET /", 10, msec, histogram.GatewayError))
	got := alertsByType(t, d)
	for typ, parts := range map[string][]string{
		TypeErrors:  {"40 %", "threshold of 5 %", "30 from the upstream", "10 from the gateway"},
		TypeLatency: {"2001 ms", "threshold of 1000 ms", "100 samples"},
	} {
		for _, part := range parts {
			if !strings.Contains(got[typ].ReasonForTrigger, part) {
				t.Errorf("%s: %q does not say %q", typ, got[typ].ReasonForTrigger, part)
			}
		}
	}
	if len(d.RateOfChange) != 2 {
		t.Fatalf("changes %+v, want P95 and errors", d.RateOfChange)
	}
}
