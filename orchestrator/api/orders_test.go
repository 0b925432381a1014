package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/docket"
)

func TestShadowModeIsOrderedBySomebody(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		method, body string
		headers      []string
		code         int
		ordered      string // or what the error says
	}{
		{"DELETE", "", []string{"X-Countersign-Who: ana", "X-Countersign-Reason: a month of watching"}, 200, "shadow shop false by ana: a month of watching"},
		{"DELETE", "", []string{"X-Countersign-Who: Zoë"}, 200, "shadow shop false by Zoë: "},
		{"DELETE", "", nil, 400, "say who orders this"},
		{"DELETE", "", []string{"X-Countersign-Who:  "}, 400, "say who orders this"},
		{"DELETE", "", []string{"X-Countersign-Who: a\u202eb"}, 400, "control characters"},
		{"DELETE", "", []string{"X-Countersign-Who: a\xff"}, 400, "must be UTF-8"},
		{"DELETE", "", []string{"X-Countersign-Who: " + strings.Repeat("a", 101)}, 400, "at most 100 characters"},
		{"DELETE", "", []string{"X-Countersign-Who: ana", "X-Countersign-Reason: " + strings.Repeat("a", 501)}, 400, "the reason must have at most 500"},
		{"POST", `{"who":"ana","reason":"too many false alarms"}`, []string{asJSON}, 200, "shadow shop true by ana: too many false alarms"},
		{"POST", `{"who":" ana "}`, []string{"Content-Type: application/json; charset=utf-8"}, 200, "shadow shop true by ana: "},
		{"POST", ``, nil, 200, "shadow shop true by unnamed: "},
		{"POST", `{}`, []string{asJSON, "X-Countersign-Who: ana"}, 200, "shadow shop true by ana: "},
		{"POST", `{"who":"ana"}`, nil, 415, "application/json"},
		{"POST", `who=ana`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "application/json"},
		{"POST", `{"who":"ana"}`, []string{"Content-Type: text/plain"}, 415, "application/json"},
		{"POST", `{"who":"ana"}`, []string{"Content-Type: ;;"}, 415, "application/json"},
		{"POST", ``, []string{asJSON}, 400, "its JSON ends before its end"},
		{"POST", `{"who":`, []string{asJSON}, 400, "its JSON ends before its end"},
		{"POST", `{who:"ana"}`, []string{asJSON}, 400, "it is not JSON at byte 2"},
		{"POST", `{"who":"ana"} {}`, []string{asJSON}, 400, "something follows"},
		{"POST", `{"who":"ana"}}`, []string{asJSON}, 400, "something follows"},
		{"POST", `[]`, []string{asJSON}, 400, "it must be a JSON object, not an array"},
		{"POST", `{"who":7}`, []string{asJSON}, 400, `\"who\" must be text, not a number`},
		{"POST", `{"who":"ana","colour":"red"}`, []string{asJSON}, 400, `unknown field \"colour\"`},
		{"POST", `{"who":"a\nb"}`, []string{asJSON}, 400, "control characters"},
		{"POST", `{"who":"` + strings.Repeat("a", maxBody) + `"}`, []string{asJSON}, 413, "more than 64 KiB"},
	} {
		w := d.ask(t, c.method, "/tenant/shop/shadow", c.body, append(c.headers, with(shopSecret))...)
		orders, denied := d.docket.taken()
		if len(denied) > 0 {
			t.Errorf("%s %.60s: denied %q", c.method, c.body, denied)
		}
		if c.code != 200 {
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.ordered) || len(orders) > 0 {
				t.Errorf("%s %.60s %.60q: %d %s, ordered %q; want %d %s", c.method, c.body, c.headers, w.Code, w.Body, orders, c.code, c.ordered)
			}
			continue
		}
		var s Shadow
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || w.Code != 200 || !slices.Equal(orders, []string{c.ordered}) {
			t.Errorf("%s %.60s %.60q: %d %s, ordered %q; want %q", c.method, c.body, c.headers, w.Code, w.Body, orders, c.ordered)
		}
		if s.Tenant != "shop" || s.ShadowMode != (c.method == "POST") || !s.Ready || !s.Since.Equal(started) {
			t.Errorf("%s: %+v", c.method, s)
		}
	}
}

func TestAnOrderThatCannotBeRecorded(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("%w: the ledger is being read", docket.ErrNotReady), 503},
		{fmt.Errorf("the reason: %w", docket.ErrInvalid), 400},
		{fmt.Errorf("the tenant is %w", docket.ErrNotFound), 404},
		{fmt.Errorf("%w: shadow mode is on", docket.ErrRefused), 409},
		{errors.New("no space left on device"), 503},
	} {
		d.docket.fail = c.err
		for _, ask := range []struct{ method, path, body string }{
			{"DELETE", "/tenant/shop/shadow", ""},
			{"POST", "/tenant/shop/shadow", ""},
			{"POST", "/incidents/inc-1/mark?tenant=shop", `{"verdict":"confirmed","who":"ana"}`},
			{"POST", "/incidents/inc-1/ask?tenant=shop", `{"action":"restart","who":"ana"}`},
			{"GET", "/incidents/inc-1?tenant=shop", ""},
			{"GET", "/incidents/inc-1/replay?tenant=shop", ""},
			{"GET", "/tenant/shop/shadow/report", ""},
		} {
			w := d.ask(t, ask.method, ask.path, ask.body, with(shopSecret), asJSONIf(ask.body), "X-Countersign-Who: ana")
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.err.Error()) {
				t.Errorf("%s %s with %v: %d %s", ask.method, ask.path, c.err, w.Code, w.Body)
			}
		}
	}
}

func asJSONIf(body string) string {
	if body == "" {
		return "X-None: 1"
	}
	return asJSON
}

func TestMarks(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		body string
		code int
		want string
	}{
		{`{"verdict":"false_alarm","note":"a load test","who":"ana"}`, 200, "mark shop inc-1 false_alarm by ana: a load test"},
		{`{"verdict":"confirmed","who":"ana"}`, 200, "mark shop inc-1 confirmed by ana: "},
		{`{"verdict":"maybe","who":"ana"}`, 400, `must be \"false_alarm\" or \"confirmed\"`},
		{`{"verdict":"confirmed"}`, 400, "say who orders this"},
		{`{"verdict":"confirmed","who":"ana","note":"` + strings.Repeat("n", 501) + `"}`, 400, "at most 500"},
		{`{"verdict":"confirmed","who":"ana","stage":"RESOLVED"}`, 400, `unknown field \"stage\"`},
	} {
		w := d.ask(t, "POST", "/incidents/inc-1/mark", c.body, with(shopSecret), asJSON)
		orders, _ := d.docket.taken()
		if got := strings.Join(orders, "") + w.Body.String(); w.Code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%.80s: %d %s, ordered %q; want %d %s", c.body, w.Code, w.Body, orders, c.code, c.want)
		}
	}
}

func TestAsking(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		body string
		code int
		want string
	}{
		{`{"action":" restart ","reason":"it hangs","who":"ana"}`, 200, "ask shop inc-1 restart by ana: it hangs"},
		{`{"action":"restart","who":"ana"}`, 200, `{"tenant_id":"shop","incident_id":"inc-1","stage":"VALIDATED","action":"restart","who":"ana","recorded":true}`},
		{`{"action":"restart"}`, 400, "say who orders this"},
		{`{"who":"ana"}`, 400, `\"action\" must name an action`},
		{`{"action":"restart","who":"ana","reason":"` + strings.Repeat("n", 501) + `"}`, 400, "at most 500"},
		{`{"action":"restart","who":"ana","risk":"low"}`, 400, `unknown field \"risk\"`},
	} {
		w := d.ask(t, "POST", "/incidents/inc-1/ask", c.body, with(shopSecret), asJSON)
		orders, _ := d.docket.taken()
		if got := strings.Join(orders, "") + w.Body.String(); w.Code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%.80s: %d %s, ordered %q; want %d %s", c.body, w.Code, w.Body, orders, c.code, c.want)
		}
	}
}

func TestReports(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		query, contentType string
		code               int
		body               string
	}{
		{"", "application/json", 200, `{"period":"pay 0001-01-01 2026-03-14 09:01:30"}`},
		{"?format=md&from=2026-02-01", "text/markdown; charset=utf-8", 200, "# pay 2026-02-01 2026-03-14 09:01:30"},
		{"?format=html&from=2026-02-01T00:00:00%2B02:00&to=2026-03-01", "text/html; charset=utf-8", 200, "<h1>pay 2026-02-01 2026-03-01 00:00:00</h1>"},
		{"?format=pdf", "application/json", 400, "must be json, md or html"},
		{"?from=yesterday", "application/json", 400, `\"from\" must be a day`},
		{"?to=7", "application/json", 400, `\"to\" must be a day`},
		{"?from=2026-03-01&to=2026-03-01", "application/json", 400, "begin must lie before its end"},
	} {
		w := d.ask(t, "GET", "/tenant/pay/shadow/report"+c.query, "", with(paySecret))
		if w.Code != c.code || w.Header().Get("Content-Type") != c.contentType || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d %s %s", c.query, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	if csp := d.ask(t, "GET", "/tenant/pay/shadow/report?format=html", "", with(paySecret)).Header().Get("Content-Security-Policy"); !strings.Contains(csp, "style-src 'unsafe-inline'") || strings.Contains(csp, "script") {
		t.Errorf("the report's policy is %q", csp)
	}
}

func TestTenantsHaveTheirOwnDocuments(t *testing.T) {
	d := serveTenants(t, nil)
	if w := d.ask(t, "GET", "/tenant/pay/health", "", with(paySecret)); w.Body.String() != `{"of":"pay"}` {
		t.Errorf("of pay: %s", w.Body)
	}
	if w := d.ask(t, "GET", "/tenant/shop/health", "", with(shopSecret)); !strings.Contains(w.Body.String(), `"service_name":"shop"`) {
		t.Errorf("of the own: %s", w.Body)
	}
}

func TestPushedChangesReachTheirTenant(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		path, body string
		headers    []string
	}{
		{"/commits/webhook", `{"github":"shop","known":true}`, nil},
		{"/commits/webhook", `{"github":"pay","known":true}`, []string{TenantHeader + ": pay"}},
		{"/commits/webhook?tenant=pay", `{"github":"pay","known":true}`, nil},
		{"/commits/webhook?tenant=nobody", `{"github":"nobody","known":false}`, nil},
		{"/commits/pay", `{"commit":"pay"}`, []string{with(paySecret)}},
		{"/changes", `{"event":"shop"}`, []string{with(shopSecret)}},
		{"/changes", `{"event":"pay"}`, []string{with(paySecret), TenantHeader + ": pay"}},
	} {
		if w := d.ask(t, "POST", c.path, "", c.headers...); strings.TrimSpace(w.Body.String()) != c.body {
			t.Errorf("%s %q: %d %s, want %s", c.path, c.headers, w.Code, w.Body, c.body)
		}
	}
}

func TestOrdersAreGuardedLikePages(t *testing.T) {
	d := serveTenants(t, nil)
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"PUT", "/tenant/shop/shadow", 405, "GET, HEAD, POST, DELETE"},
		{"OPTIONS", "/tenant/shop/shadow", 405, "GET, HEAD, POST, DELETE"},
		{"POST", "/tenant/shop/shadow/report", 405, "GET, HEAD"},
		{"GET", "/incidents/inc-1/mark", 405, "POST"},
		{"GET", "/commits/webhook", 405, "POST"},
		{"GET", "/tenant//shadow", 404, ""},
		{"GET", "/tenant/shop/shadow/", 404, ""},
		{"POST", "/tenant/shop", 404, ""},
	} {
		w := d.ask(t, c.method, c.path, "", with(shopSecret))
		if w.Code != c.code || w.Header().Get("Allow") != c.allow || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, w.Code, w.Header().Get("Allow"), w.Body)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s: CORS header %s", c.method, c.path, name)
			}
		}
	}
	for _, header := range []string{"Origin: http://evil.example", "Sec-Fetch-Site: cross-site"} {
		if w := d.ask(t, "POST", "/tenant/shop/shadow", "", with(shopSecret), header); w.Code != 403 || !strings.Contains(w.Body.String(), "another site") {
			t.Errorf("a page with %s: %d %s", header, w.Code, w.Body)
		}
	}
	res, body := d.do(t, http.MethodPost, "/tenant/shop/shadow", "evil.example")
	if res.StatusCode != 421 {
		t.Errorf("a rebound name: %d %s", res.StatusCode, body)
	}
	if orders, _ := d.docket.taken(); len(orders) > 0 {
		t.Errorf("ordered %q", orders)
	}
}

func TestStatusHasWhatWasDecided(t *testing.T) {
	s := serveTenants(t, nil).status(t)
	if s.Tenant != "shop" || s.Decisions == nil || !s.Decisions.Ready || !s.Decisions.ShadowMode || s.Decisions.Open == nil || s.Decisions.Open.ID != "inc-1" {
		t.Errorf("%+v, %+v", s, s.Decisions)
	}
	if none := serve(t, nil).status(t); none.Tenant != "" || none.Decisions != nil {
		t.Errorf("without a docket %+v", none)
	}
}

func TestDecisionsAreMetrics(t *testing.T) {
	d := serveTenants(t, nil)
	text := d.ask(t, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		"countersign_incident_open 1", "countersign_shadow_mode 1", "countersign_decisions_unrecorded 0",
		`countersign_gate_firing{gate="burn_rate",mode="on"} 0`, `countersign_gate_firing{gate="z_score",mode="shadow"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}
