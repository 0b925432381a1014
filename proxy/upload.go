package proxy

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// upload sends a request body that has not all arrived yet, beside the
// goroutine of the connection, which meanwhile waits for the response: an
// upstream may answer before it has read everything.
type upload struct {
	c    *clientConn
	x    *exchange
	uc   *upstreamConn
	copy bodyCopy

	mu    sync.Mutex // guards muted, and the lane until muted
	muted bool       // the recorder has been told all it is to know

	ended fault // why the sweeper ended a phase; owned by the upload's goroutine

	complete atomic.Bool // the client has sent the whole body
	stopped  atomic.Bool // the exchange does not need the rest
	done     chan struct{}
	fault    fault // valid once done is closed
	sent     bool  // the upstream was given all of it; valid once done is closed
}

func startUpload(x *exchange, uc *upstreamConn) *upload {
	u := &upload{c: x.c, x: x, uc: uc, done: make(chan struct{})}
	u.copy = bodyCopy{
		src: x.c.bufs.br, dst: u, framing: x.req.body,
		chunked: x.req.body.kind == framedByChunks, limit: x.live.MaxBodyBytes, maxFields: x.live.MaxHeaderCount,
	}
	if x.c.plain() && uc.plain && !u.copy.chunked {
		u.copy.from, u.copy.pipes = x.c.raw, x.c.proxy.pipes
	}
	go u.run()
	return u
}

func (u *upload) run() {
	defer close(u.done)
	defer u.c.proxy.contain("upload", func() {
		u.fault = faultInternal
		u.wake()
	})
	err := u.copy.run()
	_ = u.enter(phaseConnect, 0)
	var sink *sinkError
	switch {
	case u.ended != faultNone:
		u.fault = u.ended
	case err == nil:
		u.sent = true
	case u.stopped.Load():
	case errors.As(err, &sink):
		// The upstream takes no more. It may have said why.
	case errors.Is(err, errBodyMalformed):
		u.fault = faultBadRequest
	case errors.Is(err, errBodyTooLarge):
		u.fault = faultBodyTooLarge
	default:
		u.fault = faultClientGone
	}
	if u.fault != faultNone {
		u.wake()
		return
	}
	u.startClock()
}

// wake makes the connection's goroutine stop waiting for a response.
func (u *upload) wake() { _ = u.uc.SetDeadline(longAgo) }

// startClock gives the upstream its time to answer, if the connection's
// goroutine is already waiting for that.
func (u *upload) startClock() {
	w := u.c.main.word.Load()
	if wordPhase(w) != phaseAwait || wordExpired(w) {
		return
	}
	deadline := u.c.proxy.deadline(u.x.live.ResponseTimeout)
	if d := wordDeadline(w); d != 0 && d < deadline {
		return
	}
	u.c.main.word.CompareAndSwap(w, waitWord(phaseAwait, deadline))
}

// lastPieceTime is how long an upstream that has already answered may take to
// make room for the last piece of the request.
const lastPieceTime = time.Second

// stop ends the upload and waits for it. It reports whether all of the body
// had been passed on, so that both connections stay usable.
func (u *upload) stop() bool {
	select {
	case <-u.done:
		return u.sent
	default:
	}
	if !u.complete.Load() {
		u.stopped.Store(true)
		_ = u.c.SetReadDeadline(longAgo)
		_ = u.uc.SetWriteDeadline(longAgo)
		<-u.done
		// Even if all has been sent in the meantime, the upstream's connection
		// has a deadline that has passed.
		return false
	}
	// The last piece is on its way, which ought to take no time.
	_ = u.uc.SetWriteDeadline(time.Now().Add(lastPieceTime))
	<-u.done
	return u.sent && u.uc.SetWriteDeadline(time.Time{}) == nil
}

// reading implements bodyEnd: the copy waits for the client.
func (u *upload) reading() error {
	return u.enter(phaseReceive, u.x.live.StallTimeout)
}

// enter begins a phase of the upload that may last d, 0 being no limit. It is
// an error when the sweeper has ended one: one of the sockets is of no more use.
func (u *upload) enter(p phase, d time.Duration) error {
	if ended := u.c.upload.enter(p, u.c.proxy.deadline(d)); ended != faultNone {
		u.ended = ended
		return errEnded
	}
	return nil
}

// restamp tells the recorder that the request has been received whole.
func (u *upload) restamp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.c.lane != nil && !u.muted {
		u.c.lane.Restamp(u.x.now())
	}
}

// mute makes the recorder's lane the connection's goroutine's own again.
func (u *upload) mute() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.muted = true
}

// write implements bodyEnd: the upstream gets the next piece.
func (u *upload) write(p []byte) error {
	if err := u.giving(); err != nil {
		return err
	}
	_, err := u.uc.Write(p)
	return err
}

// drain implements bodyEnd: the same, of what a pipe holds.
func (u *upload) drain(p *pipe) error {
	if err := u.giving(); err != nil {
		return err
	}
	return p.drain(u.uc.raw)
}

// giving begins the writing of a piece, which may be the last.
func (u *upload) giving() error {
	if u.copy.exhausted() && !u.complete.Load() {
		u.restamp()
		u.complete.Store(true)
	}
	return u.enter(phaseSend, u.x.live.StallTimeout)
}
