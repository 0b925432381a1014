package notifytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Open makes the channel under test, which sends to a base URL by doer.
type Open func(t *testing.T, base string, doer notify.Doer) notify.Channel

// client is one that trusts certificates of pool, or the machine's.
func client(pool *x509.CertPool) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Refusal sends a message that must not be taken, and returns why. No secret
// may be found in that.
func Refusal(t *testing.T, ctx context.Context, c notify.Channel, m notify.Message, secrets ...string) *notify.Error {
	t.Helper()
	receipt, err := c.Send(ctx, m)
	if err == nil {
		t.Fatalf("the message was taken: %+v", receipt)
	}
	e, ok := errors.AsType[*notify.Error](err)
	if !ok {
		t.Fatalf("%T is no *notify.Error: %v", err, err)
	}
	if e.Text == "" || e.Mend == "" {
		t.Errorf("the error does not say what is wrong and how to mend it: %+v", e)
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		for _, secret := range secrets {
			if text := fmt.Sprintf("%v %+v", cause, cause); strings.Contains(text, secret) {
				t.Errorf("a secret is in the error %q", text)
			}
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n\x1b") {
		t.Errorf("the error is not one clean line: %q", err.Error())
	}
	return e
}

// Faults runs what every channel over HTTP must survive. The secrets are those
// of the channel that open makes.
func Faults(t *testing.T, open Open, secrets ...string) {
	t.Run("answers", func(t *testing.T) { answers(t, open, secrets) })
	t.Run("redirect", func(t *testing.T) { redirect(t, open, secrets) })
	t.Run("connection", func(t *testing.T) { connection(t, open, secrets) })
	t.Run("tls", func(t *testing.T) { certificates(t, open, secrets) })
	t.Run("message", func(t *testing.T) { unsendable(t, open) })
	t.Run("echo", func(t *testing.T) { echoes(t, open, secrets) })
	t.Run("bodies", func(t *testing.T) { bodies(t, open, secrets) })
}

func answers(t *testing.T, open Open, secrets []string) {
	echo := strings.Join(secrets, " ")
	for _, tt := range []struct {
		name   string
		answer Answer
		retry  bool
		after  time.Duration
	}{
		{"500", Answer{Status: 500, Body: "<html>\r\n\x1b[31moops " + echo}, true, 0},
		{"502", Answer{Status: 502}, true, 0},
		{"503 with Retry-After", Answer{Status: 503, Header: map[string]string{"Retry-After": "7"}}, true, 7 * time.Second},
		{"504", Answer{Status: 504}, true, 0},
		{"501", Answer{Status: 501}, false, 0},
		{"400", Answer{Status: 400, Body: `{"what":"` + echo + `"}`}, false, 0},
		{"403", Answer{Status: 403, Body: echo}, false, 0},
		{"408", Answer{Status: 408}, true, 0},
		{"429", Answer{Status: 429}, true, 0},
		{"429 with Retry-After", Answer{Status: 429, Header: map[string]string{"Retry-After": "30"}}, true, 30 * time.Second},
		{"429 with a date", Answer{Status: 429, Header: map[string]string{
			"Date": "Fri, 20 Nov 2026 03:04:05 GMT", "Retry-After": "Fri, 20 Nov 2026 03:05:05 GMT",
		}}, true, time.Minute},
		{"429 for a year", Answer{Status: 429, Header: map[string]string{"Retry-After": "31536000"}}, true, time.Hour},
		{"429 with nonsense", Answer{Status: 429, Header: map[string]string{"Retry-After": "-1 soon"}}, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := NewServer(t, tt.answer)
			e := Refusal(t, t.Context(), open(t, server.URL, nil), Message(notify.Validated), secrets...)
			if e.Retry != tt.retry || e.After != tt.after || e.Status != tt.answer.Status || e.Unsure != (e.Status == http.StatusGatewayTimeout) {
				t.Errorf("%+v", e)
			}
			server.Only(t)
		})
	}
}

// A redirect is not followed: what was sent has secrets in it.
func redirect(t *testing.T, open Open, secrets []string) {
	elsewhere := NewServer(t, Answer{Status: 200, Body: "ok"})
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := NewServer(t, Answer{Status: status, Header: map[string]string{"Location": elsewhere.URL + "/" + strings.Join(secrets, "")}})
		e := Refusal(t, t.Context(), open(t, server.URL, nil), Message(notify.Validated), secrets...)
		if e.Retry || e.Status != status {
			t.Errorf("%d: %+v", status, e)
		}
		server.Only(t)
	}
	if n := len(elsewhere.requests); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func connection(t *testing.T, open Open, secrets []string) {
	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		e := Refusal(t, t.Context(), open(t, "http://"+l.Addr().String(), nil), Message(notify.Validated), secrets...)
		if !e.Retry || e.Unsure {
			t.Errorf("%+v", e)
		}
	})
	t.Run("closed without an answer", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		defer server.Close()
		e := Refusal(t, t.Context(), open(t, server.URL, nil), Message(notify.Validated), secrets...)
		if !e.Retry || !e.Unsure {
			t.Errorf("%+v", e)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		over := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
		defer server.Close()
		defer close(over)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		e := Refusal(t, ctx, open(t, server.URL, nil), Message(notify.Validated), secrets...)
		if !e.Retry || !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("ended by us", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel(); <-over }))
		defer server.Close()
		defer close(over)
		e := Refusal(t, ctx, open(t, server.URL, nil), Message(notify.Validated), secrets...)
		if !e.Retry || !e.Unsure || !errors.Is(e, context.Canceled) {
			t.Errorf("%+v", e)
		}
	})
	t.Run("refused by the outside", func(t *testing.T) {
		e := Refusal(t, t.Context(), open(t, "http://127.0.0.1:1", closed{}), Message(notify.Validated), secrets...)
		if !errors.Is(e, errClosed) {
			t.Errorf("the cause is lost: %+v", e)
		}
	})
}

var errClosed = errors.New("nothing may leave")

type closed struct{}

func (closed) Do(*http.Request) (*http.Response, error) { return nil, errClosed }

func certificates(t *testing.T, open Open, secrets []string) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	defer server.Close()
	plain := NewServer(t, Answer{Status: 200})
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	for _, tt := range []struct {
		name, base, says string
		pool             *x509.CertPool
	}{
		{"unknown authority", server.URL, "unknown authority", x509.NewCertPool()},
		{"another host", strings.Replace(server.URL, "127.0.0.1", "localhost", 1), "not for localhost", trusted},
		{"no TLS", strings.Replace(plain.URL, "http://", "https://", 1), "not TLS", trusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Refusal(t, t.Context(), open(t, tt.base, client(tt.pool)), Message(notify.Validated), secrets...)
			if e.Retry || e.Unsure || !strings.Contains(e.Text, tt.says) {
				t.Errorf("%+v", e)
			}
		})
	}
}

// unsendable are messages that no channel may try to send.
func unsendable(t *testing.T, open Open) {
	server := NewServer(t, Answer{Status: 200})
	c := open(t, server.URL, nil)
	for name, change := range map[string]func(*notify.Message){
		"no id":            func(m *notify.Message) { m.ID = "" },
		"a header in id":   func(m *notify.Message) { m.ID = "a\r\nB: c" },
		"no event":         func(m *notify.Message) { m.Event = "rumour" },
		"a script as link": func(m *notify.Message) { m.Link = "javascript:alert(1)" },
		"a header in link": func(m *notify.Message) { m.Link = "https://a.example/\r\nB: c" },
		"markup in link":   func(m *notify.Message) { m.Link = `https://a.example/"><b>` },
		"password in link": func(m *notify.Message) { m.Link = "https://a:b@a.example/" },
		"an endless link":  func(m *notify.Message) { m.Link = "https://a.example/" + strings.Repeat("a", 2000) },
	} {
		m := Message(notify.Validated)
		change(&m)
		if e := Refusal(t, t.Context(), c, m); e.Retry {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if n := len(server.requests); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}
