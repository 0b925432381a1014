package histogram

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

const (
	placeholder = "{id}"
	restOfPath  = "{path...}"

	maxSegments  = 12
	maxSegment   = 64  // bytes; a longer one is an identifier, whatever it says
	maxCollapsed = 256 // bytes appended by Collapse at most
)

// Collapse appends path to dst with every segment that looks like an identifier
// replaced by {id}, so that the paths of one route become one:
//
//	/users/42/orders/9f1c2d3e                →  /users/{id}/orders/{id}
//	/2026-11-21/report.pdf                   →  /{id}/report.pdf
//	/img/550e8400-e29b-41d4-a716-446655440000.png  →  /img/{id}.png
//
// Identifiers are decimal numbers, UUIDs, ULIDs, hexadecimal of 8 digits and
// more with a decimal one among them, dates and times, mixed tokens of 20
// characters and more, any of those behind a prefix such as user_ or before a
// file extension, e-mail and IP addresses, and text that is not printable or was
// escaped because it has a space, slash or control character in it. Words,
// versions such as v2 or 1.1, and file names stay.
//
// What is appended is printable UTF-8 of at most 256 bytes and 12 segments; the
// rest of a longer path becomes {path...}.
func Collapse(dst, path []byte) []byte {
	limit := len(dst) + maxCollapsed - len("/"+restOfPath)
	for n := 0; len(path) > 0; n++ {
		if path[0] == '/' {
			dst = append(dst, '/')
			path = path[1:]
		}
		if len(path) == 0 {
			break
		}
		end := bytes.IndexByte(path, '/')
		if end < 0 {
			end = len(path)
		}
		if n >= maxSegments {
			return append(dst, restOfPath...)
		}
		if end > 0 {
			begin := len(dst)
			if dst = appendSegment(dst, path[:end]); len(dst) > limit {
				return append(dst[:begin], restOfPath...)
			}
		}
		path = path[end:]
	}
	return dst
}

// appendSegment appends what a segment is called.
func appendSegment(dst, segment []byte) []byte {
	if len(segment) > maxSegment {
		return append(dst, placeholder...)
	}
	digits, classes := scan(segment)
	if classes&mark != 0 {
		if i := bytes.IndexByte(segment, ';'); i > 0 { // parameters
			segment = segment[:i]
			digits, classes = scan(segment)
		}
	}
	switch {
	case classes&^(letter|separator) == 0:
		return append(dst, segment...)
	case digits == len(segment):
		return append(dst, placeholder...)
	case classes&foreign != 0:
		var space [maxSegment]byte
		text, ok := unescape(space[:0], segment)
		if !ok || identifier(text) {
			return append(dst, placeholder...)
		}
		return append(dst, segment...)
	case classes&mark != 0:
		return appendMarked(dst, segment)
	case identifier(segment):
		return append(dst, placeholder...)
	case classes&dot != 0:
		return appendFile(dst, segment)
	}
	return append(dst, segment...)
}

// appendMarked handles the segments that have a grammar of their own:
// Entity(key), key=value and id:verb.
func appendMarked(dst, segment []byte) []byte {
	if i := bytes.IndexByte(segment, '('); i > 0 && i+2 < len(segment) && segment[len(segment)-1] == ')' {
		return append(append(dst, segment[:i+1]...), placeholder+")"...)
	}
	if identifier(segment) || bytes.ContainsAny(segment, "=@") {
		return append(dst, placeholder...)
	}
	if i := bytes.IndexByte(segment, ':'); i > 0 && identifier(segment[:i]) {
		return append(append(dst, placeholder...), segment[i:]...)
	}
	return append(dst, segment...)
}

// appendFile handles names with dots: app.3f2a9b1c.js becomes app.{id}.js and
// 42.json {id}.json, while jquery-3.6.0.min.js stays as it is.
func appendFile(dst, segment []byte) []byte {
	last := bytes.LastIndexByte(segment, '.')
	stem, extension := segment[:last], segment[last:]
	if len(extension) < 2 || len(extension) > 6 || digit(extension[1]) {
		return append(dst, segment...)
	}
	if identifier(stem) {
		return append(append(dst, placeholder...), extension...)
	}
	for len(stem) > 0 {
		part, rest, more := bytes.Cut(stem, []byte("."))
		if opaque(part, longToken) {
			part = []byte(placeholder)
		}
		dst = append(dst, part...)
		if more {
			dst = append(dst, '.')
		}
		stem = rest
	}
	return append(dst, extension...)
}

// unescape appends the text of a segment; not ok when that is malformed or
// would not make a name: not UTF-8, not printable, or escaped because of a space
// or slash.
func unescape(dst, segment []byte) (text []byte, ok bool) {
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '%' {
			if i+2 >= len(segment) {
				return nil, false
			}
			high, low := hexValue(segment[i+1]), hexValue(segment[i+2])
			if high > 15 || low > 15 {
				return nil, false
			}
			c = high<<4 | low
			i += 2
			if c == '/' {
				return nil, false
			}
		}
		dst = append(dst, c)
	}
	if !utf8.Valid(segment) {
		return nil, false
	}
	for rest := dst; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError || unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return nil, false
		}
		rest = rest[size:]
	}
	return dst, true
}
