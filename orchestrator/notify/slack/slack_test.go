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
	c, err := notify.NewConfig(Kind(), "ops", nil, map[string]notify.Secret{"url": {Env: "URL"}}, true)
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
		`{"type":"section","text":{"type":"plain_text","text":"checkout\nRequests are slow since 03:00.\nP95 1847 ms · errors 8 % · score 61 of 100\n` +
		`Likely cause: the connection pool is exhausted (3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)\nConfidence: 87 %","emoji":false}},` +
		`{"type":"section","text":{"type":"mrkdwn","text":"👉 *\u003c` + notifytest.Link + `|Look and decide\u003e*"}},` +
		`{"type":"context","elements":[{"type":"plain_text","text":"Nothing will run without your approval.\nThe link works until 03:09:05 UTC.\nledger 1234 · abcd1234","emoji":false}]}]}`
	if string(r.Body) != want {
		t.Errorf("got  %s\nwant %s", r.Body, want)
	}
}

// Slack's limits: 150 characters in a header, 3,000 in a section, 2,000 in a
// context's text. The link alone is not plain text, and nothing reports a tap to
// an app that is not there.
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
				Elements []struct{ Type, Text string }
			}
		}
		if err := json.Unmarshal(server.Only(t).Body, &p); err != nil {
			t.Fatal(err)
		}
		if found := notifytest.Signs(p.Text); found != nil || strings.ContainsAny(p.Text, "<>") {
			t.Errorf("%s: %q in %q", event, found, p.Text)
		}
		limits := map[string]int{"header": 150, "section": 3000}
		links := 0
		for _, b := range p.Blocks {
			if b.Type == "section" && b.Text.Text == "👉 *<"+notifytest.Link+"|Look and decide>*" {
				links++
				continue
			}
			if n := len([]rune(b.Text.Text)); n > 0 && (b.Text.Type != "plain_text" || n > limits[b.Type]) || notifytest.Signs(b.Text.Text) != nil {
				t.Errorf("%s: a %s of %d characters: %q", event, b.Type, n, b.Text.Text)
			}
			for _, e := range b.Elements {
				if e.Type != "plain_text" || len([]rune(e.Text)) > 2000 || notifytest.Signs(e.Text) != nil {
					t.Errorf("%s: %+v", event, e)
				}
			}
			if b.Type != "header" && b.Type != "section" && b.Type != "context" {
				t.Errorf("%s: a block of the type %s", event, b.Type)
			}
		}
		if asks := event == notify.Validated || event == notify.Escalation; asks != (links == 1) {
			t.Errorf("%s: %d links", event, links)
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
		{400, nil, "invalid_blocks", notify.Error{}, "report this"},
		{400, nil, "invalid_payload", notify.Error{}, "report this"},
		{400, nil, "no_text", notify.Error{}, "report this"},
		{403, nil, "team_access_not_granted", notify.Error{}, "administrator"},
		{404, nil, "no_active_hooks", notify.Error{}, "new one in Slack"},
		{404, nil, "<html>not Slack</html>", notify.Error{}, "incoming webhook"},
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
