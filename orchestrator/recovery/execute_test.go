package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/countersign-dev/countersign/orchestrator/egress"
)

const runKey = "inc-850da6-1767323095-0123456789abcdef"

// hook is the other side: it keeps what came, and answers each request by the
// next of its answers, the last one for all that follow.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	answers []http.HandlerFunc
	came    []*http.Request
	bodies  []string
}

func newHook(t *testing.T, answers ...http.HandlerFunc) *hook {
	t.Helper()
	h := &hook{answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.came, h.bodies = append(h.came, r), append(h.bodies, string(body))
	answer := h.answers[0]
	if len(h.answers) > 1 {
		h.answers = h.answers[1:]
	}
	h.mu.Unlock()
	answer(w, r)
}

func (h *hook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.came)
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, "this is %d", code)
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// cut ends the connection in the middle of the answer's body.
func cut(w http.ResponseWriter, _ *http.Request) {
	conn, out, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = out.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeg")
		_ = out.Flush()
		_ = conn.Close()
	}
}

func gate(shadow bool) *egress.Gate {
	return egress.New(egress.Options{Shadow: func(string) bool { return shadow }, Log: slog.New(slog.DiscardHandler)})
}

// at is the action, to be sent to a server on this machine.
func (h *hook) at() Action {
	a := restart()
	a.URL, a.AllowPrivate, a.Timeout = h.URL+"/hooks/restart", true, 5*time.Second
	return a
}

func TestExecuteSendsWhatThePreviewShows(t *testing.T) {
	h := newHook(t, status(202))
	a := h.at()
	a.Body = `{"incident":"{{incident_id}}","by":"{{approver}}","at":"{{time}}","service":"{{service}}"}`
	v := someVars()
	v.Service = "checkout\r\nX-Evil: 1 \"} <é>"
	key := Key(v.IncidentID, a.Digest())
	p := a.Preview(v)
	r, err := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, v, key)
	if err != nil || h.count() != 1 {
		t.Fatal(r, err)
	}
	req, body := h.came[0], h.bodies[0]
	if req.Method != p.Method || h.URL+req.RequestURI != p.URL || body != p.Body {
		t.Errorf("%s %s %q came, the preview has %s %s %q", req.Method, req.RequestURI, body, p.Method, p.URL, p.Body)
	}
	// Header by header: those of the preview, that of the body's length, and no other.
	want := map[string]string{"Content-Length": fmt.Sprint(len(body)), "Connection": "close"}
	for _, f := range p.Headers {
		want[f.Name] = f.Value
	}
	want["Authorization"] = "Bearer " + bearer
	want["Webhook-Timestamp"], want["Webhook-Signature"] = req.Header.Get("Webhook-Timestamp"), req.Header.Get("Webhook-Signature")
	if len(req.Header) != len(want) {
		t.Errorf("%q came, want %q", req.Header, want)
	}
	for name, value := range want {
		if got := req.Header[name]; len(got) != 1 || got[0] != value {
			t.Errorf("the header %s is %q, want %q", name, got, value)
		}
	}
	if r.RequestDigest != p.RequestDigest || r.ActionDigest != p.Digest || r.Outcome != Accepted || r.Status != 202 || r.Attempts != 1 ||
		r.Key != key || r.Response != "this is 202" || r.ResponseBytes != 11 || r.Note != "" || r.Action != "restart" || r.Ended.Before(r.Started) {
		t.Errorf("%+v", r)
	}
	if req.Header.Get("Idempotency-Key") != key || req.Header.Get("Webhook-Id") != key {
		t.Error("the key is not sent")
	}
}

func TestSignaturesVerify(t *testing.T) {
	h := newHook(t, status(503), status(200))
	a := h.at()
	other := secretPrefix + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
	e := (&waits{}).executor()
	e.Getenv = func(name string) string {
		if name == "KEY" {
			return other + "\n" + signingKey + "\n" // one is being replaced by the other
		}
		return environment(name)
	}
	if _, err := e.Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey); err != nil {
		t.Fatal(err)
	}
	for i, req := range h.came {
		for _, key := range []string{signingKey, other} {
			wh, err := standardwebhooks.NewWebhook(key)
			if err != nil {
				t.Fatal(err)
			}
			if err := wh.Verify([]byte(h.bodies[i]), req.Header); err != nil {
				t.Errorf("try %d: %v", i, err)
			}
			if wh.Verify([]byte(h.bodies[i]+" "), req.Header) == nil {
				t.Error("an altered body verifies")
			}
			changed := req.Header.Clone()
			changed.Set("Webhook-Id", "another")
			if wh.Verify([]byte(h.bodies[i]), changed) == nil {
				t.Error("another id verifies")
			}
		}
	}
	stranger, err := standardwebhooks.NewWebhook(secretPrefix + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if stranger.Verify([]byte(h.bodies[0]), h.came[0].Header) == nil {
		t.Error("a stranger's key verifies")
	}
}

func TestAnswers(t *testing.T) {
	elsewhere := newHook(t, status(200))
	for _, c := range []struct {
		name       string
		answers    []http.HandlerFunc
		idempotent bool
		outcome    Outcome
		status     int
		attempts   int
		waits      string
		says       string
	}{
		{"accepted", []http.HandlerFunc{status(200)}, false, Accepted, 200, 1, "", ""},
		{"no content", []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }}, false, Accepted, 204, 1, "", ""},
		{"bad request", []http.HandlerFunc{status(400)}, true, Refused, 400, 1, "", "restart was answered with status 400: check the body and the headers in the catalogue"},
		{"unauthorized", []http.HandlerFunc{status(401)}, true, Refused, 401, 1, "", "compare the key env:KEY or the token in the headers with what the other side has"},
		{"not found", []http.HandlerFunc{status(404)}, true, Refused, 404, 1, "", "check the url in the catalogue"},
		{"wrong method", []http.HandlerFunc{status(405)}, true, Refused, 405, 1, "", "check the method, POST, in the catalogue"},
		{"its fault", []http.HandlerFunc{status(500)}, true, Refused, 500, 1, "", "look into the log of the other side"},
		{"redirected to another host", []http.HandlerFunc{status(302, "Location", elsewhere.URL)}, true, Refused, 302, 1, "", "redirects are not followed, give the URL that it ends at"},
		{"redirected to itself", []http.HandlerFunc{status(307, "Location", "/hooks/restart")}, true, Refused, 307, 1, "", "redirects are not followed"},
		{"unavailable, then accepted", []http.HandlerFunc{status(503), status(200)}, false, Accepted, 200, 2, "1s", ""},
		{"bad gateway, then accepted", []http.HandlerFunc{status(502), status(504), status(429), status(200)}, false, Accepted, 200, 4, "1s 2s 4s", ""},
		{"always unavailable", []http.HandlerFunc{status(503)}, false, Refused, 503, 4, "1s 2s 4s", "the other side asks to wait, try later"},
		{"always a gateway", []http.HandlerFunc{status(504)}, false, Unknown, 504, 4, "1s 2s 4s", "a gateway answered in its place, look there whether it ran"},
		{"asks to wait", []http.HandlerFunc{status(429, "Retry-After", "7"), status(200)}, false, Accepted, 200, 2, "7s", ""},
		{"asks to wait for less", []http.HandlerFunc{status(503, "Retry-After", "0"), status(200)}, false, Accepted, 200, 2, "1s", ""},
		{"asks to wait for long", []http.HandlerFunc{status(429, "Retry-After", "120")}, true, Refused, 429, 1, "", "the other side asks to wait 2m, try after that"},
		{"asks to wait for ever", []http.HandlerFunc{status(429, "Retry-After", "9999999999999")}, true, Refused, 429, 1, "", "the other side asks to wait"},
		{"asks in the past", []http.HandlerFunc{status(503, "Retry-After", "Thu, 01 Jan 1970 00:00:00 GMT"), status(200)}, false, Accepted, 200, 2, "1s", ""},
		{"asks nonsense", []http.HandlerFunc{status(503, "Retry-After", "-5"), status(200)}, false, Accepted, 200, 2, "1s", ""},
		{"no answer", []http.HandlerFunc{hangUp}, false, Unknown, 0, 1, "", "restart was sent, and it is not known whether it ran (connection closed before the end of the answer): look at the other side for the key " + runKey},
		{"no answer, idempotent", []http.HandlerFunc{hangUp, status(200)}, true, Accepted, 200, 2, "1s", ""},
		{"no answer, then refused", []http.HandlerFunc{hangUp, status(409)}, true, Unknown, 409, 2, "1s", "restart was answered with status 409"},
		{"never an answer, idempotent", []http.HandlerFunc{hangUp}, true, Unknown, 0, 4, "1s 2s 4s", "it is not known whether it ran"},
		{"cut in the middle of the answer", []http.HandlerFunc{cut}, false, Accepted, 200, 1, "", ""},
	} {
		h, w := newHook(t, c.answers...), &waits{}
		a := h.at()
		a.Idempotent = c.idempotent
		r, err := w.executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey)
		says := ""
		if err != nil {
			says = err.Error()
		}
		if r.Outcome != c.outcome || r.Status != c.status || r.Attempts != c.attempts || h.count() != c.attempts || w.String() != c.waits {
			t.Errorf("%s: %+v, %d came, waits %q, %v", c.name, r, h.count(), w, err)
		}
		if (err == nil) != (c.outcome == Accepted) || !strings.Contains(says, c.says) || err != nil && r.Note != says {
			t.Errorf("%s says %q (note %q), want %q", c.name, says, r.Note, c.says)
		}
		if failed, ok := errors.AsType[*Error](err); err != nil && (!ok || failed.Outcome != r.Outcome || failed.Status != r.Status) {
			t.Errorf("%s: %+v", c.name, failed)
		}
		for _, req := range h.came {
			if req.Header.Get("Idempotency-Key") != runKey {
				t.Errorf("%s: a try has another key", c.name)
			}
		}
	}
	if elsewhere.count() != 0 {
		t.Error("a redirect was followed to another host")
	}
}

func TestARetryAfterDateIsKept(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"Fri, 02 Jan 2026 03:04:25 GMT": 20 * time.Second, "20": 20 * time.Second, " 20 ": 20 * time.Second, "": 0, "soon": 0, "1.5": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q is %s, want %s", value, got, want)
		}
	}
}

func TestSlowAndHugeAnswers(t *testing.T) {
	release := make(chan struct{})
	h := newHook(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/huge":
			_, _ = io.WriteString(w, strings.Repeat("x", 2*maxResponse))
			return
		case "/slow":
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	defer close(release)
	for _, c := range []struct {
		path    string
		outcome Outcome
		status  int
		bytes   int
		note    string
	}{
		{"/huge", Accepted, 200, maxResponse, ""},
		{"/slow", Accepted, 200, 5, "the rest of the answer was not read: timed out after 0.5 s"},
		{"/never", Unknown, 0, 0, "restart was sent, and it is not known whether it ran (timed out after 0.5 s): look at the other side for the key " + runKey},
	} {
		a := h.at()
		a.URL, a.Timeout = h.URL+c.path, 500*time.Millisecond
		if c.path == "/huge" {
			a.Timeout = 5 * time.Second
		}
		r, _ := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey)
		if r.Outcome != c.outcome || r.Status != c.status || r.ResponseBytes != c.bytes || r.Note != c.note || r.Attempts != 1 || len([]rune(r.Response)) > maxExcerpt {
			t.Errorf("%s: %+v", c.path, r)
		}
	}
}

func TestEchoedSecretsAreStruckOut(t *testing.T) {
	h := newHook(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		_, _ = fmt.Fprintf(w, "%s\r\n\x1b[31m%s %s", r.Header.Get("Authorization"), signingKey[:12]+"\u200b"+signingKey[12:], strings.Repeat("y", 1000))
	})
	a := h.at()
	r, err := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey)
	if err == nil || !strings.HasPrefix(r.Response, "Bearer *** [31mwhsec_*** yyy") || len([]rune(r.Response)) != maxExcerpt {
		t.Errorf("%q", r.Response)
	}
}

func TestTheCallerCanEndIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := newHook(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		status(503)(w, r)
	})
	a := h.at()
	r, err := (&waits{}).executor().Execute(ctx, gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey)
	if err == nil || h.count() != 1 || r.Attempts != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestAnExecutorIsReadyAsItIs(t *testing.T) {
	h := newHook(t, status(200))
	a := h.at()
	a.Secret.Env, a.SecretHeaders = "COUNTERSIGN_TEST_KEY", nil
	t.Setenv("COUNTERSIGN_TEST_KEY", signingKey)
	r, err := Executor{}.Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey)
	if err != nil || r.Outcome != Accepted {
		t.Errorf("%+v %v", r, err)
	}
	e := Executor{}.ready()
	for range 100 {
		if d := e.Jitter(time.Second); d < time.Second/2 || d > time.Second {
			t.Fatal(d)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if e.Wait(ended, time.Hour) == nil || e.Wait(t.Context(), 0) != nil {
		t.Error("waiting does not end as it should")
	}
}
