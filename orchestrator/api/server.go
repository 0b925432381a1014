package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator"
	"github.com/countersign-dev/countersign/orchestrator/journal"
)

// Config says what the API reports on.
type Config struct {
	// Orchestrator and Recorder are required.
	Orchestrator *orchestrator.Orchestrator
	Recorder     *histogram.Recorder
	// Ready is nil while the traffic listener serves, else why not. Required.
	Ready func() error
	// Journal keeps the ledger; without it there is none.
	Journal *journal.Journal
	// Stats reads the sensor's own counters; without it they are all zero.
	Stats func() ProxyStats

	Build Build
	// StartedAt is when the process started.
	StartedAt time.Time
	// Upstream, Listen, Admin and Sensor are shown as given.
	Upstream, Listen, Admin, Sensor string

	// AllowedHosts are further names that a Host header may have on a
	// loopback address, without port.
	AllowedHosts []string

	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// New returns a server for the admin listener, with its limits set: the
// caller serves and shuts it down.
func New(cfg Config) (*http.Server, error) {
	if cfg.Orchestrator == nil || cfg.Recorder == nil || cfg.Ready == nil {
		return nil, errors.New("the admin API needs an orchestrator, a recorder and a readiness check")
	}
	if cfg.Stats == nil {
		cfg.Stats = func() ProxyStats { return ProxyStats{} }
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	h, err := newHandler(cfg)
	if err != nil {
		return nil, err
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}, nil
}

// handler routes by exact path, and the ledger's resources by prefix.
type handler struct {
	cfg    Config
	paths  map[string]http.HandlerFunc
	ledger http.Handler // nil without a ledger
	names  []string     // what can be asked for, sorted
}

func newHandler(cfg Config) (*handler, error) {
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{
		newCollector(cfg),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
		// One unusable metric must not hide all the others.
		ErrorHandling: promhttp.ContinueOnError,
	})
	h := &handler{cfg: cfg}
	h.paths = map[string]http.HandlerFunc{
		"/health/alerts": h.alerts,
		"/status":        h.status,
		"/healthz":       h.healthz,
		"/readyz":        h.readyz,
		"/metrics":       metrics.ServeHTTP,
	}
	for p := range h.paths {
		h.names = append(h.names, p)
	}
	if cfg.Journal != nil {
		h.ledger = http.StripPrefix("/ledger", cfg.Journal)
		h.names = append(h.names, "/ledger/checkpoint")
	}
	slices.Sort(h.names)
	return h, nil
}

// problem is the body of every answer that is an error.
type problem struct {
	Error string   `json:"error"`
	Paths []string `json:"paths,omitempty"`
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if !hostAllowed(r, h.cfg.AllowedHosts) {
		writeJSON(w, http.StatusMisdirectedRequest, problem{
			Error: "the Host header " + strconv.Quote(r.Host) + " is not one this admin API answers to; use localhost or an IP address, or allow the name in the configuration",
		})
		return
	}
	serve, ok := h.paths[r.URL.Path]
	if !ok && h.ledger != nil && strings.HasPrefix(r.URL.Path, "/ledger/") {
		serve, ok = h.ledger.ServeHTTP, true
	}
	if !ok {
		writeJSON(w, http.StatusNotFound, problem{Error: "nothing here", Paths: h.names})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeJSON(w, http.StatusMethodNotAllowed, problem{Error: "only GET and HEAD are answered here"})
		return
	}
	serve(w, r)
}

// writeJSON sends v, which encodes: it is one of this package's own types.
func writeJSON(w http.ResponseWriter, code int, v any) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	writeBody(w, code, []byte(b.String()))
}

// writeBody ignores a failed write: the client is gone, and there is nobody to tell.
func writeBody(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
