package proxy

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// TestUploadStopIsBounded: the client has sent everything, the upstream has
// answered and does not take the rest. The client's next request must not wait
// for it as long as an upload may stall.
func TestUploadStopIsBounded(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := fuzzConn(t)
	c.Conn = near
	c.bufs = &buffers{br: bufio.NewReader(strings.NewReader("abc"))}
	x := &exchange{c: c, live: &c.proxy.cfg, req: request{body: framing{framedByLength, 3}}}
	u := startUpload(x, &upstreamConn{Conn: near})
	e := &env{t: t}
	e.until("the last piece to be on its way", u.complete.Load)
	if u.stop() {
		t.Error("the upstream has not got the body, and its connection is kept")
	}
}
