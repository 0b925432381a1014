package proxy

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusingAddr is an address on which nobody listens.
func refusingAddr(t *testing.T) string {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

// deafAddr is an address whose listener accepts nobody and has no room left.
func deafAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for {
		conn, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// TestUpstreamOutOfReach: each answer names its reason, and the client's
// connection survives it.
func TestUpstreamOutOfReach(t *testing.T) {
	notTLS := play(t, func(p *peer, _ int) { p.send("HTTP/1.1 400 Bad Request\r\n\r\n") })
	for _, tc := range []struct {
		name, upstream string
		want           fault
	}{
		{"refuses", "http://" + refusingAddr(t), faultUpstreamRefused},
		{"no such socket", "unix://" + filepath.Join(t.TempDir(), "no.sock"), faultUpstreamRefused},
		{"does not accept", "http://" + deafAddr(t), faultUpstreamConnectTimeout},
		{"does not answer the handshake", "https://" + play(t, func(p *peer, _ int) { p.rest() }).ln.Addr().String(), faultUpstreamConnectTimeout},
		{"has a name that cannot be", "http://no..such.host", faultUpstreamNotFound}, // refused before any resolver is asked
		{"speaks no TLS", "https://" + notTLS.ln.Addr().String(), faultUpstreamTLS},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := start(t, tc.upstream, func(c *Config) { c.ConnectTimeout = 300 * time.Millisecond })
			c := e.dial()
			for range 2 {
				r := c.get("/")
				checkFault(t, r, tc.want)
			}
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
			if r := c.reply("POST"); !r.Close {
				t.Error("the connection stays open with a body on its way")
			}
			c.closed()
			e.counted("gateway_error=3")
			e.erred(tc.want, 3)
		})
	}
}

// TestUpstreamBreaksOff: the client must not take what it got for complete.
func TestUpstreamBreaksOff(t *testing.T) {
	get, get10 := "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"
	for _, tc := range []struct {
		name, request, response string
		reset                   bool
		fault                   fault // 0: the response is whole
		wantReset               bool  // the client's connection must be reset
	}{
		{name: "nothing, closed", request: get, fault: faultUpstreamClosed},
		{name: "nothing, reset", request: get, reset: true, fault: faultUpstreamReset},
		{name: "half a head, closed", request: get, response: "HTTP/1.1 200 OK\r\nX: ", fault: faultUpstreamClosed},
		{name: "half a head, reset", request: get, response: "HTTP/1.1 200 OK\r\nX: ", reset: true, fault: faultUpstreamReset},
		{name: "half a length, closed", request: get, response: "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"},
		{name: "half a length, reset", request: get, response: "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", reset: true},
		{name: "half a long body, closed", request: get, response: "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\nab"},
		{name: "half a long body, reset", request: get, response: "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\nab", reset: true},
		{name: "half a chunk, closed", request: get, response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab"},
		{name: "half a chunk, reset", request: get, response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab", reset: true},
		{name: "no last chunk to 1.0", request: get10, response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", wantReset: true},
		{name: "until close, reset", request: get, response: "HTTP/1.1 200 OK\r\n\r\nab", reset: true},
		{name: "until close to 1.0, reset", request: get10, response: "HTTP/1.1 200 OK\r\n\r\nab", reset: true, wantReset: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			relayed := make(chan struct{})
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send(tc.response)
				if tc.fault == faultNone {
					<-relayed
				}
				if tc.reset {
					_ = p.Conn.(*net.TCPConn).SetLinger(0)
				}
			})
			e := start(t, up.url())
			c := e.dial()
			c.send(tc.request)
			if tc.fault != faultNone {
				checkFault(t, c.reply("GET"), tc.fault)
				e.counted("gateway_error=1")
				return
			}
			head := c.head()
			framed := strings.Contains(head, "chunked") || strings.Contains(head, "Content-Length")
			got := ""
			for !strings.Contains(got, "ab") {
				got += c.take(1)
			}
			close(relayed)
			rest, reset := c.rest()
			if reset != tc.wantReset && !framed || strings.Contains(rest, "0\r\n\r\n") {
				t.Errorf("got %q after %q, reset %v", rest, head, reset)
			}
			e.counted("gateway_error=1")
			want := faultUpstreamClosed
			if tc.reset {
				want = faultUpstreamReset
			}
			e.erred(want, 1)
		})
	}
}

func TestUpstreamNeverAnswers(t *testing.T) {
	for _, tc := range []struct{ name, request string }{
		{"GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"POST in one piece", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"},
		{"POST in chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			heard := make(chan struct{})
			up := play(t, func(p *peer, n int) {
				if n > 1 {
					p.answer("fine")
					return
				}
				p.request()
				close(heard)
				p.rest()
			})
			e := startStill(t, up.url())
			c := e.dial()
			c.send(tc.request)
			<-heard
			// The clock of an upload starts when it has ended.
			e.until("a deadline", func() bool {
				set := false
				e.eachConn(func(c *clientConn) {
					w := c.main.word.Load()
					set = wordPhase(w) == phaseAwait && wordDeadline(w) != 0
				})
				return set
			})
			e.pass(e.cfg.ResponseTimeout, true)
			e.inPhase(phaseAwait, 1)
			e.pass(time.Second, true)
			r := c.reply("POST")
			checkFault(t, r, faultUpstreamTimeout)
			e.counted("gateway_error=1")
			if !r.Close {
				c.answered("/", 200, "fine")
			}
		})
	}
}

// TestUpstreamSlow: a response that comes byte by byte is passed on so.
func TestUpstreamSlow(t *testing.T) {
	next := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") {
			p.send(string(b))
		}
		for _, b := range []byte("hello") {
			p.send(string(b))
			<-next
		}
	})
	e := start(t, up.url())
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.head()
	for _, b := range []byte("hello") {
		if got := c.take(1); got != string(b) {
			t.Fatalf("got %q, want %q", got, b)
		}
		next <- struct{}{}
	}
	e.counted("success=1")
}

// TestUpstreamNeverReads: the body gets nowhere, and the client is told.
func TestUpstreamNeverReads(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	up := play(t, func(p *peer, _ int) { <-done })
	e := startStill(t, up.url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
	go func() { c.send(strings.Repeat("x", 100_000_000)) }()
	looks := 0 // in a row at which the upload waited for room
	e.until("the way to the upstream to be full", func() bool {
		e.eachConn(func(c *clientConn) {
			if looks++; wordPhase(c.upload.word.Load()) != phaseSend {
				looks = 0
			}
		})
		return looks >= 100
	})
	e.pass(e.cfg.StallTimeout+time.Second, false)
	checkFault(t, c.reply("POST"), faultUpstreamTimeout)
	c.Close()
	e.counted("gateway_error=1")
}

// TestUpstreamAnswersFirst: the answer comes before the body has been read,
// with the connection kept and not kept. No byte of the body may be taken for
// a request.
func TestUpstreamAnswersFirst(t *testing.T) {
	for _, tc := range []struct {
		name  string
		serve func(p *peer)
	}{
		{"reads on", func(p *peer) {
			p.head()
			p.send(okResponse)
			p.rest()
		}},
		{"stops reading", func(p *peer) {
			p.head()
			p.send(okResponse)
			p.closeWrite()
			for n := 0; n < 1<<20; n += 1 << 10 {
				p.take(1 << 10)
			}
		}},
		{"closes", func(p *peer) {
			p.head()
			p.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := make(chan string, 1)
			up := play(t, func(p *peer, n int) {
				if n == 1 {
					tc.serve(p)
				} else if r := p.request(); r != nil {
					w <- r.URL.Path
				}
			})
			e := start(t, up.url())
			c := e.dial()
			const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
			body := strings.Repeat(smuggled, 40<<20/len(smuggled))
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				c.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			}()
			if r := c.reply("POST"); r.StatusCode != 200 || r.body != "ok" {
				t.Errorf("got %s %q", r.Status, r.body)
			}
			c.Close()
			<-sent
			e.counted("early_response=1")
			e.until("the end", func() bool { s := e.Stats(); return s.ClientConns == 0 && s.UpstreamConns == 0 })
			select {
			case path := <-w:
				t.Errorf("%s was served", path)
			default:
			}
		})
	}
}

func TestUpstreamBusy(t *testing.T) {
	arrived, free := make(chan struct{}), make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		for p.request() != nil {
			arrived <- struct{}{}
			<-free
			p.send(okResponse)
		}
	})
	e := start(t, up.url(), func(c *Config) { c.MaxUpstreamConns, c.ConnectTimeout = 1, 300*time.Millisecond })
	first, second := e.dial(), e.dial()
	first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	checkFault(t, second.get("/"), faultUpstreamBusy)
	// Whoever is waiting gets the connection when it is free.
	second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	e.inPhase(phaseConnect, 1)
	free <- struct{}{}
	<-arrived
	free <- struct{}{}
	for _, c := range []*peer{first, second} {
		if r := c.reply("GET"); r.body != "ok" {
			t.Errorf("got %s", r.Status)
		}
	}
	if n := up.conns.Load(); n != 1 {
		t.Errorf("%d upstream connections", n)
	}
	e.counted("success=2 gateway_error=1")
}

// TestUpstreamRestarts: the same client connection sees it go and come back.
// It listens on a socket's path, which nobody else can take meanwhile.
func TestUpstreamRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	open := func(body string) *script {
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return playOn(t, ln, func(p *peer, _ int) { p.answer(body) })
	}
	up := open("first")
	e := start(t, "unix://"+path)
	c := e.dial()
	c.answered("/", 200, "first")
	up.stop()
	checkFault(t, c.get("/"), faultUpstreamRefused)
	open("back")
	c.answered("/", 200, "back")
	e.counted("success=2 gateway_error=1")
}
