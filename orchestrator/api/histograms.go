package api

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/countersign-dev/countersign/histogram"
)

// The classic buckets' upper bounds in seconds. For requests they are the
// client library's defaults with room below for fast APIs and above for hung
// ones; the proxy's own time is a thousand times shorter.
var (
	requestBounds  = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
	overheadBounds = []float64{1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 1e-1}
)

// nativeSchema gives eight native buckets an octave, each 9 % wide: the
// resolution instrumentation libraries choose by default.
const nativeSchema = 3

// nativeFractions are the upper bounds of the native buckets between one half
// (excluded from the octave, as it is the one below's) and one: 2^(k/8-1).
var nativeFractions = func() []float64 {
	f := make([]float64, 1<<nativeSchema)
	for k := range f {
		f[k] = math.Exp2(float64(k)/(1<<nativeSchema) - 1)
	}
	return f
}()

// nativeIndex is the i of the native bucket (2^((i-1)/8), 2^(i/8)] that holds
// v > 0. Prometheus, "Native histograms", standard schemas.
func nativeIndex(v float64) int {
	fraction, exponent := math.Frexp(v)
	k, _ := slices.BinarySearch(nativeFractions, fraction)
	return k + (exponent-1)<<nativeSchema
}

// histogramMetric is a Prometheus histogram of nanoseconds, in seconds, native
// and classic at once. Every count enters the bucket of the highest value of
// its own bucket in the recorder, which is less than 0.1 % wide: le="0.25"
// never counts a request that may have been slower. The counts are exact; the
// sum is that of the recorder's bucket middles.
func histogramMetric(desc *prometheus.Desc, counts *histogram.Counts, bounds []float64, created time.Time, labels ...string) prometheus.Metric {
	native, zeros := map[int]int64{}, uint64(0)
	below := make([]uint64, len(bounds))
	counts.Each(func(_, high int64, n uint64) {
		v := float64(high) / 1e9
		if high == 0 {
			zeros += n
		} else {
			native[nativeIndex(v)] += int64(n)
		}
		if i, _ := slices.BinarySearch(bounds, v); i < len(below) {
			below[i] += n
		}
	})
	m, err := prometheus.NewConstNativeHistogram(desc, counts.Total(), counts.Sum()/1e9,
		native, nil, zeros, nativeSchema, prometheus.DefNativeHistogramZeroThreshold, created, labels...)
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return bothForms{m, bounds, below}
}

// bothForms adds classic buckets to a native histogram. The text format shows
// those, the protobuf format carries both.
type bothForms struct {
	prometheus.Metric
	bounds []float64
	below  []uint64 // counts up to each bound and above the one before
}

// Write implements prometheus.Metric.
func (b bothForms) Write(out *dto.Metric) error {
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	buckets, cumulative := make([]*dto.Bucket, len(b.below)), uint64(0)
	for i, n := range b.below {
		cumulative += n
		buckets[i] = &dto.Bucket{CumulativeCount: new(cumulative), UpperBound: new(b.bounds[i])}
	}
	out.Histogram.Bucket = buckets
	return nil
}
