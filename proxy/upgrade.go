package proxy

import (
	"bufio"
	"net"
)

// switchProtocols passes on a 101 response and then carries bytes both ways
// until both sides are done (RFC 9110 §7.8).
func (x *exchange) switchProtocols(uc *upstreamConn, ubr *bufio.Reader) (verdict, fault) {
	c := x.c
	if x.req.upgrade == nil {
		return broken, faultUpstreamResponse
	}
	if x.upload != nil {
		// The tunnel begins behind the request's body.
		<-x.upload.done
		if x.upload.fault != faultNone {
			return broken, x.upload.fault
		}
	}
	x.stream()
	c.totalMs, c.closing = 0, true
	c.bufs.out = x.resp.appendHead(c.bufs.out[:0], &x.req, delivery{})
	if c.write(c.bufs.out) != nil {
		return broken, faultClientGone
	}
	c.enter(phaseTunnel, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.proxy.contain("tunnel", func() { c.Close() })
		carry(uc.Conn, c.bufs.br, c.Conn)
	}()
	carry(c.Conn, ubr, uc.Conn)
	<-done
	return broken, faultNone
}

// carry copies src, the connection that buffered reads from, to dst until its
// end, which it passes on. An error in either direction ends both.
func carry(dst net.Conn, buffered *bufio.Reader, src net.Conn) {
	_, err := buffered.WriteTo(dst)
	if half, ok := dst.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite()
	}
	if err != nil {
		dst.Close()
		src.Close()
	}
}
