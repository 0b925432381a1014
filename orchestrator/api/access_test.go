package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// The tenants of the tests, and their secrets.
const (
	shopSecret = "hunter2-of-the-shop"
	paySecret  = "hunter2-of-payments"
)

// fakeDocket has an incident inc-1 of each tenant, and notes what is ordered.
type fakeDocket struct {
	mu     sync.Mutex
	shadow map[string]bool
	orders []string
	denied []string
	fail   error
}

func newFakeDocket() *fakeDocket {
	return &fakeDocket{shadow: map[string]bool{"shop": true, "pay": true}}
}

func (f *fakeDocket) View(tenant string) (docket.View, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	on, ok := f.shadow[tenant]
	return docket.View{
		Ready: true, Shadow: on, ShadowSince: started, Problem: "",
		Incident: &health.Incident{IncidentID: "inc-1", Stage: "DETECTED"}, Open: &incident.Summary{ID: "inc-1", Tenant: tenant},
		Targets: map[string]incident.TargetRecord{"upstream": {LastAlertedAt: started}},
	}, ok
}

func (f *fakeDocket) Incidents(tenant string) []incident.Summary {
	return []incident.Summary{{ID: "inc-1", Tenant: tenant, Reason: "of " + tenant}}
}

func (f *fakeDocket) Case(tenant, id string) (incident.Case, error) {
	if f.fail != nil {
		return incident.Case{}, f.fail
	}
	if id != "inc-1" {
		return incident.Case{}, fmt.Errorf("the incident %q is %w", id, docket.ErrNotFound)
	}
	return incident.Case{Summary: incident.Summary{ID: id, Tenant: tenant, Reason: "of " + tenant}}, nil
}

func (f *fakeDocket) Blob([32]byte) ([]byte, error) { return nil, errors.New("no blob") }

func (f *fakeDocket) SetShadow(_ context.Context, tenant string, on bool, who, why string) (bool, error) {
	return f.shadowed(tenant, on), f.order("shadow %s %v by %s: %s", tenant, on, who, why)
}

func (f *fakeDocket) shadowed(tenant string, on bool) (changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return false
	}
	changed = f.shadow[tenant] != on
	f.shadow[tenant] = on
	return changed
}

func (f *fakeDocket) Mark(_ context.Context, tenant, id, verdict, cause, who, note string) error {
	return f.order("mark %s %s %s by %s: %s", tenant, id, verdict, who, note)
}

func (f *fakeDocket) Ask(_ context.Context, tenant, id, action, who, reason string) (incident.Stage, bool, error) {
	return incident.Validated, true, f.order("ask %s %s %s by %s: %s", tenant, id, action, who, reason)
}

func (f *fakeDocket) order(text string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		f.orders = append(f.orders, fmt.Sprintf(text, args...))
	}
	return f.fail
}

func (f *fakeDocket) Denied(tenant, what string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied = append(f.denied, fmt.Sprintf("%s %s %d", tenant, what, status))
}

// taken returns what was noted since, and forgets it.
func (f *fakeDocket) taken() (orders, denied []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	orders, denied = f.orders, f.denied
	f.orders, f.denied = nil, nil
	return orders, denied
}

// fakeChanges says what it was handed.
type fakeChanges struct{}

func (fakeChanges) GitHub(w http.ResponseWriter, _ *http.Request, tenant, secret string) {
	known := secret == shopSecret || secret == "pays-github-secret"
	writeJSON(w, http.StatusOK, map[string]any{"github": tenant, "known": known})
}

func (fakeChanges) Commit(w http.ResponseWriter, _ *http.Request, tenant string) {
	writeJSON(w, http.StatusOK, map[string]string{"commit": tenant})
}

func (fakeChanges) Event(w http.ResponseWriter, _ *http.Request, tenant string) {
	writeJSON(w, http.StatusOK, map[string]string{"event": tenant})
}

// fakeReport writes its kind and period.
type fakeReport struct{ period string }

func (r fakeReport) WriteJSON(w io.Writer) error     { return r.write(w, `{"period":"`+r.period+`"}`) }
func (r fakeReport) WriteMarkdown(w io.Writer) error { return r.write(w, "# "+r.period) }
func (r fakeReport) WriteHTML(w io.Writer) error     { return r.write(w, "<h1>"+r.period+"</h1>") }
func (r fakeReport) write(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

// deciding is a fixture with tenants; the log is what was logged.
type deciding struct {
	*fixture
	docket *fakeDocket
	log    *bytes.Buffer
}

func serveTenants(t *testing.T, change func(*Config)) *deciding {
	t.Helper()
	d := &deciding{docket: newFakeDocket(), log: new(bytes.Buffer)}
	d.fixture = serve(t, func(c *Config) {
		c.Docket, c.Changes = d.docket, fakeChanges{}
		c.Log = slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Own = Tenant{ID: "shop", Secret: shopSecret}
		c.Others = []Tenant{{ID: "pay", Secret: paySecret, WebhookSecret: "pays-github-secret", Health: func() []byte { return []byte(`{"of":"pay"}`) }}}
		c.Report = func(_ context.Context, tenant string, from, to time.Time) (Report, error) {
			return fakeReport{tenant + " " + from.Format(time.DateOnly) + " " + to.Format(time.DateTime)}, d.docket.fail
		}
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(func() {
		if strings.Contains(d.log.String(), "hunter2") {
			t.Errorf("a secret was logged:\n%s", d.log)
		}
	})
	return d
}

// ask sends one request; headers are "Name: value".
func (d *deciding) ask(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4711"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	d.srv.Config.Handler.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("%s %s: the answer has a secret: %s", method, path, w.Body)
	}
	return w
}

func with(secret string) string { return SecretHeader + ": " + secret }

const asJSON = "Content-Type: application/json"

// guarded are the requests that need the secret of the tenant pay.
var guarded = []struct{ method, path, what string }{
	{"GET", "/tenant/pay/shadow", "GET /tenant/{tenant}/shadow"},
	{"HEAD", "/tenant/pay/shadow", "GET /tenant/{tenant}/shadow"},
	{"POST", "/tenant/pay/shadow", "POST /tenant/{tenant}/shadow"},
	{"DELETE", "/tenant/pay/shadow", "DELETE /tenant/{tenant}/shadow"},
	{"GET", "/tenant/pay/shadow/report", "GET /tenant/{tenant}/shadow/report"},
	{"GET", "/tenant/pay/health", "GET /tenant/{tenant}/health"},
	{"GET", "/incidents?tenant=pay", "GET /incidents"},
	{"GET", "/incidents/inc-1?tenant=pay", "GET /incidents/{id}"},
	{"GET", "/incidents/inc-1/replay?tenant=pay", "GET /incidents/{id}/replay"},
	{"POST", "/incidents/inc-1/mark?tenant=pay", "POST /incidents/{id}/mark"},
	{"POST", "/incidents/inc-1/ask?tenant=pay", "POST /incidents/{id}/ask"},
	{"POST", "/commits/pay", "POST /commits/{tenant}"},
	{"POST", "/changes?tenant=pay", "POST /changes"},
}

func TestNobodyOpensATenantWithoutItsSecret(t *testing.T) {
	d := serveTenants(t, nil)
	for _, g := range guarded {
		for _, c := range []struct {
			name    string
			headers []string
			code    int
		}{
			{"missing", nil, 401},
			{"empty", []string{with("")}, 401},
			{"another scheme", []string{"Authorization: Basic " + paySecret}, 401},
			{"wrong", []string{with("hunter2-of-nobody-at-all")}, 403},
			{"of another tenant", []string{with(shopSecret)}, 403},
			{"of another tenant, as a bearer", []string{"Authorization: Bearer " + shopSecret}, 403},
			{"a part", []string{with(paySecret[:len(paySecret)-1])}, 403},
			{"right", []string{with(paySecret)}, 0},
			{"right, as a bearer", []string{"Authorization: bearer " + paySecret}, 0},
		} {
			d.now = d.now.Add(time.Hour) // whoever guessed may guess again
			w := d.ask(t, g.method, g.path, "", c.headers...)
			orders, denied := d.docket.taken()
			if c.code == 0 {
				if w.Code == 401 || w.Code == 403 || w.Code == 404 || len(denied) > 0 {
					t.Errorf("%s %s, %s: %d %s, denied %q", g.method, g.path, c.name, w.Code, w.Body, denied)
				}
				continue
			}
			want := fmt.Sprintf("pay %s %d", g.what, c.code)
			if w.Code != c.code || !slices.Equal(denied, []string{want}) || len(orders) > 0 {
				t.Errorf("%s %s, %s: %d %s, denied %q, ordered %q; want %q", g.method, g.path, c.name, w.Code, w.Body, denied, orders, want)
			}
			if (w.Header().Get("WWW-Authenticate") != "") != (c.code == 401) {
				t.Errorf("%s %s, %s: headers %v", g.method, g.path, c.name, w.Header())
			}
		}
	}
}

func TestAnUnknownTenantIsAnsweredLikeAKnownOne(t *testing.T) {
	d := serveTenants(t, nil)
	for _, g := range guarded {
		for _, headers := range [][]string{nil, {with("hunter2-of-nobody-at-all")}, {with(shopSecret)}} {
			d.now = d.now.Add(time.Hour)
			known := d.ask(t, g.method, g.path, "", headers...)
			d.now = d.now.Add(time.Hour)
			unknown := d.ask(t, g.method, strings.Replace(g.path, "pay", "nobody", 1), "", headers...)
			if known.Code != unknown.Code || known.Body.String() != unknown.Body.String() || fmt.Sprint(known.Header()) != fmt.Sprint(unknown.Header()) {
				t.Errorf("%s %s: known %d %v %s, unknown %d %v %s", g.method, g.path,
					known.Code, known.Header(), known.Body, unknown.Code, unknown.Header(), unknown.Body)
			}
		}
	}
	_, denied := d.docket.taken()
	if !slices.Contains(denied, "nobody GET /tenant/{tenant}/shadow 403") {
		t.Errorf("denied %q", denied)
	}
}

func TestTheOwnTenantIsFreeToReadWhileItIsAlone(t *testing.T) {
	alone := serveTenants(t, func(c *Config) { c.Others = nil })
	shared := serveTenants(t, nil)
	for _, path := range []string{"/incidents", "/incidents?tenant=shop", "/incidents/inc-1", "/incidents/inc-1/replay"} {
		if w := alone.ask(t, "GET", path, ""); w.Code != 200 {
			t.Errorf("alone, %s: %d %s", path, w.Code, w.Body)
		}
		if w := shared.ask(t, "GET", path, ""); w.Code != 401 {
			t.Errorf("with others, %s: %d %s", path, w.Code, w.Body)
		}
		if w := shared.ask(t, "GET", path, "", with(paySecret)); w.Code != 403 {
			t.Errorf("with another's secret, %s: %d %s", path, w.Code, w.Body)
		}
		if w := shared.ask(t, "GET", path, "", with(shopSecret)); w.Code != 200 || strings.Contains(w.Body.String(), "of pay") {
			t.Errorf("with the own secret, %s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, g := range []struct{ method, path string }{
		{"POST", "/incidents/inc-1/mark"}, {"POST", "/incidents/inc-1/ask"}, {"POST", "/tenant/shop/shadow"}, {"DELETE", "/tenant/shop/shadow"}, {"POST", "/changes"}, {"POST", "/commits/shop"},
	} {
		if w := alone.ask(t, g.method, g.path, ""); w.Code != 401 {
			t.Errorf("alone, %s %s: %d", g.method, g.path, w.Code)
		}
	}
}

func TestTheLedgerOfManyNeedsTheOwnSecret(t *testing.T) {
	for _, c := range []struct {
		alone   bool
		headers []string
		code    int
	}{{true, nil, 200}, {false, nil, 401}, {false, []string{with(paySecret)}, 403}, {false, []string{with(shopSecret)}, 200}} {
		d := serveTenants(t, nil)
		h := d.srv.Config.Handler.(*handler)
		h.doors.alone = c.alone
		// A journal is not needed for the door in front of it.
		h.routes.below("/ledger/", "/ledger/checkpoint", h.ofOwn(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
		if w := d.ask(t, "GET", "/ledger/tile/0/000", "", c.headers...); w.Code != c.code {
			t.Errorf("alone %v, %q: %d, want %d", c.alone, c.headers, w.Code, c.code)
		}
	}
}

func TestWrongSecretsAreSlowedDown(t *testing.T) {
	d := serveTenants(t, nil)
	wrong, right := with("hunter2-of-nobody-at-all"), with(paySecret)
	for i := range guessBurst {
		if w := d.ask(t, "GET", "/tenant/pay/shadow", "", wrong); w.Code != 403 {
			t.Fatalf("guess %d: %d", i, w.Code)
		}
	}
	for _, path := range []string{"/tenant/pay/shadow", "/tenant/nobody/shadow", "/incidents?tenant=pay"} {
		if w := d.ask(t, "GET", path, "", wrong); w.Code != 429 || w.Header().Get("Retry-After") != "6" {
			t.Errorf("%s: one guess too many: %d %v", path, w.Code, w.Header())
		}
	}
	// Not even the right one tells itself apart now.
	if w := d.ask(t, "GET", "/tenant/pay/shadow", "", right); w.Code != 429 {
		t.Errorf("the right secret after too many wrong ones: %d", w.Code)
	}
	if _, denied := d.docket.taken(); denied[len(denied)-1] != "pay GET /tenant/{tenant}/shadow 429" {
		t.Errorf("denied %q", denied)
	}
	d.now = d.now.Add(guessEvery)
	for range 5 { // right ones cost nothing
		if w := d.ask(t, "GET", "/tenant/pay/shadow", "", right); w.Code != 200 {
			t.Errorf("after waiting: %d", w.Code)
		}
	}
	if w := d.ask(t, "GET", "/tenant/pay/shadow", "", wrong); w.Code != 403 {
		t.Errorf("one more guess after waiting: %d", w.Code)
	}
	if w := d.ask(t, "GET", "/tenant/pay/shadow", "", wrong); w.Code != 429 {
		t.Errorf("and another: %d", w.Code)
	}
}

func TestClientsAreSlowedDownByThemselves(t *testing.T) {
	var l limiter
	a, b := clientOf("192.0.2.1:1"), clientOf("192.0.2.2:1")
	for range guessBurst {
		l.admit(a, false, started)
	}
	if l.admit(a, false, started) == 0 || l.admit(b, false, started) != 0 || l.admit(b, true, started) != 0 {
		t.Error("one client slowed down another, or not itself")
	}
	if l.admit(a, false, started.Add(-time.Hour)) == 0 {
		t.Error("a clock that was put back gave guesses")
	}
	for i := range 3 * maxGuessers {
		l.admit(clientOf(fmt.Sprintf("10.%d.%d.1:1", i/256, i%256)), false, started)
	}
	if len(l.clients) > maxGuessers+1 {
		t.Errorf("%d clients are remembered", len(l.clients))
	}
	if l.admit(a, false, started) == 0 {
		t.Error("many others made a client's guesses forgotten")
	}
	for remote, want := range map[string]string{
		"192.0.2.1:99": "192.0.2.1/32", "[2001:db8::5%eth0]:1": "2001:db8::/64", "[::ffff:192.0.2.1]:5": "192.0.2.1/32", "@": "invalid Prefix",
	} {
		if got := clientOf(remote).String(); got != want {
			t.Errorf("%s is %s, want %s", remote, got, want)
		}
	}
}

func TestTenantsMustBeToldApart(t *testing.T) {
	d := serveTenants(t, nil)
	for want, change := range map[string]func(*Config){
		"own tenant's id and secret": func(c *Config) { c.Own = Tenant{} },
		`have the id "shop"`:         func(c *Config) { c.Others[0].ID = "shop" },
		"have the same secret":       func(c *Config) { c.Others[0].Secret = shopSecret },
		"are signed with the same":   func(c *Config) { c.Own.WebhookSecret = c.Others[0].WebhookSecret },
		`"pay" has no secret`:        func(c *Config) { c.Others[0].Secret = "" },
	} {
		cfg := d.cfg
		cfg.Others = slices.Clone(cfg.Others)
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
