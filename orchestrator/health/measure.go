package health

import (
	"strings"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

func ms(ns int64) float64 { return float64(ns) / 1e6 }

func ptr[T any](v T) *T { return &v }

// quantileMS is the reported value of a quantile in milliseconds, nil when
// there are no counts.
func quantileMS(c *histogram.Counts, q float64) *float64 {
	b, ok := c.Quantile(q)
	if !ok {
		return nil
	}
	return ptr(ms(b.Value))
}

// errorRate is nil when no request has finished.
func errorRate(s histogram.Series) *float64 {
	if s.Requests() == 0 {
		return nil
	}
	return ptr(s.ErrorRate())
}

// measure fills in the metrics that come from the window alone.
func measure(w *histogram.Snapshot) Metrics {
	d := w.Overall.Durations
	m := Metrics{
		OverallP95MS:     quantileMS(d, 0.95),
		P50MS:            quantileMS(d, 0.5),
		P99MS:            quantileMS(d, 0.99),
		ErrorRate:        errorRate(w.Overall),
		SampleSize:       d.Total(),
		InFlight:         w.InFlight,
		InFlightIncluded: w.InFlightIncluded,
	}
	if b, ok := d.Quantile(0.95); ok {
		m.P95BracketMS = &[2]float64{ms(b.Low), ms(b.High)}
		m.MaxMS = ptr(ms(d.Max().Value))
	}
	if s := w.Span.Seconds(); s > 0 {
		m.RequestsPerSecond = ptr(round4(float64(w.Overall.Requests()) / s))
	}
	var api, webhook histogram.Counts
	for _, r := range w.Routes {
		if isWebhook(r.Name) {
			webhook.Merge(r.Durations)
		} else {
			api.Merge(r.Durations)
		}
	}
	m.APIP95MS, m.WebhookP95MS = quantileMS(&api, 0.95), quantileMS(&webhook, 0.95)
	return m
}

// isWebhook looks for a path segment that contains "webhook", in any case.
func isWebhook(route string) bool {
	if _, path, ok := strings.Cut(route, " "); ok {
		route = path
	}
	return strings.Contains(strings.ToLower(route), "webhook")
}

func routesOf(w *histogram.Snapshot) []Route {
	out := make([]Route, len(w.Routes))
	for i, r := range w.Routes {
		out[i] = Route{
			Route: r.Name, P95MS: quantileMS(r.Durations, 0.95),
			ErrorRate: errorRate(r.Series), SampleSize: r.Durations.Total(),
		}
	}
	return out
}

// Tick summarises the last few seconds, for the next tick to compare with.
type Tick struct {
	// UnixMilli is when the tick was evaluated. The zero Tick is none.
	UnixMilli int64 `json:"unix_ms"`
	// Samples is the number of latencies, P95MS their P95 in milliseconds.
	Samples uint64  `json:"samples"`
	P95MS   float64 `json:"p95_ms"`
	// Requests finished, Errors of them failed.
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
}

func tickOf(at time.Time, s *histogram.Snapshot) Tick {
	t := Tick{
		UnixMilli: at.UnixMilli(), Samples: s.Overall.Durations.Total(),
		Requests: s.Overall.Requests(), Errors: s.Overall.Errors(),
	}
	if p95 := quantileMS(s.Overall.Durations, 0.95); p95 != nil {
		t.P95MS = *p95
	}
	return t
}

func (t Tick) errorRate() float64 {
	if t.Requests == 0 {
		return 0
	}
	return float64(t.Errors) / float64(t.Requests)
}
