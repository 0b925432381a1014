package egress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// ErrShadow is in the error of everything that was asked for while shadow mode
// was on.
var ErrShadow = errors.New("shadow mode is on: nothing leaves; switch it off with countersign shadow off")

// ErrTooLarge is the error of reading an answer that has more bytes than are
// taken.
var ErrTooLarge = errors.New("the answer is larger than is taken")

// Options say what a Gate asks and uses.
type Options struct {
	// Shadow says whether shadow mode is on for a tenant. It is asked before each
	// connection and each write. When nil, shadow mode is on for all.
	Shadow func(tenant string) bool
	// Log receives what was refused; slog.Default when nil.
	Log *slog.Logger
	// Lookup resolves a name; net.DefaultResolver when nil.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Connect opens a connection to an address that was judged, IP:PORT; a
	// net.Dialer when nil.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// Gate opens connections. It is safe for concurrent use.
type Gate struct {
	shadow  func(tenant string) bool
	log     *slog.Logger
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes a Gate. It opens nothing.
func New(o Options) *Gate {
	g := &Gate{shadow: o.Shadow, log: o.Log, lookup: o.Lookup, connect: o.Connect}
	if g.shadow == nil {
		g.shadow = func(string) bool { return true }
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.lookup == nil {
		g.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if g.connect == nil {
		g.connect = (&net.Dialer{}).DialContext
	}
	return g
}

// RefusedError says that an address may not be connected to.
type RefusedError struct {
	// Host is the name or address that was asked for.
	Host string
	// Addr is what it resolved to.
	Addr netip.Addr
	// Why says what kind of address it is, Mend how it can be allowed.
	Why, Mend string
}

func (e *RefusedError) Error() string {
	of := ""
	if e.Host != e.Addr.String() {
		of = " of " + e.Host
	}
	return fmt.Sprintf("the address %s%s is %s and was not connected to: %s", e.Addr, of, e.Why, e.Mend)
}

// UnsentError says that a request failed before anything of it was sent: that
// it can be sent again without being there twice.
type UnsentError struct{ Err error }

func (e *UnsentError) Error() string { return e.Err.Error() }

// Unwrap returns what went wrong.
func (e *UnsentError) Unwrap() error { return e.Err }

// Unsent says the same to those who do not know this package.
func (e *UnsentError) Unsent() bool { return true }
