package health

import (
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

func TestComponentIsPiecewiseLinear(t *testing.T) {
	latency := Limit{Warning: 1000, Critical: 3000}
	errors := Limit{Warning: 0.02, Critical: 0.05}
	anomaly := Limit{Warning: 1, Critical: 2}
	for _, c := range []struct {
		name string
		v    float64
		l    Limit
		far  float64
		want float64
	}{
		{"nothing", 0, latency, 9000, 100},
		{"at warning", 1000, latency, 9000, 100},
		{"half way to critical", 2000, latency, 9000, 75},
		{"at critical", 3000, latency, 9000, 50},
		{"half way to far", 6000, latency, 9000, 25},
		{"just short of far", 8999.94, latency, 9000, 0},
		{"at far", 9000, latency, 9000, 0},
		{"an hour", 3_600_000, latency, 9000, 0},
		{"errors at warning", 0.02, errors, 0.25, 100},
		{"errors at critical", 0.05, errors, 0.25, 50},
		{"errors between critical and far", 0.15, errors, 0.25, 25},
		{"errors at far", 0.25, errors, 0.25, 0},
		{"all errors", 1, errors, 0.25, 0},
		{"anomaly at warning", 1, anomaly, 4, 100},
		{"anomaly half way", 1.5, anomaly, 4, 75},
		{"anomaly at critical", 2, anomaly, 4, 50},
		{"anomaly at far", 4, anomaly, 4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := component(c.v, c.l, c.far); got != c.want {
				t.Errorf("component(%v) = %v, want %v", c.v, got, c.want)
			}
		})
	}
}

func TestScoreIsCappedByItsWorstComponent(t *testing.T) {
	for _, c := range []struct {
		name                       string
		latency, errors, anomalies float64
		want                       float64
		status                     ScoreStatus
	}{
		{"all well", 100, 100, 100, 100, ScoreHealthy},
		{"only errors, weighted 70", 100, 0, 100, 39, ScoreCritical},
		{"only anomalies, weighted 80", 100, 100, 0, 39, ScoreCritical},
		{"only latency, weighted 50", 0, 100, 100, 39, ScoreCritical},
		{"errors at critical, weighted 85", 100, 50, 100, 69.5, ScoreDegraded},
		{"cap of 70.11", 100, 51, 100, 70.11, ScoreHealthy},
		{"the weighted sum is lower", 50, 50, 50, 50, ScoreDegraded},
		{"nothing left", 0, 0, 0, 0, ScoreCritical},
		{"weighted 40", 20, 50, 75, 40, ScoreDegraded},
		{"weighted just below 40", 20, 50, 74.9, 39.98, ScoreCritical},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := scoreOf(Components{&c.latency, &c.errors, &c.anomalies})
			if got != c.want || scoreStatus(got) != c.status {
				t.Errorf("score %v (%s), want %v (%s)", got, scoreStatus(got), c.want, c.status)
			}
		})
	}
	if got := scoreOf(Components{}); got != 100 {
		t.Errorf("the score of nothing measured is %v, want 100", got)
	}
}

func TestStatusIsTheWorseView(t *testing.T) {
	warning, critical := Alert{Severity: Warning}, Alert{Severity: Critical}
	for _, c := range []struct {
		score  float64
		alerts []Alert
		want   Status
	}{
		{100, nil, OK},
		{70, nil, OK},
		{69.99, nil, Warning},
		{40, nil, Warning},
		{39.99, nil, Critical},
		{100, []Alert{warning}, Warning},
		{100, []Alert{warning, critical}, Critical},
		{100, []Alert{critical, warning}, Critical},
		{30, []Alert{warning}, Critical},
	} {
		if got := statusOf(c.score, c.alerts); got != c.want {
			t.Errorf("statusOf(%v, %v) = %s, want %s", c.score, c.alerts, got, c.want)
		}
	}
}

func TestTrendIsTheLeastSquaresSlope(t *testing.T) {
	for _, c := range []struct {
		name   string
		scores []float64
		slope  float64
		want   Trend
	}{
		{"none", nil, 0, Stable},
		{"one", []float64{50}, 0, Stable},
		{"flat", []float64{80, 80, 80, 80}, 0, Stable},
		{"two a step up", []float64{10, 12, 14, 16}, 2, Improving},
		{"two a step down", []float64{16, 14, 12, 10}, -2, Degrading},
		{"just under two", []float64{0, 1.99, 3.98}, 1.99, Stable},
		// Σ(x-2)y = -2·100 - 1·100 + 0 + 1·39 + 2·39 = -183; Σ(x-2)² = 10.
		{"a fall in the middle", []float64{100, 100, 100, 39, 39}, -18.3, Degrading},
		// A single dip in the middle is symmetric: it has no direction.
		{"a dip", []float64{100, 100, 39, 100, 100}, 0, Stable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := slope(c.scores); round4(got) != c.slope {
				t.Errorf("slope %v, want %v", got, c.slope)
			}
			if got := trendOf(c.scores, 2); got != c.want {
				t.Errorf("trend %s, want %s", got, c.want)
			}
		})
	}
}

func TestTrendLooksBackTenScores(t *testing.T) {
	s := newSeries(t)
	for range 3 {
		s.see(newTraffic(time.Minute).requests("GET /", 100, 1, histogram.ServerError)) // all errors: score 39
	}
	for range 10 {
		s.see(ok(100, 1))
	}
	if len(s.state.Scores) != 10 {
		t.Fatalf("%d scores are remembered, want 10", len(s.state.Scores))
	}
	if d := s.see(ok(100, 1)); d.HealthScore.Trend != Stable {
		t.Errorf("trend %s of %v, want stable: the bad scores are forgotten", d.HealthScore.Trend, s.state.Scores)
	}
}
