package webhook

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics count what is answered. They are safe for concurrent use.
type metrics struct {
	reviews  *prometheus.CounterVec
	duration prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_webhook_reviews_total", Help: "Requests of API servers, by what became of them.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "countersign_webhook_review_duration_seconds", Help: "Time from a review's first byte to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	for _, o := range outcomes {
		m.reviews.WithLabelValues(string(o))
	}
	return m
}

// reviewed counts one request.
func (m *metrics) reviewed(o outcome, took time.Duration) {
	m.reviews.WithLabelValues(string(o)).Inc()
	if o != malformed {
		m.duration.Observe(took.Seconds())
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("countersign_"+name, help, labels, nil)
}

var (
	descReady       = desc("webhook_ready", "1 while the replica can answer and API servers trust it.")
	descCertificate = desc("webhook_certificate_expiry_timestamp_seconds", "When the serving certificate expires, in unix time. Absent while there is none.")
	descAuthority   = desc("webhook_authority_expiry_timestamp_seconds", "When the newest authority in the Secret expires, in unix time. Absent while none is known, and with certificates from files.")
	descProblem     = desc("webhook_certificates_up", "1 while the last look at the Secret and the caBundle found nothing wrong. Absent with certificates from files.")
	descBuild       = desc("build_info", "Always 1; the labels identify the binary.", "version", "revision", "goversion")
)

// Build identifies the binary.
type Build struct{ Version, Revision, Go string }

// state reads what the webhook is at the moment of the scrape.
type state struct {
	ready func() error
	leaf  func() *x509.Certificate
	kept  func() *kept // nil with certificates from files
	build Build
}

// Describe implements prometheus.Collector.
func (s state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descCertificate, descAuthority, descProblem, descBuild} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s state) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descReady, one(s.ready() == nil))
	if leaf := s.leaf(); leaf != nil {
		gauge(descCertificate, float64(leaf.NotAfter.Unix()))
	}
	if s.kept != nil {
		k := s.kept()
		gauge(descProblem, one(k.problem == nil))
		if !k.authorityEnd.IsZero() {
			gauge(descAuthority, float64(k.authorityEnd.Unix()))
		}
	}
	gauge(descBuild, 1, s.build.Version, s.build.Revision, s.build.Go)
}

// one is 1 for yes.
func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// metricsHandler answers a scrape.
func metricsHandler(m *metrics, s state, log *slog.Logger) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		m.reviews, m.duration, s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError,
	}), nil
}
