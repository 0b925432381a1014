package api

import (
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
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

// A tenant may give orderBurst orders in a row, and then one every orderEvery.
// Each is an entry of a ledger that is everybody's, and nothing takes entries
// away again. It is enough to mark the incidents of a month at one sitting.
const (
	orderBurst = 60
	orderEvery = 10 * time.Second
)

// bucket is what somebody has left of a number of attempts, at a time.
type bucket struct {
	left float64
	at   time.Time
}

// upTo is the bucket at a later time, when one attempt more has come every so
// often, up to most.
func (b bucket) upTo(now time.Time, every time.Duration, most float64) bucket {
	gained := float64(max(0, now.Sub(b.at))) / float64(every)
	return bucket{left: min(most, b.left+gained), at: now}
}

// wait is how long it takes until there is an attempt left, 0 when there is.
func (b bucket) wait(every time.Duration) time.Duration {
	return max(0, time.Duration(math.Ceil((1-b.left)*float64(every))))
}

// limiter slows down whoever gives wrong secrets, by address. It is safe for
// concurrent use.
type limiter struct {
	mu      sync.Mutex
	clients map[netip.Prefix]bucket
}

// admit counts an attempt that was right or wrong. When the client has had too
// many wrong ones it returns how long to wait, whatever this one was.
func (l *limiter) admit(client netip.Prefix, right bool, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.clients[client]
	if !known {
		if right {
			return 0
		}
		client = l.room(client, now)
		if b, known = l.clients[client]; !known {
			b = bucket{left: guessBurst, at: now}
		}
	}
	b = b.upTo(now, guessEvery, guessBurst)
	if wait = b.wait(guessEvery); wait == 0 && !right {
		b.left--
	}
	l.clients[client] = b
	return wait
}

// room makes sure that a client more can be remembered, and returns under
// which address: when all places are taken, newcomers share one.
func (l *limiter) room(client netip.Prefix, now time.Time) netip.Prefix {
	if l.clients == nil {
		l.clients = map[netip.Prefix]bucket{}
	}
	if len(l.clients) < maxGuessers {
		return client
	}
	for c, b := range l.clients {
		if b.upTo(now, guessEvery, guessBurst).left == guessBurst {
			delete(l.clients, c)
		}
	}
	if len(l.clients) < maxGuessers {
		return client
	}
	return netip.Prefix{}
}

// allowance bounds how often orders are given in a tenant's name, by those who
// may give them. It is safe for concurrent use.
type allowance struct {
	mu      sync.Mutex
	tenants map[string]bucket // of those that have a secret
}

// take counts an order. When there were too many it returns how long to wait.
func (a *allowance) take(tenant string, now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, known := a.tenants[tenant]
	if !known {
		b = bucket{left: orderBurst, at: now}
	}
	b = b.upTo(now, orderEvery, orderBurst)
	if wait = b.wait(orderEvery); wait == 0 {
		b.left--
	}
	if a.tenants == nil {
		a.tenants = map[string]bucket{}
	}
	a.tenants[tenant] = b
	return wait
}

// mayOrder says whether an order more may become an entry now, and answers the
// request when not.
func (h *handler) mayOrder(w http.ResponseWriter, tenant string) bool {
	wait := h.orders.take(tenant, h.cfg.Now())
	if wait > 0 {
		refuseUntil(w, wait, "too many orders were given in this tenant's name")
	}
	return wait == 0
}

// refuseUntil answers that it was too much, and when to try again.
func refuseUntil(w http.ResponseWriter, wait time.Duration, why string) {
	seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
	w.Header().Set("Retry-After", seconds)
	refuse(w, http.StatusTooManyRequests, why+": try again in "+seconds+" s")
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
