package whatsapp

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const token = "EAAG-not-a-real-access-token-0123456789"

func open(t *testing.T, base string, doer notify.Doer) notify.Channel {
	t.Helper()
	values := map[string]string{"api_url": base, "phone_number_id": "106540352242922", "to": "+15551234567", "link_base": notifytest.Base}
	c, err := notify.NewConfig(Kind(), "ana", values, map[string]notify.Secret{"token": {Env: "TOKEN"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(doer, map[string]string{"TOKEN": token}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

const taken = `{"messaging_product":"whatsapp","contacts":[{"input":"15551234567","wa_id":"15551234567"}],` +
	`"messages":[{"id":"wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI5","message_status":"accepted"}]}`

func TestPayloadOfADecision(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
	receipt, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Message(notify.Validated))
	if err != nil || receipt.Reference != "wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI5" || receipt.Note != "accepted" {
		t.Fatalf("%+v %v", receipt, err)
	}
	r := server.Only(t)
	if r.Method != "POST" || r.Path != "/v23.0/106540352242922/messages" || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	want := `{"messaging_product":"whatsapp","recipient_type":"individual","to":"15551234567","type":"template",` +
		`"template":{"name":"countersign_decision","language":{"code":"en_US"},"components":[{"type":"body","parameters":[` +
		`{"type":"text","text":"⚠ Action recommended"},{"type":"text","text":"checkout"},{"type":"text","text":"Requests are slow since 03:00."},` +
		`{"type":"text","text":"P95 1847 ms · errors 8 % · score 61 of 100"},` +
		`{"type":"text","text":"the connection pool is exhausted (3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)"},` +
		`{"type":"text","text":"87 %"},{"type":"text","text":"ledger 1234 · abcd1234"}]},` +
		`{"type":"button","sub_type":"url","index":"0","parameters":[{"type":"text","text":"` + strings.TrimPrefix(notifytest.Link, notifytest.Base) + `"}]}]},` +
		`"biz_opaque_callback_data":"eff-1234-validated"}`
	if string(r.Body) != want {
		t.Errorf("got  %s\nwant %s", r.Body, want)
	}
}

// sent is what the channel sends for a message.
func sent(t *testing.T, m notify.Message) payload {
	t.Helper()
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
	if _, err := open(t, server.URL, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var p payload
	if err := json.Unmarshal(server.Only(t).Body, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// A parameter is refused when it is empty, has a line break, a tab, or more
// than four spaces in a row; a body has 1,024 characters at most.
func TestParametersAreAccepted(t *testing.T) {
	for _, event := range notify.Events {
		for _, m := range []notify.Message{notifytest.Message(event), notifytest.Hostile(event), {ID: "a", Event: event}} {
			total := 0
			for _, component := range sent(t, m).Template.Components {
				for _, p := range component.Parameters {
					if p.Text == "" || strings.ContainsAny(p.Text, "\r\n\t") || strings.Contains(p.Text, "     ") || notifytest.Signs(p.Text) != nil {
						t.Errorf("%s: %q", event, p.Text)
					}
					total += len([]rune(p.Text))
				}
			}
			if total > 800 {
				t.Errorf("%s: %d characters of parameters", event, total)
			}
		}
	}
}

// What is sent fits the templates that are to be registered.
func TestTemplates(t *testing.T) {
	for file, m := range map[string]notify.Message{
		"whatsapp-decision.json": notifytest.Message(notify.Validated), "whatsapp-notice.json": notifytest.Message(notify.Recovered),
	} {
		data, err := os.ReadFile("../../../docs/templates/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var definition struct {
			Name, Language, Category string
			Components               []struct {
				Type, Text string
				Example    struct {
					BodyText [][]string `json:"body_text"`
				}
				Buttons []struct {
					Type, Text, URL string
					Example         []string
				}
			}
		}
		if err := json.Unmarshal(data, &definition); err != nil {
			t.Fatal(err)
		}
		p := sent(t, m)
		if p.Template.Name != definition.Name || p.Template.Language.Code != definition.Language || definition.Category != "UTILITY" {
			t.Errorf("%s: %s %s %s", file, definition.Name, definition.Language, definition.Category)
		}
		body := definition.Components[0]
		fields := regexp.MustCompile(`\{\{\d+\}\}`).FindAllString(body.Text, -1)
		parameters := p.Template.Components[0].Parameters
		if len(fields) != len(parameters) || len(body.Example.BodyText) != 1 || len(body.Example.BodyText[0]) != len(fields) {
			t.Fatalf("%s: %d fields, %d parameters, examples %v", file, len(fields), len(parameters), body.Example)
		}
		for i, field := range fields {
			if field != fmt.Sprintf("{{%d}}", i+1) || parameters[i].Text != body.Example.BodyText[0][i] {
				t.Errorf("%s: field %s has the example %q and would be sent %q", file, field, body.Example.BodyText[0][i], parameters[i].Text)
			}
		}
		// Meta rejects a variable at the beginning or end, and fewer than 2x+1
		// words around x variables ("too many variables for its length").
		if strings.HasPrefix(body.Text, "{{") || strings.HasSuffix(body.Text, "}}") || len([]rune(body.Text)) > 300 {
			t.Errorf("%s: %q", file, body.Text)
		}
		if words := len(strings.Fields(body.Text)) - len(fields); words < 2*len(fields)+1 {
			t.Errorf("%s has %d variables and only %d words", file, len(fields), words)
		}
		if !strings.Contains(body.Text, notify.Promise) {
			t.Errorf("%s does not promise anything: %q", file, body.Text)
		}
		if buttons := len(p.Template.Components) - 1; len(definition.Components)-1 != buttons {
			t.Errorf("%s: %d button components, and %d are sent", file, len(definition.Components)-1, buttons)
		}
		if len(definition.Components) > 1 {
			b := definition.Components[1].Buttons[0]
			if b.Type != "URL" || b.URL != "https://YOUR-HOST/action/recover?token={{1}}" || len(b.Text) > 25 || len(b.Example) != 1 || !strings.Contains(body.Text, notify.Promise) {
				t.Errorf("%s: %+v", file, b)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	refusal := func(code int, message, details string) string {
		return fmt.Sprintf(`{"error":{"message":"(#%d) %s","type":"OAuthException","code":%d,"error_data":{"messaging_product":"whatsapp","details":%q},"fbtrace_id":"A4O5"}}`, code, message, code, details)
	}
	for _, tt := range []struct {
		status int
		header map[string]string
		body   string
		want   notify.Error
		mend   string
	}{
		{401, nil, refusal(190, "Error validating access token", "Session has expired"), notify.Error{}, "permanent"},
		{403, nil, refusal(10, "Application does not have permission", ""), notify.Error{}, "whatsapp_business_messaging"},
		{400, nil, refusal(131030, "Recipient phone number not in allowed list", ""), notify.Error{}, "check to"},
		{404, nil, refusal(132001, "Template name does not exist in the translation", ""), notify.Error{}, "docs/templates"},
		{400, nil, refusal(132000, "Number of parameters does not match", ""), notify.Error{}, "docs/templates"},
		{400, nil, refusal(132015, "Template is paused", ""), notify.Error{}, "WhatsApp Manager"},
		{400, nil, refusal(131042, "Business eligibility payment issue", ""), notify.Error{}, "pay"},
		{401, nil, refusal(0, "We were unable to authenticate the app user", ""), notify.Error{}, "permanent"},
		{400, nil, refusal(100, "Invalid parameter", ""), notify.Error{}, "phone_number_id"},
		{400, nil, refusal(131047, "Re-engagement message", ""), notify.Error{}, "docs/templates"},
		{400, nil, refusal(131049, "Not delivered to maintain healthy ecosystem engagement", ""), notify.Error{}, "utility"},
		{403, nil, refusal(130497, "Business account is restricted from messaging users in this country", ""), notify.Error{}, "country"},
		{400, nil, refusal(131045, "Incorrect certificate", ""), notify.Error{}, "registered"},
		{403, nil, refusal(131005, "Access denied", ""), notify.Error{}, "whatsapp_business_messaging"},
		{400, nil, refusal(131053, "Anything else", ""), notify.Error{}, "settings"},
		{400, nil, refusal(131056, "pair rate limit hit", "too many messages"), notify.Error{Retry: true}, "later"},
		{429, map[string]string{"Retry-After": "5"}, refusal(130429, "Rate limit hit", ""), notify.Error{Retry: true, After: 5 * time.Second}, "later"},
		{400, nil, refusal(4, "Application request limit reached", ""), notify.Error{Retry: true}, "later"},
		{500, nil, refusal(131000, "Something went wrong", ""), notify.Error{Retry: true}, "later"},
		{500, nil, refusal(133010, "Phone number not registered", ""), notify.Error{}, "registered"},
		{503, nil, refusal(2, "Service temporarily unavailable", ""), notify.Error{Retry: true}, "later"},
		{200, nil, `{"messaging_product":"whatsapp"}`, notify.Error{Unsure: true}, "api_url"},
		{200, nil, `hello`, notify.Error{Unsure: true}, "api_url"},
	} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Header: tt.header, Body: tt.body})
		e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), notifytest.Message(notify.Incident), token)
		if e.Retry != tt.want.Retry || e.After != tt.want.After || e.Unsure != tt.want.Unsure || e.Status != tt.status || !strings.Contains(e.Mend, tt.mend) {
			t.Errorf("%d %s: %+v", tt.status, tt.body, e)
		}
	}
}

func TestLinkOfAnotherBase(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
	m := notifytest.Message(notify.Validated)
	for _, link := range []string{"https://elsewhere.example/action/recover?token=a", notifytest.Base} {
		m.Link = link
		if e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), m, token); e.Retry || !strings.Contains(e.Mend, "link_base") {
			t.Errorf("%+v", e)
		}
	}
}

func TestFaults(t *testing.T) { notifytest.Faults(t, open, token) }
