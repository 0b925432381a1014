package approval

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// allowance is how often something may be done: burst times in a row, and then
// once every interval.
type allowance struct {
	burst    float64
	interval time.Duration
}

// What the public listener allows. A good link is never held up by others that
// come from the same address, nor its decision by previews of it.
var (
	wrongAllowed   = allowance{20, 3 * time.Second}  // links that are not ours, by address
	lookAllowed    = allowance{60, time.Second}      // looks at one link: chat apps look as well
	decideAllowed  = allowance{10, 3 * time.Second}  // decisions by one link
	expiredAllowed = allowance{10, 10 * time.Second} // looks at and decisions by one link that has expired
)

// maxKeys bounds the keys that are told apart; newcomers beyond it share one.
const maxKeys = 4096

// limiter keeps an allowance for each key. It is safe for concurrent use.
type limiter[K comparable] struct {
	allowed allowance
	mu      sync.Mutex
	left    map[K]remainder
	swept   time.Time // when those that have all of it were last forgotten
}

// remainder is what a key has left, at a time.
type remainder struct {
	n  float64
	at time.Time
}

func newLimiter[K comparable](a allowance) *limiter[K] {
	return &limiter[K]{allowed: a, left: map[K]remainder{}}
}

func (l *limiter[K]) upTo(r remainder, now time.Time) float64 {
	return min(l.allowed.burst, r.n+float64(max(0, now.Sub(r.at)))/float64(l.allowed.interval))
}

// take counts one, and says whether it is allowed.
func (l *limiter[K]) take(key K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.left[key]
	if !known {
		key = l.room(key, now)
		if r, known = l.left[key]; !known {
			r = remainder{l.allowed.burst, now}
		}
	}
	n := l.upTo(r, now)
	if n < 1 {
		l.left[key] = remainder{n, now}
		return false
	}
	l.left[key] = remainder{n - 1, now}
	return true
}

// room is the key under which a newcomer is counted.
func (l *limiter[K]) room(key K, now time.Time) K {
	if len(l.left) < maxKeys {
		return key
	}
	if now.Sub(l.swept) >= l.allowed.interval {
		l.swept = now
		for k, r := range l.left {
			if l.upTo(r, now) == l.allowed.burst {
				delete(l.left, k)
			}
		}
	}
	if len(l.left) < maxKeys {
		return key
	}
	var shared K
	return shared
}

// clientOf is the network that a request came from. A proxy that is trusted says
// in X-Forwarded-For for whom it asks.
func clientOf(r *http.Request, trusted []netip.Prefix) netip.Prefix {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	client := ap.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(client, trusted); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		client = hop.Unmap().WithZone("")
	}
	return network(client)
}

// network is what one client usually has all of: an address, of IPv6 its /64.
func network(a netip.Addr) netip.Prefix {
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

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
