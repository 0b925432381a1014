package incident

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Issue says in plain words what is wrong, once and with its limit: what of the
// traffic breaches most gravely, and which target is DOWN. It is empty when nothing
// that breaches has such words; then the decision's own have to do.
func (o Observation) Issue() string {
	var traffic, target string
	for _, b := range o.Decision.Breaches {
		switch {
		case b.Gate == health.GateFailures:
			target = firstOf(target, clean(b.Target, maxName)+" is DOWN")
		case traffic == "":
			traffic = o.ofTraffic(b)
		}
	}
	switch {
	case traffic == "":
		return target
	case target == "":
		return traffic
	}
	return traffic + "; " + target
}

// ofTraffic says what a breach of a gate over traffic is about.
func (o Observation) ofTraffic(b policy.Breach) string {
	m := o.Decision.Verdict.Metrics
	kind := ""
	if b.Gate == health.GateAbsolute {
		_, kind, _ = strings.Cut(keyOf(b), "/")
	}
	switch {
	case kind == health.TypeErrors && m.ErrorRate != nil:
		return fmt.Sprintf("Failing: %s of requests, limit %s", share(*m.ErrorRate), share(limitOf(o.Policy.Health.ErrorRate, b)))
	case kind == health.TypeLatency && m.OverallP95MS != nil:
		return fmt.Sprintf("Slow: 95 of 100 requests take up to %s, limit %s", took(*m.OverallP95MS), took(limitOf(o.Policy.Health.P95MS, b)))
	case (b.Gate == health.GateAdaptive || b.Gate == health.GateZScore) && m.OverallP95MS != nil:
		return fmt.Sprintf("Slower than usual: 95 of 100 requests take up to %s", took(*m.OverallP95MS))
	case b.Gate == health.GateBurnRate || b.Gate == health.GateReported || kind != "":
		return clean(b.Message, maxPhrase)
	}
	return ""
}

func limitOf(l health.Limit, b policy.Breach) float64 {
	if b.Severity == health.Critical {
		return l.Critical
	}
	return l.Warning
}

func firstOf(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// took is a latency as people say it: 180 ms, 1.8 s, 12 s. It is rounded up, so that
// what takes up to it does.
func took(ms float64) string {
	switch {
	case ms < 999.5:
		return strconv.FormatFloat(math.Ceil(ms-1e-9), 'f', -1, 64) + " ms"
	case ms < 9950:
		return strconv.FormatFloat(math.Ceil(ms/100-1e-9)/10, 'f', -1, 64) + " s"
	}
	return strconv.FormatFloat(math.Ceil(ms/1000-1e-9), 'f', -1, 64) + " s"
}

// share is a rate in percent, with one decimal below 10.
func share(rate float64) string {
	p := 100 * rate
	if p < 9.95 {
		return strconv.FormatFloat(math.Round(p*10)/10, 'f', -1, 64) + " %"
	}
	return strconv.FormatFloat(math.Round(p), 'f', -1, 64) + " %"
}
