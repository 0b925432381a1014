package stats

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Interval is a figure and the bounds between which it lies with 95 % confidence.
type Interval struct{ Value, Low, High float64 }

// resamples are drawn for an interval; seeds make them the same each time.
const (
	resamples  = 10_000
	seed1      = 0x636f756e74657273
	seed2      = 0x69676e62656e6368
	confidence = 0.95
	fewest     = 3 // rounds; with fewer there is nothing to draw from
)

// Ratio is the ratio of the medians of a to b, of rounds in which a[i] and b[i] were measured beside each other. The
// interval is the percentile bootstrap's over rounds (Efron and Tibshirani, An Introduction to the Bootstrap, chapter
// 13): pairs stay together, so that what disturbs both of a round cancels out. A bound may be infinite, when the
// median of b is 0 or less in a part of what is drawn.
func Ratio(a, b []float64) (Interval, error) {
	if err := check(a, b); err != nil {
		return Interval{}, err
	}
	if Median(b) <= 0 {
		return Interval{}, fmt.Errorf("there is no ratio to a median of %v: it must be above 0", Median(b))
	}
	return bootstrap(a, b, func(a, b []float64) float64 {
		below := middle(b)
		if below <= 0 {
			return math.Inf(1)
		}
		return middle(a) / below
	}), nil
}

// Difference is the median of a[i] − b[i], of rounds as in [Ratio].
func Difference(a, b []float64) (Interval, error) {
	if err := check(a, b); err != nil {
		return Interval{}, err
	}
	by := make([]float64, len(a))
	for i := range a {
		by[i] = a[i] - b[i]
	}
	return bootstrap(by, by, func(a, _ []float64) float64 { return middle(a) }), nil
}

func check(a, b []float64) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d figures are not those of the same rounds", len(a), len(b))
	}
	if len(a) < fewest {
		return fmt.Errorf("%d rounds give no interval: measure at least %d", len(a), fewest)
	}
	for i := range a {
		if math.IsNaN(a[i]+b[i]) || math.IsInf(a[i], 0) || math.IsInf(b[i], 0) {
			return errors.New("a round without a figure gives no interval: leave it out of both")
		}
	}
	return nil
}

// bootstrap draws rounds with replacement, and has f find the figure of each draw. It may sort what it is given.
func bootstrap(a, b []float64, f func(a, b []float64) float64) Interval {
	random := rand.New(rand.NewPCG(seed1, seed2))
	drawnA, drawnB := slices.Clone(a), slices.Clone(b)
	whole := f(drawnA, drawnB)
	found := make([]float64, resamples)
	for r := range found {
		for i := range a {
			k := random.IntN(len(a))
			drawnA[i], drawnB[i] = a[k], b[k]
		}
		found[r] = f(drawnA, drawnB)
	}
	slices.Sort(found)
	return Interval{whole, quantileOfSorted(found, (1-confidence)/2), quantileOfSorted(found, (1+confidence)/2)}
}

// middle is the median; it sorts the values.
func middle(values []float64) float64 {
	slices.Sort(values)
	return quantileOfSorted(values, 0.5)
}
