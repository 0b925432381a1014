package proxy

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// clientConn is one client's connection, from accept to close.
type clientConn struct {
	net.Conn // what is read and written: the socket, or TLS over it
	proxy    *Proxy
	raw      syscall.RawConn // of the socket; nil when there is none
	lane     *histogram.Lane // nil when nothing is measured
	turn     turn

	// Owned by the connection's goroutine.
	origin    origin
	live      *Config  // what origin was made by; nil before the first exchange
	bufs      *buffers // nil while parked
	totalMs   uint64   // when the present exchange must be over; 0 is never
	restUntil uint64   // when the present wait for a request must be over
	ended     fault    // why the sweeper ended a phase of the present exchange
	replied   bool     // a byte of the present response has been written
	closing   bool     // the response said that the connection ends after it
	linger    bool     // the client may still be sending when we close
	sample    uint8    // counts towards the next measurement of our own time

	// main and upload say what the connection's goroutine, and the one that
	// sends a long request body, are waiting for.
	main, upload waitState
	// upstream is the connection of the exchange in progress. It is only to
	// be woken in a phase that has one, and stays set after the exchange.
	upstream atomic.Pointer[upstreamConn]

	// Owned by the sweeper.
	lastSeen   uint64
	prev, next *clientConn // guarded by Proxy.connsMu
}

// buffers is what a connection needs while it is serving and can do without
// while it is idle.
type buffers struct {
	br       *bufio.Reader // nil while others may have it; it is empty then
	exchange exchange
	out      []byte
}

// maxKeptOut is the largest write buffer that goes back to the pool.
const maxKeptOut = 2 * flushSize

func (p *Proxy) acquireBuffers(c *clientConn) *buffers {
	b, _ := p.buffers.Get().(*buffers)
	if b == nil {
		b = new(buffers)
		b.exchange.req.parsed.DisableNormalizing()
		b.exchange.req.parsed.SetNoDefaultContentType(true)
	}
	b.claim(c)
	return b
}

func (p *Proxy) releaseBuffers(b *buffers) {
	b.lend(p)
	x := &b.exchange
	x.c, x.live, x.upload, x.copy = nil, nil, nil, bodyCopy{}
	if cap(b.out) > maxKeptOut {
		b.out = nil
	}
	p.buffers.Put(b)
}

// lend lets other connections have the read buffer, of which nothing is used
// any more.
func (b *buffers) lend(p *Proxy) {
	if b.br != nil {
		b.br.Reset(nil)
		p.readers.Put(b.br)
		b.br = nil
	}
}

// claim sees to a read buffer for c.
func (b *buffers) claim(c *clientConn) {
	if b.br != nil {
		return
	}
	b.br, _ = c.proxy.readers.Get().(*bufio.Reader)
	if b.br == nil {
		b.br = bufio.NewReaderSize(nil, c.proxy.cfg.MaxHeaderBytes)
	}
	b.br.Reset(c)
}

// fasthttp's server hands a connection over to the handler registered for the
// protocol negotiated on it (Server.NextProto). Ours is always HTTP/1.1: TLS,
// where there is any, is below clientConn.

// Handshake implements the interface of fasthttp's server.
func (c *clientConn) Handshake() error { return nil }

// ConnectionState implements the interface of fasthttp's server.
func (c *clientConn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: protocol}
}

// secure performs the TLS handshake of a listener that speaks TLS.
func (c *clientConn) secure() error {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	c.enter(phaseHead, c.proxy.live.Load().HeaderTimeout)
	return t.Handshake()
}

// enter begins a phase of the connection's goroutine that may last d, 0 being
// no limit. If the sweeper ended the phase before, c.ended says why.
func (c *clientConn) enter(p phase, d time.Duration) {
	c.enterUntil(p, c.proxy.deadline(d))
}

// enterUntil is enter with a time in the proxy's milliseconds, 0 being none.
func (c *clientConn) enterUntil(p phase, deadline uint64) {
	if c.totalMs != 0 && (deadline == 0 || c.totalMs < deadline) {
		deadline = c.totalMs
	}
	if ended := c.main.enter(p, deadline); ended != faultNone {
		c.ended = ended
	}
}

// longAgo is the deadline that wakes whoever waits on a connection.
var longAgo = time.Unix(1, 0)

// end is called by the sweeper to end the phase in w because of f, and wakes
// the socket that the phase waits for.
func (c *clientConn) end(s *waitState, w uint64, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.expire(w) {
		return
	}
	s.cause = f
	switch wordPhase(w) {
	case phaseIdle, phaseParked, phaseHead, phaseReceive:
		c.SetReadDeadline(longAgo)
	case phaseWrite:
		c.SetWriteDeadline(longAgo)
	case phaseSend, phaseAwait, phaseRelay:
		if uc := c.upstream.Load(); uc != nil {
			uc.SetDeadline(longAgo)
		}
	case phaseTunnel:
		c.SetDeadline(longAgo)
		if uc := c.upstream.Load(); uc != nil {
			uc.SetDeadline(longAgo)
		}
	}
}

// awaitRequest waits for the first byte of a request. It returns false when
// the connection has none to give.
func (c *clientConn) awaitRequest() bool {
	if !c.rest() {
		return false
	}
	if c.bufs.br.Buffered() > 0 {
		return c.awake()
	}
	_, err := c.bufs.br.Peek(1)
	return c.begin(err)
}

// rest begins the wait for a request. It returns false when none is to be
// taken any more.
func (c *clientConn) rest() bool {
	c.totalMs, c.ended, c.replied = 0, faultNone, false
	if c.bufs.br.Buffered() > 0 {
		return true
	}
	c.restUntil = c.proxy.deadline(c.proxy.live.Load().IdleTimeout)
	c.enterUntil(phaseIdle, c.restUntil)
	return !c.proxy.draining.Load() && c.ended == faultNone
}

// awake begins the reading of a request. It returns false when the sweeper has
// ended what was before.
func (c *clientConn) awake() bool {
	c.enter(phaseHead, c.proxy.live.Load().HeaderTimeout)
	return c.ended == faultNone
}

// begin begins the reading of a request after a wait that ended in err. It
// returns false when there is no request.
func (c *clientConn) begin(err error) bool {
	if c.awake() {
		return err == nil
	}
	// The sweeper ended the wait, and perhaps a request came all the same.
	parked := c.ended == faultPark
	c.ended = faultNone
	if c.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	return err == nil || parked && c.park()
}

// release gives the buffers back, if the connection has any.
func (c *clientConn) release() {
	if c.bufs != nil {
		c.proxy.releaseBuffers(c.bufs)
		c.bufs = nil
	}
}

// park gives the buffers back and goes on waiting for the client without them.
func (c *clientConn) park() bool {
	c.release()
	c.enterUntil(phaseParked, c.restUntil)
	if c.proxy.draining.Load() {
		return false
	}
	err := c.raw.Read(func(fd uintptr) bool { return glance(int(fd)) != errAgain })
	c.bufs = c.proxy.acquireBuffers(c)
	if !c.awake() || err != nil {
		return false
	}
	_, err = c.bufs.br.Peek(1)
	return err == nil
}

// write sends p to the client, who has StallTimeout to make room for it.
func (c *clientConn) write(p []byte) error {
	c.enter(phaseWrite, c.proxy.live.Load().StallTimeout)
	c.replied = true
	if c.turn.held() {
		n, err := send(c.turn.fd, p)
		if n == len(p) || err != nil && err != errAgain {
			return err
		}
		p = p[n:]
	}
	_, err := c.Conn.Write(p)
	return err
}

// drain sends what p holds to the client, who has StallTimeout to make room for it.
func (c *clientConn) drain(p *pipe) error {
	c.enter(phaseWrite, c.proxy.live.Load().StallTimeout)
	c.replied = true
	return p.drain(c.raw)
}

// lingerIdle and lingerTime bound how long a client that is still sending when
// the connection ends is listened to: until it is silent for the one, and for
// the other at most. Closing at once would reset the connection, and a client
// that sends its whole body first would lose the response (RFC 9112 §9.6).
const (
	lingerIdle = time.Second
	lingerTime = 30 * time.Second
)

// finish ends the connection after a response that the client should get.
func (c *clientConn) finish() {
	if !c.linger {
		return
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.main.enter(phaseTunnel, 0)
	unread := make([]byte, 16<<10)
	limit := lingerTime
	for begin := time.Now(); time.Since(begin) < limit; {
		if c.SetReadDeadline(time.Now().Add(lingerIdle)) != nil {
			return
		}
		if _, err := c.Conn.Read(unread); err != nil {
			return
		}
		if c.proxy.draining.Load() {
			limit = lingerIdle
		}
	}
}

// abort makes the close of the connection a reset, so that a client whose
// response has no other end cannot take it for complete.
func (c *clientConn) abort() {
	conn := c.Conn
	t, secure := conn.(*tls.Conn)
	if secure {
		conn = t.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	if secure {
		conn.Close() // without the notice by which TLS ends what is complete
	}
}
