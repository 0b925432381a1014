package main

import (
	"errors"
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var errNothing = errors.New("nothing was observed in the measured minute")

// scraped is a Prometheus metric of seconds, and what it showed when the
// measured minute began. A query over a minute takes the difference of the two.
type scraped struct {
	metric interface {
		prometheus.Observer
		prometheus.Metric
	}
	before   *dto.Histogram
	quantile func(before, after *dto.Histogram) (float64, error)
}

func newClassic(int64) (tool, error) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic", Help: "Seconds.", Buckets: prometheus.DefBuckets})
	return &scraped{metric: h, before: &dto.Histogram{}, quantile: classicQuantile}, nil
}

func newNative(int64) (tool, error) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native", Help: "Seconds.", NativeHistogramBucketFactor: 1.1})
	return &scraped{metric: h, before: &dto.Histogram{}, quantile: nativeQuantile}, nil
}

func (s *scraped) observe(_, duration int64) { s.metric.Observe(float64(duration) / 1e9) }

func (s *scraped) begin() {
	if shown, err := read(s.metric); err == nil {
		s.before = shown.Histogram
	}
}

func (s *scraped) p95() (estimate, error) {
	shown, err := read(s.metric)
	if err != nil {
		return estimate{}, err
	}
	seconds, err := s.quantile(s.before, shown.Histogram)
	return estimate{Value: seconds * 1e9}, err
}

func read(m prometheus.Metric) (*dto.Metric, error) {
	var shown dto.Metric
	return &shown, m.Write(&shown)
}

// classicQuantile is P95 in seconds as histogram_quantile computes it: linear
// within the bucket of rank 0.95·n, of which the first begins at 0 and the last
// has no end, so that it counts as its beginning.
// https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
func classicQuantile(before, after *dto.Histogram) (float64, error) {
	total := float64(after.GetSampleCount() - before.GetSampleCount())
	if total == 0 {
		return 0, errNothing
	}
	rank := 0.95 * total
	var start, below float64
	for i, b := range after.Bucket {
		count := float64(b.GetCumulativeCount())
		if i < len(before.Bucket) {
			count -= float64(before.Bucket[i].GetCumulativeCount())
		}
		if count >= rank {
			return start + (b.GetUpperBound()-start)*(rank-below)/(count-below), nil
		}
		start, below = b.GetUpperBound(), count
	}
	return start, nil
}

// nativeQuantile is P95 in seconds as histogram_quantile computes it since
// Prometheus 3: exponential within the bucket of rank 0.95·n. Bucket i of schema s
// ends at 2^(i·2^−s).
func nativeQuantile(before, after *dto.Histogram) (float64, error) {
	if before.GetSampleCount() > 0 && before.GetSchema() != after.GetSchema() {
		return 0, errors.New("the native histogram changed its resolution in the measured minute")
	}
	counts, was := buckets(after), buckets(before)
	total := float64(after.GetSampleCount() - before.GetSampleCount())
	if total == 0 {
		return 0, errNothing
	}
	rank, below := 0.95*total, 0.0
	for _, b := range counts {
		n := float64(b.count - countOf(was, b.index))
		if below+n >= rank {
			width := math.Exp2(-float64(after.GetSchema()))
			return math.Exp2((float64(b.index) - 1 + (rank-below)/n) * width), nil
		}
		below += n
	}
	return 0, errors.New("the native histogram has fewer values in its buckets than it counted")
}

// bucket is one of a native histogram, with what is in it.
type bucket struct {
	index int
	count int64
}

// buckets are a native histogram's, in ascending order: the spans say which
// there are, and the counts are differences.
func buckets(h *dto.Histogram) []bucket {
	var out []bucket
	index, count, next := 0, int64(0), 0
	for _, span := range h.PositiveSpan {
		index += int(span.GetOffset())
		for range span.GetLength() {
			count += h.PositiveDelta[next]
			out = append(out, bucket{index, count})
			index++
			next++
		}
	}
	return out
}

func countOf(all []bucket, index int) int64 {
	for _, b := range all {
		if b.index == index {
			return b.count
		}
	}
	return 0
}

// summary is a Prometheus summary of seconds. Its quantiles are of the last ten
// minutes, whatever is asked about: in a run shorter than that, of all of it.
type summary struct{ summary prometheus.Summary }

func newSummary(int64) (tool, error) {
	return &summary{prometheus.NewSummary(prometheus.SummaryOpts{
		Name: "summary", Help: "Seconds.", Objectives: map[float64]float64{0.95: 0.005},
	})}, nil
}

func (s *summary) observe(_, duration int64) { s.summary.Observe(float64(duration) / 1e9) }

func (s *summary) begin() {}

func (s *summary) p95() (estimate, error) {
	shown, err := read(s.summary)
	if err != nil {
		return estimate{}, err
	}
	v := shown.GetSummary().GetQuantile()[0].GetValue()
	if math.IsNaN(v) {
		return estimate{}, errNothing
	}
	return estimate{Value: v * 1e9}, nil
}
