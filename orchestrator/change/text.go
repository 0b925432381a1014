package change

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a change says, in characters. All of it is written by
// whoever may push, and ends in a terminal, a chat message or a report.
const (
	maxID     = 200
	maxRef    = 64
	maxTitle  = 160
	maxAuthor = 80
	maxURL    = 400
	maxPath   = 160
	maxFiles  = 30
	// maxLooked is how many files of one change are looked at.
	maxLooked = 3000
	maxLines  = 10_000_000
	// maxMarks is how many accents one letter may carry; more are there to
	// paint over the neighbouring lines.
	maxMarks = 3
)

// clean makes one line of s that shows what it says: control characters and
// line breaks become single spaces; what is invisible or turns the reading
// direction is left out, and so are bytes that are no UTF-8; what is longer
// than limit characters ends in "…".
func clean(s string, limit int) string {
	var b strings.Builder
	n, marks, space := 0, 0, false
	for len(s) > 0 && n <= limit {
		r, width := utf8.DecodeRuneInString(s)
		s = s[width:]
		switch {
		case r > ' ' && r < unicode.MaxASCII:
			marks = 0
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.In(r, unicode.Zl, unicode.Zp):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError && width == 1, hidden(r):
			continue
		case unicode.Is(unicode.M, r):
			if marks++; marks > maxMarks {
				continue
			}
		default:
			marks = 0
		}
		if space {
			b.WriteByte(' ')
			n++
		}
		b.WriteRune(r)
		n, space = n+1, false
	}
	return cut(b.String(), limit)
}

// cut shortens s, which is clean, to limit characters.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return strings.TrimRight(string(runes[:limit-1]), " ") + "…"
}

// hidden are characters of Unicode's category Cf (format: the overrides of
// reading direction, joiners, tags), private ones, and letters that are blank.
func hidden(r rune) bool {
	if unicode.In(r, unicode.Cf, unicode.Co) {
		return true
	}
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u3164', '\uffa0', '\u2800':
		return true
	}
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef // variation selectors
}

// firstLine is a commit message's title. No more of the message is looked at
// than a title can be long.
func firstLine(message string) string {
	message = strings.TrimLeftFunc(message, unicode.IsSpace)
	if i := strings.IndexAny(message, "\r\n"); i >= 0 {
		message = message[:i]
	}
	return clean(message, maxTitle)
}

// link is s when it is a web address without a password in it, else nothing.
func link(s string) string {
	if len(s) > maxURL || s != clean(s, maxURL) {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return strings.Clone(s)
}

// isHex says whether s is lower-case hexadecimal of from min to max digits.
func isHex(s string, min, max int) bool {
	return len(s) >= min && len(s) <= max && strings.Trim(s, "0123456789abcdef") == ""
}
