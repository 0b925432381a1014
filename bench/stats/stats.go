// Package stats says how far figures of repeated measurements can be relied on: medians, intervals by the bootstrap, and
// whether a claim holds by them. Everything is a function of its arguments: the same figures give the same intervals.
package stats

import (
	"math"
	"slices"
)

// Median is the middle of the values, or the mean of the two in the middle. It is NaN of none.
func Median(values []float64) float64 { return Quantile(values, 0.5) }

// Quantile is that of q from 0 to 1, interpolated between the two nearest values (Hyndman and Fan's definition 7, that
// of R and NumPy). It is NaN of none. The values are left in their order.
func Quantile(values []float64, q float64) float64 {
	return quantileOfSorted(slices.Sorted(slices.Values(values)), q)
}

func quantileOfSorted(sorted []float64, q float64) float64 {
	if len(sorted) == 0 || math.IsNaN(q) {
		return math.NaN()
	}
	at := min(max(q, 0), 1) * float64(len(sorted)-1)
	below := int(at)
	if below+1 >= len(sorted) || at == float64(below) || sorted[below] == sorted[below+1] {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}
