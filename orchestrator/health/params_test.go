package health

import (
	"math"
	"strings"
	"testing"
)

func TestParamsValidate(t *testing.T) {
	if err := DefaultParams().Validate(); err != nil {
		t.Fatalf("the default parameters are refused: %v", err)
	}
	for _, c := range []struct {
		name   string
		change func(*Params)
		says   string
	}{
		{"warning above critical", func(p *Params) { p.P95MS = Limit{3000, 1000} }, "p95_ms"},
		{"warning at critical", func(p *Params) { p.ErrorRate = Limit{0.05, 0.05} }, "error_rate"},
		{"no warning", func(p *Params) { p.P95MS.Warning = 0 }, "p95_ms"},
		{"NaN", func(p *Params) { p.P95MS.Warning = math.NaN() }, "p95_ms"},
		{"infinite", func(p *Params) { p.P95MS.Critical = math.Inf(1) }, "p95_ms"},
		{"error rate of one", func(p *Params) { p.ErrorRate.Critical = 1 }, "below 1"},
		{"no z threshold", func(p *Params) { p.ZThreshold = 0 }, "z_threshold"},
		{"NaN z threshold", func(p *Params) { p.ZThreshold = math.NaN() }, "z_threshold"},
		{"shrinking change", func(p *Params) { p.RateP95 = 0.5 }, "rate_p95"},
		{"no samples", func(p *Params) { p.MinSamples = 0 }, "min_samples"},
		{"unknown mode", func(p *Params) { p.Gates.ZScore = "maybe" }, "gates.z_score"},
		{"no tick in a row", func(p *Params) { p.ZTicks = 0 }, "z_ticks"},
		{"short memory", func(p *Params) { p.MaxBaselineTicks = 10 }, "max_baseline_ticks"},
		{"memory longer than a restart restores", func(p *Params) { p.MaxBaselineTicks = 4321 }, "max_baseline_ticks"},
		{"one score", func(p *Params) { p.TrendScores = 1 }, "trend_scores"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := DefaultParams()
			c.change(&p)
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one about %s", err, c.says)
			}
		})
	}
}
