package proxy

import (
	"bytes"
	"net"
	"net/netip"
)

// origin is what a connection says about its client in every request: the
// parts of the X-Forwarded-* and Forwarded fields that do not change.
type origin struct {
	trusted   bool   // the peer's own statements are kept and appended to
	addr      []byte // the peer's address, as in X-Forwarded-For
	proto     []byte // http or https
	forwarded []byte // for=…;proto=… of Forwarded (RFC 7239)
}

func newOrigin(remote net.Addr, tls bool, trusted []netip.Prefix) origin {
	o := origin{proto: []byte("http"), addr: []byte("unknown"), forwarded: []byte("for=unknown")}
	if tls {
		o.proto = []byte("https")
	}
	if tcp, ok := remote.(*net.TCPAddr); ok {
		ip := tcp.AddrPort().Addr().Unmap().WithZone("")
		o.addr = []byte(ip.String())
		o.forwarded = append([]byte("for="), o.addr...)
		if ip.Is6() {
			o.forwarded = []byte(`for="[` + ip.String() + `]"`)
		}
		for _, p := range trusted {
			o.trusted = o.trusted || p.Contains(ip)
		}
	}
	o.forwarded = append(append(o.forwarded, ";proto="...), o.proto...)
	return o
}

// appendForwarded appends X-Forwarded-For, -Host and -Proto, Forwarded and
// Via. Fields of the same name are joined in the order they came.
func (c *clientConn) appendForwarded(dst []byte, q *request) []byte {
	o := &c.origin
	dst = append(dst, "X-Forwarded-For: "...)
	dst = o.appendKept(dst, q, fieldXForwardedFor)
	dst = append(append(dst, o.addr...), "\r\n"...)

	dst = o.appendFirst(dst, q, fieldXForwardedProto, "X-Forwarded-Proto: ", o.proto)
	dst = o.appendFirst(dst, q, fieldXForwardedHost, "X-Forwarded-Host: ", q.host)

	dst = append(dst, "Forwarded: "...)
	dst = o.appendKept(dst, q, fieldForwarded)
	dst = append(dst, o.forwarded...)
	if len(q.host) > 0 {
		dst = append(append(append(dst, `;host="`...), q.host...), '"')
	}
	dst = append(dst, "\r\nVia: "...)
	dst = appendJoined(dst, q, fieldVia)
	if q.http11 {
		return append(dst, "1.1 countersign\r\n"...)
	}
	return append(dst, "1.0 countersign\r\n"...)
}

// appendKept appends the values a trusted peer sent, with a comma after each.
func (o *origin) appendKept(dst []byte, q *request, kind fieldKind) []byte {
	if !o.trusted {
		return dst
	}
	return appendJoined(dst, q, kind)
}

func appendJoined(dst []byte, q *request, kind fieldKind) []byte {
	for i := range q.head.fields {
		if f := &q.head.fields[i]; f.kind == kind && len(f.value) > 0 && !q.options.hopByHop(f) {
			dst = append(append(dst, f.value...), ", "...)
		}
	}
	return dst
}

// appendFirst appends the value a trusted peer sent, or else ours.
func (o *origin) appendFirst(dst []byte, q *request, kind fieldKind, name string, own []byte) []byte {
	if o.trusted {
		for i := range q.head.fields {
			if f := &q.head.fields[i]; f.kind == kind && len(bytes.TrimSpace(f.value)) > 0 {
				return appendField(dst, name, f.value)
			}
		}
	}
	if len(own) == 0 {
		return dst
	}
	return appendField(dst, name, own)
}
