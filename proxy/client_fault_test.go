package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestClientLeaves: when the client has gone, the upstream's connection is
// closed, whatever the exchange was waiting for.
func TestClientLeaves(t *testing.T) {
	get := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tc := range []struct {
		name, request, response string
		phase                   phase
		leave                   func(p *peer)
	}{
		{"before the answer", get, "", phaseAwait, func(p *peer) { p.Close() }},
		{"before the answer, by a reset", get, "", phaseAwait, reset},
		{"before the answer, its half", get, "", phaseAwait, func(p *peer) { p.closeWrite() }},
		{"with a request waiting behind", get + get, "", phaseAwait, func(p *peer) { p.Close() }},
		{"amid the answer", get, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", phaseRelay, func(p *peer) { p.Close() }},
		{"amid a long answer", get, "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\nhe", phaseRelay, func(p *peer) { p.Close() }},
		{"amid a long body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nhe", "", phaseAwait, func(p *peer) { p.Close() }},
		{"behind its body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", phaseAwait, func(p *peer) { p.Close() }},
		{"amid its body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", "", phaseAwait, func(p *peer) { p.Close() }},
		{"amid its body, by a reset", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", "", phaseAwait, reset},
		{"amid body and answer", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", phaseRelay, func(p *peer) { p.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			heard, ended := make(chan struct{}), make(chan struct{})
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send(tc.response)
				close(heard)
				p.rest()
				close(ended)
			})
			e := startStill(t, up.url())
			c := e.dial()
			c.send(tc.request)
			<-heard
			e.inPhase(tc.phase, 1)
			if tc.response != "" {
				c.head()
			}
			tc.leave(c)
			e.until("the upstream's connection to be closed", func() bool {
				e.pass(time.Millisecond, true)
				select {
				case <-ended:
					return true
				default:
					return false
				}
			})
			e.counted("client_gone=1")
			e.erred(faultClientGone, 1)
		})
	}
}

func reset(p *peer) {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
}

// TestClientHalfCloses: a client that says at once that it has nothing more to
// ask still gets an answer that is there by the time anybody looks.
func TestClientHalfCloses(t *testing.T) {
	e := startStill(t, always(t, okResponse).url())
	c := e.dial()
	c.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.closeWrite()
	for range 2 {
		if r := c.reply("GET"); r.body != "ok" {
			t.Errorf("got %s", r.Status)
		}
	}
	c.closed()
	e.counted("success=2")
}

// TestClientTooSlow: each phase of a request has its limit.
func TestClientTooSlow(t *testing.T) {
	for _, tc := range []struct {
		name, sent string
		phase      phase
		limit      func(*Config) time.Duration
	}{
		{"no request", "", phaseIdle, func(c *Config) time.Duration { return c.IdleTimeout }},
		{"half a request line", "GET", phaseHead, func(c *Config) time.Duration { return c.HeaderTimeout }},
		{"half a head", "GET / HTTP/1.1\r\nHost: a\r\n", phaseHead, func(c *Config) time.Duration { return c.HeaderTimeout }},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", phaseAwait, func(c *Config) time.Duration { return c.StallTimeout }},
		{"half a long body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nhe", phaseAwait, func(c *Config) time.Duration { return c.StallTimeout }},
		{"half a chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe", phaseAwait, func(c *Config) time.Duration { return c.StallTimeout }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := play(t, func(p *peer, _ int) { p.rest() })
			// Idle connections are not parked here, so that they have one deadline.
			e := startStill(t, up.url(), func(c *Config) { c.IdleTimeout = time.Second })
			c := e.dial()
			c.send(tc.sent)
			e.inPhase(tc.phase, 1)
			if tc.phase == phaseAwait {
				e.until("the upload to wait", func() bool {
					waits := false
					e.eachConn(func(c *clientConn) { waits = wordPhase(c.upload.word.Load()) == phaseReceive })
					return waits
				})
			}
			limit := tc.limit(&e.cfg)
			e.pass(limit, false)
			e.inPhase(tc.phase, 1)
			e.pass(200*time.Millisecond, false)
			if tc.phase == phaseIdle {
				c.closed()
				e.counted("")
				return
			}
			e.refusal(c, "408", faultRequestTimeout)
			e.counted("malformed=1")
		})
	}
}

// TestClientSlowButSteady: a client that keeps sending is never too slow.
func TestClientSlowButSteady(t *testing.T) {
	e := startStill(t, always(t, okResponse).url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	for i := range 5 {
		e.until("the upload to wait", func() bool {
			n := int64(-1)
			e.eachConn(func(c *clientConn) {
				if w := c.upload.word.Load(); wordPhase(w) == phaseReceive {
					n = int64(wordDeadline(w))
				}
			})
			return n > int64(e.nowMs.Load())+e.cfg.StallTimeout.Milliseconds()-1
		})
		e.pass(e.cfg.StallTimeout-time.Second, true)
		c.send("hello"[i : i+1])
		if i < 4 {
			e.until("the byte to pass", func() bool {
				passed := false
				e.eachConn(func(c *clientConn) {
					w := c.upload.word.Load()
					passed = wordPhase(w) == phaseReceive && wordDeadline(w) > e.nowMs.Load()+2000
				})
				return passed
			})
		}
	}
	if r := c.reply("POST"); r.StatusCode != 200 {
		t.Errorf("got %s", r.Status)
	}
	e.counted("success=1")
}

// TestClientNeverReads: the response fills every buffer on the way, and then
// the exchange is given up.
func TestClientNeverReads(t *testing.T) {
	ended := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		defer close(ended)
		p.head()
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<40))
		block := []byte(strings.Repeat("x", 1<<16))
		for {
			if _, err := p.Write(block); err != nil {
				return
			}
		}
	})
	e := start(t, up.url(), func(c *Config) { c.StallTimeout = 500 * time.Millisecond })
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-ended
	e.counted("client_gone=1")
}

func TestTotalTimeout(t *testing.T) {
	for _, tc := range []struct {
		name, request, response string
		want                    string
	}{
		{"no answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "gateway_error=1"},
		{"half an answer", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", "gateway_error=1"},
		{"an upgrade not answered", upgradeRequest, "", "gateway_error=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send(tc.response)
				p.rest()
			})
			e := start(t, up.url(), func(c *Config) { c.TotalTimeout = 300 * time.Millisecond })
			c := e.dial()
			c.send(tc.request)
			if tc.response == "" {
				checkFault(t, c.reply("GET"), faultTotalTimeout)
			} else if got, _ := c.rest(); got != tc.response {
				t.Errorf("got %q", got)
			}
			e.counted(tc.want)
			e.erred(faultTotalTimeout, 1)
		})
	}
}

// slowly is a client to which time passes while it is written to.
type slowly struct {
	net.Conn
	pass func()
}

func (c slowly) Write(p []byte) (int, error) {
	c.pass()
	return c.Conn.Write(p)
}

// TestTotalTimeoutIsTold: the time that is over does not also end the response
// that says so.
func TestTotalTimeoutIsTold(t *testing.T) {
	up := play(t, func(p *peer, n int) {
		p.request()
		if n > 1 {
			p.send(okResponse)
		}
		p.rest()
	})
	e := newEnv(t, up.url(), func(c *Config) { c.TotalTimeout = 10 * time.Second })
	ln := &wrapped{listen(t), func(c net.Conn) net.Conn { return slowly{c, func() { e.pass(time.Second, false) }} }}
	e.serve(ln, func(ln net.Listener) error { return e.server.Serve(&listener{ln, e.Proxy}) })
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	e.inPhase(phaseAwait, 1)
	e.pass(11*time.Second, false)
	checkFault(t, c.reply("GET"), faultTotalTimeout)
	c.answered("/", 200, "ok")
}

// TestTotalTimeoutWhileWaiting: the time runs while a request waits for one of
// the upstream connections.
func TestTotalTimeoutWhileWaiting(t *testing.T) {
	arrived, free := make(chan struct{}, 2), make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		for p.request() != nil {
			arrived <- struct{}{}
			<-free
			p.send(okResponse)
		}
	})
	defer close(free)
	e := startStill(t, up.url(), func(c *Config) { c.MaxUpstreamConns = 1 })
	first := e.dial()
	first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	limited := *e.live.Load()
	limited.TotalTimeout = time.Second
	if _, err := e.Reload(limited); err != nil {
		t.Fatal(err)
	}
	second := e.dial()
	second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	e.inPhase(phaseConnect, 1)
	e.pass(2*time.Second, false)
	free <- struct{}{}
	if r := first.reply("GET"); r.body != "ok" {
		t.Errorf("got %s", r.Status)
	}
	checkFault(t, second.reply("GET"), faultTotalTimeout)
	e.counted("success=1 gateway_error=1")
}
