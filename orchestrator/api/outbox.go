package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

// Outbox is what is to be said and not said yet. *outbox.Outbox is one.
type Outbox interface {
	List() []outbox.Item
	Status() outbox.Status
	Retry(ctx context.Context, id, by string) error
}

// OutboxList is the document of GET /outbox.
type OutboxList struct {
	Tenant string `json:"tenant_id"`
	// Items are what waits, then the dead letters.
	Items []outbox.Item `json:"items"`
}

func (h *handler) addOutbox() {
	h.routes.get("/outbox", h.ofQuery("GET /outbox", h.outbox))
	const retry = "/outbox/{id}/retry"
	h.routes.add(http.MethodPost, retry, h.ofQuery("POST "+retry, h.outboxRetry))
}

func (h *handler) outbox(w http.ResponseWriter, _ *http.Request, tenant string) {
	writeJSON(w, http.StatusOK, OutboxList{Tenant: tenant, Items: h.itemsOf(tenant)})
}

// itemsOf are those of one tenant.
func (h *handler) itemsOf(tenant string) []outbox.Item {
	items := []outbox.Item{}
	for _, i := range h.cfg.Outbox.List() {
		if i.Tenant == tenant {
			items = append(items, i)
		}
	}
	return items
}

func (h *handler) outboxRetry(w http.ResponseWriter, r *http.Request, tenant string) {
	var o order
	if !readJSON(w, r, &o) {
		return
	}
	if o.Who == "" {
		o.Who = r.Header.Get(WhoHeader)
	}
	if err := o.check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	id := r.PathValue("id")
	// Another tenant's letter is as if there were none.
	if !slices.ContainsFunc(h.itemsOf(tenant), func(i outbox.Item) bool { return i.ID == id }) {
		refuse(w, http.StatusNotFound, "there is no dead letter of that id: countersign outbox list shows those that there are")
		return
	}
	if !h.mayOrder(w, tenant) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), orderTimeout)
	defer cancel()
	if err := h.cfg.Outbox.Retry(ctx, id, o.Who); err != nil {
		refuse(w, retryStatus(err), err.Error())
		return
	}
	h.cfg.Log.Info("a message was ordered to be sent again", "tenant", tenant, "id", id, "who", o.Who)
	writeJSON(w, http.StatusOK, map[string]string{"tenant_id": tenant, "id": id})
}

func retryStatus(err error) int {
	switch {
	case errors.Is(err, outbox.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, outbox.ErrShadow):
		return http.StatusConflict
	case errors.Is(err, docket.ErrInvalid):
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

// Outbox is what waits to be sent, and the dead letters.
func (t *TenantClient) Outbox(ctx context.Context) ([]outbox.Item, error) {
	var list OutboxList
	err := t.ask(ctx, http.MethodGet, "/outbox"+t.query(), nil, nil, &list)
	return list.Items, err
}

// Retry orders a dead letter to be sent again. who orders it is required.
func (t *TenantClient) Retry(ctx context.Context, id, who string) error {
	return t.ask(ctx, http.MethodPost, "/outbox/"+url.PathEscape(id)+"/retry"+t.query(), nil, order{Who: who}, nil)
}

// collectOutbox says how the outbox does.
func (c collector) collectOutbox(ch chan<- prometheus.Metric) {
	if c.cfg.Outbox == nil {
		return
	}
	s := c.cfg.Outbox.Status()
	ch <- gauge(descOutboxUp, one(s.Problem == ""))
	ch <- gauge(descOutboxPending, float64(s.Pending))
	ch <- gauge(descOutboxDead, float64(s.Dead))
	if !s.Oldest.IsZero() {
		ch <- gauge(descOutboxOldest, max(0, c.cfg.Now().Sub(s.Oldest).Seconds()))
	}
	for name, state := range s.Channels {
		ch <- gauge(descOutboxChannel, one(state == "closed"), label(name), state)
	}
}
