package health

// State is what one judgement leaves for the next. It is a plain value: it
// may be copied and encoded as JSON, Judge never changes the one it is given,
// and the zero State is a service never seen before.
type State struct {
	// BaselineMS are the P95s of the healthy ticks remembered, oldest first.
	BaselineMS []float64 `json:"baseline_ms"`
	// Scores are the last scores, oldest first.
	Scores []float64 `json:"scores"`
	// Anomalies are the anomaly scores of the ticks before this one that may
	// yet count, at most Params.ZTicks − 1, oldest first.
	Anomalies []float64 `json:"anomalies"`
	// Previous is the last tick.
	Previous Tick `json:"previous"`
}

// Baseline is what is usual for the service: the P95s of the healthy ticks
// remembered.
type Baseline struct {
	MeanMS   float64 `json:"mean_ms"`
	StddevMS float64 `json:"stddev_ms"`
	Ticks    int     `json:"ticks"`
}

// Verdict is what Judge concludes of one measurement. Its fields mean what
// the Document's of the same names do.
type Verdict struct {
	Status             Status              `json:"status"`
	Reason             string              `json:"reason,omitempty"`
	HealthScore        Score               `json:"health_score"`
	Metrics            Metrics             `json:"metrics"`
	Alerts             []Alert             `json:"alerts"`
	ShadowAlerts       []Alert             `json:"shadow_alerts"`
	RateOfChange       []Change            `json:"rate_of_change"`
	AdaptiveThresholds *AdaptiveThresholds `json:"adaptive_thresholds"`
	// Baseline is the one that was judged by, without this tick.
	Baseline Baseline `json:"baseline"`
}

// Judge judges one measurement by parameters that Params.Validate accepts. It
// is pure: the same arguments give the same state and verdict.
func Judge(s State, m Measurement, p Params) (State, Verdict) {
	m = m.bounded()
	base := describe(s.BaselineMS)
	v := Verdict{
		Metrics:            metricsOf(m.Window),
		Baseline:           Baseline{MeanMS: round4(base.mean), StddevMS: round4(base.stddev), Ticks: base.ticks},
		AdaptiveThresholds: base.adaptive(p),
	}
	v.Metrics.ZScore, v.Metrics.AnomalyScore = anomalyOf(m, base, p)
	next := State{BaselineMS: s.BaselineMS, Previous: m.Tick}
	var lesser *float64
	next.Anomalies, lesser = s.lesserAnomaly(v.Metrics.AnomalyScore, m.Tick, p)

	j := judgement{
		window: m.Window, tick: m.Tick, base: base, params: p, learned: v.AdaptiveThresholds,
		z: v.Metrics.ZScore, anomaly: lesser,
	}
	v.RateOfChange = j.changes(s.Previous)
	v.Alerts, v.ShadowAlerts = j.alerts(v.RateOfChange)
	components := j.components()
	score := scoreOf(components)
	if m.Window.Samples == 0 && m.Window.Requests == 0 {
		// A trend across a silence would compare two different times.
		v.Reason = ReasonNoData
	} else {
		next.Scores = lastOf(s.Scores, score, p.TrendScores)
	}
	v.HealthScore = Score{
		Score: score, Status: scoreStatus(score), Components: components, Trend: trendOf(next.Scores, p.TrendSlope),
	}
	v.direct()
	if m.Tick.Samples >= p.MinTickSamples && v.teaches() {
		next.BaselineMS = lastOf(s.BaselineMS, m.Tick.P95MS, p.MaxBaselineTicks)
	}
	return next, v
}

func metricsOf(w WindowFigures) Metrics {
	m := Metrics{
		OverallP95MS: w.P95MS, P95BracketMS: w.P95BracketMS, P50MS: w.P50MS, P99MS: w.P99MS, MaxMS: w.MaxMS,
		APIP95MS: w.APIP95MS, WebhookP95MS: w.WebhookP95MS, ErrorRate: w.ErrorRate(),
		SampleSize: w.Samples, InFlight: w.InFlight, InFlightIncluded: w.InFlightIncluded,
	}
	if w.SpanSeconds > 0 {
		m.RequestsPerSecond = ptr(round4(float64(w.Requests) / w.SpanSeconds))
	}
	return m
}

func anomalyOf(m Measurement, base baseline, p Params) (z, anomaly *float64) {
	if m.Window.Samples < p.MinSamples || m.Tick.Samples < p.MinTickSamples {
		return nil, nil
	}
	v, ok := base.z(m.Tick.P95MS, p)
	if !ok {
		return nil, nil
	}
	return ptr(v), ptr(base.anomalyScore(m.Tick.P95MS, v, p))
}

// lesserAnomaly is the anomaly score that counts: the least of the last ZTicks
// ticks, so that one slow handful of requests is none. A tick without a score,
// or too long after the one before, begins anew.
func (s State) lesserAnomaly(now *float64, tick Tick, p Params) (kept []float64, lesser *float64) {
	if now == nil {
		return nil, nil
	}
	before := s.Anomalies
	if !tick.follows(s.Previous, p) {
		before = nil
	}
	least := *now
	for _, a := range before {
		least = min(least, a)
	}
	if len(before) < p.ZTicks-1 {
		least = 0
	}
	if p.ZTicks > 1 {
		kept = lastOf(before, *now, p.ZTicks-1)
	}
	return kept, &least
}

// follows says whether t came soon enough after the tick before to be
// compared with it.
func (t Tick) follows(before Tick, p Params) bool {
	seconds := float64(t.UnixMilli-before.UnixMilli) / 1000
	return before != (Tick{}) && seconds > 0 && seconds <= p.RateMaxAgeSeconds
}

// teaches says whether a tick may teach the baseline what is usual. Requests
// without a latency do not disqualify the latencies of the others. A tick
// that is an anomaly by itself teaches nothing, even before it counts.
func (v Verdict) teaches() bool {
	for _, a := range v.Alerts {
		if a.Type != TypeUnmeasured {
			return false
		}
	}
	if a := v.Metrics.AnomalyScore; a != nil && *a >= anomalyWarning {
		return false
	}
	return v.HealthScore.Status == ScoreHealthy
}

// With is the verdict with further alerts that count and that do not: of gates
// that look at more than traffic. The score stays; the status follows.
func (v Verdict) With(alerts, shadowed []Alert) Verdict {
	v.Alerts = append(append(make([]Alert, 0, len(v.Alerts)+len(alerts)), v.Alerts...), alerts...)
	v.ShadowAlerts = append(append(make([]Alert, 0, len(v.ShadowAlerts)+len(shadowed)), v.ShadowAlerts...), shadowed...)
	v.direct()
	return v
}

// direct gives every alert the score's trend, and derives the status.
func (v *Verdict) direct() {
	for _, alerts := range [][]Alert{v.Alerts, v.ShadowAlerts} {
		for i := range alerts {
			alerts[i].TrendDirection = v.HealthScore.Trend
		}
	}
	v.Status = statusOf(v.HealthScore.Score, v.Alerts)
}

// AtMost is the verdict with a score that is no better than another's, which
// lies between 0 and 100: what a remote service says of itself.
func (v Verdict) AtMost(score float64) Verdict {
	if score = min(100, finite(score)); score < v.HealthScore.Score {
		v.HealthScore.Score, v.HealthScore.Status = score, scoreStatus(score)
		v.Status = statusOf(score, v.Alerts)
	}
	return v
}
