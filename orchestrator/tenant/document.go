package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Bounds of what is believed. Whatever lies outside is no measurement.
const (
	maxLatencyMS = 1e9 // eleven days
	maxCount     = 1e12
	maxInFlight  = 1e9
	maxRoutes    = 200
	maxRouteName = 300
)

// Document is what a service says of itself.
type Document struct {
	// Reported is its own verdict. A document without a score has one of 100:
	// its status is then all that it says.
	Reported policy.Reported
	// Figures are its measurements, as far as it gives them.
	Figures health.WindowFigures
	// PerSecond are requests a second, 0 when it does not say.
	PerSecond float64
	// Routes are its figures by route, at most 200.
	Routes []health.Route
	// Stamp is its timestamp as it stands there, empty when it has none. It is
	// only compared with that of the document before.
	Stamp string
}

// foreign is a document as it may come: Countersign's, that of FastAPI
// AlertEngine, or that of FastAPI AlertEngine before its version 1.2, which
// has other names for the same.
type foreign struct {
	Status       *string         `json:"status"`
	Reason       string          `json:"reason"`
	Timestamp    json.RawMessage `json:"timestamp"`
	HealthScore  json.RawMessage `json:"health_score"`
	SystemHealth *float64        `json:"system_health"`
	Metrics      *metrics        `json:"metrics"`
	Routes       []route         `json:"routes"`
}

type metrics struct {
	P95       *float64    `json:"overall_p95_ms"`
	Bracket   *[2]float64 `json:"p95_bracket_ms"`
	P50       *float64    `json:"p50_ms"`
	P99       *float64    `json:"p99_ms"`
	Max       *float64    `json:"max_ms"`
	API       *float64    `json:"api_p95_ms"`
	Webhook   *float64    `json:"webhook_p95_ms"`
	ErrorRate *float64    `json:"error_rate"`
	Samples   *float64    `json:"sample_size"`
	PerSecond *float64    `json:"requests_per_second"`
	InFlight  *float64    `json:"in_flight"`
	Included  *float64    `json:"in_flight_included"`

	OldP95       *float64 `json:"p95_latency_ms"`
	OldP50       *float64 `json:"p50_latency_ms"`
	ErrorPercent *float64 `json:"error_rate_percent"`
	OldSamples   *float64 `json:"request_count_1m"`
}

type route struct {
	Route     string   `json:"route"`
	P95       *float64 `json:"p95_ms"`
	ErrorRate *float64 `json:"error_rate"`
	Samples   float64  `json:"sample_size"`
}

// ParseDocument reads a health document. The error says, without repeating
// what was sent, why it is not one: a number out of its bounds spoils all of
// it, as nobody knows what else is wrong with its source.
func ParseDocument(data []byte) (Document, error) {
	var f foreign
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&f); err != nil {
		return Document{}, errors.New("the health document " + decodeReason(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Document{}, errors.New("the health document has something behind its end")
	}
	doc, err := f.document()
	if err != nil {
		return Document{}, fmt.Errorf("the health document's %w", err)
	}
	return doc, nil
}

func decodeReason(err error) string {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return fmt.Sprintf("has something else than a %s as %q", kindOf(t.Type.Kind().String()), t.Field)
	}
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "is no JSON object"
	}
	return "is not JSON"
}

func kindOf(kind string) string {
	switch kind {
	case "float64":
		return "number"
	case "struct", "map":
		return "JSON object"
	case "slice", "array":
		return "list"
	}
	return "text"
}

// document checks what was read. The error completes the sentence "The
// document's …".
func (f *foreign) document() (Document, error) {
	var doc Document
	if f.Status == nil {
		return doc, errors.New(`"status" is missing: is this the URL of one?`)
	}
	doc.Reported.Status = health.Status(*f.Status)
	switch doc.Reported.Status {
	case health.OK, health.Warning, health.Critical:
	default:
		return doc, errors.New(`"status" must be ok, warning or critical`)
	}
	if f.Metrics == nil {
		return doc, errors.New(`"metrics" are missing`)
	}
	var err error
	if doc.Reported.Score, err = f.score(); err != nil {
		return doc, err
	}
	if doc.Stamp, err = f.stamp(); err != nil {
		return doc, err
	}
	if err := f.Metrics.check(); err != nil {
		return doc, err
	}
	if f.Reason != health.ReasonNoData { // what it counts then is nothing
		doc.Figures, doc.PerSecond = f.Metrics.figures()
	}
	doc.Routes, err = routesOf(f.Routes)
	return doc, err
}

// score is the number, or that in the object, at "health_score", else the
// older "system_health".
func (f *foreign) score() (float64, error) {
	var within struct {
		Score *float64 `json:"score"`
	}
	score := f.SystemHealth
	if raw := f.HealthScore; len(raw) > 0 && string(raw) != "null" {
		if json.Unmarshal(raw, &within) != nil && json.Unmarshal(raw, &within.Score) != nil {
			return 0, errors.New(`"health_score" must have a number as "score"`)
		}
		if within.Score != nil {
			score = within.Score
		}
	}
	if score == nil {
		return 100, nil
	}
	return *score, between("health_score", score, 100)
}

func (f *foreign) stamp() (string, error) {
	const longest = 64
	if len(f.Timestamp) > longest {
		return "", fmt.Errorf(`"timestamp" has more than %d bytes`, longest)
	}
	if string(f.Timestamp) == "null" {
		return "", nil
	}
	return string(f.Timestamp), nil
}

func (m *metrics) check() error {
	for _, c := range []struct {
		name  string
		value *float64
		most  float64
	}{
		{"overall_p95_ms", m.P95, maxLatencyMS}, {"p50_ms", m.P50, maxLatencyMS}, {"p99_ms", m.P99, maxLatencyMS},
		{"max_ms", m.Max, maxLatencyMS}, {"api_p95_ms", m.API, maxLatencyMS}, {"webhook_p95_ms", m.Webhook, maxLatencyMS},
		{"error_rate", m.ErrorRate, 1}, {"sample_size", m.Samples, maxCount}, {"requests_per_second", m.PerSecond, maxCount},
		{"in_flight", m.InFlight, maxInFlight}, {"in_flight_included", m.Included, maxInFlight},
		{"p95_latency_ms", m.OldP95, maxLatencyMS}, {"p50_latency_ms", m.OldP50, maxLatencyMS},
		{"error_rate_percent", m.ErrorPercent, 100}, {"request_count_1m", m.OldSamples, maxCount},
	} {
		if err := between(c.name, c.value, c.most); err != nil {
			return err
		}
	}
	if b := m.Bracket; b != nil {
		if err := errors.Join(between("p95_bracket_ms", &b[0], maxLatencyMS), between("p95_bracket_ms", &b[1], maxLatencyMS)); err != nil {
			return errors.New(`"p95_bracket_ms" is out of its bounds`)
		}
	}
	return nil
}

// between says whether a number, if there is one, lies from 0 to most.
func between(name string, v *float64, most float64) error {
	if v != nil && !(*v >= 0 && *v <= most) {
		return fmt.Errorf("%q is %g, and must lie between 0 and %g", name, *v, most)
	}
	return nil
}

// figures takes what the metrics give. How many requests failed is known only
// as a share, so that the count is the nearest to it.
func (m *metrics) figures() (health.WindowFigures, float64) {
	samples := count(either(m.Samples, m.OldSamples))
	if samples == 0 {
		return health.WindowFigures{InFlight: int(count(m.InFlight))}, 0
	}
	rate := value(m.ErrorRate)
	if m.ErrorRate == nil {
		rate = value(m.ErrorPercent) / 100
	}
	w := health.WindowFigures{
		P95MS: either(m.P95, m.OldP95), P50MS: either(m.P50, m.OldP50), P99MS: m.P99, MaxMS: m.Max, P95BracketMS: m.Bracket,
		APIP95MS: m.API, WebhookP95MS: m.Webhook,
		Samples: samples, Requests: samples, ServerErrors: uint64(math.Round(rate * float64(samples))), Seen: samples,
		InFlight: int(count(m.InFlight)), InFlightIncluded: int(count(m.Included)),
	}
	perSecond := value(m.PerSecond)
	if perSecond > 0 {
		w.SpanSeconds = float64(samples) / perSecond
	}
	return w, perSecond
}

// Measurement is what the gates look at, at a time when the document before
// was read since ago. The document has no last few seconds: its window stands
// for them, but for the counts that budgets add up. Those are of requests a
// second where it gives them, and else none, lest a request be counted in each
// of the windows that it is in.
func (d Document) Measurement(at time.Time, since time.Duration) health.Measurement {
	w := d.Figures
	m := health.Measurement{UnixMilli: at.UnixMilli(), Window: w}
	m.Tick = health.Tick{UnixMilli: at.UnixMilli(), Waiting: w.InFlightIncluded}
	if w.P95MS != nil {
		m.Tick.Samples, m.Tick.P50MS, m.Tick.P95MS, m.Tick.MaxMS = w.Samples, value(w.P50MS), *w.P95MS, *w.P95MS
		if w.MaxMS != nil {
			m.Tick.MaxMS = *w.MaxMS
		}
	}
	requests := math.Round(float64(d.PerSecond * min(since, time.Minute).Seconds()))
	if rate := w.ErrorRate(); rate != nil && requests > 0 {
		m.Tick.Requests = uint64(requests)
		m.Tick.Errors = uint64(math.Round(float64(*rate * requests)))
	}
	return m
}

func routesOf(list []route) ([]health.Route, error) {
	out := []health.Route{}
	for _, r := range list[:min(len(list), maxRoutes)] {
		if len(r.Route) > maxRouteName || strings.ContainsFunc(r.Route, func(c rune) bool { return !unicode.IsGraphic(c) }) {
			return nil, errors.New(`"routes" have a name that cannot be shown`)
		}
		if between("", r.P95, maxLatencyMS) != nil || between("", r.ErrorRate, 1) != nil || between("", &r.Samples, maxCount) != nil {
			return nil, errors.New(`"routes" have a number out of its bounds`)
		}
		out = append(out, health.Route{Route: r.Route, P95MS: r.P95, ErrorRate: r.ErrorRate, SampleSize: uint64(r.Samples)})
	}
	return out, nil
}

func either(a, b *float64) *float64 {
	if a != nil {
		return a
	}
	return b
}

func value(v *float64) float64 {
	if v == nil {
		return 0
	}
	return *v
}

func count(v *float64) uint64 { return uint64(value(v)) }
