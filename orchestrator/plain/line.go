// Package plain makes text that anybody may have written fit to be shown: in a
// terminal, a log, a report, an entry of the ledger, a message or a page. It does not
// escape: that depends on where a text goes.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many accents one letter may carry; more are there to paint
// over the neighbouring lines.
const maxMarks = 3

// Line makes one line of s that shows what it says, of at most limit characters: valid
// UTF-8, each run of blanks, line breaks and control characters a single space,
// nothing that is invisible or turns the reading direction. What is longer ends in
// "…". No more of s is looked at than the line has room for.
func Line(s string, limit int) string {
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
	return Cut(b.String(), limit)
}

// Cut shortens s, which is valid UTF-8, to limit characters, the last of them "…".
func Cut(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return strings.TrimRight(string(runes[:max(limit-1, 0)]), " ") + "…"
}

// hidden are characters of Unicode's category Cf (format: the overrides of reading
// direction, joiners, tags), private ones, and letters that are blank.
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
