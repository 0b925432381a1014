package health

import (
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// ReasonNoData is the document's reason when nothing was measured.
const ReasonNoData = "no_data"

// State is what one evaluation leaves for the next. It is a plain value: it
// may be copied and encoded as JSON, Evaluate never changes the one it is
// given, and the zero State is a service never seen before.
type State struct {
	// BaselineMS are the P95s of the healthy ticks remembered, oldest first.
	BaselineMS []float64 `json:"baseline_ms"`
	// Scores are the last scores, oldest first.
	Scores []float64 `json:"scores"`
	// Previous is the last tick.
	Previous Tick `json:"previous"`
}

// Input is what is known at one tick.
type Input struct {
	// Time is the document's time.
	Time time.Time
	// Window is the whole rolling window, Tick its most recent few seconds.
	// Both are only read.
	Window, Tick *histogram.Snapshot
	// Service and Instance are the document's service_name and instance_id.
	Service, Instance string
	// Ledger is the state of the audit log, nil while none is open.
	Ledger *Ledger
}

// Evaluate judges one tick by parameters that Params.Validate accepts. It is
// pure: the same arguments give the same state and document.
func Evaluate(s State, in Input, p Params) (State, Document) {
	doc := Document{
		ServiceName: in.Service, InstanceID: in.Instance, Timestamp: in.Time.Unix(),
		Metrics: measure(in.Window), Routes: routesOf(in.Window),
		Policy: Policy{Version: p.Version, Digest: p.Digest()}, ShadowMode: true, Ledger: in.Ledger,
	}
	base := describe(s.BaselineMS)
	tick := tickOf(in.Time, in.Tick)
	doc.AdaptiveThresholds = base.adaptive(p)
	measureAnomaly(&doc.Metrics, base, tick, p)

	j := judgement{window: in.Window, metrics: doc.Metrics, base: base, tick: tick, params: p, learned: doc.AdaptiveThresholds}
	doc.RateOfChange = j.changes(s.Previous)
	doc.Alerts = j.alerts(doc.RateOfChange)
	components := j.components()
	score := scoreOf(components)

	noData := doc.Metrics.SampleSize == 0 && in.Window.Overall.Requests() == 0
	next := State{BaselineMS: s.BaselineMS, Previous: tick}
	if noData {
		// A trend across a silence would compare two different times.
		doc.Reason = ReasonNoData
	} else {
		next.Scores = lastOf(s.Scores, score, p.TrendScores)
	}
	trend := trendOf(next.Scores, p.TrendSlope)
	for i := range doc.Alerts {
		doc.Alerts[i].TrendDirection = trend
	}
	doc.HealthScore = Score{Score: score, Status: scoreStatus(score), Components: components, Trend: trend}
	doc.Status = verdict(score, doc.Alerts)

	if tick.Samples >= p.MinTickSamples && healthy(doc) {
		next.BaselineMS = lastOf(s.BaselineMS, tick.P95MS, p.MaxBaselineTicks)
	}
	return next, doc
}

func measureAnomaly(m *Metrics, base baseline, tick Tick, p Params) {
	if m.SampleSize < p.MinSamples || tick.Samples < p.MinTickSamples {
		return
	}
	if z, ok := base.z(tick.P95MS, p); ok {
		m.ZScore = ptr(z)
		m.AnomalyScore = ptr(base.anomalyScore(tick.P95MS, z, p))
	}
}

// healthy says whether a tick may teach the baseline what is usual. Requests
// without a latency do not disqualify the latencies of the others.
func healthy(d Document) bool {
	for _, a := range d.Alerts {
		if a.Type != TypeUnmeasured {
			return false
		}
	}
	return d.HealthScore.Status == ScoreHealthy
}
