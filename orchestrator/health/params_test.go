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
		{"short memory", func(p *Params) { p.MaxBaselineTicks = 10 }, "max_baseline_ticks"},
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

func TestDigestIsOverCanonicalJSON(t *testing.T) {
	const want = `{"adaptive":false,"adaptive_sigmas":6,"error_rate":{"critical":0.05,"warning":0.02},` +
		`"max_baseline_ticks":720,"min_baseline_ticks":20,"min_effect_ms":20,"min_effect_share":0.25,"min_errors":3,"min_samples":20,` +
		`"min_tick_samples":5,"p95_ms":{"critical":3000,"warning":1000},"rate_errors":3,` +
		`"rate_errors_floor":0.02,"rate_max_age_seconds":15,"rate_p95":2,"rate_p95_floor_ms":100,"trend_scores":10,` +
		`"trend_slope":2,"unmeasured_share":0.01,"version":"default","z_threshold":3}`
	if got := string(DefaultParams().canonical()); got != want {
		t.Errorf("canonical form\n%s\nwant\n%s", got, want)
	}
	// printf '%s' "$want" | sha256sum
	if got := DefaultParams().Digest(); got != "sha256:10233cc6ac27c5f2ee67590904a794596b9412c72b0be81282b623bb26ac35fc" {
		t.Errorf("digest %s", got)
	}
	p := DefaultParams()
	p.TrendSlope = 2.0000001
	if p.Digest() == DefaultParams().Digest() {
		t.Error("two different sets of parameters have the same digest")
	}
	p.Version = "<&>"
	if !strings.Contains(string(p.canonical()), `"<&>"`) {
		t.Errorf("canonical form %s escapes what JSON need not", p.canonical())
	}
}
