package proxy

import (
	"bufio"
	"errors"

	"github.com/countersign-dev/countersign/histogram/clock"
)

// exchange is one request and its response, from the head received to the last
// byte passed on.
type exchange struct {
	c    *clientConn
	live *Config
	req  request
	resp response
	copy bodyCopy

	headOnly bool          // a HEAD request
	whole    bool          // the request was sent in one piece, body included
	upload   *upload       // sends the body when it was not
	ubr      *bufio.Reader // of the upstream's connection, once it answers
	reused   bool          // the upstream connection had carried an exchange before
	retried  bool
	answered bool // a byte of a response has arrived
	sampled  bool // our own time is measured

	// Clock readings in ns of package clock; 0 when nothing is measured.
	start     int64 // request received
	sent      int64 // request handed to the kernel, when sampled
	firstByte int64 // first byte of the response's head received
	end       int64 // last byte of the response received
	blocked   int64 // of that time, what a slow client held us up
	waited    bool  // more was waited for since the last reading
	measured  bool  // the recorder has been told how it ended
}

// sampleEvery is how many requests pass between two measurements of the
// proxy's own time, which cost two more readings of the clock.
const sampleEvery = 16

// verdict is how an attempt to carry out an exchange over one connection ended.
type verdict uint8

const (
	broken   verdict = iota // the upstream connection is of no more use
	reusable                // it can carry another exchange
	stale                   // it was closed while it was idle, and nothing was sent
	retry                   // the same, found out by sending; nothing has happened yet
)

// run carries out the exchange whose request head has just been read. It
// reports whether the client's connection can carry another.
func (x *exchange) run(c *clientConn, live *Config) (again bool) {
	x.begin(c, live)
	if live.MaxBodyBytes > 0 && x.req.body.length > live.MaxBodyBytes {
		return x.fail(faultBodyTooLarge)
	}
	b := c.bufs
	b.out = x.req.appendHead(b.out[:0], c)
	x.takeBody()
	if x.whole && x.req.upgrade == nil && b.br.Buffered() == 0 {
		// What is still to be known of the request is not in the buffer.
		q := &x.req
		q.head.start, q.head.fields, q.target, q.host = nil, q.head.fields[:0], nil, nil
		b.lend(c.proxy)
		defer b.claim(c)
	}
	return x.conclude()
}

// conclude tries until the request has been answered, or cannot be.
func (x *exchange) conclude() (again bool) {
	for {
		v, f := x.try()
		switch {
		case v == stale:
		case v == retry:
			x.retried = true
			x.c.proxy.upstream.retries.Add(1)
		case f != faultNone:
			return x.fail(f)
		default:
			return x.succeed()
		}
	}
}

// try carries out the exchange over one upstream connection, and gives that
// back or closes it, whatever happens.
func (x *exchange) try() (v verdict, f fault) {
	c, pool := x.c, x.c.proxy.upstream.pool
	c.enter(phaseConnect, 0)
	cc, err := pool.AcquireConn(0, false)
	if err != nil {
		f := connectFault(err)
		c.proxy.logReachability(f, err)
		return broken, f
	}
	uc := cc.Conn().(*upstreamConn)
	if uc.used && (x.retried || !x.asksAtOnce(uc) && uc.stale()) {
		pool.CloseConn(cc)
		return stale, faultNone
	}
	defer func() {
		sent := x.upload == nil || x.upload.stop()
		// From here on the sweeper does not touch the upstream connection.
		c.enter(phaseConnect, 0)
		// Bytes that are left are more than was asked for.
		if v == reusable && sent && c.ended == faultNone && x.ubr.Buffered() == 0 {
			pool.ReleaseConn(cc)
		} else {
			pool.CloseConn(cc)
		}
		if x.ubr != nil {
			pool.ReleaseReader(x.ubr)
			x.ubr = nil
		}
	}()
	c.proxy.logReachability(faultNone, nil)
	x.reused, uc.used = uc.used, true
	c.upstream.Store(uc)
	return x.attempt(uc)
}

// asksAtOnce reports whether the request is sent by one call that looks first
// whether uc is still of use.
func (x *exchange) asksAtOnce(uc *upstreamConn) bool { return x.whole && uc.plain }

func (x *exchange) begin(c *clientConn, live *Config) {
	x.c, x.live, x.upload = c, live, nil
	if c.live != live {
		c.live = live
		c.origin = newOrigin(c.RemoteAddr(), c.proxy.certs != nil, live.TrustedProxies)
	}
	x.headOnly = string(x.req.parsed.Method()) == "HEAD"
	x.whole, x.reused, x.retried, x.answered = false, false, false, false
	x.sampled, x.measured, x.waited = false, false, false
	x.sent, x.firstByte, x.end, x.blocked = 0, 0, 0, 0
	if live.TotalTimeout > 0 {
		c.totalMs = c.proxy.deadline(live.TotalTimeout)
	}
	if c.lane != nil {
		route := c.proxy.cfg.Recorder.Route(x.req.parsed.Method(), x.req.target)
		x.start = clock.Now()
		c.lane.Start(route, x.start)
		c.sample++
		x.sampled = c.sample%sampleEvery == 0
	}
}

// repeatable reports whether the request may be sent a second time.
func (x *exchange) repeatable() bool { return x.whole && x.req.idempotent() }

// takeBody appends the request's body to its head when all of it has arrived.
func (x *exchange) takeBody() {
	b := x.c.bufs
	x.whole = x.req.bodyIn(b.br)
	if x.whole && !x.req.body.empty() {
		n := int(x.req.body.length)
		body, _ := b.br.Peek(n)
		b.out = append(b.out, body...)
		_, _ = b.br.Discard(n)
	}
}

// attempt sends the request over uc and passes the response on. When it names
// a fault, the response has not been completed.
func (x *exchange) attempt(uc *upstreamConn) (verdict, fault) {
	c := x.c
	c.enter(phaseSend, x.live.StallTimeout)
	if c.ended != faultNone {
		return broken, x.endedBy() // while it waited for the connection
	}
	if err := uc.ask(x); err == errStale {
		return stale, faultNone
	} else if err != nil {
		return x.noResponse(err)
	}
	ubr := x.ubr
	for {
		if _, err := ubr.Peek(1); err != nil {
			return x.noResponse(err)
		}
		x.answered, x.firstByte = true, x.now()
		if f := x.readHead(ubr); f != faultNone {
			return broken, f
		}
		if !x.resp.informational() {
			return x.deliver(uc, ubr)
		}
		if x.resp.status == 101 {
			return x.switchProtocols(uc, ubr)
		}
		if f := x.relayInterim(); f != faultNone {
			return broken, f
		}
	}
}

// asked is told that the request, or its head, has been handed to the kernel.
func (x *exchange) asked(uc *upstreamConn) {
	c := x.c
	if x.sampled {
		x.sent = x.now()
	}
	if x.whole {
		c.enter(phaseAwait, x.live.ResponseTimeout)
		return
	}
	c.enter(phaseAwait, 0)
	if c.lane != nil {
		c.lane.Receiving()
	}
	x.upload = startUpload(x, uc)
}

func (x *exchange) readHead(ubr *bufio.Reader) fault {
	size, err := awaitHead(ubr)
	if err == nil && x.c.ended != faultNone {
		return x.endedBy()
	}
	if err == nil {
		if x.resp.read(ubr, size, x.live.MaxHeaderCount, x.headOnly) != nil {
			return faultUpstreamResponse
		}
		return faultNone
	}
	if errors.Is(err, errHeadTooLarge) || errors.Is(err, errBareLF) {
		return faultUpstreamResponse
	}
	_, f := x.noResponse(err)
	return f
}

// noResponse says what it means that no response came but err.
func (x *exchange) noResponse(err error) (verdict, fault) {
	c := x.c
	if x.upload != nil {
		x.upload.stop()
		if x.upload.fault != faultNone {
			return broken, x.upload.fault
		}
	}
	c.enter(phaseConnect, 0)
	switch {
	case c.ended != faultNone:
		return broken, x.endedBy()
	case x.reused && !x.retried && !x.answered && x.repeatable():
		return retry, faultNone
	}
	return broken, answerFault(err)
}

// endedBy names the fault for which the sweeper ended the exchange.
func (x *exchange) endedBy() fault {
	if t := x.c.totalMs; t != 0 && x.c.proxy.nowMs.Load() > t && x.c.ended != faultClientGone {
		return faultTotalTimeout
	}
	return x.c.ended
}

// relayInterim passes on a 1xx response (RFC 9110 §15.2): 100 to a client that
// expects it, others to any that can understand them. They do not put off the
// time by which the response itself is due.
func (x *exchange) relayInterim() fault {
	until := wordDeadline(x.c.main.word.Load())
	if x.req.http11 && (x.resp.status != 100 || x.req.expectContinue) {
		out := x.resp.appendHead(x.c.bufs.out[:0], &x.req, delivery{})
		x.c.bufs.out = out
		if x.c.write(out) != nil {
			return faultClientGone
		}
		x.c.replied = false // the response itself is still to come
	}
	x.c.enterUntil(phaseAwait, until)
	if x.upload != nil && x.upload.complete.Load() {
		x.upload.startClock()
	}
	return faultNone
}

// deliver passes the final response on to the client.
func (x *exchange) deliver(uc *upstreamConn, ubr *bufio.Reader) (verdict, fault) {
	c, b := x.c, x.c.bufs
	keep := x.req.options.persistent(x.req.http11) && !c.proxy.draining.Load() &&
		(x.upload == nil || x.upload.complete.Load())
	d := x.resp.deliver(&x.req, keep)
	c.closing = d.closing
	if x.resp.events {
		c.totalMs = 0
		x.stream()
	}
	x.end = x.firstByte
	x.copy = bodyCopy{
		src: ubr, dst: x, framing: x.resp.body, chunked: d.chunked,
		maxFields: x.live.MaxHeaderCount, out: x.resp.appendHead(b.out[:0], &x.req, d),
	}
	if uc.plain && c.plain() && !d.chunked {
		x.copy.from, x.copy.pipes = uc.raw, c.proxy.pipes
	}
	err := x.copy.run()
	b.out = x.copy.out[:0]
	if err == nil {
		if x.resp.persistent() {
			return reusable, faultNone
		}
		return broken, faultNone
	}
	if x.upload != nil && !x.upload.stop() && x.upload.fault != faultNone {
		return broken, x.upload.fault
	}
	c.enter(phaseConnect, 0)
	var sink *sinkError
	switch {
	case errors.As(err, &sink):
		return broken, faultClientGone
	case c.ended != faultNone:
		return broken, x.endedBy()
	case errors.Is(err, errBodyMalformed):
		return broken, faultUpstreamResponse
	}
	return broken, answerFault(err)
}

// errEnded stops a copy whose exchange the sweeper has ended.
var errEnded = errors.New("the exchange was ended")

// reading implements bodyEnd: the copy waits for the upstream.
func (x *exchange) reading() error {
	x.waited = true
	x.c.enter(phaseRelay, 0)
	if x.c.ended != faultNone {
		return errEnded
	}
	return nil
}

// slowWrite is how long a write to the client may take before the time counts
// as the client's and not the upstream's: below it, the upstream went on
// filling our socket meanwhile.
const slowWrite = 1e6

// write implements bodyEnd: the client gets the next piece.
func (x *exchange) write(p []byte) error {
	if !x.waited && x.copy.exhausted() {
		return x.c.write(p) // how long it takes matters to nothing
	}
	before := x.giving()
	err := x.c.write(p)
	x.given(before)
	return err
}

// drain implements bodyEnd: the same, of what a pipe holds.
func (x *exchange) drain(p *pipe) error {
	before := x.giving()
	err := x.c.drain(p)
	x.given(before)
	return err
}

// giving reads the clock before a piece is written to the client. If it had to
// be waited for, its time is the end of the response so far.
func (x *exchange) giving() (before int64) {
	before = x.now()
	if x.waited {
		x.waited = false
		x.end = before - x.blocked
	}
	return before
}

// given counts the time since before if the client was slow to take the piece.
func (x *exchange) given(before int64) {
	if took := x.now() - before; took > slowWrite {
		x.blocked += took
	}
}
