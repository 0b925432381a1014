package telegram

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const token = "123456789:AAF-abcdefghijklmnopqrstuvwxyz012345"

func open(t *testing.T, base string, doer notify.Doer, settings ...string) notify.Channel {
	t.Helper()
	values := map[string]string{"chat_id": "-1001234567890", "api_url": base}
	for i := 0; i < len(settings); i += 2 {
		values[settings[i]] = settings[i+1]
	}
	c, err := notify.NewConfig(Kind(), "ops", values, map[string]notify.Secret{"token": {Env: "TOKEN"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(doer, map[string]string{"TOKEN": token}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

const taken = `{"ok":true,"result":{"message_id":4711,"chat":{"id":-1001234567890,"type":"supergroup"},"date":1763607845,"text":"…"}}`

func TestPayload(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
	receipt, err := open(t, server.URL, nil, "thread_id", "12").Send(t.Context(), notifytest.Message(notify.Validated))
	if err != nil || receipt.Reference != "4711" {
		t.Fatalf("%+v %v", receipt, err)
	}
	r := server.Only(t)
	if r.Method != "POST" || r.Path != "/bot"+token+"/sendMessage" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	want := `{"chat_id":-1001234567890,"message_thread_id":12,` +
		`"text":"⚠ Action recommended\ncheckout\nRequests are slow since 03:00.\nP95 1847 ms · errors 8 % · score 61 of 100\n` +
		`Likely cause: the connection pool is exhausted (3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)\n` +
		`Confidence: 87 %\nThe link works until 03:09:05 UTC.\nNothing will run without your approval.\nledger 1234 · abcd1234",` +
		`"link_preview_options":{"is_disabled":true},"disable_notification":false,` +
		`"reply_markup":{"inline_keyboard":[[{"text":"Look and decide","url":"` + notifytest.Link + `"}]]}}`
	if string(r.Body) != want {
		t.Errorf("got  %s\nwant %s", r.Body, want)
	}
}

func TestOnlyWhatIsToBeDecidedHasAButton(t *testing.T) {
	for _, event := range notify.Events {
		server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
		if _, err := open(t, server.URL, nil, "chat_id", "@shop_ops").Send(t.Context(), notifytest.Message(event)); err != nil {
			t.Fatal(err)
		}
		var p map[string]any
		if err := json.Unmarshal(server.Only(t).Body, &p); err != nil {
			t.Fatal(err)
		}
		_, button := p["reply_markup"]
		if button != (event == notify.Validated || event == notify.Escalation) || p["chat_id"] != "@shop_ops" || p["parse_mode"] != nil {
			t.Errorf("%s: %v", event, p)
		}
		if silent := event == notify.Recovered || event == notify.TargetUp || event == notify.Test; p["disable_notification"] != silent {
			t.Errorf("%s: disable_notification %v", event, p["disable_notification"])
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   notify.Error
		mend   string
	}{
		{429, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 34","parameters":{"retry_after":34}}`,
			notify.Error{Retry: true, After: 34 * time.Second}, "sent again"},
		{401, `{"ok":false,"error_code":401,"description":"Unauthorized"}`, notify.Error{}, "@BotFather"},
		{404, `{"ok":false,"error_code":404,"description":"Not Found"}`, notify.Error{}, "@BotFather"},
		{400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, notify.Error{}, "chat_id"},
		{400, `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-100987}}`,
			notify.Error{}, "chat_id to -100987"},
		{400, `{"ok":false,"error_code":400,"description":"Bad Request: BUTTON_URL_INVALID"}`, notify.Error{}, "public_url"},
		{400, `{"ok":false,"error_code":400,"description":"Bad Request: message thread not found"}`, notify.Error{}, "thread_id"},
		{403, `{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}`, notify.Error{}, "unblock"},
		{400, `{"ok":false,"error_code":400,"description":"Bad Request: not enough rights to send text messages to the chat"}`, notify.Error{}, "let the bot post"},
		{400, `{"ok":false,"error_code":400,"description":"Bad Request: have no rights to send a message"}`, notify.Error{}, "let the bot post"},
		{403, `{"ok":false,"error_code":403,"description":"Forbidden: bot can't initiate conversation with a user"}`, notify.Error{}, "write to the bot first"},
		{403, `{"ok":false,"error_code":403,"description":"Forbidden: bot was kicked from the supergroup chat"}`, notify.Error{}, "to the group again"},
		{502, `<html>Bad Gateway</html>`, notify.Error{Retry: true}, "sent again"},
		{200, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, notify.Error{}, "chat_id"},
		{200, `<html>a portal of the hotel</html>`, notify.Error{Unsure: true}, "api_url"},
		{200, ``, notify.Error{Unsure: true}, "api_url"},
	} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Body: tt.body})
		e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), notifytest.Message(notify.Incident), token)
		if e.Retry != tt.want.Retry || e.After != tt.want.After || e.Unsure != tt.want.Unsure || e.Status != tt.status || !strings.Contains(e.Mend, tt.mend) {
			t.Errorf("%d %s: %+v", tt.status, tt.body, e)
		}
	}
}

func TestFaults(t *testing.T) {
	notifytest.Faults(t, func(t *testing.T, base string, doer notify.Doer) notify.Channel { return open(t, base, doer) }, token)
}

func TestHostileText(t *testing.T) {
	for _, event := range notify.Events {
		server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
		if _, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Hostile(event)); err != nil {
			t.Fatal(err)
		}
		var p struct{ Text string }
		if err := json.Unmarshal(server.Only(t).Body, &p); err != nil {
			t.Fatal(err)
		}
		if found := notifytest.Signs(p.Text); found != nil || len([]rune(p.Text)) > notify.MaxShort {
			t.Errorf("%s: %q in %d characters of %q", event, found, len([]rune(p.Text)), p.Text)
		}
	}
}

// Telegram repeats a button's URL in its refusal, and whoever has that can decide.
func TestTheLinkIsNotRepeated(t *testing.T) {
	m := notifytest.Message(notify.Validated)
	server := notifytest.NewServer(t, notifytest.Answer{Status: 400, Body: `{"ok":false,"error_code":400,` +
		`"description":"Bad Request: inline keyboard button URL '` + m.Link + `' is invalid: Wrong HTTP URL"}`})
	e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), m, m.Secrets()[0], "eyJ")
	if !strings.Contains(e.Text, "token=***' is invalid") || !strings.Contains(e.Mend, "public_url") {
		t.Errorf("%+v", e)
	}
}

// What others wrote is no command that a tap would send.
func TestNoCommands(t *testing.T) {
	for in, want := range map[string]string{
		"/orders":                      "[/]orders",
		"POST /orders is slow":         "POST [/]orders is slow",
		"GET /api/v1/orders/{id}":      "GET /api/v1/orders/{id}",
		"(/stop) /a /b, /c/d /e/":      "([/]stop) [/]a [/]b, /c/d /e/",
		"+12/−3 and 1/2 a/b / //c .":   "+12/−3 and 1/2 a/b / //c .",
		"ä/stop":                       "ä[/]stop",
		"\"/deploy(at)other_bot\"\n/x": "\"[/]deploy(at)other_bot\"\n[/]x",
	} {
		if got := uncommand(in); got != want {
			t.Errorf("%q becomes %q instead of %q", in, got, want)
		}
	}
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: taken})
	m := notifytest.Message(notify.Incident)
	m.Changes = []string{`"/shutdown"`}
	if _, err := open(t, server.URL, nil).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if body := string(server.Only(t).Body); !strings.Contains(body, "[/]shutdown") || strings.Contains(body, `"/shutdown`) {
		t.Error(body)
	}
}

// A secret that is none must not be put into a path.
func TestTokenThatIsNone(t *testing.T) {
	c, err := notify.NewConfig(Kind(), "ops", map[string]string{"chat_id": "1"}, map[string]notify.Secret{"token": {Env: "TOKEN"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "a/../b", "a b", "a\nb", "a?b"} {
		channel, _ := c.Open([]notify.Kind{Kind()}, notifytest.Outside(nil, map[string]string{"TOKEN": wrong}))
		notifytest.Refusal(t, t.Context(), channel, notifytest.Message(notify.Test))
	}
}
