package proxy

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"

	"github.com/countersign-dev/countersign/histogram"
)

// serveConn serves one client connection; fasthttp's server calls it on a
// worker of its pool and closes the connection afterwards. Its errors are the
// client's affair, so it returns none.
func (p *Proxy) serveConn(conn net.Conn) error {
	c, ok := conn.(*clientConn)
	if !ok {
		return errors.New("the connection does not come from the proxy's listener")
	}
	c.bufs = p.acquireBuffers(c)
	defer c.leave()
	if c.secure() != nil {
		return nil
	}
	if p.openConns() > p.cfg.MaxClientConns {
		c.refuse(faultOverloaded, false)
		return nil
	}
	if c.plain() {
		c.serveTurns()
		return nil
	}
	for c.awaitRequest() && c.serveRequest() {
	}
	return nil
}

// leave is the end of the connection's goroutine, whether it returned or
// panicked: a fault of ours costs one connection and never the process.
func (c *clientConn) leave() {
	p := c.proxy
	c.turn.fd = noSocket
	if v := recover(); v != nil {
		p.logPanic("connection", v)
		if c.lane != nil {
			c.lane.Discard(histogram.Internal)
		}
		if c.replied {
			p.faults[faultInternal].Add(1)
			c.abort()
		} else {
			c.refuse(faultInternal, false)
		}
	}
	c.finish()
	c.release()
	if c.lane != nil {
		c.lane.Close()
	}
	// Over TLS this can take seconds, in which the connection still counts:
	// fasthttp has no more workers than the listener lets connections in, and
	// would drop one without telling us.
	c.Close()
	p.removeConn(c)
}

func (p *Proxy) logPanic(where string, v any) {
	p.log.Error("panic in the proxy", "where", where, "panic", v, "stack", string(debug.Stack()))
}

// contain, deferred, keeps a panic from ending the process and calls after.
func (p *Proxy) contain(where string, after func()) {
	if v := recover(); v != nil {
		p.logPanic(where, v)
		after()
	}
}

// reading is what came of reading a request's head.
type reading uint8

const (
	headRead   reading = iota
	headAbsent         // an empty line was in its place
	headRefused
	headPartial // more of it is to come; only while the read side is held
)

// readRequest reads the head of a request, whose first byte has arrived.
func (c *clientConn) readRequest() reading {
	b := c.bufs
	q := &b.exchange.req
	q.head.start = nil
	if first, _ := b.br.Peek(1); first[0] == '\r' {
		// An empty line before the request is ignored (RFC 9112 §2.2).
		if lead, err := b.br.Peek(2); err == nil && lead[1] == '\n' {
			_, _ = b.br.Discard(2)
			return headAbsent
		}
	} else if !validToken(first) {
		c.refuseUnread(faultBadRequest)
		return headRefused
	}
	size, err := awaitHead(b.br)
	if err == errAgain {
		return headPartial
	}
	c.ended = faultNone
	if err == nil {
		err = q.read(b.br, size, c.proxy.live.Load().MaxHeaderCount)
	}
	if err != nil {
		c.refuseHead(err)
		return headRefused
	}
	return headRead
}

// serveRequest reads one request, whose first byte has arrived, and answers it.
// It reports whether the connection can carry another.
func (c *clientConn) serveRequest() bool {
	r := c.readRequest()
	return r == headAbsent || r == headRead && c.answer()
}

// answer answers the request whose head has been read. It reports whether the
// connection can carry another.
func (c *clientConn) answer() bool {
	x := &c.bufs.exchange
	if c.proxy.cfg.HealthPath != "" && c.isHealthPath(&x.req) {
		return c.serveHealth(&x.req)
	}
	return x.run(c, c.proxy.live.Load())
}

// refuseHead answers a request whose head could not be read.
func (c *clientConn) refuseHead(err error) {
	var r *refusal
	var timeout net.Error
	switch {
	case isPreface(&c.bufs.exchange.req):
		c.refuseHTTP2()
	case errors.As(err, &r):
		c.refuseUnread(r.fault)
	case errors.Is(err, errHeadTooLarge):
		c.refuseUnread(faultHeaderTooLarge)
	case errors.Is(err, errBareLF):
		c.refuseUnread(faultBadRequest)
	case errors.As(err, &timeout) && timeout.Timeout():
		c.refuseUnread(faultRequestTimeout)
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.refuseUnread(faultBadRequest)
	default:
		c.count(faultClientGone)
		c.unparsed(histogram.ClientGone)
	}
}

// refuseUnread answers a request that was never forwarded and closes.
func (c *clientConn) refuseUnread(f fault) {
	c.unparsed(histogram.Malformed)
	c.refuse(f, false)
}

func (c *clientConn) unparsed(r histogram.Reason) {
	if c.lane != nil {
		c.lane.Unparsed(r)
	}
}

// refuse answers with f and has the connection closed.
func (c *clientConn) refuse(f fault, headOnly bool) {
	c.count(f)
	c.linger = true
	if c.write(appendFault(nil, f, headOnly, true)) != nil {
		c.linger = false
	}
}

func (c *clientConn) count(f fault) { c.proxy.faults[f].Add(1) }

// isHealthPath reports whether the request is for the exposed document.
func (c *clientConn) isHealthPath(q *request) bool {
	path := q.target
	if query := bytes.IndexByte(path, '?'); query >= 0 {
		path = path[:query]
	}
	method := string(q.parsed.Method())
	return string(path) == c.proxy.cfg.HealthPath && (method == "GET" || method == "HEAD") && q.body.empty()
}

// serveHealth answers with the health document. Such a request is not one of
// the API's and is not measured.
func (c *clientConn) serveHealth(q *request) bool {
	keep := q.options.persistent(q.http11) && !c.proxy.draining.Load()
	doc := c.proxy.cfg.Health()
	out := appendStatusLine(c.bufs.out[:0], 200)
	out = append(out, "Content-Type: application/json\r\nCache-Control: no-store\r\n"...)
	if !keep {
		out = append(out, "Connection: close\r\n"...)
	} else if !q.http11 {
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	c.bufs.out = appendSizedBody(out, doc, string(q.parsed.Method()) == "HEAD")
	return c.write(c.bufs.out) == nil && keep
}

// logReachability tells of the upstream's going and coming back, once each.
func (p *Proxy) logReachability(f fault, err error) {
	if f == faultNone {
		if p.down.Load() && p.down.CompareAndSwap(true, false) {
			p.log.Info("upstream reachable again", "upstream", p.cfg.Upstream)
		}
		return
	}
	if f != faultUpstreamBusy && p.down.CompareAndSwap(false, true) {
		p.log.Warn("upstream not reachable", "upstream", p.cfg.Upstream, "reason", f.String(), slog.Any("error", err))
	}
}
