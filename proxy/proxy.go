// Package proxy is the sensor that stands in the way of the traffic: an
// HTTP/1.1 reverse proxy which measures every exchange.
//
// fasthttp's server accepts connections and keeps the workers, its request
// parser reads the requests and its client pools the upstream connections.
// What goes over the wire is this package's own: heads are forwarded verbatim
// but for the fields of the hop, bodies are copied from one read buffer or spliced, and
// deadlines are words that a sweeper looks at instead of timers.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/countersign-dev/countersign/histogram/clock"
)

// protocol is the name under which fasthttp's server finds our handler.
const protocol = "http/1.1"

// Proxy is a reverse proxy in front of one upstream. Its methods are safe for
// concurrent use.
type Proxy struct {
	cfg      Config
	log      *slog.Logger
	server   *fasthttp.Server
	upstream *upstream
	certs    *certificate           // nil when the listener speaks plain HTTP
	live     atomic.Pointer[Config] // what Reload may change

	buffers  sync.Pool // of *buffers
	readers  sync.Pool // of *bufio.Reader, MaxHeaderBytes long
	pipes    *pipes
	faults   faultCounts
	statuses statusCounts
	accepted atomic.Uint64
	down     atomic.Bool // the last attempt to reach the upstream failed
	draining atomic.Bool

	nowMs atomic.Uint64 // the sweeper's clock, in ms since the clock's origin

	connsMu sync.Mutex // guards conns and nconns, and the links of clientConn
	conns   *clientConn
	nconns  int
}

// New makes a proxy. It does not connect to the upstream, which may start later.
func New(cfg Config) (*Proxy, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	addr, err := cfg.upstream()
	if err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, log: cfg.Log, upstream: newUpstream(&cfg, addr), pipes: newPipes()}
	if cfg.CertFile != "" {
		if p.certs, err = loadCertificate(cfg.CertFile, cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	p.live.Store(&p.cfg)
	p.setNow(clock.Now())
	p.server = &fasthttp.Server{
		Handler:     func(ctx *fasthttp.RequestCtx) { ctx.SetConnectionClose() },
		Concurrency: cfg.MaxClientConns + 2*spareConns, // never reached: see listener.Accept
		Logger:      serverLog{p.log},
	}
	p.server.NextProto(protocol, p.serveConn)
	return p, nil
}

// spareConns are accepted above the limit to be told that it is reached; the
// ones above them are closed without a word.
const spareConns = 64

// serverLog passes what fasthttp's server has to say to slog.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.log.Warn("http server", "message", fmt.Sprintf(format, args...))
}

// Serve accepts connections on ln until Shutdown, and then returns nil.
func (p *Proxy) Serve(ln net.Listener) error {
	stop := make(chan struct{})
	defer close(stop)
	go p.sweepUntil(stop)
	if p.certs != nil {
		go p.certs.watch(stop, p.log)
	}
	if err := p.server.Serve(&listener{ln, p}); err != nil {
		return fmt.Errorf("cannot accept connections on %v: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown stops accepting, ends idle connections, lets the requests in flight
// finish, and returns when the last connection is closed. When ctx ends first,
// what remains is cut off and ctx's error returned.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.draining.Store(true)
	defer p.upstream.pool.CloseIdleConnections()
	defer p.pipes.close()
	p.eachConn(func(c *clientConn) {
		if w := c.main.word.Load(); wordPhase(w) == phaseIdle || wordPhase(w) == phaseParked {
			c.end(&c.main, w, faultClientGone)
		}
	})
	err := p.server.ShutdownWithContext(ctx)
	if err != nil {
		p.eachConn(func(c *clientConn) {
			c.end(&c.main, c.main.word.Load(), faultClientGone)
			c.abort()
			// It waits for whoever holds the socket's read side.
			go c.Close()
		})
	}
	return err
}

// Reload takes over the settings of cfg that can change while connections are
// open, and the certificate files' present content. It returns the names of
// the changed settings that need a restart; those keep their old value.
func (p *Proxy) Reload(cfg Config) (needRestart []string, err error) {
	cfg.Health, cfg.Recorder, cfg.Log = p.cfg.Health, p.cfg.Recorder, p.cfg.Log
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if p.certs != nil && cfg.CertFile != "" {
		if err := p.certs.load(cfg.CertFile, cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	old := &p.cfg
	for _, s := range []struct {
		name    string
		changed bool
	}{
		{"upstream", cfg.Upstream != old.Upstream},
		{"upstream CA file", cfg.UpstreamCAFile != old.UpstreamCAFile},
		{"upstream server name", cfg.UpstreamServerName != old.UpstreamServerName},
		{"upstream connections", cfg.MaxUpstreamConns != old.MaxUpstreamConns},
		{"upstream idle timeout", cfg.UpstreamIdle != old.UpstreamIdle},
		{"connect timeout", cfg.ConnectTimeout != old.ConnectTimeout},
		{"listener TLS on or off", (cfg.CertFile == "") != (old.CertFile == "")},
		{"max header bytes", cfg.MaxHeaderBytes != old.MaxHeaderBytes},
		{"max client connections", cfg.MaxClientConns != old.MaxClientConns},
		{"exposed health path", cfg.HealthPath != old.HealthPath},
	} {
		if s.changed {
			needRestart = append(needRestart, s.name)
		}
	}
	live := *old
	live.UpstreamHost, live.TrustedProxies = cfg.UpstreamHost, cfg.TrustedProxies
	live.MaxHeaderCount, live.MaxBodyBytes = cfg.MaxHeaderCount, cfg.MaxBodyBytes
	live.HeaderTimeout, live.IdleTimeout, live.StallTimeout = cfg.HeaderTimeout, cfg.IdleTimeout, cfg.StallTimeout
	live.ResponseTimeout, live.TotalTimeout = cfg.ResponseTimeout, cfg.TotalTimeout
	p.live.Store(&live)
	return needRestart, nil
}

// Stats returns what has been counted so far.
func (p *Proxy) Stats() Stats {
	return Stats{
		ClientConns:   p.openConns(),
		UpstreamConns: p.upstream.pool.ConnsCount(),
		UpstreamIdle:  p.upstream.pool.IdleConnsCount(),
		Accepted:      p.accepted.Load(),
		Errors:        p.faults.byName(),
		Retries:       p.upstream.retries.Load(),
		Statuses:      p.statuses.byStatus(),
		Connects:      p.upstream.connects.Load(),
		ConnectTime:   time.Duration(p.upstream.connectNs.Load()),
	}
}

// upstreamHost returns what to send as Host, nil for the client's own line.
func (p *Proxy) upstreamHost(q *request) []byte {
	switch host := p.live.Load().UpstreamHost; {
	case host != "":
		return []byte(host)
	case q.hostInTarget:
		return q.host
	case len(q.host) == 0:
		return []byte(p.upstream.addr.host)
	}
	return nil
}

// listener turns accepted sockets into clientConns.
type listener struct {
	net.Listener
	proxy *Proxy
}

// acceptPause is the wait after an accept failed for want of a resource.
const acceptPause = 50 * time.Millisecond

// Accept never gives up on an error that passes, such as having no file
// descriptor left: the proxy must outlast it.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err == nil && l.proxy.openConns() >= l.proxy.cfg.MaxClientConns+spareConns {
			l.proxy.accepted.Add(1)
			l.proxy.faults[faultOverloaded].Add(1)
			conn.Close()
			continue
		}
		if err == nil {
			return l.proxy.newConn(conn), nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		l.proxy.log.Warn("cannot accept a connection", "error", err)
		time.Sleep(acceptPause)
	}
}

func (p *Proxy) newConn(conn net.Conn) *clientConn {
	p.accepted.Add(1)
	c := &clientConn{Conn: conn, proxy: p, raw: rawConn(conn), turn: turn{fd: noSocket}}
	if p.certs != nil {
		c.Conn = tls.Server(conn, p.certs.config)
	}
	if p.cfg.Recorder != nil {
		c.lane = p.cfg.Recorder.Lane()
	}
	p.connsMu.Lock()
	defer p.connsMu.Unlock()
	if c.next = p.conns; c.next != nil {
		c.next.prev = c
	}
	p.conns = c
	p.nconns++
	return c
}

func (p *Proxy) openConns() int {
	p.connsMu.Lock()
	defer p.connsMu.Unlock()
	return p.nconns
}

func (p *Proxy) removeConn(c *clientConn) {
	p.connsMu.Lock()
	defer p.connsMu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		p.conns = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	p.nconns--
}

// eachConn calls f for every open connection. f must not block.
func (p *Proxy) eachConn(f func(*clientConn)) {
	p.connsMu.Lock()
	defer p.connsMu.Unlock()
	for c := p.conns; c != nil; c = c.next {
		f(c)
	}
}
