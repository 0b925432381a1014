package health

import "math"

// baseline describes the P95s, in milliseconds, of the healthy ticks remembered.
type baseline struct {
	mean, stddev float64
	ticks        int
}

// describe takes the population's standard deviation, in two passes: the ticks
// are all there are, not a sample. Equal values have a deviation of exactly
// zero, which rounding in the mean must not turn into a tiny one.
func describe(p95s []float64) baseline {
	b := baseline{ticks: len(p95s)}
	if b.ticks == 0 {
		return b
	}
	n, first, equal := float64(b.ticks), p95s[0], true
	var sum float64
	for _, v := range p95s {
		sum += v - first
		equal = equal && v == first
	}
	b.mean = first + sum/n
	if equal {
		return b
	}
	var squares float64
	for _, v := range p95s {
		squares += float64((v - b.mean) * (v - b.mean))
	}
	b.stddev = math.Sqrt(squares / n)
	return b
}

// ready says whether the baseline is long enough to compare with.
func (b baseline) ready(p Params) bool { return b.ticks >= p.MinBaselineTicks }

// z is how many standard deviations v lies above the mean. It is undefined
// for a baseline that is too short or that does not vary: twenty ticks of
// exactly 100 ms say nothing about how unusual 900 ms is.
func (b baseline) z(v float64, p Params) (float64, bool) {
	if !b.ready(p) || b.stddev == 0 {
		return 0, false
	}
	return round4((v - b.mean) / b.stddev), true
}

// anomalyScore is max(0, z) in units of the threshold, and 0 for a slowdown
// too small to matter to anyone: a tight baseline makes a large z of it.
func (b baseline) anomalyScore(v, z float64, p Params) float64 {
	rise := v - b.mean
	if z <= 0 || rise < p.MinEffectMS || rise < float64(p.MinEffectShare*b.mean) {
		return 0
	}
	return round4(z / p.ZThreshold)
}

// compare sets v beside the baseline; nil while there is none to speak of.
func (b baseline) compare(v float64, p Params) *BaselineComparison {
	if !b.ready(p) || b.mean == 0 {
		return nil
	}
	return &BaselineComparison{
		BaselineMeanMS: round4(b.mean), BaselineStddevMS: round4(b.stddev), BaselineTicks: b.ticks,
		CurrentMS: v, Change: round4(v/b.mean - 1),
	}
}

// adaptive learns P95 limits, as Params.AdaptiveSigmas describes; nil when
// learning is off or there is not enough to learn from.
func (b baseline) adaptive(p Params) *AdaptiveThresholds {
	if p.Gates.Adaptive == Off || !b.ready(p) {
		return nil
	}
	margin := max(p.AdaptiveSigmas*b.stddev, p.MinEffectShare*b.mean, p.MinEffectMS)
	return &AdaptiveThresholds{
		P95WarningMS: round4(b.mean + margin), P95CriticalMS: round4(b.mean + float64(2*margin)),
		BaselineMeanMS: round4(b.mean), BaselineStddevMS: round4(b.stddev), BaselineTicks: b.ticks,
	}
}

// lastOf is the newest limit values of old followed by v, oldest first. It
// never writes into old, which an earlier State may share.
func lastOf(old []float64, v float64, limit int) []float64 {
	if drop := len(old) + 1 - limit; drop > 0 {
		old = old[drop:]
	}
	return append(append(make([]float64, 0, len(old)+1), old...), v)
}

func round2(v float64) float64 { return math.Round(v*1e2) / 1e2 }
func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }
