package twilio

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const token = "0123456789abcdef0123456789abcdef"

var (
	// These are put together, as scanners for leaked secrets look for them.
	accountSID = "AC" + strings.Repeat("0a", 16)
	messageSID = "SM" + strings.Repeat("1b", 16)
	decision   = "HX" + strings.Repeat("3d", 16)
	notice     = "HX" + strings.Repeat("4e", 16)
)

func open(t *testing.T, kind notify.Kind, base string, doer notify.Doer, settings map[string]string) notify.Channel {
	t.Helper()
	values := map[string]string{"account_sid": accountSID, "api_url": base, "to": "+15551234567", "from": "+15557654321"}
	if kind.Name == "twilio_whatsapp" {
		values["content_decision"], values["content_notice"], values["link_base"] = decision, notice, notifytest.Base
	}
	maps.Copy(values, settings)
	c, err := notify.NewConfig(kind, "ana", values, map[string]notify.Secret{"token": {Env: "TOKEN"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{kind}, notifytest.Outside(doer, map[string]string{"TOKEN": token}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// sent is the form that a channel posts for a message.
func sent(t *testing.T, kind notify.Kind, m notify.Message, settings map[string]string) (url.Values, notifytest.Request) {
	t.Helper()
	server := notifytest.NewServer(t, notifytest.Answer{Status: 201, Body: `{"sid":"` + messageSID + `","status":"queued","error_code":null}`})
	receipt, err := open(t, kind, server.URL, nil, settings).Send(t.Context(), m)
	if err != nil || receipt.Reference != messageSID || receipt.Note != "queued" {
		t.Fatalf("%+v %v", receipt, err)
	}
	r := server.Only(t)
	form, err := url.ParseQuery(string(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	return form, r
}

func TestMessageForm(t *testing.T) {
	form, r := sent(t, WhatsApp(), notifytest.Message(notify.Validated), nil)
	if r.Method != "POST" || r.Path != "/2010-04-01/Accounts/"+accountSID+"/Messages.json" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	if want := "Basic QUMw"; !strings.HasPrefix(r.Header.Get("Authorization"), want) {
		t.Errorf("Authorization %q", r.Header.Get("Authorization"))
	}
	want := url.Values{
		"To": {"whatsapp:+15551234567"}, "From": {"whatsapp:+15557654321"}, "ContentSid": {decision},
		"ContentVariables": {`{"1":"⚠ Action recommended","2":"checkout","3":"Requests are slow since 03:00.","4":"P95 1847 ms · errors 8 % · score 61 of 100",` +
			`"5":"the connection pool is exhausted (3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)","6":"87 %","7":"ledger 1234 · abcd1234",` +
			`"8":"` + strings.TrimPrefix(notifytest.Link, notifytest.Base) + `"}`},
	}
	if form.Encode() != want.Encode() {
		t.Errorf("got  %v\nwant %v", form, want)
	}
}

func TestMessagingServiceAndKey(t *testing.T) {
	service, key := "MG"+strings.Repeat("5f", 16), "SK"+strings.Repeat("6a", 16)
	form, r := sent(t, WhatsApp(), notifytest.Message(notify.Recovered), map[string]string{"from": "", "messaging_service_sid": service, "api_key": key})
	if form.Get("MessagingServiceSid") != service || form.Has("From") || form.Get("ContentSid") != notice {
		t.Errorf("%v", form)
	}
	if user, password, ok := basic(r); !ok || user != key || password != token {
		t.Errorf("signed in as %q", user)
	}
}

func basic(r notifytest.Request) (string, string, bool) {
	return (&http.Request{Header: r.Header}).BasicAuth()
}

// What is sent fits the templates that are to be made.
func TestTemplates(t *testing.T) {
	for file, m := range map[string]notify.Message{
		"twilio-decision.json": notifytest.Message(notify.Validated), "twilio-notice.json": notifytest.Message(notify.Recovered),
	} {
		data, err := os.ReadFile("../../../docs/templates/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var definition struct {
			Variables map[string]string
			Types     map[string]struct {
				Body    string
				Actions []struct{ Type, Title, URL string }
			}
		}
		if err := json.Unmarshal(data, &definition); err != nil {
			t.Fatal(err)
		}
		form, _ := sent(t, WhatsApp(), m, nil)
		var variables map[string]string
		if err := json.Unmarshal([]byte(form.Get("ContentVariables")), &variables); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(variables, definition.Variables) {
			t.Errorf("%s has %v, and sent is %v", file, definition.Variables, variables)
		}
		for _, kind := range definition.Types {
			text := kind.Body
			for _, action := range kind.Actions {
				text += action.URL
				if action.Type != "URL" || len(action.Title) > 25 || !strings.HasPrefix(action.URL, "https://YOUR-HOST/action/recover?token={{") {
					t.Errorf("%s: %+v", file, action)
				}
			}
			for i := range len(variables) {
				if field := fmt.Sprintf("{{%d}}", i+1); strings.Count(text, field) != 1 {
					t.Errorf("%s has %s %d times", file, field, strings.Count(text, field))
				}
			}
		}
	}
}

// The templates of both ways to WhatsApp say the same.
func TestTemplatesAreAlike(t *testing.T) {
	body := func(file, key string) string {
		data, err := os.ReadFile("../../../docs/templates/" + file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(data), `"`+key+`": "`)
		text, _, _ := strings.Cut(rest, "\"")
		return text
	}
	for _, name := range []string{"decision", "notice"} {
		if a, b := body("whatsapp-"+name+".json", "text"), body("twilio-"+name+".json", "body"); a != b || a == "" {
			t.Errorf("%s: %q and %q", name, a, b)
		}
	}
}

func TestCallForm(t *testing.T) {
	form, r := sent(t, Voice(), notifytest.Message(notify.Escalation), nil)
	if r.Path != "/2010-04-01/Accounts/"+accountSID+"/Calls.json" {
		t.Error(r.Path)
	}
	say := `<Say language="en-US">This is Countersign. There is an incident, and nobody has decided yet. The service is checkout. ` +
		`Requests are slow since 03:00. Look at your messages, and decide there. Nothing will run without your approval.</Say>`
	want := url.Values{
		"To": {"+15551234567"}, "From": {"+15557654321"}, "Timeout": {"40"},
		"Twiml": {`<?xml version="1.0" encoding="UTF-8"?><Response><Pause length="1"/>` + say + `<Pause length="2"/>` + say + `</Response>`},
	}
	if form.Encode() != want.Encode() {
		t.Errorf("got  %v\nwant %v", form, want)
	}
}

// elements are the names of a document's elements, and its text.
func elements(document string) (map[string]int, string, error) {
	names, text := map[string]int{}, ""
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := d.Token()
		switch token := token.(type) {
		case xml.StartElement:
			names[token.Name.Local]++
		case xml.CharData:
			text += string(token)
		}
		if err == io.EOF {
			return names, text, nil
		}
		if err != nil {
			return nil, "", err
		}
	}
}

var spoken = map[string]int{"Response": 1, "Say": 2, "Pause": 2}

func TestHostileText(t *testing.T) {
	for _, event := range notify.Events {
		form, _ := sent(t, Voice(), notifytest.Hostile(event), nil)
		document := form.Get("Twiml")
		names, _, err := elements(document)
		if err != nil || !maps.Equal(names, spoken) || len([]rune(document)) > 4000 {
			t.Errorf("%s: %v %v, %d characters", event, names, err, len([]rune(document)))
		}
		message, _ := sent(t, WhatsApp(), notifytest.Hostile(event), nil)
		if found := notifytest.Signs(message.Get("ContentVariables")); found != nil {
			t.Errorf("%s: %q in %q", event, found, message.Get("ContentVariables"))
		}
	}
}

func FuzzTwiML(f *testing.F) {
	f.Add("checkout", notifytest.Attack)
	f.Add("</Say>", "]]><!--&#0;")
	f.Fuzz(func(t *testing.T, service, issue string) {
		m := notify.Message{ID: "a", Event: notify.Escalation, Service: service, Issue: issue}
		document := TwiML(m.Spoken())
		names, text, err := elements(document)
		if err != nil || !maps.Equal(names, spoken) || len([]rune(document)) > 4000 || !strings.Contains(text, notify.Promise) {
			t.Errorf("%v %v %q", names, err, document)
		}
	})
}

func TestErrors(t *testing.T) {
	refusal := func(status, code int, message string) string {
		return fmt.Sprintf(`{"code":%d,"message":%q,"more_info":"https://www.twilio.com/docs/errors/%d","status":%d}`, code, message, code, status)
	}
	for _, tt := range []struct {
		status int
		header map[string]string
		body   string
		want   notify.Error
		mend   string
	}{
		{401, nil, refusal(401, 20003, "Authenticate"), notify.Error{}, "account_sid"},
		{404, nil, refusal(404, 20404, "The requested resource was not found"), notify.Error{}, "account_sid"},
		{400, nil, refusal(400, 21211, "The 'To' number is not a valid phone number."), notify.Error{}, "check to"},
		{400, nil, refusal(400, 21212, "The 'From' number is not a valid phone number."), notify.Error{}, "check from"},
		{400, nil, refusal(400, 63007, "Twilio could not find a Channel with the specified From address"), notify.Error{}, "check from"},
		{400, nil, refusal(400, 21608, "The number is unverified."), notify.Error{}, "verify"},
		{400, nil, refusal(400, 21655, "The ContentSid is invalid."), notify.Error{}, "docs/templates"},
		{400, nil, refusal(400, 12345, "Another thing."), notify.Error{}, "settings"},
		{401, nil, "", notify.Error{}, "token"},
		{429, map[string]string{"Retry-After": "1"}, refusal(429, 20429, "Too Many Requests"), notify.Error{Retry: true, After: time.Second}, "later"},
		{500, nil, refusal(500, 20500, "Internal Server Error"), notify.Error{Retry: true}, "later"},
		{503, nil, "", notify.Error{Retry: true}, "later"},
		{200, nil, "{}", notify.Error{Unsure: true}, "api_url"},
		{201, nil, "hello", notify.Error{Unsure: true}, "api_url"},
	} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Header: tt.header, Body: tt.body})
		e := notifytest.Refusal(t, t.Context(), open(t, Voice(), server.URL, nil, nil), notifytest.Message(notify.Incident), token)
		if e.Retry != tt.want.Retry || e.After != tt.want.After || e.Unsure != tt.want.Unsure || e.Status != tt.status || !strings.Contains(e.Mend, tt.mend) {
			t.Errorf("%d %s: %+v", tt.status, tt.body, e)
		}
	}
}

func TestFaults(t *testing.T) {
	for _, kind := range []notify.Kind{WhatsApp(), Voice()} {
		t.Run(kind.Name, func(t *testing.T) {
			notifytest.Faults(t, func(t *testing.T, base string, doer notify.Doer) notify.Channel {
				return open(t, kind, base, doer, nil)
			}, token)
		})
	}
}

func TestEitherNumberOrService(t *testing.T) {
	for _, settings := range []map[string]string{
		{"from": "+15557654321", "messaging_service_sid": "MG" + strings.Repeat("5f", 16)}, {},
	} {
		settings["account_sid"], settings["to"], settings["link_base"] = accountSID, "+15551234567", notifytest.Base
		settings["content_decision"], settings["content_notice"] = decision, notice
		_, err := notify.NewConfig(WhatsApp(), "ana", settings, map[string]notify.Secret{"token": {Env: "TOKEN"}}, false)
		if err == nil || !strings.Contains(err.Error(), "one of from and messaging_service_sid") {
			t.Error(err)
		}
	}
}
