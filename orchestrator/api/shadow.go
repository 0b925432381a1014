package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Docket is what was decided, and what takes orders. *docket.Docket is one.
type Docket interface {
	View(tenant string) (docket.View, bool)
	Incidents(tenant string) []incident.Summary
	Case(tenant, id string) (incident.Case, error)
	Blob(sum [32]byte) ([]byte, error)
	SetShadow(ctx context.Context, tenant string, on bool, who, why string) (changed bool, err error)
	Mark(ctx context.Context, tenant, id, verdict, cause, who, note string) error
	Ask(ctx context.Context, tenant, id, action, who, reason string) (stage incident.Stage, recorded bool, err error)
	Denied(tenant, what string, status int)
}

// Report is what happened in shadow mode, ready to be written.
type Report interface {
	WriteJSON(io.Writer) error
	WriteMarkdown(io.Writer) error
	WriteHTML(io.Writer) error
}

// orderTimeout is how long an order may wait for its entry to be durable.
const orderTimeout = 10 * time.Second

// unnamed orders a return to shadow mode without saying who: that is always
// allowed, as it takes authority away.
const unnamed = "unnamed"

// Shadow is the document of /tenant/{tenant}/shadow.
type Shadow struct {
	Tenant string `json:"tenant_id"`
	// ShadowMode is true while nothing may have an effect outside.
	ShadowMode bool `json:"shadow_mode"`
	// Since is when it was last switched, absent when it never was.
	Since time.Time `json:"since,omitzero"`
	// Changed says, in the answer to an order, whether it was otherwise before.
	Changed bool `json:"changed"`
	// Ready is false while the ledger is being read: until then, shadow mode is on.
	Ready bool `json:"ready"`
	// Problem says why nothing is decided or recorded at present.
	Problem string `json:"problem,omitempty"`
}

// order is the body of a POST that a person is answerable for.
type order struct {
	Who    string `json:"who"`
	Reason string `json:"reason"`
}

func (h *handler) addTenants() {
	const shadow = "/tenant/{tenant}/shadow"
	h.routes.get(shadow, h.ofPath("GET "+shadow, h.shadow))
	h.routes.add(http.MethodPost, shadow, h.ofPath("POST "+shadow, h.shadowOn))
	h.routes.add(http.MethodDelete, shadow, h.ofPath("DELETE "+shadow, h.shadowOff))
	if h.cfg.Report != nil {
		h.routes.get(shadow+"/report", h.ofPath("GET "+shadow+"/report", h.report))
	}
	const health = "/tenant/{tenant}/health"
	h.routes.get(health, h.ofPath("GET "+health, h.tenantHealth))
}

func (h *handler) tenantHealth(w http.ResponseWriter, _ *http.Request, tenant string) {
	for _, t := range append([]Tenant{h.cfg.Own}, h.cfg.Others...) {
		if t.ID == tenant && t.Health != nil {
			writeBody(w, http.StatusOK, t.Health())
			return
		}
	}
	writeBody(w, http.StatusOK, h.cfg.Orchestrator.JSON())
}

func (h *handler) shadow(w http.ResponseWriter, _ *http.Request, tenant string) {
	h.writeShadow(w, tenant, false)
}

func (h *handler) writeShadow(w http.ResponseWriter, tenant string, changed bool) {
	v, ok := h.cfg.Docket.View(tenant)
	if !ok {
		v = docket.View{Shadow: true, Problem: "nothing is decided for this tenant"}
	}
	writeJSON(w, http.StatusOK, Shadow{
		Tenant: tenant, ShadowMode: v.Shadow, Since: v.ShadowSince.UTC(), Changed: changed, Ready: v.Ready, Problem: v.Problem,
	})
}

func (h *handler) shadowOn(w http.ResponseWriter, r *http.Request, tenant string) {
	var o order
	if !readJSON(w, r, &o) {
		return
	}
	if o.Who == "" {
		o.Who = r.Header.Get(WhoHeader)
	}
	if strings.TrimSpace(o.Who) == "" {
		o.Who = unnamed
	}
	h.setShadow(w, r, tenant, true, o)
}

func (h *handler) shadowOff(w http.ResponseWriter, r *http.Request, tenant string) {
	h.setShadow(w, r, tenant, false, order{Who: r.Header.Get(WhoHeader), Reason: r.Header.Get(ReasonHeader)})
}

func (h *handler) setShadow(w http.ResponseWriter, r *http.Request, tenant string, on bool, o order) {
	if err := o.check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	// Going back is never refused: it can be recorded only as often as going live.
	if !on && !h.mayOrder(w, tenant) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	changed, err := h.cfg.Docket.SetShadow(ctx, tenant, on, o.Who, o.Reason)
	if err != nil {
		refuseOrder(w, err)
		return
	}
	h.cfg.Log.Info("shadow mode was ordered", "tenant", tenant, "shadow", on, "changed", changed, "who", o.Who)
	h.writeShadow(w, tenant, changed)
}

// check trims the order, and makes sure that somebody is answerable for it.
func (o *order) check() error {
	o.Who, o.Reason = strings.TrimSpace(o.Who), strings.TrimSpace(o.Reason)
	if o.Who == "" {
		return errors.New("say who orders this: in the header " + WhoHeader + ", or in \"who\" of a JSON body")
	}
	if err := readable(o.Who, maxWho); err != nil {
		return fmt.Errorf("who orders this %w", err)
	}
	if err := readable(o.Reason, maxWhy); err != nil {
		return fmt.Errorf("the reason %w", err)
	}
	return nil
}

// refuseOrder answers with an error of the docket.
func refuseOrder(w http.ResponseWriter, err error) {
	code := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, docket.ErrNotFound), errors.Is(err, incident.ErrNoIncident):
		code = http.StatusNotFound
	case errors.Is(err, docket.ErrInvalid):
		code = http.StatusBadRequest
	case errors.Is(err, docket.ErrRefused):
		code = http.StatusConflict
	}
	refuse(w, code, err.Error())
}

// formats are those of the report, by the name in the query.
var formats = map[string]struct {
	contentType string
	write       func(Report, io.Writer) error
}{
	"json": {"application/json", Report.WriteJSON},
	"md":   {"text/markdown; charset=utf-8", Report.WriteMarkdown},
	"html": {"text/html; charset=utf-8", Report.WriteHTML},
}

func (h *handler) report(w http.ResponseWriter, r *http.Request, tenant string) {
	q := r.URL.Query()
	name := q.Get("format")
	if name == "" {
		name = "json"
	}
	format, ok := formats[name]
	if !ok {
		refuse(w, http.StatusBadRequest, "the format must be json, md or html")
		return
	}
	from, err := moment("from", q.Get("from"), time.Time{})
	if err == nil {
		var to time.Time
		if to, err = moment("to", q.Get("to"), h.cfg.Now()); err == nil && !from.Before(to) {
			err = errors.New("the report's begin must lie before its end")
		}
		if err == nil {
			h.writeReport(w, r, tenant, from, to, format.contentType, format.write)
			return
		}
	}
	refuse(w, http.StatusBadRequest, err.Error())
}

func (h *handler) writeReport(w http.ResponseWriter, r *http.Request, tenant string, from, to time.Time, contentType string, write func(Report, io.Writer) error) {
	h.readLedger(w, r, tenant, func() (answer func(), err error) {
		report, err := h.cfg.Report(r.Context(), tenant, from, to)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := write(report, &b); err != nil {
			return func() { refuse(w, http.StatusInternalServerError, "the report cannot be written: "+err.Error()) }, nil
		}
		return func() {
			// The page has a style sheet in it, and nothing else that a browser would run or load.
			w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
			writeAs(w, http.StatusOK, contentType, b.Bytes())
		}, nil
	})
}

// moment reads a time of the query: RFC 3339, or a day in UTC.
func moment(name, s string, otherwise time.Time) (time.Time, error) {
	if s == "" {
		return otherwise, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q must be a day such as 2026-03-14, or a time such as 2026-03-14T09:00:00Z", name)
}
