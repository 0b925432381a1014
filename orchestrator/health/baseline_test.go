package health

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

func repeat(n int, vs ...float64) []float64 {
	return slices.Repeat(vs, n/len(vs))
}

func TestZScore(t *testing.T) {
	for _, c := range []struct {
		name     string
		baseline []float64
		v        float64
		z        float64
		defined  bool
		anomaly  float64
	}{
		{"no baseline", nil, 900, 0, false, 0},
		{"twenty times 100, then 900", repeat(20, 100), 900, 0, false, 0},
		{"90 and 110 in turn, then 900", repeat(20, 90, 110), 900, 80, true, 26.6667},
		{"eighteen ticks are too few", repeat(18, 90, 110), 900, 0, false, 0},
		{"equal values whose sum rounds", repeat(30, 0.1), 900, 0, false, 0},
		{"no slower", repeat(20, 90, 110), 100, 0, true, 0},
		{"faster", repeat(20, 90, 110), 50, -5, true, 0},
		{"at the threshold of 3", repeat(20, 90, 110), 130, 3, true, 1},
		{"at twice the threshold", repeat(20, 90, 110), 160, 6, true, 2},
		// σ = 1: 24 σ, but only 24 % slower.
		{"below 25 %", repeat(20, 99, 101), 124, 24, true, 0},
		{"at 25 %", repeat(20, 99, 101), 125, 25, true, 8.3333},
		// σ = 1, mean 10: 19 σ and nearly three times as slow, but only 19 ms.
		{"below 20 ms", repeat(20, 9, 11), 29, 19, true, 0},
		{"at 20 ms", repeat(20, 9, 11), 30, 20, true, 6.6667},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := DefaultParams()
			b := describe(c.baseline)
			z, ok := b.z(c.v, p)
			if z != c.z || ok != c.defined {
				t.Fatalf("z = %v, %v; want %v, %v (mean %v, σ %v)", z, ok, c.z, c.defined, b.mean, b.stddev)
			}
			if got := b.anomalyScore(c.v, z, p); ok && got != c.anomaly {
				t.Errorf("anomaly score %v, want %v", got, c.anomaly)
			}
		})
	}
}

func TestZScoreOfTraffic(t *testing.T) {
	t.Run("twenty 100 ms then 900 ms is undefined", func(t *testing.T) {
		s := newSeries(t)
		s.train(20, 100*time.Millisecond, 100*time.Millisecond)
		d := s.see(ok(100, 900*time.Millisecond))
		if d.Metrics.ZScore != nil || d.Metrics.AnomalyScore != nil || d.HealthScore.Components.Anomalies != nil {
			t.Errorf("z %v, anomaly %v, component %v: want all null", d.Metrics.ZScore, d.Metrics.AnomalyScore, d.HealthScore.Components.Anomalies)
		}
		if _, fired := alertsByType(t, d)[TypeAnomaly]; fired {
			t.Error("an undefined z-score raised an alert")
		}
	})
	t.Run("alternating 90 and 110 ms then 900 ms is 80 σ", func(t *testing.T) {
		s := newSeries(t)
		s.train(20, 90*time.Millisecond, 110*time.Millisecond)
		d := s.see(ok(100, 900*time.Millisecond))
		if d.Metrics.ZScore == nil || math.Abs(*d.Metrics.ZScore-80) > 0.4 {
			t.Fatalf("z-score %v, want 80 to within the histogram's 0.1 %% of 900 ms", d.Metrics.ZScore)
		}
		a := alertsByType(t, d)[TypeAnomaly]
		if a.Severity != Critical || a.TriggeredBy != GateZScore || a.BaselineComparison == nil || a.BaselineComparison.BaselineTicks != 20 {
			t.Errorf("alert %+v", a)
		}
		if d.Status != Critical || d.HealthScore.Score != 39 {
			t.Errorf("status %s, score %v; want critical, 39", d.Status, d.HealthScore.Score)
		}
	})
	t.Run("nineteen ticks are too few", func(t *testing.T) {
		s := newSeries(t)
		s.train(19, 90*time.Millisecond, 110*time.Millisecond)
		if d := s.see(ok(100, 900*time.Millisecond)); d.Metrics.ZScore != nil {
			t.Errorf("z-score %v, want null", *d.Metrics.ZScore)
		}
	})
	t.Run("faster is no anomaly", func(t *testing.T) {
		s := newSeries(t)
		s.train(20, 90*time.Millisecond, 110*time.Millisecond)
		d := s.see(ok(100, 10*time.Millisecond))
		if *d.Metrics.ZScore > -8 || *d.Metrics.AnomalyScore != 0 || d.Status != OK {
			t.Errorf("z %v, anomaly %v, status %s; want below -8, 0, ok", *d.Metrics.ZScore, *d.Metrics.AnomalyScore, d.Status)
		}
	})
}

func TestBaselineLearnsOnlyFromHealthyTicks(t *testing.T) {
	slow, fast := 150*time.Millisecond, 100*time.Millisecond
	window := func() traffic { return ok(100, fast) }
	for _, c := range []struct {
		name         string
		window, tick traffic
		learns       bool
	}{
		{"healthy", window(), window(), true},
		{"slow tick, an anomaly", window(), ok(100, slow+100*time.Millisecond), false},
		{"window over the limit", ok(100, 2*time.Second), window(), false},
		{"errors", window().requests("GET /", 10, fast, histogram.ServerError), window(), false},
		{"errors doubling from nothing in the tick", window(), ok(90, fast).requests("GET /", 10, fast, histogram.ServerError), false},
		{"too few samples in the tick", window(), ok(19, fast), false},
		{"just enough samples in the tick", window(), ok(20, fast), true},
		{"nothing in the tick", window(), newTraffic(5 * time.Second), false},
		{"some unmeasured", window().unmeasured(histogram.ClientGone, 10), window(), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSeries(t)
			s.train(20, 90*time.Millisecond, 110*time.Millisecond)
			s.seeBoth(c.window, c.tick)
			if got := len(s.state.BaselineMS) == 21; got != c.learns {
				t.Errorf("learned: %v, want %v", got, c.learns)
			}
		})
	}
}

func TestBaselineForgetsTheOldest(t *testing.T) {
	s := newSeries(t)
	s.p.MaxBaselineTicks = 20
	s.train(30, 90*time.Millisecond, 110*time.Millisecond)
	s.train(19, 95*time.Millisecond, 95*time.Millisecond)
	if n := len(s.state.BaselineMS); n != 20 {
		t.Fatalf("%d ticks are remembered, want 20", n)
	}
	if got := s.state.BaselineMS[0]; got < 109 || slices.Max(s.state.BaselineMS[1:]) > 96 {
		t.Errorf("the baseline is %v, want 110 and then nineteen times 95", s.state.BaselineMS)
	}
}

func TestAdaptiveThresholds(t *testing.T) {
	s := newSeries(t)
	s.p.Gates.Adaptive = On
	s.train(19, 90*time.Millisecond, 110*time.Millisecond)
	if d := s.see(ok(100, 110*time.Millisecond)); d.AdaptiveThresholds != nil {
		t.Fatalf("thresholds learned from 19 ticks: %+v", d.AdaptiveThresholds)
	}
	// Mean 100, σ 10: the margin is 6·10, more than 25 % and 20 ms.
	d := s.see(ok(100, 100*time.Millisecond))
	a := d.AdaptiveThresholds
	if a == nil || math.Abs(a.P95WarningMS-160) > 0.5 || math.Abs(a.P95CriticalMS-220) > 0.5 || a.BaselineTicks != 20 {
		t.Fatalf("adaptive thresholds %+v, want 160 and 220 from 20 ticks", a)
	}
	d = s.see(ok(100, 190*time.Millisecond))
	l := alertsByType(t, d)[TypeLatency]
	if l.Severity != Warning || l.TriggeredBy != GateAdaptive {
		t.Errorf("latency alert %+v, want a warning by adaptive_threshold", l)
	}
	s.p.Gates.Adaptive = Off
	d = s.see(ok(100, 190*time.Millisecond))
	if _, fired := alertsByType(t, d)[TypeLatency]; fired || d.AdaptiveThresholds != nil {
		t.Error("learning is off, but a learned threshold fired")
	}
}

func TestAdaptiveThresholdsNeverLoosenTheAbsoluteOnes(t *testing.T) {
	s := newSeries(t)
	s.p.Gates.Adaptive = On
	s.train(20, 800*time.Millisecond, 900*time.Millisecond)
	d := s.see(ok(100, 1100*time.Millisecond))
	l := alertsByType(t, d)[TypeLatency]
	if d.AdaptiveThresholds.P95WarningMS < 1000 || l.TriggeredBy != GateAbsolute || l.Severity != Warning {
		t.Errorf("learned %+v, alert %+v; want a warning by the stricter absolute threshold", d.AdaptiveThresholds, l)
	}
}
