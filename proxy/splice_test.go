package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mirror is an upstream that answers with the body it is given.
func mirror(t *testing.T) *script {
	return play(t, func(p *peer, _ int) {
		for r := p.request(); r != nil; r = p.request() {
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", r.ContentLength))
			_, _ = io.Copy(p, r.Body)
		}
	})
}

// text is n bytes of which no two pieces are alike.
func text(n int) string {
	b := make([]byte, n)
	_, _ = io.ReadFull(newNoise(int64(n)), b)
	return string(b)
}

// post sends a body beside reading the answer.
func (p *peer) post(body string) reply {
	p.t.Helper()
	go p.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	return p.reply("POST")
}

// TestSplicedBodies: bodies around the length from which they are spliced, and
// long ones, come through both ways on kept connections.
func TestSplicedBodies(t *testing.T) {
	up := mirror(t)
	e := start(t, up.url())
	c := e.dial()
	sizes := []int{minSpliced - 1, minSpliced, minSpliced + 1, 5*minSpliced + 3, mostSpliced + minSpliced, 5<<20 + 1, 1}
	for _, n := range sizes {
		body := text(n)
		if r := c.post(body); r.err != nil || r.body != body {
			t.Fatalf("%d bytes: got %d, others or not all: %v", n, len(r.body), r.err)
		}
	}
	if n := up.conns.Load(); n != 1 {
		t.Errorf("%d upstream connections were needed", n)
	}
	e.counted(fmt.Sprintf("success=%d", len(sizes)))
}

// piped is how many pipes are in use.
func (e *env) piped() int { return int(e.pipes.made.Load()) - len(e.pipes.idle) }

// TestSplicedBothWays: a body passes through a pipe in either direction.
func TestSplicedBothWays(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		if p.head() == "" {
			return
		}
		p.take(1 << 20)
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + text(1<<19))
		p.take(1)
		p.send(text(1 << 20)[1<<19:])
	})
	e := start(t, up.url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n" + text(1<<19))
	e.until("half of the request in a pipe", func() bool { return e.piped() == 1 })
	c.send(text(1 << 19))
	c.head()
	c.take(1 << 19)
	e.until("half of both in pipes", func() bool { return e.piped() == 2 })
	c.send("x")
	if rest := c.take(1 << 19); rest != text(1 << 20)[1<<19:] {
		t.Errorf("got %d bytes, or others", len(rest))
	}
	e.counted("success=1")
}

// TestBodiesWithoutPipes: where no pipe is to be had, bodies are copied.
func TestBodiesWithoutPipes(t *testing.T) {
	e := start(t, mirror(t).url())
	e.pipes.made.Store(mostPipes)
	defer e.pipes.made.Store(0)
	body := text(1 << 20)
	if r := e.dial().post(body); r.err != nil || r.body != body {
		t.Errorf("got %d bytes: %v", len(r.body), r.err)
	}
	if n := e.pipes.made.Load(); n != mostPipes {
		t.Errorf("%d pipes are counted", n)
	}
}

// TestLargeChunks: chunks keep their framing, and lose it for an HTTP/1.0
// client, however long they are.
func TestLargeChunks(t *testing.T) {
	body := text(1 << 20)
	up := play(t, func(p *peer, _ int) {
		for p.head() != "" {
			p.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body))
		}
	})
	e := start(t, up.url())
	if r := e.dial().get("/"); r.err != nil || r.body != body {
		t.Errorf("got %d bytes: %v", len(r.body), r.err)
	}
	c := e.dial()
	c.send("GET / HTTP/1.0\r\n\r\n")
	c.head()
	if got, _ := c.rest(); got != body {
		t.Errorf("got %d bytes over HTTP/1.0", len(got))
	}
	e.counted("success=2")
}

// TestSplicedPieces: what has arrived of a body is passed on before more comes,
// and its end is when the last of it came.
func TestSplicedPieces(t *testing.T) {
	next := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 10+2*minSpliced))
		for range 10 {
			p.send("x")
			<-next
		}
		time.Sleep(deliberate)
		p.send(text(2 * minSpliced))
	})
	e := start(t, up.url())
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.head()
	for range 10 {
		if got := c.take(1); got != "x" {
			t.Fatalf("got %q", got)
		}
		next <- struct{}{}
	}
	if got := c.take(2 * minSpliced); got != text(2*minSpliced) {
		t.Errorf("got %d bytes", len(got))
	}
	e.counted("success=1")
	if d := e.slowest(); d < deliberate {
		t.Errorf("measured %v", d)
	}
}

// TestSplicedUpstreamBreaksOff: the client gets what came and no sign that it
// was all; the pipe is of further use.
func TestSplicedUpstreamBreaksOff(t *testing.T) {
	for _, tc := range []struct {
		name  string
		reset bool
		want  fault
	}{{"closed", false, faultUpstreamClosed}, {"reset", true, faultUpstreamReset}} {
		t.Run(tc.name, func(t *testing.T) {
			taken := make(chan struct{})
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + text(1<<20))
				<-taken
				if tc.reset {
					reset(p)
				}
			})
			e := start(t, up.url())
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			c.head()
			if got := c.take(1 << 20); got != text(1<<20) {
				t.Errorf("got %d bytes", len(got))
			}
			close(taken)
			c.closed()
			e.counted("gateway_error=1")
			e.erred(tc.want, 1)
		})
	}
}

// TestSplicedClientLeaves: bytes that were on their way to a client that has
// gone are never given to another.
func TestSplicedClientLeaves(t *testing.T) {
	body := text(32 << 20)
	up := play(t, func(p *peer, n int) {
		if p.head() == "" {
			return
		}
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)))
		p.send(body)
	})
	e := start(t, up.url())
	for range 4 {
		c := e.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.head()
		looks := 0 // in a row at which it was written to
		e.until("the client's socket to be full", func() bool {
			if looks++; e.writing() != 1 {
				looks = 0
			}
			return looks >= 50
		})
		reset(c)
		e.until("the exchange to be over", func() bool { return e.Stats().ClientConns == 0 })
		c = e.dial()
		if r := c.get("/"); r.err != nil || r.body != body {
			t.Fatalf("the next client got %d bytes, or others: %v", len(r.body), r.err)
		}
		c.Close()
		e.until("the connection to be closed", func() bool { return e.Stats().ClientConns == 0 })
	}
	e.counted("success=4 client_gone=4")
}

// writing is how many connections wait for their client.
func (e *env) writing() (n int) {
	e.eachConn(func(c *clientConn) {
		if wordPhase(c.main.word.Load()) == phaseWrite {
			n++
		}
	})
	return n
}

// TestUrgentData: splicing ends at a byte of urgent data, and the body goes on
// without it, as it does when it is read.
func TestUrgentData(t *testing.T) {
	whole := text(200_000)
	send := func(p *peer, head string) {
		p.send(head + whole[:100_000])
		raw, err := p.Conn.(*net.TCPConn).SyscallConn()
		if err == nil {
			err = raw.Write(func(fd uintptr) bool {
				return unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) != unix.EAGAIN
			})
		}
		if err != nil {
			t.Error(err)
		}
		p.send(whole[100_000:])
	}
	up := play(t, func(p *peer, _ int) {
		if p.head() == "" {
			return
		}
		if got := p.take(200_000); got != whole {
			t.Errorf("%d bytes came up, or others", len(got))
		}
		send(p, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")
	})
	e := start(t, up.url())
	c := e.dial()
	go send(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
	if r := c.reply("POST"); r.err != nil || r.body != whole {
		t.Errorf("%d bytes came down, or others: %v", len(r.body), r.err)
	}
	e.counted("success=1")
}

// TestUnsplicable: what the kernel does not splice from is read.
func TestUnsplicable(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	raw, err := dir.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	body := text(2 * minSpliced)
	all := newPipes()
	defer all.close()
	var got gathered
	b := bodyCopy{
		src: bufio.NewReader(strings.NewReader(body)), dst: &got, framing: framing{framedByLength, int64(len(body))}, from: raw, pipes: all,
	}
	if err := b.run(); err != nil || got.String() != body {
		t.Errorf("got %d bytes: %v", got.Len(), err)
	}
}
