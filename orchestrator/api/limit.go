package api

import (
	"math"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A client may be wrong guessBurst times in a row, and then once every
// guessEvery. That is nothing to a person who mistypes, and leaves no secret
// to be guessed.
const (
	guessBurst = 10
	guessEvery = 6 * time.Second
	// maxGuessers bounds the clients that are told apart.
	maxGuessers = 1024
)

// limiter slows down whoever gives wrong secrets, by address. It is safe for
// concurrent use.
type limiter struct {
	mu      sync.Mutex
	clients map[netip.Prefix]guesses
}

// guesses are those that a client has left, at a time.
type guesses struct {
	left float64
	at   time.Time
}

func (g guesses) upTo(now time.Time) guesses {
	gained := float64(max(0, now.Sub(g.at))) / float64(guessEvery)
	return guesses{left: min(guessBurst, g.left+gained), at: now}
}

// admit counts an attempt that was right or wrong. When the client has had too
// many wrong ones it returns how long to wait, whatever this one was.
func (l *limiter) admit(client netip.Prefix, right bool, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g, known := l.clients[client]
	if !known {
		if right {
			return 0
		}
		client = l.room(client, now)
		if g, known = l.clients[client]; !known {
			g = guesses{left: guessBurst, at: now}
		}
	}
	g = g.upTo(now)
	if g.left < 1 {
		wait = time.Duration(math.Ceil((1 - g.left) * float64(guessEvery)))
	} else if !right {
		g.left--
	}
	l.clients[client] = g
	return wait
}

// room makes sure that a client more can be remembered, and returns under
// which address: when all places are taken, newcomers share one.
func (l *limiter) room(client netip.Prefix, now time.Time) netip.Prefix {
	if l.clients == nil {
		l.clients = map[netip.Prefix]guesses{}
	}
	if len(l.clients) < maxGuessers {
		return client
	}
	for c, g := range l.clients {
		if g.upTo(now).left == guessBurst {
			delete(l.clients, c)
		}
	}
	if len(l.clients) < maxGuessers {
		return client
	}
	return netip.Prefix{}
}

// clientOf is the address that a request came from; of IPv6 the network, which
// one client usually has all of.
func clientOf(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
