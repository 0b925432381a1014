package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/histogram/clock"
)

// patience is how long a test waits for what must happen; it never passes in
// a test that succeeds.
const patience = 20 * time.Second

// env is a proxy under test with its recorder.
type env struct {
	*Proxy
	t    testing.TB
	addr string
	rec  *histogram.Recorder
	now  atomic.Int64 // of a proxy without a sweeper of its own
}

// start runs a proxy in front of upstream. Its sweeper runs too.
func start(t testing.TB, upstream string, options ...func(*Config)) *env {
	e := newEnv(t, upstream, options...)
	e.serve(listen(t), e.Serve)
	return e
}

// startStill runs a proxy whose time stands still but for calls of pass.
func startStill(t testing.TB, upstream string, options ...func(*Config)) *env {
	e := newEnv(t, upstream, options...)
	e.serve(listen(t), func(ln net.Listener) error { return e.server.Serve(&listener{ln, e.Proxy}) })
	return e
}

func newEnv(t testing.TB, upstream string, options ...func(*Config)) *env {
	t.Helper()
	rec, err := histogram.NewRecorder(histogram.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Upstream: upstream, Recorder: rec, Log: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		o(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{Proxy: p, t: t, rec: rec}
	e.now.Store(clock.Now())
	return e
}

// serve runs the proxy on ln, and ends it with the test: every connection must
// be gone then and every request accounted for.
func (e *env) serve(ln net.Listener, serve func(net.Listener) error) {
	e.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- serve(ln) }()
	e.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx)
		if err := <-served; err != nil {
			e.t.Errorf("Serve: %v", err)
		}
		e.until("all connections to be closed", func() bool {
			e.pass(0, true)
			return e.Stats().ClientConns == 0
		})
		if n := e.pipes.made.Load(); n != 0 {
			e.t.Errorf("%d pipes are left open", n)
		}
		e.balance()
	})
}

// pass lets the time of a proxy without a sweeper pass by d.
func (e *env) pass(d time.Duration, look bool) {
	e.sweep(e.now.Add(int64(d)), look)
}

// until polls for a condition that must come about.
func (e *env) until(what string, ok func() bool) {
	e.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			e.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// inPhase waits until n connections are in phase ph.
func (e *env) inPhase(ph phase, n int) {
	e.t.Helper()
	e.until(fmt.Sprintf("%d connections in phase %d", n, ph), func() bool {
		got := 0
		e.eachConn(func(c *clientConn) {
			// A connection that has not begun has the word 0.
			if w := c.main.word.Load(); w != 0 && wordPhase(w) == ph && !wordExpired(w) {
				got++
			}
		})
		return got == n
	})
}

// balance checks that what was seen is what was measured and what was not.
func (e *env) balance() {
	e.t.Helper()
	e.rec.Seal(clock.Now() + int64(time.Hour))
	s := e.rec.Totals()
	n := uint64(0)
	for _, u := range s.Unmeasured {
		n += u
	}
	for _, r := range s.Routes {
		for _, o := range r.Outcomes {
			n += o
		}
	}
	if s.Seen != n || s.InFlight != 0 {
		e.t.Errorf("seen %d requests, accounted for %d, %d still in flight", s.Seen, n, s.InFlight)
	}
}

// tally renders what the recorder was told so far, such as
// "success=2 malformed=1".
func (e *env) tally() string {
	e.rec.Seal(e.sealing())
	s := e.rec.Totals()
	var outcomes [histogram.NumOutcomes]uint64
	streams := uint64(0)
	for _, r := range s.Routes {
		streams += r.Streams
		for i, n := range r.Outcomes {
			outcomes[i] += n
		}
	}
	var parts []string
	add := func(name string, n uint64) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", name, n))
		}
	}
	for i, n := range outcomes {
		add(histogram.Outcome(i).String(), n)
	}
	add("streams", streams)
	for i, n := range s.Unmeasured {
		add(histogram.Reason(i).String(), n)
	}
	return strings.Join(parts, " ")
}

var sealed atomic.Int64

// sealing returns an ever later time to seal at: a second that is not over yet
// is not counted.
func (e *env) sealing() int64 { return clock.Now() + sealed.Add(int64(2*time.Second)) }

// counted waits until the recorder's tally is want.
func (e *env) counted(want string) {
	e.t.Helper()
	got := ""
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if got = e.tally(); got == want {
			return
		}
		if time.Now().After(end) {
			e.t.Fatalf("counted %q, want %q", got, want)
		}
	}
}

// erred waits until the proxy has counted n faults of the kind.
func (e *env) erred(f fault, n uint64) {
	e.t.Helper()
	e.until(fmt.Sprintf("%d times %s", n, f), func() bool { return e.Stats().Errors[f.String()] == n })
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// peer is one end of a connection, spoken to in raw bytes.
type peer struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &peer{Conn: conn, t: t, br: bufio.NewReader(conn)}
}

// dial connects a client to the proxy.
func (e *env) dial() *peer {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	return newPeer(e.t, conn)
}

// send writes s. The other end may have had enough already: then what it
// answers is what counts.
func (p *peer) send(s string) { _, _ = io.WriteString(p.Conn, s) }

// head reads up to and including an empty line, "" at the end of input.
func (p *peer) head() string {
	var b strings.Builder
	for {
		line, err := p.br.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// take reads n bytes, fewer at the end of input.
func (p *peer) take(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(p.br, b)
	return string(b[:n])
}

// rest reads to the end of input, and says whether that was a reset.
func (p *peer) rest() (s string, reset bool) {
	b, err := io.ReadAll(p.br)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Errorf("the connection stays open after %q", b)
	}
	return string(b), err != nil
}

// closed checks that nothing more comes but the end.
func (p *peer) closed() {
	p.t.Helper()
	if s, _ := p.rest(); s != "" {
		p.t.Errorf("got %q where the connection should have ended", s)
	}
}

func (p *peer) closeWrite() { _ = p.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// reply is a response as net/http reads it.
type reply struct {
	*http.Response
	body string
	err  error // of the body
}

// reply reads one response to a request with the method.
func (p *peer) reply(method string) reply {
	p.t.Helper()
	r, err := http.ReadResponse(p.br, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no response: %v", err)
	}
	b, err := io.ReadAll(r.Body)
	return reply{r, string(b), err}
}

// get sends a GET for target and reads the response.
func (p *peer) get(target string) reply {
	p.t.Helper()
	p.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
	return p.reply("GET")
}

// answered sends a GET and expects the status and body.
func (p *peer) answered(target string, status int, body string) {
	p.t.Helper()
	if r := p.get(target); r.StatusCode != status || r.body != body || r.err != nil {
		p.t.Errorf("%s: got %d %q %v, want %d %q", target, r.StatusCode, r.body, r.err, status, body)
	}
}

// script is an upstream whose every connection is served by a function.
type script struct {
	t     testing.TB
	ln    net.Listener
	conns atomic.Int64
	wg    sync.WaitGroup
	mu    sync.Mutex
	open  map[net.Conn]struct{}
}

// play starts an upstream that serves its n-th connection, from 1, with serve
// and closes it then. It ends with the test.
func play(t testing.TB, serve func(p *peer, n int)) *script {
	return playOn(t, listen(t), serve)
}

func playOn(t testing.TB, ln net.Listener, serve func(p *peer, n int)) *script {
	s := &script{t: t, ln: ln, open: map[net.Conn]struct{}{}}
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			n := int(s.conns.Add(1))
			s.mu.Lock()
			s.open[conn] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() {
				serve(newPeer(t, conn), n)
				s.mu.Lock()
				delete(s.open, conn)
				s.mu.Unlock()
				conn.Close()
			})
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *script) stop() {
	s.ln.Close()
	s.mu.Lock()
	for conn := range s.open {
		conn.Close()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		s.t.Error("the upstream's script does not end")
	}
}

func (s *script) url() string { return "http://" + s.ln.Addr().String() }

// request reads one request, body included; nil at the end of input.
func (p *peer) request() *http.Request {
	r, err := http.ReadRequest(p.br)
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return r
}

// always is an upstream that answers every request with the same bytes.
func always(t testing.TB, response string) *script {
	return play(t, func(p *peer, _ int) {
		for p.request() != nil {
			p.send(response)
		}
	})
}

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
