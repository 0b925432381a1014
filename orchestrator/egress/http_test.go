package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func open(o HTTPOptions) Doer {
	o.AllowPrivate = true
	return New(Options{Shadow: live, Log: quiet()}).HTTP("t", o)
}

func TestRequestsArriveAsTheyAre(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s %v", r.Method, r.URL, r.Header.Get("X-A"), r.UserAgent(), body, r.Close)
	})
	req := request(t, "PUT", server.URL+"/a?b=c", "body")
	req.Header.Set("X-A", "1")
	status, text, err := answered(t, open(HTTPOptions{}), req)
	if err != nil || status != 200 || text != "PUT /a?b=c 1 countersign body true" {
		t.Errorf("%d %q %v", status, text, err)
	}
	if req.Header.Get("User-Agent") != "" {
		t.Error("the caller's request was changed")
	}
}

func TestRedirects(t *testing.T) {
	var elsewhere, circled atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/here":
			w.Header().Set("Location", "/end")
		case "/there":
			w.Header().Set("Location", other.URL+"/end")
		case "/name":
			w.Header().Set("Location", strings.Replace("http://"+r.Host, "127.0.0.1", "localhost", 1)+"/end")
		case "/tls":
			w.Header().Set("Location", "https://"+r.Host+"/end")
		case "/user":
			w.Header().Set("Location", "http://a:b@"+r.Host+"/end")
		case "/metadata":
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
		case "/file":
			w.Header().Set("Location", "file:///etc/passwd")
		case "/circle":
			circled.Add(1)
			w.Header().Set("Location", "/circle")
		case "/end":
			_, _ = io.WriteString(w, "end")
			return
		}
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/here", 200}, {"HEAD", "/here", 200}, {"POST", "/here", 307}, {"DELETE", "/here", 307},
		{"GET", "/there", 307}, {"POST", "/there", 307}, {"GET", "/name", 307}, {"GET", "/tls", 307}, {"GET", "/user", 307},
		{"GET", "/metadata", 307}, {"GET", "/file", 307}, {"GET", "/circle", 307},
	} {
		if status, _, err := answered(t, open(HTTPOptions{}), request(t, c.method, server.URL+c.path, "")); err != nil || status != c.status {
			t.Errorf("%s %s: %d %v, want %d", c.method, c.path, status, err, c.status)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("another host was asked")
	}
	if n := circled.Load(); n != 1+maxRedirects {
		t.Errorf("in a circle %d times", n)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		size := 10
		if r.URL.Path == "/large" {
			size = 11
		}
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	})
	d := open(HTTPOptions{MaxResponse: 10})
	if _, text, err := answered(t, d, request(t, "GET", server.URL, "")); err != nil || len(text) != 10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, text, err := answered(t, d, request(t, "GET", server.URL+"/large", "")); !errors.Is(err, ErrTooLarge) || len(text) != 10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	huge := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Huge", strings.Repeat("x", 2*maxResponseHeader))
	})
	if _, _, err := answered(t, d, request(t, "GET", huge.URL, "")); err == nil {
		t.Error("a huge header was taken")
	}
}

func TestTimeoutsCoverTheBody(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "be")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	})
	defer close(release)
	d := open(HTTPOptions{Timeout: 300 * time.Millisecond})
	for _, path := range []string{"/head", "/body"} {
		_, _, err := answered(t, d, request(t, "POST", server.URL+path, "x"))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", path, err)
		}
		if _, unsent := errors.AsType[*UnsentError](err); unsent {
			t.Errorf("%s is said to be unsent", path)
		}
	}
}

func TestErrorsNeverHaveTheURL(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	hangup := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := http.NewResponseController(w).Hijack()
		_ = conn.Close()
	})
	_, _, err := answered(t, open(HTTPOptions{}), request(t, "POST", closed.URL+"/s3cret", ""))
	if _, unsent := errors.AsType[*UnsentError](err); !unsent || !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("nobody listens: %v", err)
	}
	_, _, err = answered(t, open(HTTPOptions{}), request(t, "POST", hangup.URL+"/s3cret", ""))
	if _, unsent := errors.AsType[*UnsentError](err); unsent || err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("closed without an answer: %v", err)
	}
	n := &names{}
	d := New(Options{Shadow: live, Log: quiet(), Lookup: n.lookup}).HTTP("t", HTTPOptions{})
	_, _, err = answered(t, d, request(t, "POST", "https://nowhere.example/s3cret", ""))
	if _, unsent := errors.AsType[*UnsentError](err); !unsent || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("no such name: %v", err)
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, text := range []string{"ftp://127.0.0.1/", "file:///etc/passwd", "https:///x", strings.Replace(server.URL, "//", "//user:pa55word@", 1)} {
		_, _, err := answered(t, open(HTTPOptions{}), request(t, "GET", text, ""))
		if err == nil || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	server.Config.ErrorLog = quietLog()
	server.StartTLS()
	defer server.Close()
	_, _, err := answered(t, open(HTTPOptions{}), request(t, "POST", server.URL, ""))
	if _, unsent := errors.AsType[*UnsentError](err); !unsent {
		t.Errorf("an unknown authority: %v", err)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		t.Errorf("an unknown authority: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	if status, _, err := answered(t, open(HTTPOptions{RootCAs: pool}), request(t, "POST", server.URL, "")); err != nil || status != 200 {
		t.Errorf("a known authority: %d %v", status, err)
	}
	wrong := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	_, _, err = answered(t, open(HTTPOptions{RootCAs: pool}), request(t, "POST", wrong, ""))
	if _, ok := errors.AsType[x509.HostnameError](err); !ok {
		t.Errorf("another name: %v", err)
	}
}

// TestNoProxyIsUsed: it would resolve names where nobody judges them.
func TestNoProxyIsUsed(t *testing.T) {
	var asked []string
	proxy := serve(t, func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.RequestURI) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	n := &names{answers: map[string][]string{"api.example": {"10.0.0.1"}}}
	g := New(Options{Shadow: live, Log: quiet(), Lookup: n.lookup})
	if _, _, err := answered(t, g.HTTP("t", HTTPOptions{}), request(t, "POST", "http://api.example/", "")); err == nil || len(asked) != 0 {
		t.Errorf("a proxy of the environment was used unasked: %v %q", err, asked)
	}
}
