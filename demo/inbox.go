package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/valyala/fasthttp"
)

const (
	// inboxPath is where messages are posted.
	inboxPath = "/messages"
	// inboxSize is how many of the newest messages are kept.
	inboxSize = 100
	// maxMessage is how long a message may be.
	maxMessage = 64 << 10
)

// Inbox stands for the phone of the person who is told: it receives what a
// webhook channel sends, and shows it on a page.
//
//	GET  /           the messages, newest first
//	POST /messages   a CloudEvent, signed as Standard Webhooks has it
type Inbox struct {
	server *fasthttp.Server
	ln     net.Listener
	key    *webhooks.Webhook
	done   chan struct{}

	mu       sync.Mutex // guards what follows
	messages []message  // the oldest first
	empty    func() string
}

// message is what an Inbox shows of one that it received.
type message struct {
	id   string // one that comes again is shown once
	at   time.Time
	text string // of the whole message, line by line
	link string // where to decide; empty when there is nothing to
}

// OpenInbox starts an inbox on addr. Messages must be signed with secret. Close
// it.
func OpenInbox(addr, secret string) (*Inbox, error) {
	key, err := webhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("the inbox cannot use its secret: %w", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the inbox cannot listen on %s: %w", addr, err)
	}
	i := &Inbox{ln: ln, key: key, done: make(chan struct{}), empty: func() string { return "No messages yet." }}
	i.server = &fasthttp.Server{
		Name: "demo-inbox", Handler: i.handle, Logger: silent{}, CloseOnShutdown: true,
		MaxRequestBodySize: maxMessage, ReadTimeout: 10 * time.Second,
	}
	go func() {
		defer close(i.done)
		_ = i.server.Serve(ln) // ends when the listener is closed
	}()
	return i, nil
}

// Addr is the host and port of the inbox.
func (i *Inbox) Addr() string { return i.ln.Addr().String() }

// URL is where messages are posted.
func (i *Inbox) URL() string { return "http://" + i.Addr() + inboxPath }

// WhenEmpty has the page show a text, line by line, while no message has come.
// It is asked for anew each time.
func (i *Inbox) WhenEmpty(text func() string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.empty = text
}

// Close stops the inbox.
func (i *Inbox) Close() {
	_ = i.ln.Close()
	<-i.done
}

func (i *Inbox) handle(ctx *fasthttp.RequestCtx) {
	switch method, path := string(ctx.Method()), string(ctx.Path()); {
	case path == "/" && (method == "GET" || method == "HEAD"):
		ctx.SetContentType("text/html; charset=utf-8")
		ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		ctx.SetBodyString(i.page())
	case path == inboxPath && method == "POST":
		if err := i.receive(ctx.PostBody(), signed(ctx)); err != nil {
			reply(ctx, 400, map[string]any{"error": err.Error()})
			return
		}
		ctx.SetStatusCode(204)
	default:
		reply(ctx, 404, map[string]any{"error": "the inbox is at /, and messages are posted to " + inboxPath})
	}
}

// signed are the headers of a request by which a signature is verified.
func signed(ctx *fasthttp.RequestCtx) http.Header {
	h := http.Header{}
	for _, name := range []string{webhooks.HeaderWebhookID, webhooks.HeaderWebhookTimestamp, webhooks.HeaderWebhookSignature} {
		h.Set(name, string(ctx.Request.Header.Peek(name)))
	}
	return h
}

// receive takes in a message that is signed.
func (i *Inbox) receive(body []byte, h http.Header) error {
	if err := i.key.Verify(body, h); err != nil {
		return fmt.Errorf("the signature is not right: %w", err)
	}
	var event struct {
		ID   string    `json:"id"`
		Time time.Time `json:"time"`
		Data struct {
			Text string `json:"text"`
			Link string `json:"link"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return fmt.Errorf("it must be a CloudEvent as JSON: %w", err)
	}
	if event.ID == "" {
		return errors.New("the event has no id")
	}
	m := message{id: event.ID, at: event.Time, text: event.Data.Text}
	if u, err := url.Parse(event.Data.Link); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		m.link = event.Data.Link
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if slices.ContainsFunc(i.messages, func(known message) bool { return known.id == m.id }) {
		return nil
	}
	i.messages = append(i.messages, m)
	i.messages = i.messages[max(0, len(i.messages)-inboxSize):]
	return nil
}

const inboxHead = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="3"><title>Inbox (%d)</title>
<style>
:root{color-scheme:light dark;font:16px/1.45 system-ui,sans-serif}
body{max-width:34rem;margin:0 auto;padding:1rem}
article{border:1px solid #8886;border-radius:.6rem;padding:.8rem 1rem;margin:1rem 0}
pre{font:inherit;white-space:pre-wrap;overflow-wrap:anywhere;margin:.3rem 0}
time{opacity:.7;font-size:.85rem}
a{display:inline-block;padding:.7rem 1.2rem;border-radius:.5rem;background:#0b57d0;color:#fff;text-decoration:none;font-weight:600}
</style></head><body><h1>Inbox</h1>
<p>What Countersign sends to the person on call in this demo. The page looks for more every three seconds.</p>
`

// page is the inbox as HTML, without script.
func (i *Inbox) page() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, inboxHead, len(i.messages))
	if len(i.messages) == 0 {
		_, _ = fmt.Fprintf(&b, "<pre>%s</pre>\n", html.EscapeString(i.empty()))
	}
	for _, m := range slices.Backward(i.messages) {
		text := m.text
		if m.link != "" { // it is the button
			text = strings.ReplaceAll(text, "Look and decide:\n"+m.link+"\n", "")
		}
		_, _ = fmt.Fprintf(&b, "<article><time>%s UTC</time><pre>%s</pre>\n", m.at.UTC().Format(time.TimeOnly), html.EscapeString(text))
		if m.link != "" {
			_, _ = fmt.Fprintf(&b, "<p><a href=\"%s\">Look and decide</a></p>\n", html.EscapeString(m.link))
		}
		b.WriteString("</article>\n")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}
