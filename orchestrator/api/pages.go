package api

import (
	"net/http"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func (h *handler) alerts(w http.ResponseWriter, _ *http.Request) {
	writeBody(w, http.StatusOK, h.cfg.Orchestrator.JSON())
}

// vital is the body of /healthz and /readyz.
type vital struct {
	Status string `json:"status"` // "ok" or "failing"
	Reason string `json:"reason,omitempty"`
	// Document is "stale" on /readyz while evaluations fail.
	Document string `json:"document,omitempty"`
}

func (h *handler) healthz(w http.ResponseWriter, _ *http.Request) {
	writeVital(w, h.cfg.Orchestrator.Alive(), vital{})
}

func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	var v vital
	if h.cfg.Orchestrator.Alive() != nil {
		v.Document = "stale"
	}
	writeVital(w, h.cfg.Ready(), v)
}

func writeVital(w http.ResponseWriter, err error, v vital) {
	if err != nil {
		v.Status, v.Reason = "failing", err.Error()
		writeJSON(w, http.StatusServiceUnavailable, v)
		return
	}
	v.Status = "ok"
	writeJSON(w, http.StatusOK, v)
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{
		Build:         h.cfg.Build,
		StartedAt:     h.cfg.StartedAt.UTC(),
		UptimeSeconds: h.cfg.Now().Sub(h.cfg.StartedAt).Seconds(),
		Upstream:      h.cfg.Upstream, Listen: h.cfg.Listen, Admin: h.cfg.Admin, Sensor: h.cfg.Sensor,
		Ready: true, Alive: true,
		Health:  h.cfg.Orchestrator.Document(),
		Traffic: trafficOf(h.cfg.Recorder.Totals()),
		Proxy:   h.cfg.Stats(),
	}
	if err := h.cfg.Ready(); err != nil {
		s.Ready, s.ReadyProblem = false, err.Error()
	}
	if err := h.cfg.Orchestrator.Alive(); err != nil {
		s.Alive, s.AliveProblem = false, err.Error()
	}
	if h.cfg.Journal != nil {
		r := h.cfg.Journal.Report()
		s.Ledger = &r
	}
	if h.cfg.Outbox != nil {
		o := h.cfg.Outbox.Status()
		s.Outbox = &o
	}
	var recorded map[string]incident.TargetRecord
	if h.cfg.Docket != nil {
		s.Tenant = h.cfg.Own.ID
		if v, ok := h.cfg.Docket.View(s.Tenant); ok {
			s.Decisions, recorded = decisionsOf(v), v.Targets
		}
	}
	s.Targets = targetsOf(h.cfg.Orchestrator.Targets(), recorded)
	if s.Proxy.Errors == nil {
		s.Proxy.Errors = map[string]uint64{}
	}
	writeJSON(w, http.StatusOK, s)
}

func trafficOf(t histogram.Totals) Traffic {
	out := Traffic{Seen: t.Seen, InFlight: t.InFlight, Unmeasured: map[string]uint64{}, Routes: len(t.Routes)}
	for reason, n := range t.Unmeasured {
		if n > 0 {
			out.Unmeasured[histogram.Reason(reason).String()] = n
		}
	}
	return out
}
