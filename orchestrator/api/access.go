package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Headers of the requests that need a tenant's secret.
const (
	// SecretHeader has the secret; Authorization: Bearer does as well.
	SecretHeader = "X-Tenant-Secret"
	// WhoHeader names the person who orders what a DELETE does.
	WhoHeader = "X-Countersign-Who"
	// ReasonHeader says why, and may be missing.
	ReasonHeader = "X-Countersign-Reason"
	// TenantHeader names the tenant whose changes are pushed; ?tenant= does as well.
	TenantHeader = "X-AlertEngine-Tenant-ID"
)

// Tenant is one service whose incidents are kept, and what opens them.
type Tenant struct {
	// ID is its name in paths: lower-case letters, digits and hyphens.
	ID string
	// Secret opens everything of this tenant and nothing of another.
	Secret string
	// WebhookSecret is that of its GitHub webhook; Secret when empty.
	WebhookSecret string
	// Health is its health document as JSON. It must not wait. When nil, it is
	// that of the own service.
	Health func() []byte
}

// doors know which secret opens which tenant. They keep digests alone, so that
// comparing takes as long for every secret and for a tenant that does not exist.
type doors struct {
	own      string
	alone    bool // there is no other tenant
	digests  map[string][sha256.Size]byte
	nobody   [sha256.Size]byte // of a secret that nobody has
	webhooks map[string]string
	decoy    string // signs the webhooks of tenants that do not exist
	// wrong counts the wrong secrets of those who ask and order, and wrongPush
	// of those who push changes. A proxy may let the world do the latter, and
	// whoever comes through it has its address: nobody out there may lock out
	// those who give orders here.
	wrong, wrongPush limiter
}

func newDoors(cfg Config) (*doors, error) {
	d := &doors{
		own: cfg.Own.ID, alone: len(cfg.Others) == 0, decoy: rand.Text(),
		digests: map[string][sha256.Size]byte{}, webhooks: map[string]string{},
	}
	d.nobody = sha256.Sum256([]byte(rand.Text()))
	if (cfg.Docket != nil || cfg.Outbox != nil || cfg.Changes != nil || !d.alone) && (cfg.Own.ID == "" || cfg.Own.Secret == "") {
		return nil, errors.New("the admin API needs the own tenant's id and secret")
	}
	for _, t := range append([]Tenant{cfg.Own}, cfg.Others...) {
		if t.ID == "" {
			continue
		}
		if _, twice := d.digests[t.ID]; twice {
			return nil, fmt.Errorf("two tenants have the id %q: give each its own", t.ID)
		}
		if t.Secret == "" {
			return nil, fmt.Errorf("the tenant %q has no secret: nobody could ask for it", t.ID)
		}
		digest := sha256.Sum256([]byte(t.Secret))
		for other, known := range d.digests {
			if known == digest {
				return nil, fmt.Errorf("the tenants %q and %q have the same secret: give each its own", other, t.ID)
			}
		}
		signing := t.WebhookSecret
		if signing == "" {
			signing = t.Secret
		}
		for other, known := range d.webhooks {
			if known == signing {
				return nil, fmt.Errorf("the webhooks of the tenants %q and %q are signed with the same secret: give each its own", other, t.ID)
			}
		}
		d.digests[t.ID], d.webhooks[t.ID] = digest, signing
	}
	return d, nil
}

// opens says whether a secret is that of a tenant. It takes as long when there
// is no such tenant.
func (d *doors) opens(tenant, secret string) bool {
	want, known := d.digests[tenant]
	if !known {
		want = d.nobody
	}
	given := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(given[:], want[:]) == 1 && known
}

// webhook is the secret that a tenant's webhook is signed with. Nothing is
// signed with that of a tenant that does not exist.
func (d *doors) webhook(tenant string) string {
	if s, known := d.webhooks[tenant]; known {
		return s
	}
	return d.decoy
}

// secretOf is the secret that a request gives, empty when it gives none.
func secretOf(r *http.Request) string {
	if s := r.Header.Get(SecretHeader); s != "" {
		return s
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// admitted says whether a request may ask for a tenant's matters, and answers
// it when not. An unknown tenant is answered like a known one whose secret is
// another.
func (h *handler) admitted(w http.ResponseWriter, r *http.Request, tenant, what string) bool {
	return h.admittedBy(&h.doors.wrong, w, r, tenant, what)
}

func (h *handler) admittedBy(wrong *limiter, w http.ResponseWriter, r *http.Request, tenant, what string) bool {
	secret := secretOf(r)
	if secret == "" {
		h.denied(tenant, what, http.StatusUnauthorized)
		w.Header().Set("WWW-Authenticate", `Bearer realm="countersign"`)
		refuse(w, http.StatusUnauthorized, "this needs the tenant's secret in the header "+SecretHeader)
		return false
	}
	right := h.doors.opens(tenant, secret)
	if wait := wrong.admit(clientOf(r.RemoteAddr), right, h.cfg.Now()); wait > 0 {
		h.denied(tenant, what, http.StatusTooManyRequests)
		refuseUntil(w, wait, "too many wrong secrets came from this address")
		return false
	}
	if !right {
		h.denied(tenant, what, http.StatusForbidden)
		refuse(w, http.StatusForbidden, "the secret is not that of this tenant")
		return false
	}
	return true
}

func (h *handler) denied(tenant, what string, status int) {
	if h.cfg.Docket != nil {
		h.cfg.Docket.Denied(tenant, what, status)
	}
}

// ofPath asks for the secret of the tenant that the path names.
func (h *handler) ofPath(what string, f func(w http.ResponseWriter, r *http.Request, tenant string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if tenant := r.PathValue("tenant"); h.admitted(w, r, tenant, what) {
			f(w, r, tenant)
		}
	}
}

// ofQuery asks for the secret of the tenant that the query names, the own one
// when it names none.
func (h *handler) ofQuery(what string, f func(w http.ResponseWriter, r *http.Request, tenant string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if tenant := h.named(r); h.admitted(w, r, tenant, what) {
			f(w, r, tenant)
		}
	}
}

// readOfQuery is ofQuery for what can be read: the own tenant's matters are
// free on this listener while there is no other tenant to keep them from.
func (h *handler) readOfQuery(what string, f func(w http.ResponseWriter, r *http.Request, tenant string)) http.HandlerFunc {
	guarded := h.ofQuery(what, f)
	return func(w http.ResponseWriter, r *http.Request) {
		if tenant := h.named(r); tenant == h.doors.own && h.doors.alone {
			f(w, r, tenant)
			return
		}
		guarded(w, r)
	}
}

// ofOwn asks for the own tenant's secret when there are others: the ledger has
// the entries of all.
func (h *handler) ofOwn(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.doors.alone || h.admitted(w, r, h.doors.own, "GET /ledger/") {
			f(w, r)
		}
	}
}

func (h *handler) named(r *http.Request) string {
	if t := r.URL.Query().Get("tenant"); t != "" {
		return t
	}
	return h.doors.own
}
