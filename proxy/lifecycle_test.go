package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestShutdownDrains: idle connections end at once, requests in flight are
// answered, and nobody new is let in.
func TestShutdownDrains(t *testing.T) {
	arrived, free := make(chan struct{}), make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		for p.request() != nil {
			arrived <- struct{}{}
			<-free
			p.send(okResponse)
		}
	})
	e := start(t, up.url())
	idle, fresh, busy := e.dial(), e.dial(), e.dial()
	go func() { <-arrived; free <- struct{}{} }()
	idle.answered("/", 200, "ok")
	busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	e.inPhase(phaseIdle, 2)
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	idle.closed()
	fresh.closed()
	e.until("the port to be closed", func() bool {
		conn, err := net.Dial("tcp", e.addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case err := <-done:
		t.Fatalf("Shutdown did not wait: %v", err)
	default:
	}
	close(free)
	if r := busy.reply("GET"); r.body != "ok" || !r.Close {
		t.Errorf("got %s %q, close %v", r.Status, r.body, r.Close)
	}
	busy.closed()
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	e.until("the upstream's connections to be closed", func() bool { return e.Stats().UpstreamConns == 0 })
	e.counted("success=2")
}

// TestShutdownParked: connections without buffers end at once as well.
func TestShutdownParked(t *testing.T) {
	e := startStill(t, always(t, okResponse).url())
	c := e.dial()
	c.answered("/", 200, "ok")
	e.inPhase(phaseIdle, 1)
	e.pass(parkAfter+time.Second, false)
	e.inPhase(phaseParked, 1)
	if err := e.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	c.closed()
}

// TestShutdownKeepsLimits: a hung upstream is given up in its time although
// the proxy no longer accepts.
func TestShutdownKeepsLimits(t *testing.T) {
	heard := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		close(heard)
		p.rest()
	})
	e := start(t, up.url(), func(c *Config) { c.ResponseTimeout = 500 * time.Millisecond })
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-heard
	done := make(chan error, 1)
	go func() { done <- e.Shutdown(context.Background()) }()
	checkFault(t, c.reply("GET"), faultUpstreamTimeout)
	c.closed()
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestShutdownCuts: when the time is up, both sides of what is left are cut.
func TestShutdownCuts(t *testing.T) {
	heard, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	up := play(t, func(p *peer, n int) {
		p.head()
		if n == 2 {
			p.send(upgradeResponse)
		}
		heard <- struct{}{}
		p.rest()
		ended <- struct{}{}
	})
	e := start(t, up.url())
	waiting, tunnel := e.dial(), e.dial()
	waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-heard
	tunnel.send(upgradeRequest)
	<-heard
	tunnel.head()
	e.inPhase(phaseTunnel, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
	waiting.closed()
	tunnel.closed()
	<-ended
	<-ended
	e.counted("success=1 streams=1 client_gone=1")
}

func TestReload(t *testing.T) {
	e := start(t, always(t, okResponse).url())
	c := e.dial()
	c.answered("/", 200, "ok")
	cfg := e.cfg
	cfg.MaxBodyBytes, cfg.MaxHeaderCount = 1, 3
	cfg.Upstream, cfg.MaxClientConns = "http://127.0.0.1:1", 7
	restart, err := e.Reload(cfg)
	if got := strings.Join(restart, ", "); err != nil || got != "upstream, max client connections" {
		t.Errorf("got %q, %v", got, err)
	}
	c.answered("/", 200, "ok")
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
	e.refusal(c, "413", faultBodyTooLarge)
	c = e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\nX: 3\r\n\r\n")
	e.refusal(c, "431", faultHeaderTooLarge)
	cfg.MaxBodyBytes = -1
	if _, err := e.Reload(cfg); err == nil {
		t.Error("a bad configuration was taken over")
	}
	if got := e.live.Load().MaxBodyBytes; got != 1 {
		t.Errorf("the body limit became %d", got)
	}
}

// TestReloadTrust: a connection that is kept does not keep a trust that was
// withdrawn.
func TestReloadTrust(t *testing.T) {
	seen := make(chan string, 2)
	up := play(t, func(p *peer, _ int) {
		for r := p.request(); r != nil; r = p.request() {
			seen <- r.Header.Get("X-Forwarded-For")
			p.send(okResponse)
		}
	})
	e := start(t, up.url(), func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	c := e.dial()
	for _, want := range []string{"10.9.8.7, 127.0.0.1", "127.0.0.1"} {
		c.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.8.7\r\n\r\n")
		c.reply("GET")
		if got := <-seen; got != want {
			t.Errorf("forwarded for %q, want %q", got, want)
		}
		cfg := e.cfg
		cfg.TrustedProxies = nil
		if _, err := e.Reload(cfg); err != nil {
			t.Fatal(err)
		}
	}
}

// unlucky is a listener whose first accepts fail.
type unlucky struct {
	net.Listener
	failures atomic.Int64
}

func (l *unlucky) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	e := newEnv(t, always(t, okResponse).url())
	ln := &unlucky{Listener: listen(t)}
	ln.failures.Store(3)
	e.serve(ln, e.Serve)
	e.dial().answered("/", 200, "ok")
}

// wrapped is a listener whose connections are wrapped.
type wrapped struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l *wrapped) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(conn), nil
}

// lasting is a connection whose close takes until it is let go.
type lasting struct {
	net.Conn
	closing, letGo chan struct{}
}

func (c lasting) Close() error {
	select {
	case c.closing <- struct{}{}:
		<-c.letGo
	case <-c.letGo:
	}
	return c.Conn.Close()
}

// TestClosingCounts: a connection counts for as long as it has a worker.
func TestClosingCounts(t *testing.T) {
	closing, letGo := make(chan struct{}), make(chan struct{})
	e := newEnv(t, always(t, okResponse).url())
	e.serve(&wrapped{listen(t), func(c net.Conn) net.Conn { return lasting{c, closing, letGo} }}, e.Serve)
	e.dial().Close()
	<-closing
	if n := e.Stats().ClientConns; n != 1 {
		t.Errorf("%d connections are open while one is being closed", n)
	}
	close(letGo)
}

// TestOverload: clients above the limit are told so, more of them are turned
// away, and none of it is left behind.
func TestOverload(t *testing.T) {
	e := start(t, always(t, okResponse).url(), func(c *Config) { c.MaxClientConns = 2 })
	inside := []*peer{e.dial(), e.dial()}
	for _, c := range inside {
		c.answered("/", 200, "ok")
	}
	above := e.dial()
	r := above.reply("GET")
	checkFault(t, r, faultOverloaded)
	if !r.Close {
		t.Error("the connection is said to stay open")
	}
	var crowd []net.Conn
	for range 3 * spareConns {
		conn, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, conn)
	}
	e.until("the crowd to be turned away", func() bool { return e.Stats().Accepted == 3+3*spareConns })
	for _, conn := range crowd {
		conn.Close()
	}
	above.Close()
	for _, c := range inside {
		c.answered("/", 200, "ok")
	}
	e.until("two connections to be left", func() bool { return e.Stats().ClientConns == 2 })
	inside[0].Close()
	e.until("one connection to be left", func() bool { return e.Stats().ClientConns == 1 })
	e.dial().answered("/", 200, "ok")
}

// TestPanicIsContained: it costs one connection, is counted, and gives nothing
// away.
func TestPanicIsContained(t *testing.T) {
	e := start(t, always(t, okResponse).url(), func(c *Config) {
		c.HealthPath = "/health"
		c.Health = func() []byte { panic("secret") }
	})
	other := e.dial()
	other.answered("/", 200, "ok")
	for n := range 3 {
		c := e.dial()
		c.answered("/", 200, "ok")
		r := c.get("/health")
		checkFault(t, r, faultInternal)
		if !r.Close {
			t.Error("the connection is said to stay open")
		}
		c.closed()
		e.erred(faultInternal, uint64(n+1))
		other.answered("/", 200, "ok")
	}
	e.until("only the other to be left", func() bool { return e.Stats().ClientConns == 1 })
	e.counted("success=7")
}

// touchy is a log that panics when it hears a certain message.
type touchy struct {
	slog.Handler
	message string
}

func (h touchy) Enabled(context.Context, slog.Level) bool { return true }

func (h touchy) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.message {
		panic(h.message)
	}
	return nil
}

// TestPanicInExchange: a panic while an upstream connection is held gives it
// back, and the request is accounted for.
func TestPanicInExchange(t *testing.T) {
	up := always(t, okResponse)
	e := start(t, up.url(), func(c *Config) {
		c.MaxUpstreamConns = 1
		c.Log = slog.New(touchy{slog.DiscardHandler, "upstream reachable again"})
	})
	e.down.Store(true)
	c := e.dial()
	r := c.get("/")
	checkFault(t, r, faultInternal)
	c.closed()
	e.counted("internal=1")
	e.until("the upstream's connection to be closed", func() bool { return e.Stats().UpstreamConns == 0 })
	e.dial().answered("/", 200, "ok")
	e.counted("success=1 internal=1")
}

func TestHealthPath(t *testing.T) {
	e := start(t, always(t, okResponse).url(), func(c *Config) {
		c.HealthPath = "/health"
		c.Health = func() []byte { return []byte(`{"status":"ok"}`) }
	})
	c := e.dial()
	c.answered("/health", 200, `{"status":"ok"}`)
	c.answered("/health?x", 200, `{"status":"ok"}`)
	c.send("HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := c.reply("HEAD"); r.ContentLength != 15 || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", r.Header)
	}
	c.answered("/healthy", 200, "ok")
	c.send("POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
	if r := c.reply("POST"); r.body != "ok" {
		t.Errorf("got %q", r.body)
	}
	c.send("GET /health HTTP/1.0\r\n\r\n")
	if r := c.reply("GET"); r.body != `{"status":"ok"}` || !r.Close {
		t.Errorf("got %q, close %v", r.body, r.Close)
	}
	c.closed()
	e.counted("success=2")
}

func TestValidate(t *testing.T) {
	ok := Config{Upstream: "http://127.0.0.1:1"}
	for _, tc := range []struct {
		want string
		edit func(*Config)
	}{
		{"no upstream given", func(c *Config) { c.Upstream = "" }},
		{"not a URL", func(c *Config) { c.Upstream = "http://[" }},
		{"the scheme must be", func(c *Config) { c.Upstream = "ftp://a" }},
		{"a port is a number", func(c *Config) { c.Upstream = "http://a:99999" }},
		{"a port is a number", func(c *Config) { c.Upstream = "https://a:0" }},
		{"the scheme must be", func(c *Config) { c.Upstream = "localhost:80" }},
		{"has no host", func(c *Config) { c.Upstream = "http://:80" }},
		{"give only scheme, host and port", func(c *Config) { c.Upstream = "http://a/b" }},
		{"a unix socket is written", func(c *Config) { c.Upstream = "unix://a/b" }},
		{"has no use there", func(c *Config) { c.UpstreamServerName = "a" }},
		{"cannot read the upstream's CA file", func(c *Config) { c.Upstream, c.UpstreamCAFile = "https://a", "/nowhere" }},
		{"holds no PEM certificate", func(c *Config) { c.Upstream, c.UpstreamCAFile = "https://a", "config.go" }},
		{"both a certificate file and a key file", func(c *Config) { c.CertFile = "a" }},
		{"cannot load the listener's certificate", func(c *Config) { c.CertFile, c.KeyFile = "/nowhere", "/nowhere" }},
		{"max header bytes is 1", func(c *Config) { c.MaxHeaderBytes = 1 }},
		{"must be at least 1", func(c *Config) { c.MaxClientConns = -1 }},
		{"the idle timeout is -1s", func(c *Config) { c.IdleTimeout = -time.Second }},
		{"must begin with a slash", func(c *Config) { c.HealthPath = "health" }},
	} {
		cfg := ok
		tc.edit(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
	if _, err := New(ok); err != nil {
		t.Errorf("got %v", err)
	}
}
