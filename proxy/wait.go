package proxy

import (
	"sync"
	"sync/atomic"
	"time"
)

// phase is what a connection's goroutine is doing, and so which of its two
// sockets has to be woken to make it stop.
type phase uint8

const (
	phaseIdle    phase = iota // for the first byte of a request
	phaseParked               // the same, without buffers
	phaseHead                 // for the rest of a request head
	phaseConnect              // for an upstream connection
	phaseSend                 // for the upstream to take the request
	phaseAwait                // for the head of the response
	phaseRelay                // for more of the response's body
	phaseWrite                // for the client to take the response
	phaseReceive              // upload: for more of the request's body
	phaseTunnel               // nothing: both directions run freely
)

// waitState is a phase and the time until which it may last, in one word, so
// that entering a phase costs one atomic operation and no timer. The proxy's
// sweeper looks at the words of all connections ten times a second; it marks
// the ones that are over time and wakes their sockets.
//
// Layout: milliseconds of deadline << 16, expired << 8, phase. Deadline 0 is
// none.
type waitState struct {
	word atomic.Uint64

	// mu is held by the sweeper from the marking of the word until the socket
	// has been woken, and guards cause.
	mu    sync.Mutex
	cause fault // why the sweeper ended a phase
}

const expiredBit = 1 << 8

func waitWord(p phase, deadlineMs uint64) uint64 { return deadlineMs<<16 | uint64(p) }

func wordPhase(w uint64) phase     { return phase(w) }
func wordExpired(w uint64) bool    { return w&expiredBit != 0 }
func wordDeadline(w uint64) uint64 { return w >> 16 }

// enter begins a phase. It returns why the sweeper ended the one before, or
// faultNone. If it did, the socket has been woken when enter returns, and is of
// no more use.
func (s *waitState) enter(p phase, deadlineMs uint64) (ended fault) {
	if !wordExpired(s.word.Swap(waitWord(p, deadlineMs))) {
		return faultNone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// expire marks the word w as ended if it is still the current one.
func (s *waitState) expire(w uint64) bool {
	return s.word.CompareAndSwap(w, w|expiredBit)
}

// sweepInterval is how often deadlines are looked at, and so their accuracy.
const sweepInterval = 100 * time.Millisecond

// deadline returns the time d from now in the proxy's milliseconds. It is
// never early: the proxy's own idea of now is up to one sweep old.
func (p *Proxy) deadline(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	return p.nowMs.Load() + uint64((d+sweepInterval)/time.Millisecond)
}
