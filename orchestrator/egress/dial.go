package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

const (
	// connectTimeout is how long resolving and connecting may take together.
	connectTimeout = 10 * time.Second
	// maxAddresses of a name are tried, the first ones.
	maxAddresses = 8
)

// DialOptions say what a dialer may reach beside public addresses.
type DialOptions struct {
	// AllowPrivate also allows loopback and private addresses.
	AllowPrivate bool
	// AllowHosts are names whose loopback and private addresses are allowed, and
	// addresses that are allowed whatever they are.
	AllowHosts []string
}

// Check refuses a host that is an address, or a name of this machine, where no
// connection would be made. It resolves no name: what others lead to is judged
// when they are connected to.
func (o DialOptions) Check(host string) error {
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	if strings.HasSuffix("."+canonicalHost(host), ".localhost") {
		addr, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err != nil {
		return nil
	}
	if refused := (allowance{o.AllowPrivate, o.AllowHosts}).judge(host, addr); refused != nil {
		return refused
	}
	return nil
}

// Dial connects to address, HOST:PORT at a public address, within 10 s.
func (g *Gate) Dial(ctx context.Context, tenant, network, address string) (net.Conn, error) {
	return g.dial(ctx, tenant, network, address, allowance{})
}

// Dialer is Dial for what else than public addresses is allowed.
func (g *Gate) Dialer(tenant string, o DialOptions) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return g.dial(ctx, tenant, network, address, allowance{o.AllowPrivate, o.AllowHosts})
	}
}

func (g *Gate) dial(ctx context.Context, tenant, network, address string, allowed allowance) (net.Conn, error) {
	if g.shadow(tenant) {
		return nil, ErrShadow
	}
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fmt.Errorf("connections are made by tcp, not by %s", network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return nil, errors.New("the address to connect to is not of the form HOST:PORT")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	addrs, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	// One address that is not allowed refuses the name: who mixes them means harm,
	// or does not know what the name is.
	for _, addr := range addrs {
		if refused := allowed.judge(host, addr); refused != nil {
			g.log.Warn("an address was refused", "tenant", tenant, "host", host, "address", addr, "why", refused.Why)
			return nil, refused
		}
	}
	conn, err := g.first(ctx, tenant, network, addrs, port)
	if err != nil {
		return nil, err
	}
	return &guarded{Conn: conn, gate: g, tenant: tenant}, nil
}

func (g *Gate) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := g.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

// first connects to the first address that answers, each with its share of the
// time that is left. The error is that of the first.
func (g *Gate) first(ctx context.Context, tenant, network string, addrs []netip.Addr, port string) (net.Conn, error) {
	addrs = addrs[:min(len(addrs), maxAddresses)]
	var failed error
	for i, addr := range addrs {
		if g.shadow(tenant) {
			return nil, ErrShadow
		}
		conn, err := g.try(ctx, network, net.JoinHostPort(addr.Unmap().String(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if failed == nil {
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (g *Gate) try(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return g.connect(ctx, network, address)
}

// guarded is a connection that sends nothing more once shadow mode is on.
type guarded struct {
	net.Conn
	gate   *Gate
	tenant string
}

func (c *guarded) Write(p []byte) (int, error) {
	if c.gate.shadow(c.tenant) {
		return 0, ErrShadow
	}
	return c.Conn.Write(p)
}
