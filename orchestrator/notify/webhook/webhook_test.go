package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

var (
	secret = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	second = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 24))
)

const token = "a-token-of-the-receiver"

func open(t *testing.T, base string, doer notify.Doer) notify.Channel {
	t.Helper()
	return openWith(t, base, doer, secret+" "+second)
}

func openWith(t *testing.T, base string, doer notify.Doer, secrets string) notify.Channel {
	t.Helper()
	c, err := notify.NewConfig(Kind(), "inbox", map[string]string{"url": base + "/hooks/countersign"},
		map[string]notify.Secret{"secret": {Env: "SECRET"}, "token": {Env: "TOKEN"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(doer, map[string]string{"SECRET": secrets, "TOKEN": token}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func TestPayload(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 202})
	receipt, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Message(notify.Validated))
	if err != nil || receipt.Note != "status 202" {
		t.Fatalf("%+v %v", receipt, err)
	}
	r := server.Only(t)
	if r.Method != "POST" || r.Path != "/hooks/countersign" || r.Header.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" ||
		r.Header.Get("Authorization") != "Bearer "+token {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	want := `{"specversion":"1.0","id":"eff-1234-validated","source":"/countersign/tenants/local","type":"dev.countersign.validated",` +
		`"subject":"inc-abc123-1685000000","time":"2026-11-20T03:04:05Z","datacontenttype":"application/json","data":{` +
		`"event":"validated","tenant_id":"local","service":"checkout","incident_id":"inc-abc123-1685000000","severity":"critical",` +
		`"title":"⚠ Action recommended","issue":"Requests are slow since 03:00.","started_at":"2026-11-20T03:00:05Z",` +
		`"p95_ms":1847.3,"error_rate":0.08,"score":61,"cause":"the connection pool is exhausted",` +
		`"changes":["3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3)","9m earlier — flag new-checkout"],"confidence":0.87,` +
		`"link":"` + notifytest.Link + `","expires_at":"2026-11-20T03:09:05Z","ledger":{"size":1234,"root":"abcd1234efgh5678"},` +
		`"detail_url":"https://console.example/incidents/inc-abc123","text":"`
	if !strings.HasPrefix(string(r.Body), want) {
		t.Errorf("got  %s\nwant %s", r.Body, want)
	}
	for _, one := range []string{secret, second} {
		hook, err := standardwebhooks.NewWebhook(one)
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.VerifyIgnoringTimestamp(r.Body, r.Header); err != nil {
			t.Errorf("the signature does not verify: %v", err)
		}
		if err := hook.VerifyIgnoringTimestamp(append(r.Body, ' '), r.Header); err == nil {
			t.Error("the signature verifies another body")
		}
	}
	if r.Header.Get("webhook-id") != "eff-1234-validated" || r.Header.Get("webhook-timestamp") != "1795143845" {
		t.Errorf("%v", r.Header)
	}
}

// Nothing that JSON cannot say keeps a message back, and a link is in a message
// only that is there to decide by.
func TestWhatIsLeftOut(t *testing.T) {
	m := notifytest.Message(notify.Recovered)
	nan, inf := math.NaN(), math.Inf(1)
	m.P95MS, m.ErrorRate, m.Score, m.Confidence, m.Changes, m.Ledger = &nan, &inf, nil, &nan, nil, notify.Mark{}
	m.Link, m.Expires, m.IncidentID = notifytest.Link, notifytest.Now, ""
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200})
	if _, err := open(t, server.URL, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	body := string(server.Only(t).Body)
	for _, want := range []string{`"p95_ms":null`, `"error_rate":null`, `"score":null`, `"confidence":null`, `"changes":[]`, `"ledger":null`, `"subject":"checkout"`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in %s", want, body)
		}
	}
	if strings.Contains(body, `"link"`) || strings.Contains(body, "expires_at") {
		t.Errorf("a link in %s", body)
	}
}

func TestHostileText(t *testing.T) {
	for _, event := range notify.Events {
		server := notifytest.NewServer(t, notifytest.Answer{Status: 204})
		if _, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Hostile(event)); err != nil {
			t.Fatal(err)
		}
		r := server.Only(t)
		var e received
		if err := json.Unmarshal(r.Body, &e); err != nil {
			t.Fatal(err)
		}
		if found := notifytest.Signs(e.Data.Text); found != nil {
			t.Errorf("%s: %q in the text %q", event, found, e.Data.Text)
		}
		for _, text := range append(e.Data.Changes, e.Data.Service, e.Data.Issue, e.Data.Cause, e.Data.Tenant, e.Subject, e.Source) {
			if strings.ContainsAny(text, "\r\n\x1b\x00\u202e\u2028") {
				t.Errorf("%s: control characters in %q", event, text)
			}
		}
		if len(r.Body) > 64<<10 || e.Data.DetailURL != "" || r.Header.Get("Bcc") != "" {
			t.Errorf("%s: %d bytes, detail %q", event, len(r.Body), e.Data.DetailURL)
		}
	}
}

// received is what a receiver reads.
type received struct {
	Source, Subject string
	Data            struct {
		Service, Issue, Cause, Text string
		Tenant                      string `json:"tenant_id"`
		DetailURL                   string `json:"detail_url"`
		Changes                     []string
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		mend   string
	}{
		{http.StatusUnauthorized, "same secret"}, {http.StatusNotFound, "check the URL"}, {http.StatusGone, "no more messages"},
		{http.StatusUnsupportedMediaType, "cloudevents"}, {http.StatusUnprocessableEntity, "settings"},
	} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Body: "no"})
		e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), notifytest.Message(notify.Incident), secret, token)
		if e.Retry || e.Status != tt.status || !strings.Contains(e.Mend, tt.mend) {
			t.Errorf("%d: %+v", tt.status, e)
		}
	}
}

func TestFaults(t *testing.T) { notifytest.Faults(t, open, secret, second, token) }

func TestSecretThatIsNone(t *testing.T) {
	for _, wrong := range []string{"whsec_AAAA", "whsec_not base64 at all, whatever it may be", "too-short", secret + " short"} {
		e := notifytest.Refusal(t, t.Context(), openWith(t, "http://127.0.0.1:1", nil, wrong), notifytest.Message(notify.Test), wrong, secret)
		if e.Retry || !strings.Contains(e.Mend, "openssl") {
			t.Errorf("%+v", e)
		}
	}
}
