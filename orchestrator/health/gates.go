package health

import (
	"fmt"

	"github.com/countersign-dev/countersign/histogram"
)

// judgement is what the gates look at. Each gate is a pure function of it.
type judgement struct {
	window  *histogram.Snapshot
	metrics Metrics
	base    baseline
	tick    Tick
	params  Params
	learned *AdaptiveThresholds
}

// components scores what could be measured.
func (j judgement) components() Components {
	var c Components
	p := j.params
	if j.latencyCounts() {
		l, _ := j.p95Limit()
		c.Latency = ptr(component(*j.metrics.OverallP95MS, l, farLatency*l.Critical))
	}
	if rate := j.metrics.ErrorRate; rate != nil {
		c.Errors = ptr(100.0)
		if j.errorsCount() {
			c.Errors = ptr(component(*rate, p.ErrorRate, min(1, farErrors*p.ErrorRate.Critical)))
		}
	}
	if a := j.metrics.AnomalyScore; a != nil {
		l := Limit{Warning: anomalyWarning, Critical: anomalyCritical}
		c.Anomalies = ptr(component(*a, l, farAnomalies*anomalyCritical))
	}
	return c
}

// An anomaly score is made to be read against these.
const (
	anomalyWarning  = 1
	anomalyCritical = 2
)

func (j judgement) latencyCounts() bool {
	return j.metrics.SampleSize >= j.params.MinSamples
}

func (j judgement) errorsCount() bool {
	return j.window.Overall.Errors() >= j.params.MinErrors
}

// p95Limit is the limits in force, and whether they were learned: learned ones
// can only be stricter than the absolute ones.
func (j judgement) p95Limit() (l Limit, learned Limit) {
	l = j.params.P95MS
	if j.learned == nil {
		return l, Limit{}
	}
	learned = Limit{Warning: j.learned.P95WarningMS, Critical: j.learned.P95CriticalMS}
	return Limit{Warning: min(l.Warning, learned.Warning), Critical: min(l.Critical, learned.Critical)}, learned
}

// alerts asks every gate, the gravest matters of a service first.
func (j judgement) alerts(changes []Change) []Alert {
	out := []Alert{}
	for _, gate := range []func() *Alert{j.errors, j.latency, j.stalled, j.anomaly, j.unmeasured} {
		if a := gate(); a != nil {
			out = append(out, *a)
		}
	}
	for _, c := range changes {
		out = append(out, Alert{
			Type: TypeRateOfChange, Severity: Warning, TriggeredBy: GateRateOfChange,
			Message: changeMessage(c), ReasonForTrigger: c.ReasonForTrigger,
		})
	}
	return out
}

// severity is empty below the warning threshold; reached is the threshold
// that v is at or above.
func severity(v float64, l Limit) (s Status, reached float64) {
	switch {
	case v >= l.Critical:
		return Critical, l.Critical
	case v >= l.Warning:
		return Warning, l.Warning
	}
	return "", 0
}

func (j judgement) errors() *Alert {
	rate := j.metrics.ErrorRate
	if rate == nil || !j.errorsCount() {
		return nil
	}
	s, reached := severity(*rate, j.params.ErrorRate)
	if s == "" {
		return nil
	}
	overall := j.window.Overall
	return &Alert{
		Type: TypeErrors, Severity: s, TriggeredBy: GateAbsolute,
		Message: fmt.Sprintf("%s of requests fail: %d of %d in the last %s", percent(*rate), overall.Errors(), overall.Requests(), j.span()),
		ReasonForTrigger: fmt.Sprintf("error rate %s is at or above the %s threshold of %s (%d from the upstream, %d from the gateway)",
			percent(*rate), s, percent(reached), overall.Outcomes[histogram.ServerError], overall.Outcomes[histogram.GatewayError]),
	}
}

func (j judgement) latency() *Alert {
	if !j.latencyCounts() {
		return nil
	}
	p95 := *j.metrics.OverallP95MS
	limit, learned := j.p95Limit()
	s, reached := severity(p95, limit)
	if s == "" {
		return nil
	}
	a := &Alert{
		Type: TypeLatency, Severity: s, TriggeredBy: GateAbsolute,
		Message: fmt.Sprintf("P95 latency is %s over the last %s", millis(p95), j.span()),
		ReasonForTrigger: fmt.Sprintf("P95 %s is at or above the %s threshold of %s (%d samples, %d of them still in flight)",
			millis(p95), s, millis(reached), j.metrics.SampleSize, j.metrics.InFlightIncluded),
		BaselineComparison: j.base.compare(p95, j.params),
	}
	if reached == learned.Warning || reached == learned.Critical {
		a.TriggeredBy = GateAdaptive
		a.ReasonForTrigger += fmt.Sprintf(", learned from %d healthy ticks", j.base.ticks)
	}
	return a
}

// stalled speaks up for an API with too little traffic for the latency gate
// that has stopped answering altogether: what waits is few, but it is all there is.
func (j judgement) stalled() *Alert {
	m := j.metrics
	waiting := m.InFlightIncluded > 0 && m.MaxMS != nil && *m.MaxMS >= j.params.P95MS.Warning
	if !waiting || j.latencyCounts() || j.window.Overall.Requests() > 0 {
		return nil
	}
	return &Alert{
		Type: TypeStalled, Severity: Warning, TriggeredBy: GateAbsolute,
		Message: fmt.Sprintf("Nothing was answered in the last %s while %s waiting", j.span(), count(m.InFlight, "request is", "requests are")),
		ReasonForTrigger: fmt.Sprintf("the longest has waited %s, at or above the warning threshold of %s",
			millis(*m.MaxMS), millis(j.params.P95MS.Warning)),
	}
}

func (j judgement) anomaly() *Alert {
	score := j.metrics.AnomalyScore
	if score == nil {
		return nil
	}
	s, _ := severity(*score, Limit{Warning: anomalyWarning, Critical: anomalyCritical})
	if s == "" {
		return nil
	}
	p95 := j.tick.P95MS
	return &Alert{
		Type: TypeAnomaly, Severity: s, TriggeredBy: GateZScore,
		Message: fmt.Sprintf("P95 latency of the last tick is %s, usually it is %s", millis(p95), millis(j.base.mean)),
		ReasonForTrigger: fmt.Sprintf("%.1f standard deviations above the mean of %d healthy ticks (mean %s, σ %s); %g warn, %g are critical",
			*j.metrics.ZScore, j.base.ticks, millis(j.base.mean), millis(j.base.stddev),
			anomalyWarning*j.params.ZThreshold, anomalyCritical*j.params.ZThreshold),
		BaselineComparison: j.base.compare(p95, j.params),
	}
}

func (j judgement) span() string { return fmt.Sprintf("%.0f s", j.window.Span.Seconds()) }
