package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// echo is an upstream that answers with the length of the request's body.
func echo(t testing.TB) *script {
	return play(t, func(p *peer, _ int) {
		for r := p.request(); r != nil; r = p.request() {
			body, _ := io.ReadAll(r.Body)
			text := fmt.Sprint(len(body))
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
		}
	})
}

// TestEveryDivision: a connection serves requests that come whole, in two
// pieces with a pause anywhere, and several at once, in any order.
func TestEveryDivision(t *testing.T) {
	e := startStill(t, echo(t).url())
	c := e.dial()
	const head, body = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "hello"
	const request = head + body
	n := 0
	answers := func(times int) {
		t.Helper()
		for range times {
			if r := c.reply("POST"); r.StatusCode != 200 || r.body != "5" {
				t.Fatalf("request %d was answered by %d %q", n, r.StatusCode, r.body)
			}
			n++
		}
	}
	for at := 1; at < len(request); at++ {
		c.send(request[:at])
		if at < len(head) {
			e.inPhase(phaseHead, 1)
		} else {
			e.inPhase(phaseAwait, 1)
		}
		c.send(request[at:])
		answers(1)
		c.send(request)
		answers(1)
		c.send(strings.Repeat(request, 3) + request[:at])
		answers(3)
		c.send(request[at:])
		answers(1)
	}
	e.counted(fmt.Sprintf("success=%d", n))
}

// TestLateHalfClose: a client of several requests that has nothing more to ask
// when it sends the last of them is closed with the ones that idle.
func TestLateHalfClose(t *testing.T) {
	e := startStill(t, always(t, okResponse).url())
	c := e.dial()
	for range 5 {
		e.inPhase(phaseIdle, 1)
		c.answered("/", 200, "ok")
	}
	e.inPhase(phaseIdle, 1)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.closeWrite()
	if r := c.reply("GET"); r.body != "ok" {
		t.Errorf("got %s", r.Status)
	}
	e.until("the end of the connection", func() bool {
		e.pass(parkAfter/10, false)
		return e.Stats().ClientConns == 0
	})
	c.closed()
	e.counted("success=6")
}

// TestAskWithoutRoom: a request that the socket has no room for is sent as room
// comes, and the answer is read.
func TestAskWithoutRoom(t *testing.T) {
	const size = 16 << 20
	up := play(t, func(p *peer, _ int) {
		if n := len(p.take(size)); n != size {
			t.Errorf("%d bytes of the request came", n)
		}
		p.send(okResponse)
	})
	e := newEnv(t, up.url())
	client, server := net.Pipe()
	defer client.Close()
	c := e.newConn(server)
	defer e.removeConn(c)
	defer server.Close()
	c.bufs = e.acquireBuffers(c)
	x := &c.bufs.exchange
	x.c, x.live, x.whole = c, e.live.Load(), true
	c.bufs.out = make([]byte, size)
	conn, err := e.Proxy.upstream.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	uc := conn.(*upstreamConn)
	_ = uc.SetDeadline(time.Now().Add(patience))
	if err := uc.ask(x); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(okResponse))
	if _, err := io.ReadFull(x.ubr, got); err != nil || string(got) != okResponse {
		t.Errorf("read %q, %v", got, err)
	}
}
