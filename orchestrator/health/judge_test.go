package health

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

const msec = time.Millisecond

func TestNoData(t *testing.T) {
	d := newSeries(t).see(newTraffic(30 * time.Second))
	if d.Status != OK || d.Reason != ReasonNoData || len(d.Alerts) != 0 {
		t.Errorf("status %s, reason %q, alerts %v; want ok, no_data, none", d.Status, d.Reason, d.Alerts)
	}
	if d.HealthScore.Score != 100 || d.HealthScore.Trend != Stable || d.HealthScore.Components != (Components{}) {
		t.Errorf("health score %+v, want 100, stable, no component", d.HealthScore)
	}
	rps := 0.0
	if want := (Metrics{RequestsPerSecond: &rps}); !reflect.DeepEqual(d.Metrics, want) {
		t.Errorf("metrics %+v: everything but the request rate must be null", d.Metrics)
	}
	if d := newSeries(t).see(newTraffic(0)); d.Metrics.RequestsPerSecond != nil {
		t.Errorf("request rate %v over no time, want null", *d.Metrics.RequestsPerSecond)
	}
}

func TestOnlyUnmeasuredRequestsAreVisible(t *testing.T) {
	d := newSeries(t).see(newTraffic(time.Minute).unmeasured(histogram.HTTP2, 3))
	a := alertsByType(t, d)[TypeUnmeasured]
	if d.Status != Warning || d.Reason != ReasonNoData || !strings.Contains(a.ReasonForTrigger, "http2 3") {
		t.Errorf("status %s, reason %q, alerts %+v; want a warning that names http2", d.Status, d.Reason, d.Alerts)
	}
}

func TestAlertsAndStatus(t *testing.T) {
	for _, c := range []struct {
		name     string
		traffic  traffic
		status   Status
		score    float64
		severity map[string]Status
	}{
		{"all well", ok(100, 50*msec), OK, 100, nil},
		{"every answer a 500 in 1 ms", newTraffic(time.Minute).requests("GET /", 100, msec, histogram.ServerError),
			Critical, 39, map[string]Status{TypeErrors: Critical}},
		{"every answer our 502", newTraffic(time.Minute).requests("GET /", 3, msec, histogram.GatewayError),
			Critical, 39, map[string]Status{TypeErrors: Critical}},
		{"two failures are no rate", ok(2, msec).requests("GET /", 2, msec, histogram.ServerError), OK, 100, nil},
		{"three failures among six are one", ok(3, msec).requests("GET /", 3, msec, histogram.ServerError),
			Critical, 39, map[string]Status{TypeErrors: Critical}},
		{"every answer a 404", newTraffic(time.Minute).requests("GET /", 100, msec, histogram.ClientError), OK, 100, nil},
		{"errors just below 2 %", ok(981, msec).requests("GET /", 19, msec, histogram.ServerError), OK, 100, nil},
		{"errors at 2 %", ok(196, msec).requests("GET /", 4, msec, histogram.ServerError),
			Warning, 100, map[string]Status{TypeErrors: Warning}},
		{"errors just below 5 %", ok(951, msec).requests("GET /", 49, msec, histogram.GatewayError),
			Warning, 70.52, map[string]Status{TypeErrors: Warning}},
		{"errors at 5 %", ok(95, msec).requests("GET /", 5, msec, histogram.ServerError),
			Critical, 69.5, map[string]Status{TypeErrors: Critical}},
		{"errors at 25 %", ok(75, msec).requests("GET /", 25, msec, histogram.ServerError),
			Critical, 39, map[string]Status{TypeErrors: Critical}},
		{"P95 below 1 s", ok(100, 998*msec), OK, 100, nil},
		{"P95 above 1 s", ok(100, 1001*msec), Warning, 0, map[string]Status{TypeLatency: Warning}},
		{"P95 below 3 s", ok(100, 2996*msec), Warning, 0, map[string]Status{TypeLatency: Warning}},
		{"P95 above 3 s", ok(100, 3001*msec), Critical, 0, map[string]Status{TypeLatency: Critical}},
		{"P95 of 9 s", ok(100, 9001*msec), Critical, 39, map[string]Status{TypeLatency: Critical}},
		{"slow tail below the P95", ok(96, msec).requests("GET /", 4, 20*time.Second, histogram.Success), OK, 100, nil},
		{"slow tail above the P95", ok(94, msec).requests("GET /", 6, 20*time.Second, histogram.Success),
			Critical, 39, map[string]Status{TypeLatency: Critical}},
		{"19 slow requests are too few", ok(19, 20*time.Second), OK, 100, nil},
		{"20 slow requests are enough", ok(20, 20*time.Second), Critical, 39, map[string]Status{TypeLatency: Critical}},
		{"hung upstream, nothing finished", newTraffic(time.Minute).waiting("GET /", 25, 20*time.Second),
			Critical, 39, map[string]Status{TypeLatency: Critical}},
		{"hung upstream, one visitor", newTraffic(time.Minute).waiting("GET /", 1, 20*time.Second),
			Warning, 100, map[string]Status{TypeStalled: Warning}},
		{"one visitor who just came", newTraffic(time.Minute).waiting("GET /", 1, 900*msec), OK, 100, nil},
		{"one long poll among answers", ok(3, msec).waiting("GET /poll", 1, 20*time.Second), OK, 100, nil},
		{"unmeasured at 1 %", ok(99, msec).unmeasured(histogram.ClientGone, 1), OK, 100, nil},
		{"unmeasured above 1 %", ok(98, msec).unmeasured(histogram.Malformed, 2),
			Warning, 100, map[string]Status{TypeUnmeasured: Warning}},
		{"one stray request in a quiet hour", ok(5, msec).unmeasured(histogram.Malformed, 1), OK, 100, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newSeries(t).see(c.traffic)
			if d.Status != c.status {
				t.Errorf("status %s, want %s", d.Status, c.status)
			}
			if c.score != 0 && d.HealthScore.Score != c.score {
				t.Errorf("score %v, want %v", d.HealthScore.Score, c.score)
			}
			got := alertsByType(t, d)
			if len(got) != len(c.severity) {
				t.Errorf("alerts %+v, want %v", d.Alerts, c.severity)
			}
			for typ, s := range c.severity {
				if got[typ].Severity != s {
					t.Errorf("%s has severity %q, want %q", typ, got[typ].Severity, s)
				}
			}
		})
	}
}

func TestLowTrafficIsPublishedButNotJudged(t *testing.T) {
	d := newSeries(t).see(ok(19, 20*time.Second))
	if d.Metrics.OverallP95MS == nil || *d.Metrics.OverallP95MS < 20_000 {
		t.Errorf("P95 %v, want the 20 s that were measured", d.Metrics.OverallP95MS)
	}
	if d.HealthScore.Components.Latency != nil {
		t.Errorf("latency component %v, want null", *d.HealthScore.Components.Latency)
	}
	s := newSeries(t)
	s.train(20, 90*msec, 110*msec)
	if d := s.seeBoth(ok(19, 900*msec), ok(19, 900*msec)); d.Metrics.ZScore != nil || len(d.Alerts) != 0 {
		t.Errorf("z-score %v, alerts %v; want none below min_samples", d.Metrics.ZScore, d.Alerts)
	}
}

func TestHungUpstreamIsVisible(t *testing.T) {
	d := newSeries(t).see(newTraffic(time.Minute).waiting("GET /", 3, 12*time.Second))
	m := d.Metrics
	if m.OverallP95MS == nil || *m.OverallP95MS < 12_000 || m.InFlight != 3 || m.InFlightIncluded != 3 || d.Reason != "" {
		t.Errorf("metrics %+v, reason %q: three requests hanging for 12 s must show", m, d.Reason)
	}
	if m.ErrorRate != nil {
		t.Errorf("error rate %v of nothing finished, want null", *m.ErrorRate)
	}
}

func TestWebhooksAndAPIAreToldApart(t *testing.T) {
	tr := newTraffic(time.Minute).
		requests("GET /users/{id}", 10, 10*msec, histogram.Success).
		requests("POST /stripe/WebHooks", 10, 500*msec, histogram.Success).
		requests("other", 10, 20*msec, histogram.Success)
	m := newSeries(t).see(tr).Metrics
	if *m.APIP95MS > 20.1 || *m.APIP95MS < 20 || *m.WebhookP95MS < 500 {
		t.Errorf("api %v ms, webhook %v ms; want 20 and 500", *m.APIP95MS, *m.WebhookP95MS)
	}
	if m := newSeries(t).see(ok(10, msec)).Metrics; m.WebhookP95MS != nil {
		t.Errorf("webhook P95 %v without webhooks, want null", *m.WebhookP95MS)
	}
	if isWebhook("WEBHOOK /users") {
		t.Error("a method is not a path segment")
	}
}

func TestBracketHoldsTheP95(t *testing.T) {
	m := newSeries(t).see(ok(100, 123_456_789)).Metrics
	if b := *m.P95BracketMS; b[0] > 123.456789 || b[1] < 123.456789 || b[1]-b[0] > 0.13 || *m.OverallP95MS != b[1] {
		t.Errorf("P95 %v in bracket %v, want 123.456789 within 0.1 %%", *m.OverallP95MS, b)
	}
}

func TestSilenceResetsTheTrend(t *testing.T) {
	s := newSeries(t)
	for range 5 {
		s.see(newTraffic(time.Minute).requests("GET /", 100, msec, histogram.ServerError))
	}
	s.see(newTraffic(time.Minute))
	if d := s.see(ok(100, msec)); d.HealthScore.Trend != Stable {
		t.Errorf("trend %s across a silence, want stable", d.HealthScore.Trend)
	}
	if d := s.see(newTraffic(time.Minute).requests("GET /", 100, msec, histogram.ServerError)); d.HealthScore.Trend != Degrading || d.Alerts[0].TrendDirection != Degrading {
		t.Errorf("trend %s, alerts %+v; want degrading in both", d.HealthScore.Trend, d.Alerts)
	}
}

func TestJudgeIsPure(t *testing.T) {
	s := newSeries(t)
	s.p.MaxBaselineTicks = 25
	s.train(30, 90*msec, 110*msec)

	var decoded State
	encoded, err := json.Marshal(s.state)
	if err == nil {
		err = json.Unmarshal(encoded, &decoded)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded, s.state) {
		t.Errorf("the state does not survive JSON: %+v, want %+v", decoded, s.state)
	}
	slow := ok(100, 900*msec)
	m := Measure(s.at, slow.Snapshot, slow.Snapshot)
	fine := ok(100, 100*msec)
	state1, verdict1 := Judge(s.state, m, s.p)
	Judge(s.state, Measure(s.at, fine.Snapshot, fine.Snapshot), s.p) // learns, into memory of its own
	var recorded Measurement
	if encoded, err := json.Marshal(m); err != nil || json.Unmarshal(encoded, &recorded) != nil || !reflect.DeepEqual(recorded, m) {
		t.Errorf("the measurement does not survive JSON: %+v, want %+v (%v)", recorded, m, err)
	}
	state2, verdict2 := Judge(decoded, recorded, s.p)
	if !reflect.DeepEqual(state1, state2) || !reflect.DeepEqual(verdict1, verdict2) {
		t.Error("the same state and measurement gave two different answers")
	}
	if after, _ := json.Marshal(s.state); string(after) != string(encoded) {
		t.Error("Judge changed the state it was given")
	}
}

func TestAnomaliesInARow(t *testing.T) {
	slow, normal := ok(100, 900*msec), ok(100, 100*msec)
	for _, c := range []struct {
		name  string
		ticks []traffic
		fires int // the first that fires, from 1; 0 for none
	}{
		{"one slow tick", []traffic{slow, normal, normal}, 0},
		{"two in a row", []traffic{slow, slow, normal}, 0},
		{"three in a row", []traffic{slow, slow, slow}, 3},
		{"a normal one between", []traffic{slow, slow, normal, slow, slow, slow}, 6},
		{"one without enough requests between", []traffic{slow, slow, ok(19, 900*msec), slow, slow, slow}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSeries(t)
			s.train(20, 90*msec, 110*msec)
			s.p = DefaultParams()
			s.p.Gates.RateOfChange = Off
			for i, tick := range c.ticks {
				d := s.see(tick)
				a, fired := alertsByType(t, d)[TypeAnomaly]
				if fired != (i+1 == c.fires) {
					t.Fatalf("tick %d: fired %v (%s)", i+1, fired, a.ReasonForTrigger)
				}
				if slowTick := tick.Overall.Durations.Total() == 100 && *d.Metrics.OverallP95MS > 800; slowTick && *d.Metrics.AnomalyScore < 20 {
					t.Errorf("tick %d: anomaly score %v, want the tick's own in any case", i+1, *d.Metrics.AnomalyScore)
				}
			}
			if n := len(s.state.BaselineMS); n > 20+len(c.ticks) || s.state.BaselineMS[len(s.state.BaselineMS)-1] > 200 {
				t.Errorf("a slow tick entered the baseline: %v", s.state.BaselineMS[20:])
			}
			if len(s.state.Anomalies) >= s.p.ZTicks {
				t.Errorf("%d anomaly scores are kept", len(s.state.Anomalies))
			}
		})
	}
	t.Run("a pause begins anew", func(t *testing.T) {
		s := newSeries(t)
		s.train(20, 90*msec, 110*msec)
		s.p = DefaultParams()
		s.see(slow)
		s.see(slow)
		s.at = s.at.Add(time.Minute)
		if _, fired := alertsByType(t, s.see(slow))[TypeAnomaly]; fired {
			t.Error("three slow ticks a minute apart are not in a row")
		}
	})
	t.Run("the least of them counts", func(t *testing.T) {
		s := newSeries(t)
		s.train(20, 90*msec, 110*msec)
		s.p = DefaultParams()
		s.see(slow)
		s.see(slow)
		if a := alertsByType(t, s.see(ok(100, 140*msec)))[TypeAnomaly]; a.Severity != Warning {
			t.Errorf("alert %+v, want a warning by the 4 σ of the last tick", a)
		}
	})
}

func TestAShadowedGateIsShownAndDoesNotCount(t *testing.T) {
	for _, c := range []struct {
		mode             Mode
		alerts, shadowed int
		status           Status
	}{{On, 1, 0, Critical}, {Shadow, 0, 1, OK}, {Off, 0, 0, OK}} {
		s := newSeries(t)
		s.p.Gates.Absolute = c.mode
		d := s.see(newTraffic(time.Minute).requests("GET /", 100, msec, histogram.ServerError))
		if len(d.Alerts) != c.alerts || len(d.ShadowAlerts) != c.shadowed || d.Status != c.status || (d.HealthScore.Score == 39) != (c.mode == On) {
			t.Errorf("%s: alerts %v, shadowed %v, status %s, score %v", c.mode, d.Alerts, d.ShadowAlerts, d.Status, d.HealthScore.Score)
		}
		if d.Metrics.ErrorRate == nil || *d.Metrics.ErrorRate != 1 {
			t.Errorf("%s: error rate %v, want it published in any mode", c.mode, d.Metrics.ErrorRate)
		}
	}
}

func TestAdaptiveInShadowBesideAbsolute(t *testing.T) {
	for _, c := range []struct {
		p95         time.Duration
		on, shadow  Status
		shadowFired bool
	}{
		{150 * msec, "", "", false},
		{190 * msec, "", Warning, true},
		{1100 * msec, Warning, Critical, true},
		{3100 * msec, Critical, "", false},
	} {
		s := newSeries(t)
		s.p.Gates.ZScore = Off
		s.train(20, 90*msec, 110*msec)
		s.p.Gates.Adaptive, s.p.Gates.RateOfChange = Shadow, Off
		d := s.see(ok(100, c.p95))
		if got := alertsByType(t, d)[TypeLatency].Severity; got != c.on {
			t.Errorf("%v: the absolute gate says %q, want %q", c.p95, got, c.on)
		}
		if len(d.ShadowAlerts) == 1 != c.shadowFired || c.shadowFired && (d.ShadowAlerts[0].Severity != c.shadow || d.ShadowAlerts[0].TriggeredBy != GateAdaptive) {
			t.Errorf("%v: shadow alerts %+v, want %q", c.p95, d.ShadowAlerts, c.shadow)
		}
	}
}

func TestDocumentSaysThatDecisionsAreNotRecorded(t *testing.T) {
	s := newSeries(t)
	s.see(ok(100, msec))
	learned := len(s.state.BaselineMS)
	state, v := Judge(s.state, Measure(s.at, ok(100, msec).Snapshot, ok(100, msec).Snapshot), s.p)
	d := NewDocument(v, About{Time: s.at, LedgerProblem: "no space left on device"})
	if len(d.Alerts) != 1 || d.Alerts[0].Type != TypeLedger || d.Alerts[0].TriggeredBy != GateLedger || d.Alerts[0].TrendDirection != Stable {
		t.Fatalf("alerts %+v", d.Alerts)
	}
	if d.Status != Warning || d.HealthScore.Score != 100 || len(v.Alerts) != 0 || len(state.BaselineMS) != learned+1 {
		t.Errorf("status %s, score %v, verdict's alerts %v, %d ticks learned", d.Status, d.HealthScore.Score, v.Alerts, len(state.BaselineMS))
	}
}

func TestForeignNumbersAreBounded(t *testing.T) {
	huge, negative := math.Inf(1), -5.0
	m := Measurement{
		Window: WindowFigures{SpanSeconds: math.NaN(), P95MS: &huge, P50MS: &negative, Samples: 100, Requests: 1, ServerErrors: 1 << 63, InFlight: -1},
		Tick:   Tick{UnixMilli: 1, Samples: 100, P95MS: math.NaN(), Requests: 1, Errors: 5},
	}
	s, p := State{}, DefaultParams()
	for range 30 {
		var v Verdict
		s, v = Judge(s, m, p)
		checkDocument(t, NewDocument(v, About{}))
	}
	if huge != math.Inf(1) || negative != -5 {
		t.Error("Judge wrote into the measurement")
	}
}
