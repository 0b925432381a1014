package proxy

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
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

// punctual is a client whose body arrives just as it is given up.
type punctual struct {
	net.Conn
	body   io.Reader
	waking chan struct{}
}

func (c punctual) Read(p []byte) (int, error) {
	<-c.waking
	return c.body.Read(p)
}

func (c punctual) SetReadDeadline(time.Time) error {
	close(c.waking)
	return nil
}

// TestUploadEndsAsItIsStopped: the upload got through although the exchange no
// longer needed it. The upstream's connection has been woken, and is no good.
func TestUploadEndsAsItIsStopped(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := fuzzConn(t)
	c.Conn = punctual{near, strings.NewReader("abc"), make(chan struct{})}
	c.bufs = &buffers{br: bufio.NewReader(c.Conn)}
	x := &exchange{c: c, live: &c.proxy.cfg, req: request{body: framing{framedByLength, 3}}}
	u := startUpload(x, &upstreamConn{Conn: tireless{near}})
	if u.stop() {
		t.Error("the upstream's connection is kept")
	}
	if !u.sent {
		t.Error("the test is meant for a body that was sent")
	}
}

// tireless takes everything, whatever its deadline.
type tireless struct{ net.Conn }

func (tireless) Write(p []byte) (int, error) { return len(p), nil }

// TestBodyComesAsTheWaitEnds: the sweeper has given the client up, and is about
// to wake it, when the rest of the body arrives. The client is told so, and not
// before the sweeper is done with the sockets.
func TestBodyComesAsTheWaitEnds(t *testing.T) {
	up := play(t, func(p *peer, _ int) { p.rest() })
	e := startStill(t, up.url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	e.inPhase(phaseAwait, 1)
	var s *waitState
	e.eachConn(func(c *clientConn) { s = &c.upload })
	e.until("the upload to wait for more", func() bool { return wordPhase(s.word.Load()) == phaseReceive })
	s.mu.Lock()
	if !s.expire(s.word.Load()) {
		t.Error("the word has changed")
	}
	c.send("bc")
	e.until("the rest to arrive", func() bool { return !wordExpired(s.word.Load()) })
	s.cause = faultRequestTimeout
	s.mu.Unlock()
	checkFault(t, c.reply("POST"), faultRequestTimeout)
}
