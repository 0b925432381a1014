package demo

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const testSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// post sends a body signed with a secret.
func post(t *testing.T, url, secret, id, body string) (status int, text string) {
	t.Helper()
	hook, err := webhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := hook.Sign(id, now, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func openInbox(t *testing.T) *Inbox {
	t.Helper()
	i, err := OpenInbox("127.0.0.1:0", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i
}

func TestInboxShowsSignedMessagesOnce(t *testing.T) {
	i := openInbox(t)
	const body = `{"id":"m1","time":"2026-01-02T03:04:05Z","data":{"text":"Action <b>recommended</b>\nLook and decide:\nhttp://127.0.0.1:1/action/recover?token=a.b.c\nNothing","link":"http://127.0.0.1:1/action/recover?token=a.b.c"}}`
	for range 2 {
		if status, text := post(t, i.URL(), testSecret, "m1", body); status != 204 {
			t.Fatalf("%d %s", status, text)
		}
	}
	_, page, err := ask("GET", "http://"+i.Addr()+"/", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Inbox (1)", "Action &lt;b&gt;recommended&lt;/b&gt;", `<a href="http://127.0.0.1:1/action/recover?token=a.b.c">`} {
		if strings.Count(page, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, page)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("the page has a script")
	}
	if strings.Contains(page, "Look and decide:") {
		t.Error("the words that lead to the link stand there without it")
	}
}

func TestEmptyInboxSaysWhatToDo(t *testing.T) {
	i := openInbox(t)
	hint := "No messages yet."
	shows := func(want string) {
		t.Helper()
		if _, page, err := ask("GET", "http://"+i.Addr()+"/", ""); err != nil || !strings.Contains(page, want) {
			t.Errorf("%q is not there: %v\n%s", want, err, page)
		}
	}
	shows(hint)
	i.WhenEmpty(func() string { return hint })
	hint = "do <this>"
	shows("do &lt;this&gt;")
	hint = "and that"
	shows("and that")
	post(t, i.URL(), testSecret, "m", `{"id":"m","data":{"text":"a message"}}`)
	if _, page, err := ask("GET", "http://"+i.Addr()+"/", ""); err != nil || strings.Contains(page, hint) {
		t.Errorf("the hint is there beside a message: %v\n%s", err, page)
	}
}

func TestInboxRefuses(t *testing.T) {
	i := openInbox(t)
	const other = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
	for _, tc := range []struct{ secret, body, want string }{
		{other, `{"id":"a"}`, "the signature is not right"},
		{testSecret, `no`, "it must be a CloudEvent"},
		{testSecret, `{}`, "the event has no id"},
	} {
		if status, text := post(t, i.URL(), tc.secret, "a", tc.body); status != 400 || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %d %s", tc.body, status, text)
		}
	}
	// What is no web address is never something to tap.
	post(t, i.URL(), testSecret, "b", `{"id":"b","data":{"text":"x","link":"javascript:alert(1)"}}`)
	if _, page, err := ask("GET", "http://"+i.Addr()+"/", ""); err != nil || !strings.Contains(page, "Inbox (1)") || strings.Contains(page, "href") {
		t.Errorf("%v\n%s", err, page)
	}
	if _, err := OpenInbox("127.0.0.1:0", "whsec_%"); err == nil {
		t.Error("a secret that is none was taken")
	}
}

func TestInboxKeepsTheNewest(t *testing.T) {
	i := openInbox(t)
	for n := range inboxSize + 5 {
		i.messages = append(i.messages, message{id: strings.Repeat("x", n+1)})
	}
	if status, _ := post(t, i.URL(), testSecret, "new", `{"id":"new","data":{"text":"the newest"}}`); status != 204 || len(i.messages) != inboxSize || i.messages[inboxSize-1].id != "new" {
		t.Errorf("%d, %d messages", status, len(i.messages))
	}
}

func TestSignedResetMends(t *testing.T) {
	a := open(t, 1)
	c, err := OpenControl("127.0.0.1:0", a, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reset := "http://" + c.Addr() + "/demo/reset"
	if err := a.SetFaults(Faults{LatencyMS: 100}); err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, reset, "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=", "k", "{}"); status != 401 || a.Faults() == (Faults{}) {
		t.Errorf("another's signature: %d %s, %+v", status, text, a.Faults())
	}
	if status, text := post(t, reset, testSecret, "k", "{}"); status != 200 || a.Faults() != (Faults{}) {
		t.Errorf("signed: %d %s, %+v", status, text, a.Faults())
	}
	if c.Actions() != 1 {
		t.Errorf("%d actions", c.Actions())
	}
}
