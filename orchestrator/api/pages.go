package api

import (
	"net/http"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func (h *handler) alerts(w http.ResponseWriter, _ *http.Request) {
	writeBody(w, http.StatusOK, h.cfg.Orchestrator.JSON())
}

// What /healthz and /readyz say of themselves.
const (
	vitalOK      = "ok"
	vitalFailing = "failing"
)

// vital is the body of /healthz and /readyz.
type vital struct {
	Status string `json:"status"` // vitalOK or vitalFailing
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
		v.Status, v.Reason = vitalFailing, err.Error()
		writeJSON(w, http.StatusServiceUnavailable, v)
		return
	}
	v.Status = vitalOK
	writeJSON(w, http.StatusOK, v)
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{
		Build:         h.cfg.Build,
		StartedAt:     h.cfg.StartedAt.UTC(),
		UptimeSeconds: h.cfg.Now().Sub(h.cfg.StartedAt).Seconds(),
		Upstream:      h.cfg.Upstream, Listen: h.cfg.Listen, Admin: h.cfg.Admin,
		Sensor: h.cfg.Sensor, SensorReason: h.cfg.SensorReason,
		Ready: true, Alive: true,
		Health:  h.cfg.Orchestrator.Document(),
		Traffic: trafficOf(h.cfg.Recorder.Totals()),
	}
	h.sensors(&s)
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
	writeJSON(w, http.StatusOK, s)
}

// sensors adds what those at work say of themselves.
func (h *handler) sensors(s *Status) {
	if h.cfg.Stats != nil {
		p := h.cfg.Stats()
		if p.Errors == nil {
			p.Errors = map[string]uint64{}
		}
		s.Proxy = &p
	}
	if h.cfg.Probe != nil {
		p := h.cfg.Probe()
		s.Probe = &p
	}
	if h.cfg.Compared != nil {
		c := compare(h.cfg.Recorder, h.cfg.Compared)
		s.Comparison = &c
	}
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
