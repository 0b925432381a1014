package proxy

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"testing"
)

// corked holds back what is written while it is corked, so that several TLS
// records arrive in one segment.
type corked struct {
	net.Conn
	mu   sync.Mutex
	held *bytes.Buffer // nil when not corked
}

func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = new(bytes.Buffer)
}

func (c *corked) uncork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.held.WriteTo(c.Conn)
	c.held = nil
}

// TestNothingUnaskedIsServedTLS: a record behind the one that ends the response
// lies in the TLS connection, where neither the socket nor the reader shows it.
func TestNothingUnaskedIsServedTLS(t *testing.T) {
	const unasked = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	cert, key := writePair(t, t.TempDir(), "up.example")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, method, first string }{
		{"a response behind the response", "GET", okResponse},
		{"a body behind HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := play(t, func(p *peer, n int) {
				cork := &corked{Conn: p.Conn}
				p.Conn = tls.Server(cork, &tls.Config{Certificates: []tls.Certificate{pair}})
				p.br.Reset(p.Conn)
				if n > 1 {
					p.answer("fine")
					return
				}
				p.head()
				cork.cork()
				p.send(tc.first)
				p.send(unasked)
				cork.uncork()
				p.rest()
			})
			e := startStill(t, "https"+up.url()[len("http"):], func(c *Config) {
				c.UpstreamCAFile, c.UpstreamServerName = cert, "up.example"
			})
			c := e.dial()
			c.send(tc.method + " / HTTP/1.1\r\nHost: a\r\n\r\n")
			c.reply(tc.method)
			e.inPhase(phaseIdle, 1)
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
			if r := c.reply("POST"); r.body != "fine" {
				t.Errorf("got %s %q", r.Status, r.body)
			}
			e.counted("success=2")
		})
	}
}
