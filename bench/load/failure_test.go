//go:build linux

package load

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bare accepts connections until the test ends, and has each served by a function.
func bare(t *testing.T, serve func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait()
	})
	return ln.Addr().String()
}

// request reads one, and says whether there was one.
func request(r *bufio.Reader) bool {
	got, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, got.Body)
	return err == nil
}

func plan(addr string, rate float64) Plan {
	return Plan{Addr: addr, Requests: []Request{{}}, Connections: 2, Rate: rate, For: 200 * time.Millisecond, Grace: 10 * time.Second}
}

func TestStatusIsFailure(t *testing.T) {
	var n atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	r, err := Run(t.Context(), plan(address(server), 400))
	if err != nil || r.Done != 60 || r.Failed != 20 || r.Errors["answered 503"] != 20 || r.Latency.TotalCount() != 60 {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestConnectionsThatEnd: a server may close after an answer, with or without a word, and no request fails by that.
func TestConnectionsThatEnd(t *testing.T) {
	for name, answer := range map[string]string{
		"with a word": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":    "HTTP/1.0 200 OK\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			var got atomic.Uint64
			addr := bare(t, func(c net.Conn, r *bufio.Reader) {
				if request(r) {
					got.Add(1)
					_, _ = io.WriteString(c, answer)
				}
			})
			for _, rate := range []float64{0, 300} {
				got.Store(0)
				r, err := Run(t.Context(), plan(addr, rate))
				if err != nil || r.Failed > 0 || r.Done == 0 || got.Load() != r.Done {
					t.Errorf("%v, the server had %d, %+v", err, got.Load(), r)
				}
			}
		})
	}
	t.Run("idle", func(t *testing.T) {
		addr := bare(t, func(c net.Conn, r *bufio.Reader) {
			if request(r) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		// 200 ms between the requests on a connection, whose end has long come then.
		p := plan(addr, 10)
		p.For = time.Second
		if r, err := Run(t.Context(), p); err != nil || r.Failed > 0 || r.Done != 10 {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct{ answer, want string }{
		{"", errNoAnswer.Error()},
		{"SSH-2.0-x\r\n", errNotHTTP.Error()},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", errCut.Error()},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", errTooMuch.Error()},
	} {
		addr := bare(t, func(conn net.Conn, r *bufio.Reader) {
			if request(r) {
				_, _ = io.WriteString(conn, c.answer)
			}
		})
		for _, rate := range []float64{0, 100} {
			r, err := Run(t.Context(), plan(addr, rate))
			if err != nil || r.Done > 0 || r.Failed == 0 || r.Failed != r.Sent || r.Errors[c.want] != r.Failed {
				t.Errorf("%q at %v: %v, %+v", c.answer, rate, err, r)
			}
			// Connections rest after a failure, so that it is no load of its own: 2 connections for 200 ms, 10 ms each.
			if r.Sent > 42 {
				t.Errorf("%q at %v: sent %d", c.answer, rate, r.Sent)
			}
		}
	}
}

func TestNobodyThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	p := plan(addr, 0)
	if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
	p.Threads = 2
	if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("by two threads: %v", err)
	}
	p.NewConnections = true
	r, err := Run(t.Context(), p)
	if err != nil || r.Failed == 0 || r.Errors["cannot connect: connection refused"] != r.Failed {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestInterrupted(t *testing.T) {
	addr := bare(t, func(_ net.Conn, r *bufio.Reader) {
		for request(r) {
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p := plan(addr, 100)
	p.For = time.Hour
	if _, err := Run(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestBodies sends and receives more than a socket takes at once.
func TestBodies(t *testing.T) {
	const size = 8 << 20
	body := make([]byte, size)
	var got atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Add(n)
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = w.Write(body)
	}))
	defer server.Close()
	p := plan(address(server), 0)
	p.Requests = []Request{{Method: "PUT", Path: "/length", Body: body}, {Method: "POST", Path: "/chunked", Body: body}, {Path: "/length"}}
	r, err := Run(t.Context(), p)
	if err != nil || r.Failed > 0 || r.Done < 2 {
		t.Fatalf("%v, %+v", err, r)
	}
	if r.Bytes < r.Done*size || r.Bytes > r.Done*(size+size/100) {
		t.Errorf("%d bytes of %d answers", r.Bytes, r.Done)
	}
	if sent := int64(r.Sent - r.Sent/3); got.Load() != sent*size { // the third of three has no body
		t.Errorf("the server got %d bytes of %d bodies", got.Load(), sent)
	}
}

func TestIPv6(t *testing.T) {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("this host has no IPv6 loopback:", err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: http.NotFoundHandler()}}
	server.Start()
	defer server.Close()
	if r, err := Run(t.Context(), plan(address(server), 100)); err != nil || r.Errors["answered 404"] != 20 {
		t.Errorf("%v, %+v", err, r)
	}
}
