package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// fieldKind marks the header fields that the proxy must understand; all
// others are carried verbatim.
type fieldKind uint8

const (
	fieldOther fieldKind = iota
	fieldConnection
	fieldContentLength
	fieldContentType
	fieldExpect
	fieldForwarded
	fieldHost
	fieldHTTP2Settings
	fieldKeepAlive
	fieldLookalike // one of the others but for an underscore in a dash's place
	fieldProxyConnection
	fieldTE
	fieldTrailer
	fieldTransferEncoding
	fieldUpgrade
	fieldVia
	fieldXForwardedFor
	fieldXForwardedHost
	fieldXForwardedProto
)

// forwarding reports whether the field tells of the hops before this one; the
// proxy writes those anew.
func (k fieldKind) forwarding() bool {
	switch k {
	case fieldForwarded, fieldVia, fieldXForwardedFor, fieldXForwardedHost, fieldXForwardedProto:
		return true
	}
	return false
}

// field is one line of a head. Its slices point into the connection's read
// buffer and are valid until more is read from it.
type field struct {
	line  []byte // the line as sent, without its CRLF
	name  []byte
	value []byte // without the blanks around it
	kind  fieldKind
}

// head is a request or response head as it came over the wire.
type head struct {
	start  []byte // the start line, without its CRLF
	fields []field
	size   int // bytes up to and including the empty line
}

var (
	errHeadTooLarge  = errors.New("the head is larger than the limit")
	errTooManyFields = errors.New("the head has more fields than the limit")
	errBareLF        = errors.New("a line of the head does not end in CRLF")
	errObsFold       = errors.New("a header field is folded over several lines")
	errFieldName     = errors.New("a header field has no valid name")
	errFieldValue    = errors.New("a header field's value holds a control character")
	errStartLine     = errors.New("the start line holds a control character")
)

// awaitHead blocks until r has buffered a complete head and returns its size.
// It stops at the first line that cannot be part of one, so that a peer which
// never sends CRLF is refused rather than waited for.
func awaitHead(r *bufio.Reader) (size int, err error) {
	lineStart := 0
	for {
		buf, _ := r.Peek(r.Buffered())
		for {
			n := bytes.IndexByte(buf[lineStart:], '\n')
			if n < 0 {
				break
			}
			if n == 0 || buf[lineStart+n-1] != '\r' {
				return 0, errBareLF
			}
			lineStart += n + 1
			if n == 1 {
				return lineStart, nil
			}
		}
		if len(buf) == r.Size() {
			return 0, errHeadTooLarge
		}
		if _, err := r.Peek(len(buf) + 1); err != nil {
			if err == io.EOF && len(buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

// parse splits a complete head as found by awaitHead. It accepts what RFC 9112
// §5 allows and nothing that two implementations might read differently.
func (h *head) parse(raw []byte, maxFields int) error {
	h.size = len(raw)
	h.fields = h.fields[:0]
	n := bytes.IndexByte(raw, '\n')
	h.start = raw[:n-1]
	if !validText(h.start) {
		return errStartLine
	}
	for raw = raw[n+1:]; len(raw) > 2; raw = raw[n+1:] {
		if len(h.fields) == maxFields {
			return errTooManyFields
		}
		n = bytes.IndexByte(raw, '\n')
		f, err := parseField(raw[:n-1])
		if err != nil {
			return err
		}
		h.fields = append(h.fields, f)
	}
	return nil
}

func parseField(line []byte) (field, error) {
	if line[0] == ' ' || line[0] == '\t' {
		return field{}, errObsFold
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !validToken(line[:colon]) {
		return field{}, errFieldName
	}
	value := trimBlanks(line[colon+1:])
	if !validText(value) {
		return field{}, errFieldValue
	}
	return field{line: line, name: line[:colon], value: value, kind: kindOf(line[:colon])}, nil
}

// kindOf looks a field name up without regard to case. The length decides
// first, so an unknown name costs one comparison at most.
func kindOf(name []byte) fieldKind {
	switch len(name) {
	case 2:
		return matchKind(name, "te", fieldTE)
	case 3:
		return matchKind(name, "via", fieldVia)
	case 4:
		return matchKind(name, "host", fieldHost)
	case 6:
		return matchKind(name, "expect", fieldExpect)
	case 7:
		if name[0]|0x20 == 'u' {
			return matchKind(name, "upgrade", fieldUpgrade)
		}
		return matchKind(name, "trailer", fieldTrailer)
	case 9:
		return matchKind(name, "forwarded", fieldForwarded)
	case 10:
		if name[0]|0x20 == 'c' {
			return matchKind(name, "connection", fieldConnection)
		}
		return matchKind(name, "keep-alive", fieldKeepAlive)
	case 12:
		return matchKind(name, "content-type", fieldContentType)
	case 14:
		if name[0]|0x20 == 'c' {
			return matchKind(name, "content-length", fieldContentLength)
		}
		return matchKind(name, "http2-settings", fieldHTTP2Settings)
	case 15:
		return matchKind(name, "x-forwarded-for", fieldXForwardedFor)
	case 16:
		if name[0]|0x20 == 'p' {
			return matchKind(name, "proxy-connection", fieldProxyConnection)
		}
		return matchKind(name, "x-forwarded-host", fieldXForwardedHost)
	case 17:
		if name[0]|0x20 == 't' {
			return matchKind(name, "transfer-encoding", fieldTransferEncoding)
		}
		return matchKind(name, "x-forwarded-proto", fieldXForwardedProto)
	}
	return fieldOther
}

// matchKind compares name with want, of the same length and in lower case. A
// name that differs only in having underscores for dashes is a lookalike:
// servers which hand fields on as CGI variables (RFC 3875 §4.1.18) cannot tell
// it from the real one.
func matchKind(name []byte, want string, kind fieldKind) fieldKind {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c == '_' && want[i] == '-' {
			kind = fieldLookalike
		} else if c != want[i] {
			return fieldOther
		}
	}
	return kind
}

// equalFold reports whether s equals want, which is in lower case, without
// regard to the case of ASCII letters.
func equalFold(s []byte, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// cutToken splits the first element off a comma-separated list, without the
// blanks around it. Lists may hold empty elements (RFC 9110 §5.6.1).
func cutToken(list []byte) (token, rest []byte) {
	if i := bytes.IndexByte(list, ','); i >= 0 {
		return trimBlanks(list[:i]), list[i+1:]
	}
	return trimBlanks(list), nil
}

// lists reports whether list has the element want, which is in lower case.
func lists(list []byte, want string) bool {
	for token, rest := cutToken(list); ; token, rest = cutToken(rest) {
		if equalFold(token, want) {
			return true
		}
		if rest == nil {
			return false
		}
	}
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

const (
	charToken = 1 << iota // RFC 9110 §5.6.2 tchar
	charText              // field-content: VCHAR, SP, HTAB, obs-text
)

var charClass = func() (t [256]uint8) {
	for c := range t {
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= charText
		}
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' ||
			c < utf8.RuneSelf && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0 {
			t[c] |= charToken
		}
	}
	return t
}()

func validToken(b []byte) bool { return allOf(b, charToken) }
func validText(b []byte) bool  { return allOf(b, charText) }

func allOf(b []byte, class uint8) bool {
	for _, c := range b {
		if charClass[c]&class == 0 {
			return false
		}
	}
	return true
}
