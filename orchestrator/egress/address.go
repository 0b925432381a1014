package egress

import (
	"net/netip"
	"slices"
	"strings"
)

// allowance is what may be connected to beside public addresses.
type allowance struct {
	private bool
	hosts   []string
}

// names says whether host, a name or an address, was allowed by itself.
func (a allowance) names(host string) bool {
	return slices.ContainsFunc(a.hosts, func(h string) bool { return canonicalHost(h) == canonicalHost(host) })
}

// canonicalHost makes names that mean the same equal: in lower case, without
// the full stop of the root, and addresses in their shortest form.
func canonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return host
}

// reach is how far an address is from the open Internet.
type reach int

const (
	public reach = iota
	// private addresses are those of one's own machine and network.
	private
	// forbidden addresses are nobody's recovery hook: the metadata of clouds,
	// which hands out credentials to whoever asks, and what is no single host.
	forbidden
)

// block is a range of addresses that are not public, and what they are.
type block struct {
	prefix netip.Prefix
	reach  reach
	what   string
}

// blocks are the ranges of the IANA special-purpose registries that are not
// globally reachable, and single addresses that clouds serve metadata from.
// The first that contains an address counts.
var blocks = []block{
	{netip.MustParsePrefix("168.63.129.16/32"), forbidden, "a cloud's metadata service"},
	{netip.MustParsePrefix("100.100.100.200/32"), forbidden, "a cloud's metadata service"},
	{netip.MustParsePrefix("192.0.0.192/32"), forbidden, "a cloud's metadata service"},
	{netip.MustParsePrefix("fd00:ec2::/32"), forbidden, "a cloud's metadata service"},
	{netip.MustParsePrefix("fd20:ce::254/128"), forbidden, "a cloud's metadata service"},

	{netip.MustParsePrefix("127.0.0.0/8"), private, "a loopback address"},
	{netip.MustParsePrefix("::1/128"), private, "a loopback address"},
	{netip.MustParsePrefix("10.0.0.0/8"), private, "a private address"},
	{netip.MustParsePrefix("172.16.0.0/12"), private, "a private address"},
	{netip.MustParsePrefix("192.168.0.0/16"), private, "a private address"},
	{netip.MustParsePrefix("100.64.0.0/10"), private, "a carrier's private address"},
	{netip.MustParsePrefix("fc00::/7"), private, "a unique local address"},

	{netip.MustParsePrefix("169.254.0.0/16"), forbidden, "a link-local address"},
	{netip.MustParsePrefix("fe80::/10"), forbidden, "a link-local address"},
	{netip.MustParsePrefix("fec0::/10"), forbidden, "a site-local address"},
	{netip.MustParsePrefix("0.0.0.0/8"), forbidden, "an unspecified address"},
	{netip.MustParsePrefix("::/96"), forbidden, "an unspecified address"},
	{netip.MustParsePrefix("224.0.0.0/4"), forbidden, "a multicast address"},
	{netip.MustParsePrefix("ff00::/8"), forbidden, "a multicast address"},
	{netip.MustParsePrefix("240.0.0.0/4"), forbidden, "a reserved address"},
	{netip.MustParsePrefix("192.0.0.0/24"), forbidden, "a reserved address"},
	{netip.MustParsePrefix("192.0.2.0/24"), forbidden, "an address for documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), forbidden, "an address for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), forbidden, "an address for documentation"},
	{netip.MustParsePrefix("2001:db8::/32"), forbidden, "an address for documentation"},
	{netip.MustParsePrefix("3fff::/20"), forbidden, "an address for documentation"},
	{netip.MustParsePrefix("198.18.0.0/15"), forbidden, "an address for benchmarks"},
	{netip.MustParsePrefix("192.88.99.0/24"), forbidden, "a reserved address"},
	{netip.MustParsePrefix("2001::/23"), forbidden, "a reserved address"},
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	// globalV6 is all of IPv6 that has been given out.
	globalV6 = netip.MustParsePrefix("2000::/3")
)

// classify says how far away an address is, and what it is unless public. An
// IPv4 address inside an IPv6 one counts as what it is.
func classify(addr netip.Addr) (reach, string) {
	if addr.Zone() != "" {
		return forbidden, "a link-local address"
	}
	addr = addr.Unmap()
	for _, b := range blocks {
		if b.prefix.Contains(addr) {
			return b.reach, b.what
		}
	}
	bytes := addr.As16()
	switch {
	case nat64.Contains(addr):
		return classify(netip.AddrFrom4([4]byte(bytes[12:16])))
	case sixToFour.Contains(addr):
		return classify(netip.AddrFrom4([4]byte(bytes[2:6])))
	case addr.Is6() && !globalV6.Contains(addr):
		return forbidden, "a reserved address"
	}
	return public, ""
}

// judge refuses an address that host resolved to, unless it is public or was
// allowed.
func (a allowance) judge(host string, addr netip.Addr) *RefusedError {
	distance, what := classify(addr)
	switch {
	case distance == public,
		distance == private && (a.private || a.names(host)),
		a.names(addr.Unmap().String()):
		return nil
	case distance == private:
		return &RefusedError{host, addr, what, "name the host in allow_hosts, or set allow_private, if that is meant"}
	}
	return &RefusedError{host, addr, what, "name this very address in allow_hosts, if that is meant"}
}
