package health

import "fmt"

// The metrics a Change is about.
const (
	metricP95    = "p95_ms"
	metricErrors = "error_rate"
)

// changes compares the tick with the one before it, and lists what rose too fast.
func (j judgement) changes(prev Tick) []Change {
	out := []Change{}
	p, now := j.params, j.tick
	if p.Gates.RateOfChange == Off || !now.follows(prev, p) {
		return out
	}
	seconds := float64(now.UnixMilli-prev.UnixMilli) / 1000
	if min(now.Samples, prev.Samples) >= p.MinSamples &&
		now.P95MS >= p.RateP95*prev.P95MS && now.P95MS-prev.P95MS >= p.RateP95FloorMS {
		out = append(out, change(metricP95, prev.P95MS, now.P95MS, seconds,
			fmt.Sprintf("P95 went from %s to %s in %.0f s: %s or more, and a rise of at least %s",
				millis(prev.P95MS), millis(now.P95MS), seconds, times(p.RateP95), millis(p.RateP95FloorMS))))
	}
	was, is := prev.ErrorRate(), now.ErrorRate()
	if min(now.Requests, prev.Requests) >= p.MinTickSamples && is > was &&
		is >= p.RateErrors*was && is >= p.RateErrorsFloor && now.Errors >= p.MinErrors {
		out = append(out, change(metricErrors, was, is, seconds,
			fmt.Sprintf("error rate went from %s (%d of %d) to %s (%d of %d) in %.0f s: %s or more, at least %s and %d errors",
				percent(was), prev.Errors, prev.Requests, percent(is), now.Errors, now.Requests, seconds,
				times(p.RateErrors), percent(p.RateErrorsFloor), p.MinErrors)))
	}
	return out
}

func change(metric string, was, is, seconds float64, reason string) Change {
	c := Change{Metric: metric, Previous: was, Current: is, Seconds: seconds, ReasonForTrigger: reason}
	if was > 0 {
		c.Ratio = ptr(round4(is / was))
	}
	return c
}

func changeMessage(c Change) string {
	what, by := "P95 latency", "from "+millis(c.Previous)+" to "+millis(c.Current)
	if c.Metric == metricErrors {
		what, by = "Error rate", "from "+percent(c.Previous)+" to "+percent(c.Current)
	}
	return fmt.Sprintf("%s rose %s within %.0f s", what, by, c.Seconds)
}
