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
	for c.awaitRequest() && c.serveRequest() {
	}
	return nil
}

// leave is the end of the connection's goroutine, whether it returned or
// panicked: a fault of ours costs one connection and never the process.
func (c *clientConn) leave() {
	p := c.proxy
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
	if c.bufs != nil {
		p.releaseBuffers(c.bufs)
		c.bufs = nil
	}
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

// serveRequest reads one request, whose first byte has arrived, and answers
// it. It reports whether the connection can carry another.
func (c *clientConn) serveRequest() bool {
	b := c.bufs
	q := &b.exchange.req
	q.head.start = nil
	live := c.proxy.live.Load()
	if first, _ := b.br.Peek(1); first[0] == '\r' {
		// An empty line before the request is ignored (RFC 9112 §2.2).
		if lead, err := b.br.Peek(2); err == nil && lead[1] == '\n' {
			_, _ = b.br.Discard(2)
			return true
		}
	} else if !validToken(first) {
		c.refuseUnread(faultBadRequest)
		return false
	}
	size, err := awaitHead(b.br)
	c.ended = faultNone
	if err == nil {
		err = q.read(b.br, size, live.MaxHeaderCount)
	}
	if err != nil {
		c.refuseHead(err)
		return false
	}
	if c.proxy.cfg.HealthPath != "" && c.isHealthPath(q) {
		return c.serveHealth(q)
	}
	return b.exchange.run(c, live)
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
