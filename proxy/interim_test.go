package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const expectHead = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

func TestContinueIsRelayed(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		head := p.head()
		if !strings.Contains(head, "\r\nExpect: 100-continue\r\n") {
			p.t.Errorf("the upstream was not asked: %q", head)
		}
		p.send("HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n")
		if body := p.take(5); body != "hello" {
			p.t.Errorf("got %q", body)
		}
		p.send(okResponse)
		p.answer("again")
	})
	e := start(t, up.url())
	c := e.dial()
	c.send(expectHead)
	if got := c.head(); got != "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n" {
		t.Fatalf("got %q", got)
	}
	c.send("hello")
	if r := c.reply("POST"); r.StatusCode != 200 || r.Close {
		t.Errorf("got %s, close %v", r.Status, r.Close)
	}
	c.answered("/", 200, "again")
	e.counted("success=2")
}

// answer answers one request with body.
func (p *peer) answer(body string) {
	if p.request() != nil {
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	}
}

// TestContinueRefused: the upstream wants no body, and answers before it.
func TestContinueRefused(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		p.closed()
	})
	e := start(t, up.url())
	c := e.dial()
	c.send(expectHead)
	if r := c.reply("POST"); r.StatusCode != 413 || r.body != "no" || !r.Close {
		t.Errorf("got %s %q, close %v", r.Status, r.body, r.Close)
	}
	c.closed()
	e.counted("early_response=1")
}

// TestContinueUnsupported: the upstream says nothing, so the client sends its
// body after a while. Nobody else makes up a 100.
func TestContinueUnsupported(t *testing.T) {
	heard := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		close(heard)
		p.take(5)
		p.send(okResponse)
	})
	e := start(t, up.url())
	c := e.dial()
	c.send(expectHead)
	<-heard
	c.send("hello")
	if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
	e.counted("success=1")
}

func TestInterimResponses(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nlink: </b>\r\n\r\n"
	for _, tc := range []struct{ name, request, interim, want string }{
		{"early hints", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", hints + hints, hints + hints},
		{"early hints to 1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", hints, ""},
		{"a 100 nobody expects", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n" + hints, hints},
		{"hop-by-hop fields", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"HTTP/1.1 102 Processing\r\nConnection: X\r\nX: 1\r\nContent-Length: 0\r\nY: 2\r\n\r\n", "HTTP/1.1 102 Processing\r\nY: 2\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, always(t, tc.interim+okResponse).url())
			c := e.dial()
			for range 2 {
				c.send(tc.request)
				if got := c.take(len(tc.want)); got != tc.want {
					t.Fatalf("got %q, want %q", got, tc.want)
				}
				if r := c.reply("GET"); r.StatusCode != 200 || r.body != "ok" {
					t.Fatalf("got %s %q", r.Status, r.body)
				}
			}
			e.counted("success=2")
		})
	}
}

// TestInterimFlood: interim responses do not put off the time by which the
// response itself must have come.
func TestInterimFlood(t *testing.T) {
	over, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(over) })
	up := play(t, func(p *peer, _ int) {
		defer close(ended)
		p.head()
		for {
			if _, err := p.Write([]byte("HTTP/1.1 102 Processing\r\n\r\n")); err != nil {
				return
			}
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	e := start(t, up.url(), func(c *Config) { c.ResponseTimeout = 300 * time.Millisecond })
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for head := ""; !strings.HasPrefix(head, "HTTP/1.1 504 "); {
		if head = c.head(); head == "" {
			t.Fatal("the connection ended without a response")
		}
	}
	<-ended
	e.counted("gateway_error=1")
	e.erred(faultUpstreamTimeout, 1)
}

const (
	upgradeRequest  = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	upgradeResponse = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nSec-X: 1\r\n\r\n"
)

// TestTunnel has bytes waiting on both sides when the protocol is switched,
// then each side closes its half.
func TestTunnel(t *testing.T) {
	for _, first := range []string{"client", "upstream"} {
		t.Run(first+" ends first", func(t *testing.T) {
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send(upgradeResponse + "early from upstream;")
				if got := p.take(18); got != "early from client;" {
					p.t.Errorf("the upstream got %q", got)
				}
				if first == "upstream" {
					p.send("last from upstream")
					p.closeWrite()
				}
				if got, _ := p.rest(); got != "last from client" {
					p.t.Errorf("the upstream got %q", got)
				}
				if first == "client" {
					p.send("last from upstream")
				}
			})
			e := start(t, up.url())
			c := e.dial()
			c.send(upgradeRequest + "early from client;")
			head := strings.Split(strings.TrimSuffix(c.head(), "\r\n\r\n"), "\r\n")
			slices.Sort(head) // in which order is for the proxy to say
			if got, want := strings.Join(head, "|"), "Connection: Upgrade|HTTP/1.1 101 Switching Protocols|Sec-X: 1|Upgrade: echo"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if got := c.take(20); got != "early from upstream;" {
				t.Errorf("got %q", got)
			}
			if first == "upstream" {
				if got, _ := c.rest(); got != "last from upstream" {
					t.Errorf("got %q", got)
				}
			}
			c.send("last from client")
			c.closeWrite()
			if first == "client" {
				if got, _ := c.rest(); got != "last from upstream" {
					t.Errorf("got %q", got)
				}
			}
			e.counted("success=1 streams=1")
			e.until("the connection to be gone", func() bool { return e.Stats().ClientConns == 0 && e.Stats().UpstreamConns == 0 })
		})
	}
}

// TestTunnelAfterBody: the request that asks for the switch has a body, which
// must all have gone to the upstream before the tunnel's own bytes.
func TestTunnelAfterBody(t *testing.T) {
	switched := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send(upgradeResponse)
		close(switched)
		if got := p.take(24); got != "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nfrom" {
			p.t.Errorf("the upstream got %q", got)
		}
		p.send("from upstream")
	})
	e := start(t, up.url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
	<-switched
	c.send("lo\r\n0\r\n\r\nfrom")
	if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 101 ") {
		t.Fatalf("got %q", got)
	}
	c.closeWrite()
	if got, _ := c.rest(); got != "from upstream" {
		t.Errorf("got %q", got)
	}
	e.counted("success=1 streams=1")
}

// TestUpgradeDeclined: the exchange is an ordinary one, limits included.
func TestUpgradeDeclined(t *testing.T) {
	e := start(t, always(t, okResponse).url())
	c := e.dial()
	c.send(upgradeRequest)
	if r := c.reply("GET"); r.StatusCode != 200 || r.Close {
		t.Errorf("got %s, close %v", r.Status, r.Close)
	}
	c.answered("/", 200, "ok")
	e.counted("success=2")
}

// TestUpgradeRequired: the client learns what it is to upgrade to.
func TestUpgradeRequired(t *testing.T) {
	e := start(t, always(t, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: echo\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n").url())
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	want := "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
	if got := c.head(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.counted("client_error=1")
}

// TestUpgradeUnasked: nobody asked for the switch.
func TestUpgradeUnasked(t *testing.T) {
	e := start(t, always(t, upgradeResponse).url())
	c := e.dial()
	if r := c.get("/"); r.StatusCode != 502 || r.Header.Get("Countersign-Error") != "upstream_bad_response" {
		t.Errorf("got %s %v", r.Status, r.Header)
	}
	e.counted("gateway_error=1")
}

// TestTotalTimeoutSparesTunnels: only the switch itself is an exchange.
func TestTotalTimeoutSparesTunnels(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send(upgradeResponse)
		p.send(p.take(4))
	})
	e := startStill(t, up.url(), func(c *Config) { c.TotalTimeout = time.Second })
	c := e.dial()
	c.send(upgradeRequest)
	c.head()
	e.inPhase(phaseTunnel, 1)
	e.pass(time.Hour, true)
	e.pass(time.Hour, true)
	c.send("ping")
	if got := c.take(4); got != "ping" {
		t.Errorf("got %q", got)
	}
}

// TestEvents: every event arrives before the next is sent, in each framing.
func TestEvents(t *testing.T) {
	for _, tc := range []struct{ name, fields, before, after string }{
		{"until close", "", "", ""},
		{"chunks", "Transfer-Encoding: chunked\r\n", "8\r\n", "\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := make(chan int)
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n" + tc.fields + "\r\n")
				for n := range next {
					p.send(fmt.Sprintf("%sdata: %d\n%s", tc.before, n, tc.after))
				}
			})
			e := startStill(t, up.url(), func(c *Config) { c.TotalTimeout = time.Second })
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if head := c.head(); !strings.Contains(head, "Transfer-Encoding: chunked") {
				t.Errorf("got %q", head)
			}
			e.counted("success=1 streams=1")
			for n := range 5 {
				next <- n
				if got, want := c.take(13), fmt.Sprintf("8\r\ndata: %d\n\r\n", n); got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
				e.inPhase(phaseRelay, 1)
				e.pass(time.Hour, true)
			}
			close(next)
			if tc.name == "until close" {
				if got := c.take(5); got != "0\r\n\r\n" {
					t.Errorf("got %q", got)
				}
			} else {
				c.closed()
			}
			e.counted("success=1 streams=1")
		})
	}
}
