package check

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// service answers by path: /status/N, /redirect, /big, /hang, /broken, /ok.
func service(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/redirect":
		http.Redirect(w, r, "/ok", http.StatusFound)
	case "/big":
		_, _ = io.WriteString(w, strings.Repeat("x", maxBody)+"ok")
	case "/hang":
		<-r.Context().Done()
	case "/endless":
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "/broken":
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
	case "/503":
		w.WriteHeader(http.StatusServiceUnavailable)
	case "/404":
		w.WriteHeader(http.StatusNotFound)
	case "/method":
		_, _ = io.WriteString(w, r.Method)
	case "/host":
		_, _ = io.WriteString(w, r.Host)
	default:
		_, _ = io.WriteString(w, "status: ok\n")
	}
}

func TestWhatIsWrongIsSaidShortly(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(service))
	defer srv.Close()
	for _, c := range []struct {
		want  string
		check policy.Check
	}{
		{"", policy.Check{URL: "/ok"}},
		{"", policy.Check{URL: "/ok", BodyContains: "ok"}},
		{"", policy.Check{URL: "/404", Status: []int{404}}},
		{"", policy.Check{URL: "/method", Method: "OPTIONS", BodyContains: "OPTIONS"}},
		{"", policy.Check{URL: "/method", BodyContains: "GET"}},
		{"", policy.Check{URL: "/endless"}},
		{"", policy.Check{URL: "/redirect", Status: []int{301, 302}}},
		{"status 302 instead of 200–299", policy.Check{URL: "/redirect"}},
		{"status 503 instead of 200", policy.Check{URL: "/503", Status: []int{200}}},
		{"status 503 instead of 200, 204 or 404", policy.Check{URL: "/503", Status: []int{200, 204, 404}}},
		{`body lacks "green"`, policy.Check{URL: "/ok", BodyContains: "green"}},
		{`the first 64 KiB of the body lack "ok"`, policy.Check{URL: "/big", BodyContains: "ok"}},
		{"connection closed before the end of the answer", policy.Check{URL: "/broken", BodyContains: "ok"}},
		{"timed out after 0.05 s", policy.Check{URL: "/hang", TimeoutSeconds: 0.05}},
		{"timed out after 0.05 s", policy.Check{URL: "/endless", BodyContains: "ok", TimeoutSeconds: 0.05}},
	} {
		t.Run(c.check.URL+" "+c.want, func(t *testing.T) {
			c.check.URL = srv.URL + c.check.URL
			c.check.IntervalSeconds = 10
			if c.check.TimeoutSeconds == 0 {
				c.check.TimeoutSeconds = 30
			}
			target, err := newTarget(c.check)
			if err != nil {
				t.Fatal(err)
			}
			if got := target.ask(t.Context()); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestARefusedConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	target, err := newTarget(policy.Check{URL: "http://" + addr, IntervalSeconds: 1, TimeoutSeconds: 30})
	if err != nil {
		t.Fatal(err)
	}
	if got := target.ask(t.Context()); got != "connection refused" {
		t.Errorf("%q", got)
	}
}

func askUpstream(t *testing.T, up Upstream, path string) string {
	t.Helper()
	target, err := newUpstream(up, policy.UpstreamCheck{Path: path, IntervalSeconds: 5, TimeoutSeconds: 30})
	if err != nil {
		t.Fatal(err)
	}
	return target.ask(t.Context())
}

func TestTheUpstreamNeedOnlyAnswer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(service))
	defer srv.Close()
	for path, want := range map[string]string{"/404": "", "/redirect": "", "": "", "/503": "status 503 instead of one below 500"} {
		if got := askUpstream(t, Upstream{URL: srv.URL}, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestTheUpstreamIsReachedAsTheProxyReachesIt(t *testing.T) {
	var host string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { host = r.Host })

	path := filepath.Join(t.TempDir(), "up.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	unix := httptest.NewUnstartedServer(handler)
	_ = unix.Listener.Close()
	unix.Listener = ln
	unix.Start()
	defer unix.Close()
	if got := askUpstream(t, Upstream{URL: "unix://" + path}, "/"); got != "" || host != "localhost" {
		t.Errorf("unix: %q, host %q", got, host)
	}
	if got := askUpstream(t, Upstream{URL: "unix:///nowhere/up.sock"}, "/"); got != "no socket there" {
		t.Errorf("no socket: %q", got)
	}

	secure := httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that fail
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		up   Upstream
	}{
		{"", Upstream{URL: secure.URL, CAFile: ca, ServerName: "example.com", Host: "shop.example"}},
		{"the certificate is signed by an unknown authority", Upstream{URL: secure.URL}},
		{"the certificate is not for other.test", Upstream{URL: secure.URL, CAFile: ca, ServerName: "other.test"}},
	} {
		if got := askUpstream(t, c.up, "/"); got != c.want {
			t.Errorf("%+v: %q, want %q", c.up, got, c.want)
		}
	}
	if host != "shop.example" {
		t.Errorf("the upstream was asked for host %q", host)
	}
	plain := httptest.NewServer(handler)
	defer plain.Close()
	if got := askUpstream(t, Upstream{URL: strings.Replace(plain.URL, "http:", "https:", 1)}, "/"); got != "the answer is not TLS" {
		t.Errorf("TLS to a plain port: %q", got)
	}
}

func TestReasonsArePlain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.EHOSTUNREACH, "no route to host"},
		{io.EOF, "connection closed before the end of the answer"},
		{&net.DNSError{Name: "api.internal", IsNotFound: true}, "host api.internal not found"},
		{errors.New("a\x1b[2Jb\nc\u202ed"), "a [2Jb cd"},
		{errors.New(strings.Repeat("ä", 500)), strings.Repeat("ä", MaxReason-1) + "…"},
	} {
		if got := Reason(c.err, time.Second); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
