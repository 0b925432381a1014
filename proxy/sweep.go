package proxy

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/histogram/clock"
)

const (
	// parkAfter is how long a connection may be idle with its buffers. Parking
	// also looks at the socket, which clientConn.take may have left to it; there
	// is always an idle timeout, so there is always parking.
	parkAfter = time.Second
	// goneEvery is how many sweeps pass between two looks at whether the
	// clients of slow exchanges are still there.
	goneEvery = 5
)

func (p *Proxy) setNow(ns int64) { p.nowMs.Store(uint64(ns / int64(time.Millisecond))) }

// sweepUntil sweeps the connections until stop is closed and the last of them
// has ended: the limits hold for those that are being drained as well.
func (p *Proxy) sweepUntil(stop <-chan struct{}) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	stopped := false
	for n := uint64(1); ; n++ {
		select {
		case <-stop:
			stop = nil
			stopped = true
		case <-tick.C:
		}
		p.tick(n)
		if stopped && p.openConns() == 0 {
			return
		}
	}
}

func (p *Proxy) tick(n uint64) {
	defer p.contain("sweep", func() {})
	p.sweep(clock.Now(), n%goneEvery == 0)
}

// sweep ends every phase that is over time at now (ns of package clock), takes
// the buffers of connections that idle, and, when lookForGone is set, ends
// exchanges whose client has left since the last such look.
func (p *Proxy) sweep(now int64, lookForGone bool) {
	p.setNow(now)
	nowMs := p.nowMs.Load()
	idle := uint64(p.live.Load().IdleTimeout / time.Millisecond)
	p.eachConn(func(c *clientConn) {
		if w := c.upload.word.Load(); overdue(w, nowMs) {
			c.end(&c.upload, w, causeOf(wordPhase(w)))
		}
		w := c.main.word.Load()
		if wordExpired(w) {
			return
		}
		switch ph := wordPhase(w); {
		case overdue(w, nowMs):
			c.end(&c.main, w, causeOf(ph))
		case ph == phaseIdle && c.raw != nil && wordDeadline(w) != 0 &&
			nowMs+idle > wordDeadline(w)+uint64(parkAfter/time.Millisecond):
			c.end(&c.main, w, faultPark)
		case lookForGone && (ph == phaseAwait || ph == phaseRelay):
			if w == c.lastSeen && c.left() {
				c.end(&c.main, w, faultClientGone)
			}
			c.lastSeen = w
		}
	})
}

func overdue(w, nowMs uint64) bool {
	return wordDeadline(w) != 0 && !wordExpired(w) && nowMs > wordDeadline(w)
}

// causeOf says what it means that a phase has lasted too long.
func causeOf(p phase) fault {
	switch p {
	case phaseIdle, phaseParked, phaseHead, phaseReceive:
		return faultRequestTimeout
	case phaseWrite:
		return faultClientGone
	case phaseRelay, phaseTunnel:
		return faultTotalTimeout
	}
	return faultUpstreamTimeout
}

// left reports whether the client has closed its connection, or its half of
// it, without reading what it may have sent before.
func (c *clientConn) left() bool {
	if c.raw == nil {
		return false
	}
	gone := false
	err := c.raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		gone = n > 0 && err == nil && fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}
