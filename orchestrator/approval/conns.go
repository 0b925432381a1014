package approval

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// maxConns is how many connections a public listener has at once: with their
// buffers they take some 10 MB, and no more can be taken by whoever opens
// thousands.
const maxConns = 512

// Bounded is a listener with at most 512 connections at once. One more is let in
// and the oldest is closed of the address (of IPv6: of the /64) that has the
// most: whoever holds connections open to keep others out closes their own.
func Bounded(l net.Listener) net.Listener { return bound(l, maxConns) }

func bound(l net.Listener, most int) *bounded { return &bounded{Listener: l, most: most} }

type bounded struct {
	net.Listener
	most int

	mu   sync.Mutex
	open []*placed // guarded by mu; the oldest first
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	from netip.Prefix
	of   *bounded
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := &placed{Conn: c, of: b}
	if ap, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		p.from = network(ap.Addr())
	}
	if gone := b.enter(p); gone != nil {
		_ = gone.Close()
	}
	return p, nil
}

// enter gives a connection a place, and returns the one that loses its own.
func (b *bounded) enter(p *placed) (gone *placed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.open) >= b.most {
		i := b.crowd()
		gone = b.open[i]
		b.open = slices.Delete(b.open, i, i+1)
	}
	b.open = append(b.open, p)
	return gone
}

// crowd is the oldest connection of the address that has the most.
func (b *bounded) crowd() int {
	count := make(map[netip.Prefix]int, len(b.open))
	most := 0
	for _, p := range b.open {
		count[p.from]++
		most = max(most, count[p.from])
	}
	return slices.IndexFunc(b.open, func(p *placed) bool { return count[p.from] == most })
}

// Close implements net.Conn.
func (p *placed) Close() error {
	p.of.mu.Lock()
	if i := slices.Index(p.of.open, p); i >= 0 {
		p.of.open = slices.Delete(p.of.open, i, i+1)
	}
	p.of.mu.Unlock()
	return p.Conn.Close()
}
