package proxy

import "io"

// turn is how a plain connection is served. Its goroutine holds the read side
// of the socket (see socket.go) for as long as requests come whole, and serves
// each from there as soon as it can be read. What does not come in one piece,
// or takes the connection for other bytes, is served without: reading then
// waits where it stands.
type turn struct {
	take func(fd uintptr) bool // clientConn.take, bound once
	fd   int                   // noSocket unless the read side is held
	then afterTurn

	resting bool // the wait for a request has begun
	drained bool // nothing was left to read the last time
	waits   int  // for a request that came
}

// afterTurn is what is to be done once the read side is given back.
type afterTurn uint8

const (
	closeConn  afterTurn = iota
	serveAll             // a request of which the first byte has arrived
	answerOnly           // a request whose head has been read
)

func (t *turn) held() bool { return t.fd != noSocket }

// plain reports whether what is read and written is the socket itself.
func (c *clientConn) plain() bool { return c.raw != nil && c.proxy.certs == nil }

// Read implements io.Reader for the connection's buffer. While the read side is
// held it does not wait.
func (c *clientConn) Read(p []byte) (n int, err error) {
	if !c.turn.held() {
		return c.Conn.Read(p)
	}
	n, err = receive(c.turn.fd, p)
	c.turn.drained = n < len(p)
	return n, err
}

// WriteTo implements io.WriterTo: what the buffer is not needed for passes from
// socket to socket.
func (c *clientConn) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, c.Conn) }

// serveTurns serves the requests of a plain connection.
func (c *clientConn) serveTurns() {
	t := &c.turn
	t.take = c.take
	for {
		t.then, t.resting, t.drained = closeConn, false, false
		err := c.raw.Read(t.take)
		t.fd = noSocket
		again := false
		switch {
		case err != nil:
			again = c.begin(err) // the wait for a request was ended
		case t.then == serveAll:
			again = c.serveRequest()
		case t.then == answerOnly:
			again = c.answer()
		}
		if !again {
			return
		}
	}
}

// take serves what has arrived whole on the socket fd, whose read side is held.
// It returns false to be called again when there is more to read.
func (c *clientConn) take(fd uintptr) (leave bool) {
	t := &c.turn
	t.fd = int(fd)
	if c.bufs == nil {
		c.bufs = c.proxy.acquireBuffers(c)
	}
	for {
		switch {
		case t.resting:
		case !c.rest():
			return true
		case c.bufs.br.Buffered() > 0:
		case t.drained && t.waits > 1:
			// Trying to read would find nothing: what has come since has this
			// called again. Only the end that a client gave together with its
			// last request has not, or what follows urgent data; it is found when
			// the connection is parked. Clients that do so have one request, or
			// all in one piece.
			return c.await()
		}
		if c.bufs.br.Buffered() > 0 {
			if !c.awake() {
				return true
			}
		} else {
			_, err := c.bufs.br.Peek(1)
			if err == errAgain {
				return c.await()
			}
			if err != nil || !c.begin(nil) {
				return true
			}
			if t.resting {
				t.waits++
			}
		}
		t.resting = false
		switch c.readRequest() {
		case headAbsent:
			continue
		case headPartial:
			t.then = serveAll
			return true
		case headRefused:
			return true
		}
		if q := &c.bufs.exchange.req; q.upgrade != nil || !q.bodyIn(c.bufs.br) {
			t.then = answerOnly
			return true
		}
		if !c.answer() {
			return true
		}
	}
}

// await has take called again when there is something to read; nothing is needed
// until then.
func (c *clientConn) await() (leave bool) {
	c.turn.resting = true
	c.release()
	return false
}
