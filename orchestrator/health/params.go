package health

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Limit is a pair of thresholds: a value at or above Warning warns, at or
// above Critical is critical.
type Limit struct {
	Warning  float64 `json:"warning"`
	Critical float64 `json:"critical"`
}

// Params are the thresholds an evaluation judges by. DefaultParams are the
// ones to start from; Validate says whether changed ones make sense.
type Params struct {
	// Version names this set of parameters.
	Version string `json:"version"`

	// P95MS limits the window's P95 in milliseconds, ErrorRate the share of
	// its finished requests that failed.
	P95MS     Limit `json:"p95_ms"`
	ErrorRate Limit `json:"error_rate"`

	// MinSamples is the number of latencies in the window below which no
	// latency gate fires and the latency component is null. Below 20, rank
	// ⌈0.95·n⌉ is just the slowest request.
	MinSamples uint64 `json:"min_samples"`
	// MinErrors is the number of errors, in the window or in a tick, below
	// which they are too few for a rate: they are reported, and neither alert
	// nor cost score.
	MinErrors uint64 `json:"min_errors"`
	// MinTickSamples is how many latencies one tick needs to be compared with
	// the baseline or to enter it.
	MinTickSamples uint64 `json:"min_tick_samples"`

	// ZThreshold is the z-score that gives an anomaly score of 1.
	ZThreshold float64 `json:"z_threshold"`
	// MinBaselineTicks is how many ticks the baseline needs before there is a
	// z-score; MaxBaselineTicks how many it remembers.
	MinBaselineTicks int `json:"min_baseline_ticks"`
	MaxBaselineTicks int `json:"max_baseline_ticks"`
	// A slowdown is an anomaly only when it is at least MinEffectShare of the
	// baseline's mean and at least MinEffectMS milliseconds.
	MinEffectShare float64 `json:"min_effect_share"`
	MinEffectMS    float64 `json:"min_effect_ms"`

	// Adaptive learns P95 limits from the baseline and uses them where they
	// are stricter than P95MS. See AdaptiveSigmas.
	Adaptive bool `json:"adaptive"`
	// AdaptiveSigmas sets the learned limits: with
	// margin = max(AdaptiveSigmas·σ, MinEffectShare·mean, MinEffectMS),
	// warning is mean + margin and critical mean + 2·margin.
	AdaptiveSigmas float64 `json:"adaptive_sigmas"`

	// RateP95 is the factor by which one tick's P95 exceeds the last one's
	// when it is called a change; the floor is the least rise in milliseconds.
	// Both ticks need MinSamples latencies.
	RateP95        float64 `json:"rate_p95"`
	RateP95FloorMS float64 `json:"rate_p95_floor_ms"`
	// RateErrors is the factor for the error rate; the floor is the least
	// error rate that the tick must have, with MinErrors errors.
	// Both ticks need MinTickSamples finished requests.
	RateErrors      float64 `json:"rate_errors"`
	RateErrorsFloor float64 `json:"rate_errors_floor"`
	// RateMaxAgeSeconds is how old the previous tick may be to compare with.
	RateMaxAgeSeconds float64 `json:"rate_max_age_seconds"`

	// UnmeasuredShare is the share of seen requests without a latency above
	// which the measurement itself is doubted.
	UnmeasuredShare float64 `json:"unmeasured_share"`

	// TrendScores is how many scores the trend looks back over; TrendSlope
	// how many points a step make one.
	TrendScores int     `json:"trend_scores"`
	TrendSlope  float64 `json:"trend_slope"`
}

// DefaultParams are the thresholds of a new installation, at a tick of five seconds.
func DefaultParams() Params {
	return Params{
		Version:           "default",
		P95MS:             Limit{Warning: 1000, Critical: 3000},
		ErrorRate:         Limit{Warning: 0.02, Critical: 0.05},
		MinSamples:        20,
		MinErrors:         3,
		MinTickSamples:    5,
		ZThreshold:        3,
		MinBaselineTicks:  20,
		MaxBaselineTicks:  720,
		MinEffectShare:    0.25,
		MinEffectMS:       20,
		AdaptiveSigmas:    6,
		RateP95:           2,
		RateP95FloorMS:    100,
		RateErrors:        3,
		RateErrorsFloor:   0.02,
		RateMaxAgeSeconds: 15,
		UnmeasuredShare:   0.01,
		TrendScores:       10,
		TrendSlope:        2,
	}
}

// Validate says, in a sentence, what makes p impossible to judge by.
func (p Params) Validate() error {
	for _, l := range []struct {
		name string
		l    Limit
	}{{"p95_ms", p.P95MS}, {"error_rate", p.ErrorRate}} {
		if !(l.l.Warning > 0 && l.l.Warning < l.l.Critical && l.l.Critical <= maxParam) {
			return fmt.Errorf("%s: the warning threshold (%v) must lie above zero and below the critical one (%v)", l.name, l.l.Warning, l.l.Critical)
		}
	}
	if p.ErrorRate.Critical >= 1 {
		return fmt.Errorf("error_rate: the critical threshold (%v) must be below 1", p.ErrorRate.Critical)
	}
	for _, v := range []struct {
		name   string
		v, min float64
	}{
		{"z_threshold", p.ZThreshold, 0.1}, {"min_effect_share", p.MinEffectShare, 0}, {"min_effect_ms", p.MinEffectMS, 0},
		{"adaptive_sigmas", p.AdaptiveSigmas, 0}, {"rate_p95", p.RateP95, 1}, {"rate_p95_floor_ms", p.RateP95FloorMS, 0},
		{"rate_errors", p.RateErrors, 1}, {"rate_errors_floor", p.RateErrorsFloor, 0}, {"rate_max_age_seconds", p.RateMaxAgeSeconds, 0},
		{"unmeasured_share", p.UnmeasuredShare, 0}, {"trend_slope", p.TrendSlope, 0},
	} {
		if !(v.v >= v.min && v.v <= maxParam) {
			return fmt.Errorf("%s is %v: it must lie between %v and %v", v.name, v.v, v.min, float64(maxParam))
		}
	}
	if p.MinSamples < 1 || p.MinErrors < 1 || p.MinTickSamples < 1 {
		return errors.New("min_samples, min_errors and min_tick_samples must be at least 1")
	}
	if p.MinBaselineTicks < 2 || p.MaxBaselineTicks < p.MinBaselineTicks || p.MaxBaselineTicks > 100_000 {
		return fmt.Errorf("min_baseline_ticks (%d) must be at least 2, and max_baseline_ticks (%d) between that and 100000", p.MinBaselineTicks, p.MaxBaselineTicks)
	}
	if p.TrendScores < 2 || p.TrendScores > 1000 {
		return fmt.Errorf("trend_scores is %d: it must lie between 2 and 1000", p.TrendScores)
	}
	return nil
}

// maxParam bounds every threshold so that no product of two overflows.
const maxParam = 1e9

// Digest is "sha256:" and the hex SHA-256 of the parameters' canonical JSON:
// keys sorted, no space, numbers as ECMAScript prints them (RFC 8785 for this
// set of types). Two sets have the same digest exactly when they judge alike
// under the same version name.
func (p Params) Digest() string {
	sum := sha256.Sum256(p.canonical())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonical panics on parameters that Validate refuses: NaN and infinities
// have no JSON.
func (p Params) canonical() []byte {
	ordered, err := json.Marshal(p)
	var tree map[string]any // encodes with sorted keys
	if err == nil {
		err = json.Unmarshal(ordered, &tree)
	}
	var out bytes.Buffer
	if err == nil {
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		err = enc.Encode(tree)
	}
	if err != nil {
		panic(fmt.Sprintf("health: parameters have no canonical form: %v", err))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
