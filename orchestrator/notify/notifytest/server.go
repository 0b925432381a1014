// Package notifytest has what the tests of channels share: a server that
// answers as it is told, messages, and the faults that every channel over HTTP
// must survive.
package notifytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Answer is what a Server answers.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// Request is what a Server was asked.
type Request struct {
	Method, Path string
	Header       http.Header
	Body         []byte
}

// Server is an HTTP server that answers every request alike.
type Server struct {
	URL string

	mu       sync.Mutex
	requests []Request
}

// NewServer starts a server that ends with the test.
func NewServer(t *testing.T, a Answer) *Server {
	t.Helper()
	s := &Server{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, Request{r.Method, r.URL.EscapedPath(), r.Header, body})
		s.mu.Unlock()
		for key, value := range a.Header {
			w.Header().Set(key, value)
		}
		w.WriteHeader(a.Status)
		_, _ = io.WriteString(w, a.Body)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Only is the one request there was.
func (s *Server) Only(t *testing.T) Request {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) != 1 {
		t.Fatalf("%d requests instead of 1", len(s.requests))
	}
	return s.requests[0]
}

// Now is the time in tests.
var Now = time.Date(2026, 11, 20, 3, 4, 5, 0, time.UTC)

// Outside is a world with these variables, in which doer sends requests; a nil
// one sends them as they are, and follows no redirect.
func Outside(doer notify.Doer, env map[string]string) notify.Outside {
	if doer == nil {
		doer = client(nil)
	}
	var dialer net.Dialer
	return notify.Outside{
		HTTP: func(string) notify.Doer { return doer },
		Dial: func(ctx context.Context, _, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		Getenv: func(key string) string { return env[key] },
		Now:    func() time.Time { return Now },
	}
}
