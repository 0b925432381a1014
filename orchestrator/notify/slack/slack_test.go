package slack

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

// path is laid out as that of a real webhook. It is put together, as scanners
// for leaked secrets take it for one.
var path = "/services/" + "T00000000/B00000000/" + strings.Repeat("xAz9", 6)

func open(t *testing.T, base string, doer notify.Doer) notify.Channel {
	t.Helper()
	c, err := notify.NewConfig(Kind(), "ops", nil, map[string]notify.Secret{"url": {Env: "URL"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	channel, err := c.Open([]notify.Kind{Kind()}, notifytest.Outside(doer, map[string]string{"URL": base + path}))
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func TestPayload(t *testing.T) {
	server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: "ok"})
	if _, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Message(notify.Validated)); err != nil {
		t.Fatal(err)
	}
	r := server.Only(t)
	if r.Method != "POST" || r.Path != path || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	want := `{"text":"⚠ Action recommended: checkout – Requests are slow since 03:00.","mrkdwn":false,"unfurl_links":false,"unfurl_media":false,"blocks":[` +
		`{"type":"header","text":{"type":"plain_text","text":"⚠ Action recommended","emoji":false}},` +
		`{"type":"section","text":{"type":"plain_text","text":"checkout\nRequests are slow since 03:00.\nP95 1847 ms · errors 8 % · score 61\n` +
		`Likely cause: the connection pool is exhausted (3m ago — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)\nConfidence: 87 %","emoji":false}},` +
		`{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"Look and decide","emoji":false},"action_id":"countersign_decide","url":"` +
		notifytest.Link + `","style":"primary"}]},` +
		`{"type":"context","elements":[{"type":"plain_text","text":"Nothing will run without your approval.\nThe link works until 03:09:05 UTC.\nledger 1234 · abcd1234","emoji":false}]}]}`
	if string(r.Body) != want {
		t.Errorf("got  %s\nwant %s", r.Body, want)
	}
}

// Slack's limits: 150 characters in a header, 3,000 in a section, 2,000 in a
// context's text, 75 on a button.
func TestLimitsAndHostileText(t *testing.T) {
	for _, event := range notify.Events {
		server := notifytest.NewServer(t, notifytest.Answer{Status: 200, Body: "ok"})
		if _, err := open(t, server.URL, nil).Send(t.Context(), notifytest.Hostile(event)); err != nil {
			t.Fatal(err)
		}
		var p struct {
			Text   string
			Blocks []struct {
				Type     string
				Text     struct{ Type, Text string }
				Elements []struct {
					Type string
					Text any
					URL  string
				}
			}
		}
		if err := json.Unmarshal(server.Only(t).Body, &p); err != nil {
			t.Fatal(err)
		}
		if found := notifytest.Signs(p.Text); found != nil || strings.ContainsAny(p.Text, "<>") {
			t.Errorf("%s: %q in %q", event, found, p.Text)
		}
		limits := map[string]int{"header": 150, "section": 3000}
		for _, b := range p.Blocks {
			if n := len([]rune(b.Text.Text)); n > 0 && (b.Text.Type != "plain_text" || n > limits[b.Type]) || notifytest.Signs(b.Text.Text) != nil {
				t.Errorf("%s: a %s of %d characters: %q", event, b.Type, n, b.Text.Text)
			}
			for _, e := range b.Elements {
				text, plain := e.Text.(string)
				if e.Type == "button" && e.URL != notifytest.Link || e.Type != "button" && (e.Type != "plain_text" || !plain || len(text) > 2000) {
					t.Errorf("%s: %+v", event, e)
				}
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		header map[string]string
		body   string
		want   notify.Error
		mend   string
	}{
		{404, nil, "no_service", notify.Error{}, "new one in Slack"},
		{404, nil, "channel_not_found", notify.Error{}, "another"},
		{410, nil, "channel_is_archived", notify.Error{}, "another"},
		{403, nil, "action_prohibited", notify.Error{}, "administrator"},
		{403, nil, "invalid_token", notify.Error{}, "new one in Slack"},
		{400, nil, "user_not_found", notify.Error{}, "new one"},
		{400, nil, "invalid_blocks", notify.Error{}, "settings"},
		{429, map[string]string{"Retry-After": "30"}, `{"retry_after":30,"ok":false,"error":"rate_limited"}`, notify.Error{Retry: true, After: 30 * time.Second}, "sent again"},
		{500, nil, "rollup_error", notify.Error{Retry: true}, "sent again"},
		{200, nil, "<html>sign in</html>", notify.Error{Unsure: true}, "incoming webhook"},
	} {
		server := notifytest.NewServer(t, notifytest.Answer{Status: tt.status, Header: tt.header, Body: tt.body})
		e := notifytest.Refusal(t, t.Context(), open(t, server.URL, nil), notifytest.Message(notify.Incident), path)
		if e.Retry != tt.want.Retry || e.After != tt.want.After || e.Unsure != tt.want.Unsure || e.Status != tt.status || !strings.Contains(e.Mend, tt.mend) {
			t.Errorf("%d %s: %+v", tt.status, tt.body, e)
		}
	}
}

func TestFaults(t *testing.T) {
	notifytest.Faults(t, open, path, strings.Repeat("xAz9", 6))
}

func TestURLThatIsNone(t *testing.T) {
	c, err := notify.NewConfig(Kind(), "ops", nil, map[string]notify.Secret{"url": {Env: "URL"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "hooks.slack.example" + path, "http://hooks.slack.example" + path, "https://u:p@hooks.slack.example" + path, "https://hooks\r\n" + path} {
		channel, _ := c.Open([]notify.Kind{Kind()}, notifytest.Outside(nil, map[string]string{"URL": wrong}))
		notifytest.Refusal(t, t.Context(), channel, notifytest.Message(notify.Test), path)
	}
}

func TestEscape(t *testing.T) {
	if got := Escape("<!channel> & <https://a|b>"); got != "&lt;!channel&gt; &amp; &lt;https://a|b&gt;" {
		t.Error(got)
	}
}
