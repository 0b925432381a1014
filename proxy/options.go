package proxy

import "bytes"

// options is what the Connection fields of a head say (RFC 9110 §7.6.1).
type options struct {
	close, keepAlive, upgrade bool
	nominated                 [][]byte // other field names, for this hop only
}

func (o *options) read(h *head) {
	*o = options{nominated: o.nominated[:0]}
	for i := range h.fields {
		if h.fields[i].kind != fieldConnection {
			continue
		}
		for token, rest := cutToken(h.fields[i].value); ; token, rest = cutToken(rest) {
			switch {
			case len(token) == 0:
			case equalFold(token, "close"):
				o.close = true
			case equalFold(token, "keep-alive"):
				o.keepAlive = true
			case equalFold(token, "upgrade"):
				o.upgrade = true
			default:
				o.nominated = append(o.nominated, token)
			}
			if rest == nil {
				break
			}
		}
	}
}

// persistent reports whether the connection may carry another message.
func (o *options) persistent(http11 bool) bool {
	return !o.close && (http11 || o.keepAlive)
}

// hopByHop reports whether the standard says that the field ends at this hop.
func (k fieldKind) hopByHop() bool {
	switch k {
	case fieldConnection, fieldKeepAlive, fieldProxyConnection, fieldTE,
		fieldTransferEncoding, fieldUpgrade, fieldHTTP2Settings:
		return true
	}
	return false
}

// hopByHop reports whether f ends at this hop: it is one of the fields the
// standard names, or the sender nominated it. The fields that say where the
// message goes and ends cannot be nominated away.
func (o *options) hopByHop(f *field) bool {
	if f.kind.hopByHop() {
		return true
	}
	if f.kind == fieldHost || f.kind == fieldContentLength {
		return false
	}
	for _, n := range o.nominated {
		if len(n) == len(f.name) && bytes.EqualFold(n, f.name) {
			return true
		}
	}
	return false
}
