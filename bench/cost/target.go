package cost

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Target is the API that is measured, at one address.
type Target struct {
	URL  string // as it was given
	Host string // for the Host header
	Path string // with its query
	Addr string // IP:PORT that is connected to
}

// PublicError says that an address is neither on this machine nor on a private network.
type PublicError struct {
	Host string
	IP   netip.Addr
}

func (e PublicError) Error() string {
	return fmt.Sprintf("%s is at %v, which is neither this machine nor a private network", e.Host, e.IP)
}

// Resolver finds the addresses of a host, as [net.Resolver] does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Resolve finds the one address that everything is sent to, so that no later answer of a name server moves the load
// elsewhere. With a public address the error is a [PublicError], unless that is permitted.
func Resolve(ctx context.Context, names Resolver, raw string, permitted bool) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return Target{}, fmt.Errorf("%q is not the URL of an API: give one as http://127.0.0.1:8000/path", raw)
	}
	if u.User != nil {
		return Target{}, fmt.Errorf("the URL for %s has a user in it, which is not sent: give the API what it wants as a header, Authorization", u.Host)
	}
	if u.Scheme != "http" {
		return Target{}, fmt.Errorf("%q: only http can be measured; give the API's own port, behind its TLS", raw)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	addrs, err := names.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return Target{}, fmt.Errorf("cannot find %s: %w", u.Hostname(), err)
	}
	if len(addrs) == 0 {
		return Target{}, fmt.Errorf("cannot find %s: it has no address", u.Hostname())
	}
	for _, ip := range addrs {
		if !permitted && !near(ip) {
			return Target{}, PublicError{u.Hostname(), ip.Unmap()}
		}
	}
	return Target{URL: raw, Host: u.Host, Path: requestPath(u), Addr: net.JoinHostPort(preferred(addrs).String(), port)}, nil
}

func near(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}

// preferred is the first IPv4 address: where a name has both, as localhost mostly does, APIs that listen on one listen
// on that.
func preferred(addrs []netip.Addr) netip.Addr {
	for _, ip := range addrs {
		if ip.Unmap().Is4() {
			return ip.Unmap()
		}
	}
	return addrs[0]
}

func requestPath(u *url.URL) string {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path
}
