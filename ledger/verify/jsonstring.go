package verify

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// A token is a string between its quotes, as it is written.
type token struct {
	raw     []byte
	escaped bool
}

// bytes is what the string says. What has no escapes is not copied.
func (t token) bytes() []byte {
	if !t.escaped {
		return t.raw
	}
	return unescape(t.raw)
}

// str moves over a string.
func (s *scanner) str() (token, error) {
	if !s.take('"') {
		return token{}, s.syntaxError("a string")
	}
	start, escaped, data := s.pos, false, s.data
	for i := start; i < len(data); i++ {
		for len(data)-i >= 8 && plain8(binary.LittleEndian.Uint64(data[i:])) {
			i += 8
		}
		if i == len(data) {
			break
		}
		switch c := data[i]; {
		case c == '"':
			s.pos = i + 1
			return token{data[start:i], escaped}, nil
		case c == '\\':
			escaped = true
			n := escapeLength(data[i:])
			if n == 0 {
				s.pos = i
				return token{}, s.syntaxError("an escape sequence")
			}
			i += n - 1
		case c < ' ':
			s.pos = i
			return token{}, s.syntaxError("no control character")
		}
	}
	s.pos = len(data)
	return token{}, s.syntaxError("the end of a string")
}

// plain8 says whether eight bytes all stand for themselves within a string: none
// is a control character, a quote or a backslash. A byte less its bound borrows
// from its top bit, unless that is set in the byte.
func plain8(x uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, backslash := x^ones*'"', x^ones*'\\'
	return ((x-ones*' ')&^x|(quote-ones)&^quote|(backslash-ones)&^backslash)&tops == 0
}

// escapeLength is the length of the escape sequence that s begins with, 0 when
// it is none.
func escapeLength(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if hex4(s[2:]) >= 0 {
			return 6
		}
	}
	return 0
}

// hex4 is the number that the first four hexadecimal digits of s make, -1 when
// they are not that.
func hex4(s []byte) rune {
	if len(s) < 4 {
		return -1
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape decodes the inside of a string that str has found valid. Half of a
// surrogate pair becomes U+FFFD, as in the standard library.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(raw[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				r, i = surrogates(r, raw, i)
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

// surrogates joins the surrogate r with the one that may follow at i.
func surrogates(r rune, raw []byte, i int) (rune, int) {
	if len(raw) >= i+6 && raw[i] == '\\' && raw[i+1] == 'u' {
		if joined := utf16.DecodeRune(r, hex4(raw[i+2:])); joined != utf8.RuneError {
			return joined, i + 6
		}
	}
	return utf8.RuneError, i
}
