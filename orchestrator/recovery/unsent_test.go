package recovery

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/egress"
)

func TestWhatIsNotSent(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	h := newHook(t, status(200))
	for _, c := range []struct {
		name     string
		change   func(*Action)
		attempts int
		says     string
	}{
		{"nobody listens", func(a *Action) { a.URL = closed.URL }, 4, "restart was not sent (connection refused): check that the host of its url can be reached from here"},
		{"an unknown authority", func(a *Action) { a.URL = secure.URL }, 1, "the certificate is signed by an unknown authority"},
		{"no TLS there", func(a *Action) { a.URL = strings.Replace(h.URL, "http:", "https:", 1) }, 1, "restart was not sent (the answer is not TLS)"},
		{"a private address", func(a *Action) { a.AllowPrivate = false }, 1, "the address 127.0.0.1 is a loopback address and was not connected to: name the host in allow_hosts"},
		{"the metadata of a cloud", func(a *Action) { a.URL = "http://169.254.169.254/latest/meta-data/" }, 1, "is a link-local address"},
		{"no key", func(a *Action) { a.Secret.Env = "NONE" }, 0, "the secret in $NONE is empty: put it there"},
		{"an empty key", func(a *Action) { a.Secret.Env = "EMPTY" }, 0, "the secret in $EMPTY is empty"},
		{"no file", func(a *Action) { a.Secret = Secret{File: "/nowhere/key"} }, 0, "the secret in /nowhere/key cannot be read: no such file or directory"},
		{"what is no key", func(a *Action) { a.Secret.Env = "TOKEN" }, 0, "the secret env:TOKEN is no key of Standard Webhooks: make one with echo whsec_$(openssl rand -base64 32)"},
		{"what is no base64", func(a *Action) { a.Secret.Env = "NOKEY" }, 0, "is no key of Standard Webhooks"},
		{"a key that is too short", func(a *Action) { a.Secret.Env = "TINY" }, 0, "the secret env:TINY has a key of 3 bytes: it must have 24 to 64"},
		{"no token", func(a *Action) { a.SecretHeaders["Authorization"] = SecretHeader{Secret: Secret{Env: "NONE"}} }, 0, "the header Authorization: the secret in $NONE is empty"},
		{"a token of two lines", func(a *Action) { a.SecretHeaders["Authorization"] = SecretHeader{Secret: Secret{Env: "LINES"}} }, 0, "must be one line of printable ASCII"},
		{"a short token", func(a *Action) { a.SecretHeaders["Authorization"] = SecretHeader{Secret: Secret{Env: "SHORT"}} }, 0, "of 8 characters or more"},
	} {
		a := h.at()
		c.change(&a)
		r, err := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, someVars(), runKey)
		if err == nil || !strings.Contains(err.Error(), c.says) || r.Outcome != Unsent || r.Attempts != c.attempts || r.Status != 0 || r.RequestDigest == "" {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
		if err := a.CheckSecrets(environment); (err == nil) != (c.attempts > 0) {
			t.Errorf("%s: found before: %v", c.name, err)
		}
		for _, text := range []string{fmt.Sprintf("%+v", r), err.Error()} {
			if strings.Contains(text, bearer) || strings.Contains(text, strings.TrimPrefix(signingKey, secretPrefix)) {
				t.Errorf("%s: a secret stands in %s", c.name, text)
			}
		}
	}
	if h.count() != 0 {
		t.Error("something came")
	}
}

func TestATrustedAuthority(t *testing.T) {
	h := newHook(t, status(200))
	secure := httptest.NewTLSServer(h.Config.Handler)
	defer secure.Close()
	a := h.at()
	a.URL = secure.URL + "/hooks/restart"
	o := a.HTTP()
	o.RootCAs = x509.NewCertPool()
	o.RootCAs.AddCert(secure.Certificate())
	r, err := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", o), a, someVars(), runKey)
	if err != nil || r.Outcome != Accepted || h.count() != 1 || h.came[0].TLS == nil {
		t.Errorf("%+v %v", r, err)
	}
}

func TestIncompleteRunsAreRefused(t *testing.T) {
	h := newHook(t, status(200))
	a := h.at()
	for name, c := range map[string]struct {
		change func(*Vars)
		key    string
	}{
		"nobody approved":   {func(v *Vars) { v.Approver = " " }, runKey},
		"somebody unseen":   {func(v *Vars) { v.Approver = "\u200b" }, runKey},
		"no incident":       {func(v *Vars) { v.IncidentID = "" }, runKey},
		"no time":           {func(v *Vars) { v.Time = time.Time{} }, runKey},
		"no key":            {func(*Vars) {}, ""},
		"a key with breaks": {func(*Vars) {}, "a\r\nX: y"},
	} {
		v := someVars()
		c.change(&v)
		r, err := (&waits{}).executor().Execute(t.Context(), gate(false).HTTP("acme", a.HTTP()), a, v, c.key)
		if err == nil || r.Outcome != Unsent || r.Attempts != 0 {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	if h.count() != 0 {
		t.Error("something came")
	}
}

// TestNothingIsSentInShadow looks at the socket itself: connections to it are
// queued in order, and the first to come is the test's own.
func TestNothingIsSentInShadow(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	for name, change := range map[string]func(*Action){
		"signed":     func(*Action) {},
		"unsigned":   func(a *Action) { a.Unsigned, a.Secret = true, Secret{} },
		"idempotent": func(a *Action) { a.Idempotent = true },
		"by TLS":     func(a *Action) { a.URL = strings.Replace(a.URL, "http:", "https:", 1) },
		"shedding":   func(a *Action) { a.Shed, a.Method = true, "DELETE" },
	} {
		a, w := restart(), &waits{}
		a.URL, a.AllowPrivate = "http://"+listener.Addr().String()+"/", true
		change(&a)
		r, err := w.executor().Execute(t.Context(), gate(true).HTTP("acme", a.HTTP()), a, someVars(), runKey)
		if !errors.Is(err, egress.ErrShadow) || r.Outcome != Unsent || r.Attempts != 1 || w.String() != "" {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	own, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	first, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	if first.RemoteAddr().String() != own.LocalAddr().String() {
		t.Error("an action has made a connection")
	}
}

// Shadow mode comes on when the connection is there: the request is not written,
// and not tried again.
func TestShadowBeforeTheFirstByte(t *testing.T) {
	h, w := newHook(t, status(200)), &waits{}
	a := h.at()
	a.Idempotent = true
	var shadow atomic.Bool
	g := egress.New(egress.Options{
		Shadow: func(string) bool { return shadow.Load() }, Log: slog.New(slog.DiscardHandler),
		Connect: func(ctx context.Context, network, address string) (net.Conn, error) {
			shadow.Store(true)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
	r, err := w.executor().Execute(t.Context(), g.HTTP("acme", a.HTTP()), a, someVars(), runKey)
	if !errors.Is(err, egress.ErrShadow) || r.Outcome == Accepted || r.Attempts != 1 || h.count() != 0 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestShadowBetweenTwoTries(t *testing.T) {
	h, w := newHook(t, status(503)), &waits{}
	a := h.at()
	g := egress.New(egress.Options{Shadow: func(string) bool { return h.count() > 0 }, Log: slog.New(slog.DiscardHandler)})
	r, err := w.executor().Execute(t.Context(), g.HTTP("acme", a.HTTP()), a, someVars(), runKey)
	if !errors.Is(err, egress.ErrShadow) || r.Outcome != Refused || r.Status != 503 || h.count() != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
