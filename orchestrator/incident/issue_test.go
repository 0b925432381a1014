package incident

import (
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func TestIssue(t *testing.T) {
	p95, rate := 1847.3, 0.0746
	of := func(key string, gate health.Gate, severity health.Status, target string) policy.Breach {
		return policy.Breach{Key: key, Gate: gate, Severity: severity, Target: target, Message: "as it was found"}
	}
	slow := of("absolute_threshold/latency_spike", health.GateAbsolute, health.Warning, "")
	failing := of("absolute_threshold/error_anomaly", health.GateAbsolute, health.Critical, "")
	down := of("consecutive_failures:db", health.GateFailures, health.Critical, "db")
	for want, breaches := range map[string][]policy.Breach{
		"": nil,
		"Slow: 95 of 100 requests take up to 1.9 s, limit 1 s": {slow, failing},
		"Failing: 7.5 % of requests, limit 5 %":                {failing, slow},
		"Failing: 7.5 % of requests, limit 5 %; db is DOWN":    {down, failing},
		"db is DOWN": {down, of("consecutive_failures:cache", health.GateFailures, health.Critical, "cache")},
		"Slower than usual: 95 of 100 requests take up to 1.9 s": {of("z_score", health.GateZScore, health.Warning, ""), slow},
		"as it was found": {of("burn_rate", health.GateBurnRate, health.Critical, "")},
	} {
		o := Observation{Policy: policy.Default(), Decision: policy.Decision{Breaches: breaches}}
		o.Decision.Verdict.Metrics.OverallP95MS, o.Decision.Verdict.Metrics.ErrorRate = &p95, &rate
		if got := o.Issue(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for ms, want := range map[float64]string{0.4: "1 ms", 184: "184 ms", 999.9: "1 s", 1000: "1 s", 1001: "1.1 s", 3000: "3 s", 12001: "13 s"} {
		if got := took(ms); got != want {
			t.Errorf("%v ms: %s, want %s", ms, got, want)
		}
	}
}
