package health

// The score's weights and shape. Design, "GET /health/alerts".
const (
	weightLatency   = 0.5
	weightErrors    = 0.3
	weightAnomalies = 0.2

	// The cap: with the worst component at 0 the score is at most 39, which is
	// critical, however good the other two are. An API that answers every
	// request fast with a 500 would be healthy by the weighted sum alone.
	capBase  = 39
	capSlope = 0.61

	// A component reaches 0 at these multiples of its critical threshold.
	farLatency   = 3
	farErrors    = 5
	farAnomalies = 2

	healthyFrom   = 70
	criticalBelow = 40
)

// component is 100 up to the warning threshold, 50 at the critical one, 0 at
// far and beyond, and linear between. 0 < warning < critical < far.
func component(v float64, l Limit, far float64) float64 {
	switch {
	case v <= l.Warning:
		return 100
	case v <= l.Critical:
		return round2(100 - 50*(v-l.Warning)/(l.Critical-l.Warning))
	case v < far:
		return round2(50 - 50*(v-l.Critical)/(far-l.Critical))
	}
	return 0
}

// scoreOf is min(weighted sum, 39 + 0.61 · worst component). Here and wherever
// a product is added, the conversion keeps a compiler from fusing the two: a
// verdict must come out the same on every machine.
func scoreOf(c Components) float64 {
	latency, errors, anomalies := or100(c.Latency), or100(c.Errors), or100(c.Anomalies)
	weighted := float64(weightLatency*latency) + float64(weightErrors*errors) + float64(weightAnomalies*anomalies)
	return round2(min(weighted, capBase+float64(capSlope*min(latency, errors, anomalies))))
}

func or100(v *float64) float64 {
	if v == nil {
		return 100
	}
	return *v
}

func scoreStatus(score float64) ScoreStatus {
	switch {
	case score < criticalBelow:
		return ScoreCritical
	case score < healthyFrom:
		return ScoreDegraded
	}
	return ScoreHealthy
}

// statusOf is the worse of what the score and the gravest alert say.
func statusOf(score float64, alerts []Alert) Status {
	s := OK
	if len(alerts) > 0 || score < healthyFrom {
		s = Warning
	}
	for _, a := range alerts {
		if a.Severity == Critical {
			s = Critical
		}
	}
	if score < criticalBelow {
		s = Critical
	}
	return s
}
