package api

import "net/http"

// Changes takes what is pushed of changes. *change.Receiver is one. It reads
// and limits the bodies itself, and answers.
type Changes interface {
	// GitHub verifies the signature with the secret before anything else.
	GitHub(w http.ResponseWriter, r *http.Request, tenant, secret string)
	Commit(w http.ResponseWriter, r *http.Request, tenant string)
	Event(w http.ResponseWriter, r *http.Request, tenant string)
}

func (h *handler) addChanges() {
	h.routes.add(http.MethodPost, "/commits/webhook", func(w http.ResponseWriter, r *http.Request) {
		tenant := h.pushedTo(r)
		h.cfg.Changes.GitHub(w, r, tenant, h.doors.webhook(tenant))
	})
	const commit = "/commits/{tenant}"
	h.routes.add(http.MethodPost, commit, func(w http.ResponseWriter, r *http.Request) {
		if tenant := r.PathValue("tenant"); h.mayPush(w, r, tenant, "POST "+commit) {
			h.cfg.Changes.Commit(w, r, tenant)
		}
	})
	h.routes.add(http.MethodPost, "/changes", func(w http.ResponseWriter, r *http.Request) {
		if tenant := h.pushedTo(r); h.mayPush(w, r, tenant, "POST /changes") {
			h.cfg.Changes.Event(w, r, tenant)
		}
	})
}

func (h *handler) mayPush(w http.ResponseWriter, r *http.Request, tenant, what string) bool {
	return h.admittedBy(&h.doors.wrongPush, w, r, tenant, what)
}

// pushedTo is the tenant whose change is pushed: by header, else by query, as
// GitHub sends no headers of one's own, else the own one.
func (h *handler) pushedTo(r *http.Request) string {
	if t := r.Header.Get(TenantHeader); t != "" {
		return t
	}
	return h.named(r)
}
