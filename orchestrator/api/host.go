package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hostAllowed guards a loopback listener against DNS rebinding: a browser
// that was led here by a foreign name still says that name. Over any other
// address the operator has chosen to be reached from the network, by
// whatever name the network has for this host. A request without Host is no
// browser's.
func hostAllowed(r *http.Request, extra []string) bool {
	if r.Host == "" || !arrivedOnLoopback(r) {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	for _, name := range extra {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

// arrivedOnLoopback errs towards yes for an address it cannot read.
func arrivedOnLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err != nil || ap.Addr().Unmap().IsLoopback()
}
