package api

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestClientReadsTheStatus(t *testing.T) {
	f := serve(t, nil)
	for _, addr := range []string{f.srv.URL, f.srv.URL + "/", strings.TrimPrefix(f.srv.URL, "http://")} {
		c, err := NewClient(addr)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Status(t.Context())
		if err != nil || s.Build.Version != "1.2.3" || s.Health.ServiceName != "shop" {
			t.Errorf("%s: %+v, %v", addr, s, err)
		}
	}
}

func TestNewClientTakesAnAddress(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:9090":        "http://127.0.0.1:9090",
		":9090":                 "http://127.0.0.1:9090",
		"localhost:9090":        "http://localhost:9090",
		"[::1]:9090":            "http://[::1]:9090",
		"http://127.0.0.1:9090": "http://127.0.0.1:9090",
		"https://admin.example": "https://admin.example",
	} {
		if c, err := NewClient(in); err != nil || c.base != want {
			t.Errorf("NewClient(%q): %+v, %v; want %s", in, c, err, want)
		}
	}
	for _, in := range []string{"", "http://", "ftp://h", "http://h/path", "http://h?q=1", "http://user@h", "http://h:port", "::1"} {
		if c, err := NewClient(in); err == nil {
			t.Errorf("NewClient(%q) accepted it as %s", in, c.base)
		}
	}
}

func TestClientErrorsSayWhatToCheck(t *testing.T) {
	answer := func(code int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for _, c := range []struct {
		name, addr, says string
	}{
		{"nobody there", closedPort(t), "nothing listens at http://127.0.0.1:"},
		{"another program", answer(200, "<html>hello</html>"), "is it Countersign's admin address?"},
		{"another program's JSON", answer(200, `{"status":"ok"}`), "is it Countersign's admin address?"},
		{"not found elsewhere", answer(404, "no"), "answered 404 Not Found, not a status document"},
		{"refused by us", answer(421, `{"error":"the Host header is foreign"}`), "answered 421: the Host header is foreign"},
		{"a redirect", answer(302, ""), "answered 302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := NewClient(c.addr)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Status(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "Get \"") {
				t.Errorf("error %q repeats the request", err)
			}
		})
	}
}

func TestClientGivesUpWithItsContext(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-release
	}))
	defer s.Close()
	defer close(release)
	c, err := NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); err == nil || !strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("error %v, want the cancelled context's", err)
	}
}

// closedPort is the address of a port that was just free.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}
