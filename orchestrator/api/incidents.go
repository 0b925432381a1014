package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// IncidentList is the document of GET /incidents.
type IncidentList struct {
	Tenant string `json:"tenant_id"`
	// Incidents are the latest, newest first.
	Incidents []incident.Summary `json:"incidents"`
}

// mark is the body of POST /incidents/{id}/mark.
type mark struct {
	Verdict string `json:"verdict"` // "false_alarm" or "confirmed"
	Cause   string `json:"cause,omitempty"`
	Note    string `json:"note"`
	Who     string `json:"who"`
}

// ask is the body of POST /incidents/{id}/ask.
type ask struct {
	Action string `json:"action"`
	Reason string `json:"reason"`
	Who    string `json:"who"` // a contact
}

// Requested is the answer to POST /incidents/{id}/ask.
type Requested struct {
	Tenant   string         `json:"tenant_id"`
	Incident string         `json:"incident_id"`
	Stage    incident.Stage `json:"stage"`
	Action   string         `json:"action"`
	Who      string         `json:"who"`
	// Recorded is false when the same contact had asked for it already.
	Recorded bool `json:"recorded"`
}

func (h *handler) addIncidents() {
	h.routes.get("/incidents", h.readOfQuery("GET /incidents", h.incidents))
	const one = "/incidents/{id}"
	h.routes.get(one, h.readOfQuery("GET "+one, h.incident))
	h.routes.get(one+"/replay", h.readOfQuery("GET "+one+"/replay", h.replay))
	h.routes.add(http.MethodPost, one+"/mark", h.ofQuery("POST "+one+"/mark", h.mark))
	h.routes.add(http.MethodPost, one+"/ask", h.ofQuery("POST "+one+"/ask", h.ask))
}

func (h *handler) incidents(w http.ResponseWriter, _ *http.Request, tenant string) {
	list := h.cfg.Docket.Incidents(tenant)
	if list == nil {
		list = []incident.Summary{}
	}
	writeJSON(w, http.StatusOK, IncidentList{Tenant: tenant, Incidents: list})
}

func (h *handler) incident(w http.ResponseWriter, r *http.Request, tenant string) {
	h.withCase(w, r, tenant, func(c incident.Case) any { return c })
}

// replay decides everything of an incident again from what was recorded.
func (h *handler) replay(w http.ResponseWriter, r *http.Request, tenant string) {
	h.withCase(w, r, tenant, func(c incident.Case) any { return incident.Replay(c, h.cfg.Docket.Blob) })
}

// withCase answers with what f makes of an incident.
func (h *handler) withCase(w http.ResponseWriter, r *http.Request, tenant string, f func(incident.Case) any) {
	h.readLedger(w, r, tenant, func() (answer func(), err error) {
		c, err := h.cfg.Docket.Case(tenant, r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		made := f(c)
		return func() { writeJSON(w, http.StatusOK, made) }, nil
	})
}

func (h *handler) mark(w http.ResponseWriter, r *http.Request, tenant string) {
	var m mark
	if !readJSON(w, r, &m) {
		return
	}
	if m.Who == "" {
		m.Who = r.Header.Get(WhoHeader)
	}
	if err := m.check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if !h.mayOrder(w, tenant) {
		return
	}
	id := r.PathValue("id")
	if err := h.cfg.Docket.Mark(r.Context(), tenant, id, m.Verdict, m.Cause, m.Who, m.Note); err != nil {
		refuseOrder(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"tenant_id": tenant, "incident_id": id, "verdict": m.Verdict})
}

func (m *mark) check() error {
	if m.Verdict != "false_alarm" && m.Verdict != "confirmed" {
		return errors.New(`"verdict" must be "false_alarm" or "confirmed"`)
	}
	o := order{Who: m.Who}
	if err := o.check(); err != nil {
		return err
	}
	m.Who, m.Note, m.Cause = o.Who, strings.TrimSpace(m.Note), strings.TrimSpace(m.Cause)
	switch {
	case m.Cause != "" && m.Verdict == "false_alarm":
		return errors.New(`"cause" is for an incident that is "confirmed": a false alarm has none`)
	case m.Cause != "" && !diagnosis.Cause(m.Cause).Valid():
		return errors.New(`"cause" must be one of those that "countersign diagnosis causes" lists`)
	}
	if err := readable(m.Note, maxWhy); err != nil {
		return fmt.Errorf(`"note" %w`, err)
	}
	return nil
}

// ask has a contact ask for an action.
func (h *handler) ask(w http.ResponseWriter, r *http.Request, tenant string) {
	var a ask
	if !readJSON(w, r, &a) {
		return
	}
	if a.Who == "" {
		a.Who = r.Header.Get(WhoHeader)
	}
	o := order{Who: a.Who, Reason: a.Reason}
	err := o.check()
	if a.Action = strings.TrimSpace(a.Action); err == nil && a.Action == "" {
		err = errors.New(`"action" must name an action of the catalogue`)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if !h.mayOrder(w, tenant) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	id := r.PathValue("id")
	stage, recorded, err := h.cfg.Docket.Ask(ctx, tenant, id, a.Action, o.Who, o.Reason)
	if err != nil {
		refuseOrder(w, err)
		return
	}
	writeJSON(w, http.StatusOK, Requested{Tenant: tenant, Incident: id, Stage: stage, Action: a.Action, Who: o.Who, Recorded: recorded})
}
