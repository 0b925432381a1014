package health

import "fmt"

// Limit is a pair of thresholds: a value at or above Warning warns, at or
// above Critical is critical.
type Limit struct {
	Warning  float64 `json:"warning"`
	Critical float64 `json:"critical"`
}

// Params are the thresholds an evaluation judges by. DefaultParams are the
// ones to start from; Validate says whether changed ones make sense.
type Params struct {
	// Gates says which gates count.
	Gates Gates `json:"gates"`

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
	// the baseline or to enter it, and how many requests for its error rate to
	// be compared. The P95 of fewer than 20 is just the slowest.
	MinTickSamples uint64 `json:"min_tick_samples"`

	// ZThreshold is the z-score that gives an anomaly score of 1.
	ZThreshold float64 `json:"z_threshold"`
	// ZTicks is how many ticks in a row must be anomalies for one to count, by
	// the least of their scores; 1 counts the first. By two in a row a service
	// with a heavy tail and few requests is called slow about once a day.
	ZTicks int `json:"z_ticks"`
	// MinBaselineTicks is how many ticks the baseline needs before there is a
	// z-score; MaxBaselineTicks how many it remembers.
	MinBaselineTicks int `json:"min_baseline_ticks"`
	MaxBaselineTicks int `json:"max_baseline_ticks"`
	// A slowdown is an anomaly only when it is at least MinEffectShare of the
	// baseline's mean and at least MinEffectMS milliseconds.
	MinEffectShare float64 `json:"min_effect_share"`
	MinEffectMS    float64 `json:"min_effect_ms"`

	// AdaptiveSigmas sets the limits that the adaptive gate learns from the
	// baseline and uses where they are stricter than P95MS: with
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
		Gates:             Gates{Absolute: On, Adaptive: Off, ZScore: On, RateOfChange: On, Measurement: On},
		P95MS:             Limit{Warning: 1000, Critical: 3000},
		ErrorRate:         Limit{Warning: 0.02, Critical: 0.05},
		MinSamples:        20,
		MinErrors:         3,
		MinTickSamples:    20,
		ZThreshold:        3,
		ZTicks:            3,
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

// Fault is what makes one parameter impossible to judge by.
type Fault struct {
	// Key is the parameter's JSON name, with dots between a group and its
	// members; a group when its members do not go together.
	Key string
	// Text completes the sentence "KEY …".
	Text string
}

func (f Fault) Error() string { return f.Key + " " + f.Text }

// Validate is the first of the Faults, nil when there are none.
func (p Params) Validate() error {
	if faults := p.Faults(); len(faults) > 0 {
		return faults[0]
	}
	return nil
}

// Faults is everything that makes p impossible to judge by.
func (p Params) Faults() []Fault {
	var faults []Fault
	add := func(key, text string, args ...any) {
		faults = append(faults, Fault{Key: key, Text: fmt.Sprintf(text, args...)})
	}
	for _, gate := range []Gate{GateAbsolute, GateAdaptive, GateZScore, GateRateOfChange, GateMeasurement} {
		if m := p.Gates.mode(gate); !m.Valid() {
			add("gates."+string(gate), "must be on, shadow or off, not %q", m)
		}
	}
	for _, g := range []struct {
		name  string
		l     Limit
		below float64
	}{{"p95_ms", p.P95MS, maxParam}, {"error_rate", p.ErrorRate, 1}} {
		switch l := g.l; {
		case !(l.Warning > 0):
			add(g.name+".warning", "must be above 0, not %v", l.Warning)
		case !(l.Critical < g.below):
			add(g.name+".critical", "must be below %v, not %v", g.below, l.Critical)
		case !(l.Warning < l.Critical):
			add(g.name, "needs a warning threshold (%v) below the critical one (%v)", l.Warning, l.Critical)
		}
	}
	for _, v := range []struct {
		name         string
		v, low, high float64
	}{
		{"min_samples", float64(p.MinSamples), 1, maxParam},
		{"min_errors", float64(p.MinErrors), 1, maxParam},
		{"min_tick_samples", float64(p.MinTickSamples), 1, maxParam},
		{"z_threshold", p.ZThreshold, 0.1, maxParam},
		{"z_ticks", float64(p.ZTicks), 1, 100},
		{"min_baseline_ticks", float64(p.MinBaselineTicks), 2, maxBaseline},
		{"max_baseline_ticks", float64(p.MaxBaselineTicks), float64(p.MinBaselineTicks), maxBaseline},
		{"min_effect_share", p.MinEffectShare, 0, maxParam},
		{"min_effect_ms", p.MinEffectMS, 0, maxParam},
		{"adaptive_sigmas", p.AdaptiveSigmas, 0, maxParam},
		{"rate_p95", p.RateP95, 1, maxParam},
		{"rate_p95_floor_ms", p.RateP95FloorMS, 0, maxParam},
		{"rate_errors", p.RateErrors, 1, maxParam},
		{"rate_errors_floor", p.RateErrorsFloor, 0, 1},
		{"rate_max_age_seconds", p.RateMaxAgeSeconds, 1, 24 * 60 * 60},
		{"unmeasured_share", p.UnmeasuredShare, 0, 1},
		{"trend_scores", float64(p.TrendScores), 2, 1000},
		{"trend_slope", p.TrendSlope, 0, 100},
	} {
		if !(v.v >= v.low && v.v <= v.high) {
			add(v.name, "must lie between %v and %v, not be %v", v.low, v.high, v.v)
		}
	}
	return faults
}

// maxBaseline is six hours of ticks: what a restart can restore, and what the
// evidence of a decision has room for.
const maxBaseline = 6 * 60 * 60 / 5

// maxParam bounds every threshold so that no product of two overflows.
const maxParam = 1e9
