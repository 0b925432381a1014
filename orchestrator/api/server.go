package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
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
	// Stats reads the proxy's own counters, Probe those of the eBPF probe; each is
	// nil where that sensor is not at work.
	Stats func() ProxyStats
	Probe func() ProbeStats
	// Compared is where the probe records what Recorder has from the proxy; nil
	// where not both are at work.
	Compared *histogram.Recorder

	Build Build
	// StartedAt is when the process started.
	StartedAt time.Time
	// Upstream, Listen, Admin, Sensor and SensorReason are shown as given.
	Upstream, Listen, Admin, Sensor, SensorReason string

	// Own is the tenant that the sidecar sits beside, Others are those that it
	// watches from afar. With a Docket or Changes, Own has an ID and a secret.
	Own    Tenant
	Others []Tenant
	// Docket has what was decided; without it there are neither incidents nor
	// shadow mode to ask for.
	Docket Docket
	// Outbox has what is to be said; without it nothing is.
	Outbox Outbox
	// Report makes the report of what happened in shadow mode between two
	// times, from the first entry on when from is zero. Without it there is no
	// report. Its errors are as the Docket's.
	Report func(ctx context.Context, tenant string, from, to time.Time) (Report, error)
	// Changes takes what is pushed of commits, deployments and the like; without
	// it nothing can be pushed.
	Changes Changes

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

// handler answers every request of the admin listener.
type handler struct {
	cfg     Config
	routes  routes
	doors   *doors
	foreign *http.CrossOriginProtection
	orders  allowance
	turns   turns
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
	doors, err := newDoors(cfg)
	if err != nil {
		return nil, err
	}
	h := &handler{cfg: cfg, doors: doors, foreign: http.NewCrossOriginProtection(), turns: newTurns(append([]Tenant{cfg.Own}, cfg.Others...))}
	h.routes.get("/health/alerts", h.alerts)
	h.routes.get("/status", h.status)
	h.routes.get("/healthz", h.healthz)
	h.routes.get("/readyz", h.readyz)
	h.routes.get("/metrics", metrics.ServeHTTP)
	if cfg.Journal != nil {
		h.routes.below("/ledger/", "/ledger/checkpoint", h.ofOwn(http.StripPrefix("/ledger", cfg.Journal).ServeHTTP))
	}
	if cfg.Docket != nil {
		h.addTenants()
		h.addIncidents()
	}
	if cfg.Outbox != nil {
		h.addOutbox()
	}
	if cfg.Changes != nil {
		h.addChanges()
	}
	return h, nil
}

// problem is the body of every answer that is an error.
type problem struct {
	Error string   `json:"error"`
	Paths []string `json:"paths,omitempty"`
}

func refuse(w http.ResponseWriter, code int, text string) { writeJSON(w, code, problem{Error: text}) }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if !hostAllowed(r, h.cfg.AllowedHosts) {
		refuse(w, http.StatusMisdirectedRequest,
			"the Host header "+strconv.Quote(r.Host)+" is not one this admin API answers to; use localhost or an IP address, or allow the name in the configuration")
		return
	}
	rt := h.routes.match(r)
	if rt == nil {
		writeJSON(w, http.StatusNotFound, problem{Error: "nothing here", Paths: h.routes.names()})
		return
	}
	serve := rt.method(r.Method)
	if serve == nil {
		allowed := rt.allowed()
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		refuse(w, http.StatusMethodNotAllowed, "only "+listed(allowed)+" are answered here")
		return
	}
	if h.foreign.Check(r) != nil {
		refuse(w, http.StatusForbidden, "a page of another site sent this, and such requests are refused: use the command line, or a client that is no browser")
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

func writeBody(w http.ResponseWriter, code int, body []byte) {
	writeAs(w, code, "application/json", body)
}

// writeAs ignores a failed write: the client is gone, and there is nobody to tell.
func writeAs(w http.ResponseWriter, code int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
