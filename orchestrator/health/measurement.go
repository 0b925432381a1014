package health

import (
	"math"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// Measurement is everything of a moment that the gates look at. It encodes as
// JSON and back without loss, so that a verdict can be made again from what
// was recorded.
type Measurement struct {
	// UnixMilli is when it was taken.
	UnixMilli int64         `json:"unix_ms"`
	Window    WindowFigures `json:"window"`
	Tick      Tick          `json:"tick"`
}

// WindowFigures are the figures of the whole window. Latencies are
// milliseconds, and nil when there was none to measure.
type WindowFigures struct {
	// SpanSeconds is how much time the figures cover.
	SpanSeconds  float64     `json:"span_seconds"`
	P50MS        *float64    `json:"p50_ms"`
	P95MS        *float64    `json:"p95_ms"`
	P95BracketMS *[2]float64 `json:"p95_bracket_ms"`
	P99MS        *float64    `json:"p99_ms"`
	MaxMS        *float64    `json:"max_ms"`
	// WebhookP95MS is over the routes with a path segment that contains
	// "webhook", APIP95MS over all others.
	APIP95MS     *float64 `json:"api_p95_ms"`
	WebhookP95MS *float64 `json:"webhook_p95_ms"`
	// Samples counts the latencies, Requests the requests that finished.
	Samples  uint64 `json:"samples"`
	Requests uint64 `json:"requests"`
	// ServerErrors are the upstream's, GatewayErrors our own for want of an
	// answer, ClientErrors the 4xx answers, which are no errors of the service.
	ServerErrors  uint64 `json:"server_errors"`
	GatewayErrors uint64 `json:"gateway_errors"`
	ClientErrors  uint64 `json:"client_errors"`
	// InFlight requests are being served; InFlightIncluded of them are in the
	// latencies at their present age.
	InFlight         int `json:"in_flight"`
	InFlightIncluded int `json:"in_flight_included"`
	// Seen is every request that ended, Unmeasured those of them without a
	// latency, by reason.
	Seen       uint64            `json:"seen"`
	Unmeasured map[string]uint64 `json:"unmeasured,omitempty"`
}

// Errors is how many of the window's requests failed.
func (w WindowFigures) Errors() uint64 { return w.ServerErrors + w.GatewayErrors }

// ErrorRate is nil when no request has finished.
func (w WindowFigures) ErrorRate() *float64 {
	if w.Requests == 0 {
		return nil
	}
	return ptr(min(1, float64(w.Errors())/float64(w.Requests)))
}

// Tick summarises the last few seconds. Ticks must not overlap: what burns an
// error budget is their sum.
type Tick struct {
	// UnixMilli is when the tick was measured. The zero Tick is none.
	UnixMilli int64 `json:"unix_ms"`
	// Samples is the number of latencies, P95MS their P95 and MaxMS the
	// longest, in milliseconds. P10MS to P50MS say how many of them were late.
	Samples uint64  `json:"samples"`
	P10MS   float64 `json:"p10_ms,omitempty"`
	P25MS   float64 `json:"p25_ms,omitempty"`
	P50MS   float64 `json:"p50_ms,omitempty"`
	P95MS   float64 `json:"p95_ms"`
	MaxMS   float64 `json:"max_ms"`
	// Requests finished, Errors of them failed. Ended is every request that did,
	// measured or not.
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	Ended    uint64 `json:"ended,omitempty"`
	// Waiting requests are in flight and among the latencies at their present age.
	Waiting int `json:"waiting"`
}

// ErrorRate is the share of the tick's requests that failed, 0 of none.
func (t Tick) ErrorRate() float64 {
	if t.Requests == 0 {
		return 0
	}
	return min(1, float64(t.Errors)/float64(t.Requests))
}

// Measure takes from two snapshots, of the whole window and of its last few
// seconds, what the gates look at. It only reads them.
func Measure(at time.Time, window, tick *histogram.Snapshot) Measurement {
	return Measurement{UnixMilli: at.UnixMilli(), Window: figuresOf(window), Tick: tickOf(at, tick)}
}

func figuresOf(s *histogram.Snapshot) WindowFigures {
	d := s.Overall.Durations
	w := WindowFigures{
		SpanSeconds:      s.Span.Seconds(),
		P50MS:            quantileMS(d, 0.5),
		P95MS:            quantileMS(d, 0.95),
		P99MS:            quantileMS(d, 0.99),
		Samples:          d.Total(),
		Requests:         s.Overall.Requests(),
		ServerErrors:     s.Overall.Outcomes[histogram.ServerError],
		GatewayErrors:    s.Overall.Outcomes[histogram.GatewayError],
		ClientErrors:     s.Overall.Outcomes[histogram.ClientError],
		InFlight:         s.InFlight,
		InFlightIncluded: s.InFlightIncluded,
		Seen:             s.Seen,
	}
	if b, ok := d.Quantile(0.95); ok {
		w.P95BracketMS = &[2]float64{ms(b.Low), ms(b.High)}
		w.MaxMS = ptr(ms(d.Max().Value))
	}
	for r, n := range s.Unmeasured {
		if n > 0 {
			if w.Unmeasured == nil {
				w.Unmeasured = map[string]uint64{}
			}
			w.Unmeasured[histogram.Reason(r).String()] = n
		}
	}
	var api, webhook histogram.Counts
	for _, r := range s.Routes {
		if isWebhook(r.Name) {
			webhook.Merge(r.Durations)
		} else {
			api.Merge(r.Durations)
		}
	}
	w.APIP95MS, w.WebhookP95MS = quantileMS(&api, 0.95), quantileMS(&webhook, 0.95)
	return w
}

func tickOf(at time.Time, s *histogram.Snapshot) Tick {
	d := s.Overall.Durations
	t := Tick{
		UnixMilli: at.UnixMilli(), Samples: d.Total(), Waiting: s.InFlightIncluded,
		Requests: s.Overall.Requests(), Errors: s.Overall.Errors(), Ended: s.Seen,
	}
	for q, to := range map[float64]*float64{0.1: &t.P10MS, 0.25: &t.P25MS, 0.5: &t.P50MS} {
		if v := quantileMS(d, q); v != nil {
			*to = *v
		}
	}
	if p95 := quantileMS(d, 0.95); p95 != nil {
		t.P95MS, t.MaxMS = *p95, ms(d.Max().Value)
	}
	return t
}

// RoutesOf is the window's figures by route.
func RoutesOf(window *histogram.Snapshot) []Route {
	out := make([]Route, len(window.Routes))
	for i, r := range window.Routes {
		out[i] = Route{Route: r.Name, P95MS: quantileMS(r.Durations, 0.95), SampleSize: r.Durations.Total()}
		if r.Requests() > 0 {
			out[i].ErrorRate = ptr(r.ErrorRate())
		}
	}
	return out
}

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

// isWebhook looks for a path segment that contains "webhook", in any case.
func isWebhook(route string) bool {
	if _, path, ok := strings.Cut(route, " "); ok {
		route = path
	}
	return strings.Contains(strings.ToLower(route), "webhook")
}

// maxMS bounds every latency that is judged: 30 years. A histogram's are far
// below it, a foreign document's may be anything.
const maxMS = 1e12

// bounded is m with every number one that can be reckoned with: latencies
// that are no number are none, and no count is negative.
func (m Measurement) bounded() Measurement {
	w := &m.Window
	w.SpanSeconds = finite(w.SpanSeconds)
	for _, p := range []**float64{&w.P50MS, &w.P95MS, &w.P99MS, &w.MaxMS, &w.APIP95MS, &w.WebhookP95MS} {
		if *p != nil && **p != finite(**p) {
			*p = ptr(finite(**p))
		}
	}
	if b := w.P95BracketMS; b != nil {
		w.P95BracketMS = &[2]float64{finite(b[0]), finite(b[1])}
	}
	if w.P95MS == nil {
		w.Samples = 0 // latencies without a P95 are none to judge by
	}
	w.InFlight, w.InFlightIncluded = max(0, w.InFlight), max(0, w.InFlightIncluded)
	m.Tick.Waiting = max(0, m.Tick.Waiting)
	for _, v := range []*float64{&m.Tick.P10MS, &m.Tick.P25MS, &m.Tick.P50MS, &m.Tick.P95MS, &m.Tick.MaxMS} {
		*v = finite(*v)
	}
	return m
}

func finite(v float64) float64 {
	if math.IsNaN(v) || v < 0 {
		return 0
	}
	return min(v, maxMS)
}
