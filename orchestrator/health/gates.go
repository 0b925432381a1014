package health

import (
	"fmt"
	"slices"
)

// judgement is what the gates look at. Each gate is a pure function of it.
type judgement struct {
	window WindowFigures
	tick   Tick
	base   baseline
	params Params
	// learned are the adaptive thresholds, nil while there are none.
	learned *AdaptiveThresholds
	// z is the tick's z-score, anomaly the lesser anomaly score of the last
	// ZTicks ticks; nil when undefined.
	z, anomaly *float64
}

// components scores what could be measured and counts.
func (j judgement) components() Components {
	var c Components
	p := j.params
	if l, _ := j.p95Limit(On); l.Critical > 0 && j.latencyCounts() {
		c.Latency = ptr(component(*j.window.P95MS, l, farLatency*l.Critical))
	}
	if rate := j.window.ErrorRate(); rate != nil && p.Gates.Absolute == On {
		c.Errors = ptr(100.0)
		if j.errorsCount() {
			c.Errors = ptr(component(*rate, p.ErrorRate, min(1, farErrors*p.ErrorRate.Critical)))
		}
	}
	if j.anomaly != nil && p.Gates.ZScore == On {
		l := Limit{Warning: anomalyWarning, Critical: anomalyCritical}
		c.Anomalies = ptr(component(*j.anomaly, l, farAnomalies*anomalyCritical))
	}
	return c
}

// An anomaly score is made to be read against these.
const (
	anomalyWarning  = 1
	anomalyCritical = 2
)

func (j judgement) latencyCounts() bool { return j.window.Samples >= j.params.MinSamples }

func (j judgement) errorsCount() bool { return j.window.Errors() >= j.params.MinErrors }

// p95Limit is the limits of the gates in one of the modes, and which of them
// were learned: learned ones can only be stricter than the absolute ones. It
// is zero when no gate is in such a mode.
func (j judgement) p95Limit(modes ...Mode) (l, learned Limit) {
	if slices.Contains(modes, j.params.Gates.Absolute) {
		l = j.params.P95MS
	}
	if j.learned == nil || !slices.Contains(modes, j.params.Gates.Adaptive) {
		return l, Limit{}
	}
	learned = Limit{Warning: j.learned.P95WarningMS, Critical: j.learned.P95CriticalMS}
	if l == (Limit{}) {
		return learned, learned
	}
	return Limit{Warning: min(l.Warning, learned.Warning), Critical: min(l.Critical, learned.Critical)}, learned
}

// alerts asks every gate, the gravest matters of a service first, and sets
// apart what only shadowed gates say.
func (j judgement) alerts(changes []Change) (counted, shadowed []Alert) {
	counted, shadowed = []Alert{}, []Alert{}
	add := func(a *Alert) {
		switch {
		case a == nil:
		case j.params.Gates.mode(a.TriggeredBy) == On:
			counted = append(counted, *a)
		case j.params.Gates.mode(a.TriggeredBy) == Shadow:
			shadowed = append(shadowed, *a)
		}
	}
	add(j.errors())
	on := j.latency(On)
	add(on)
	if all := j.latency(On, Shadow); all != nil && (on == nil || all.Severity != on.Severity) {
		add(all)
	}
	add(j.stalled())
	add(j.anomalous())
	add(j.unmeasured())
	for _, c := range changes {
		add(&Alert{
			Type: TypeRateOfChange, Severity: Warning, TriggeredBy: GateRateOfChange,
			Message: changeMessage(c), ReasonForTrigger: c.ReasonForTrigger,
		})
	}
	return counted, shadowed
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
	rate := j.window.ErrorRate()
	if rate == nil || !j.errorsCount() {
		return nil
	}
	s, reached := severity(*rate, j.params.ErrorRate)
	if s == "" {
		return nil
	}
	w := j.window
	return &Alert{
		Type: TypeErrors, Severity: s, TriggeredBy: GateAbsolute,
		Message: fmt.Sprintf("%s of requests fail: %d of %d in the last %s", percent(*rate), w.Errors(), w.Requests, j.span()),
		ReasonForTrigger: fmt.Sprintf("error rate %s is at or above the %s threshold of %s (%d from the upstream, %d from the gateway)",
			percent(*rate), s, percent(reached), w.ServerErrors, w.GatewayErrors),
	}
}

// latency judges by the strictest limits of the gates in one of the modes.
func (j judgement) latency(modes ...Mode) *Alert {
	limit, learned := j.p95Limit(modes...)
	if !j.latencyCounts() || limit == (Limit{}) {
		return nil
	}
	p95 := *j.window.P95MS
	s, reached := severity(p95, limit)
	if s == "" {
		return nil
	}
	a := &Alert{
		Type: TypeLatency, Severity: s, TriggeredBy: GateAbsolute,
		Message: fmt.Sprintf("P95 latency is %s over the last %s", millis(p95), j.span()),
		ReasonForTrigger: fmt.Sprintf("P95 %s is at or above the %s threshold of %s (%d samples, %d of them still in flight)",
			millis(p95), s, millis(reached), j.window.Samples, j.window.InFlightIncluded),
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
	w := j.window
	waiting := w.InFlightIncluded > 0 && w.MaxMS != nil && *w.MaxMS >= j.params.P95MS.Warning
	if !waiting || j.latencyCounts() || w.Requests > 0 {
		return nil
	}
	return &Alert{
		Type: TypeStalled, Severity: Warning, TriggeredBy: GateAbsolute,
		Message: fmt.Sprintf("Nothing was answered in the last %s while %s waiting", j.span(), count(w.InFlight, "request is", "requests are")),
		ReasonForTrigger: fmt.Sprintf("the longest has waited %s, at or above the warning threshold of %s",
			millis(*w.MaxMS), millis(j.params.P95MS.Warning)),
	}
}

func (j judgement) anomalous() *Alert {
	if j.anomaly == nil || j.z == nil {
		return nil
	}
	s, _ := severity(*j.anomaly, Limit{Warning: anomalyWarning, Critical: anomalyCritical})
	if s == "" {
		return nil
	}
	p, p95 := j.params, j.tick.P95MS
	inARow := ""
	if p.ZTicks > 1 {
		inARow = fmt.Sprintf(" in each of %d ticks in a row", p.ZTicks)
	}
	return &Alert{
		Type: TypeAnomaly, Severity: s, TriggeredBy: GateZScore,
		Message: fmt.Sprintf("P95 latency of the last tick is %s, usually it is %s", millis(p95), millis(j.base.mean)),
		ReasonForTrigger: fmt.Sprintf("%.1f standard deviations above the mean of %d healthy ticks (mean %s, σ %s); %g warn, %g are critical%s",
			*j.z, j.base.ticks, millis(j.base.mean), millis(j.base.stddev),
			anomalyWarning*p.ZThreshold, anomalyCritical*p.ZThreshold, inARow),
		BaselineComparison: j.base.compare(p95, p),
	}
}

func (j judgement) span() string { return fmt.Sprintf("%.0f s", j.window.SpanSeconds) }
