package proxy

import "github.com/countersign-dev/countersign/histogram"

// http2Refusal is what a server that does not speak HTTP/2 can say in it: an
// empty SETTINGS frame, then GOAWAY with the error HTTP_1_1_REQUIRED and no
// stream processed, so that the client may try again over HTTP/1.1
// (RFC 9113 §6.5, §6.8, §7).
var http2Refusal = []byte{
	0, 0, 0, 0x4, 0, 0, 0, 0, 0,
	0, 0, 8, 0x7, 0, 0, 0, 0, 0,
	0, 0, 0, 0,
	0, 0, 0, 0xd,
}

// isPreface reports whether the request that could not be read begins the
// preface of HTTP/2 (RFC 9113 §3.4).
func isPreface(q *request) bool { return string(q.head.start) == "PRI * HTTP/2.0" }

func (c *clientConn) refuseHTTP2() {
	c.count(faultHTTP2)
	c.unparsed(histogram.HTTP2)
	c.linger = c.write(http2Refusal) == nil
}
