package api

import (
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func client(t *testing.T, url string) *Client {
	t.Helper()
	c, err := NewClient(url)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientOrders(t *testing.T) {
	d := serveTenants(t, nil)
	shop, pay := client(t, d.srv.URL).Tenant("", shopSecret), client(t, d.srv.URL).Tenant("pay", paySecret)
	ctx := t.Context()
	if s, err := shop.Shadow(ctx); err != nil || s.Tenant != "shop" || !s.ShadowMode {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := pay.ShadowOff(ctx, "Zoë", "a month of watching"); err != nil || s.Tenant != "pay" || s.ShadowMode || !s.Changed {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := pay.ShadowOn(ctx, "ana", "too soon"); err != nil || !s.ShadowMode || !s.Changed {
		t.Errorf("%+v, %v", s, err)
	}
	if err := pay.Mark(ctx, "inc-1", "false_alarm", "", "ana", "a load test"); err != nil {
		t.Error(err)
	}
	if r, err := pay.Request(ctx, "inc-1", "restart", "ana", ""); err != nil || r.Stage != incident.Validated || !r.Recorded {
		t.Errorf("%+v, %v", r, err)
	}
	want := []string{"shadow pay false by Zoë: a month of watching", "shadow pay true by ana: too soon", "mark pay inc-1 false_alarm by ana: a load test", "ask pay inc-1 restart by ana: "}
	if orders, _ := d.docket.taken(); !slices.Equal(orders, want) {
		t.Errorf("ordered %q", orders)
	}
	if list, err := pay.Incidents(ctx); err != nil || len(list) != 1 || list[0].Reason != "of pay" {
		t.Errorf("%+v, %v", list, err)
	}
	if c, err := shop.Incident(ctx, "inc-1"); err != nil || c.Reason != "of shop" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := shop.Replay(ctx, "inc-1"); err != nil {
		t.Error(err)
	}
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	if text, err := pay.Report(ctx, "md", at, time.Time{}); err != nil || string(text) != "# pay 2026-02-01 2026-03-14 09:01:30" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestClientSaysWhyNot(t *testing.T) {
	d := serveTenants(t, nil)
	none := serve(t, nil)
	for _, c := range []struct {
		url, id, secret, want string
	}{
		{d.srv.URL, "pay", "", "needs the tenant's secret: give it with --secret-file"},
		{d.srv.URL, "pay", shopSecret, "the secret is not that of this tenant"},
		{d.srv.URL, "nobody", shopSecret, "there is no such tenant"},
		{none.srv.URL, "", shopSecret, "decides nothing, and so has no shadow mode"},
		{none.srv.URL, "shop", shopSecret, "has nothing of the kind"},
		{"127.0.0.1:1", "shop", shopSecret, "nothing listens at"},
	} {
		_, err := client(t, c.url).Tenant(c.id, c.secret).Shadow(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s as %q: %v, want %q", c.url, c.id, err, c.want)
		}
	}
	shop := client(t, d.srv.URL).Tenant("shop", shopSecret)
	if _, err := shop.ShadowOff(t.Context(), "", ""); err == nil || !strings.Contains(err.Error(), "say who orders this") {
		t.Errorf("without a name: %v", err)
	}
	if _, err := shop.ShadowOff(t.Context(), "ana\nX-Tenant-Secret: x", ""); err == nil || !strings.Contains(err.Error(), "who orders this must not hold") {
		t.Errorf("with a line break in the name: %v", err)
	}
	if _, err := shop.Incident(t.Context(), "inc-9"); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("an incident that is not there: %v", err)
	}
}

func TestClientKeepsTheSecretToItsServer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a redirect was followed, with %v", r.Header) }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	if _, err := client(t, srv.URL).Tenant("shop", shopSecret).Shadow(t.Context()); err == nil {
		t.Error("a redirect was an answer")
	}
	var seen []string
	ledger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get(SecretHeader))
	}))
	defer ledger.Close()
	at, err := url.Parse(ledger.URL)
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Client{Transport: WithSecret(http.DefaultTransport, at, shopSecret)}
	res, err := plain.Get(ledger.URL + "/ledger/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	// Whoever asked for TLS does not have the secret sent without it.
	secure := &http.Client{Transport: WithSecret(http.DefaultTransport, &url.URL{Scheme: "https", Host: at.Host}, shopSecret)}
	if res, err = secure.Get(ledger.URL); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if !slices.Equal(seen, []string{shopSecret, ""}) {
		t.Errorf("sent %q", seen)
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get(SecretHeader) != "" {
			t.Error("the secret went to another server")
		}
	}))
	defer elsewhere.Close()
	if res, err = plain.Get(elsewhere.URL); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}
