package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// TestStaleConnection: the upstream ends a kept connection at the moment the
// next request arrives on it.
func TestStaleConnection(t *testing.T) {
	for _, tc := range []struct {
		name, request string
		answer        string // what still comes on the old connection
		again         bool   // the request is sent a second time
		want          fault
	}{
		{name: "GET", request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", again: true},
		{name: "PUT in one piece", request: "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", again: true},
		{name: "PUT in chunks", request: "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", want: faultUpstreamClosed},
		{name: "POST", request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", want: faultUpstreamClosed},
		{name: "PATCH without a body", request: "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", want: faultUpstreamClosed},
		{name: "GET, answer begun", request: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", answer: "H", want: faultUpstreamClosed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got atomic.Int64
			up := play(t, func(p *peer, n int) {
				if n == 1 {
					p.answer("ok")
					p.request()
					got.Add(1)
					p.send(tc.answer)
					return
				}
				for p.request() != nil {
					got.Add(1)
					p.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain")
				}
			})
			e := start(t, up.url())
			c := e.dial()
			c.answered("/", 200, "ok")
			c.send(tc.request)
			r := c.reply("GET")
			if tc.again {
				if r.StatusCode != 200 || r.body != "again" {
					t.Errorf("got %s %q", r.Status, r.body)
				}
				e.counted("success=2")
			} else {
				checkFault(t, r, tc.want)
				e.counted("success=1 gateway_error=1")
			}
			want := uint64(0)
			if tc.again {
				want = 1
			}
			if n := got.Load(); n != int64(1+want) {
				t.Errorf("the upstream got the request %d times", n)
			}
			if n := e.Stats().Retries; n != want {
				t.Errorf("%d retries", n)
			}
		})
	}
}

// TestIdleConnectionIsLookedAt: a kept connection that was closed while it was
// idle, or on which something came that nobody had asked for, is not used again
// for any request, however it is sent.
func TestIdleConnectionIsLookedAt(t *testing.T) {
	for name, pieces := range map[string][]string{
		"GET":                    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"POST in one piece":      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"},
		"POST, its body later":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "hello"},
		"POST in chunks":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
		"POST in chunks, slowly": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
	} {
		for what, unasked := range map[string]string{"closed": "", "answered unasked": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"} {
			t.Run(name+", "+what, func(t *testing.T) {
				read, gone := make(chan struct{}), make(chan struct{})
				up := play(t, func(p *peer, n int) {
					if n == 1 {
						p.answer("first")
						<-read
						p.send(unasked)
						if unasked == "" {
							p.Close()
						}
						close(gone)
						p.rest()
						return
					}
					for p.request() != nil {
						p.send(okResponse)
					}
				})
				e := start(t, up.url())
				c := e.dial()
				c.answered("/", 200, "first")
				// From now on the proxy has read what it asked for.
				e.until("the connection to be idle", func() bool { return e.Stats().UpstreamIdle == 1 })
				close(read)
				<-gone
				for i, piece := range pieces {
					if i > 0 {
						e.inPhase(phaseAwait, 1)
					}
					c.send(piece)
				}
				if r := c.reply("POST"); r.StatusCode != 200 || r.body != "ok" {
					t.Errorf("got %s %q", r.Status, r.body)
				}
				e.counted("success=2")
			})
		}
	}
}

// TestRetryIsTheLast: a second connection that ends the same way ends the
// exchange.
func TestRetryIsTheLast(t *testing.T) {
	up := play(t, func(p *peer, n int) {
		if n == 1 {
			p.answer("ok")
		}
		p.request()
	})
	e := start(t, up.url())
	c := e.dial()
	c.answered("/", 200, "ok")
	checkFault(t, c.get("/"), faultUpstreamClosed)
	if n := up.conns.Load(); n != 2 {
		t.Errorf("%d connections were tried", n)
	}
	checkFault(t, c.get("/"), faultUpstreamClosed)
	e.counted("success=1 gateway_error=2")
}

// TestNothingUnaskedIsServed: what an upstream sends beyond its response, at
// once or later, must not become the answer to another request; nor is a
// request sent on a connection that has ended meanwhile.
func TestNothingUnaskedIsServed(t *testing.T) {
	const unasked = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, tc := range []struct {
		name, request, first, later string
		close                       bool
	}{
		{name: "a response behind the response", request: "GET", first: okResponse + unasked},
		{name: "a response later", request: "GET", first: okResponse, later: unasked},
		{name: "a byte later", request: "GET", first: okResponse, later: "x"},
		{name: "a timeout notice before the end", request: "GET", first: okResponse, later: "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", close: true},
		{name: "the end", request: "GET", first: okResponse, close: true},
		{name: "a body behind HEAD", request: "HEAD", first: "HTTP/1.1 200 OK\r\nContent-Length: 53\r\n\r\n" + unasked},
		{name: "a body behind HEAD, later", request: "HEAD", first: "HTTP/1.1 200 OK\r\nContent-Length: 53\r\n\r\n", later: unasked},
		{name: "a body behind 204", request: "GET", first: "HTTP/1.1 204 No Content\r\nContent-Length: 53\r\n\r\n" + unasked},
		{name: "a body behind 304", request: "GET", first: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tc.name+", "+method, func(t *testing.T) {
				more, sent := make(chan struct{}), make(chan struct{})
				up := play(t, func(p *peer, n int) {
					if n > 1 {
						p.answer("fine")
						return
					}
					p.head()
					p.send(tc.first)
					<-more
					p.send(tc.later)
					if tc.close {
						p.closeWrite()
					}
					close(sent)
					p.rest()
				})
				e := startStill(t, up.url())
				c := e.dial()
				c.send(tc.request + " / HTTP/1.1\r\nHost: a\r\n\r\n")
				c.reply(tc.request)
				e.inPhase(phaseIdle, 1)
				close(more)
				<-sent
				c.send(method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
				if r := c.reply(method); r.body != "fine" {
					t.Errorf("got %s %q", r.Status, r.body)
				}
				if n := e.Stats().Retries; n != 0 {
					t.Errorf("%d retries", n)
				}
				e.counted("success=2")
			})
		}
	}
}

// TestConnectionsAreReused: one upstream connection carries the requests of
// many clients, in every framing that leaves it usable.
func TestConnectionsAreReused(t *testing.T) {
	responses := []string{
		okResponse,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
	}
	up := play(t, func(p *peer, _ int) {
		for i := 0; p.request() != nil; i++ {
			p.send(responses[i%len(responses)])
		}
	})
	e := startStill(t, up.url())
	for i := range 2 * len(responses) {
		c := e.dial()
		c.send(fmt.Sprintf("PUT /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", i))
		c.reply("PUT")
		c.closed()
	}
	if n := up.conns.Load(); n != 1 {
		t.Errorf("%d upstream connections for one after another", n)
	}
	if s := e.Stats(); s.UpstreamConns != 1 || s.UpstreamIdle != 1 {
		t.Errorf("got %+v", s)
	}
}

// stubborn is a bodyEnd that takes nothing.
type stubborn struct{}

func (stubborn) write([]byte) error { return errors.New("no more") }
func (stubborn) drain(*pipe) error  { return errors.New("no more") }
func (stubborn) reading() error     { return nil }

// TestFailedCopyConsumes: when the last piece of a body cannot be sent, the
// source still stands behind the body. The client's connection may be kept,
// and what follows must be the next request.
func TestFailedCopyConsumes(t *testing.T) {
	for _, n := range []int{1, flushSize/2 - 1, flushSize} {
		b := bodyCopy{
			src: bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", n)+"GET"), 2*flushSize),
			dst: stubborn{}, framing: framing{framedByLength, int64(n)},
		}
		_, _ = b.src.Peek(n + 3)
		if b.run() == nil || !b.exhausted() {
			t.Fatalf("%d bytes: the copy did not fail at its end", n)
		}
		if rest, _ := b.src.Peek(b.src.Buffered()); string(rest) != "GET" {
			t.Errorf("%d bytes: %d are left of the body", n, len(rest)-3)
		}
	}
}
