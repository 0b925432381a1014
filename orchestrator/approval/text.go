package approval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxWhy is what the reason for a rejection has at most, in characters.
const maxWhy = 500

// maxMarks is how many accents one letter may carry; more are there to paint over
// the neighbouring lines.
const maxMarks = 3

// cleanLine makes one line of text that shows what it says, of at most limit
// characters: controls and line breaks become single spaces, and what is
// invisible or turns the reading direction is left out.
func cleanLine(text string, limit int) string {
	var b strings.Builder
	n, marks, space := 0, 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			space = n > 0
			continue
		case r == utf8.RuneError, unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
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
		space = false
		if n++; n >= limit {
			break
		}
	}
	out := []rune(b.String())
	return strings.TrimRight(string(out[:min(len(out), limit)]), " ")
}

// entity is the text that stands for a rune in HTML.
func entity(r rune) string {
	switch r {
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '&':
		return "&amp;"
	case '"':
		return "&#34;"
	case '\'':
		return "&#39;"
	}
	return string(r)
}

// prose is text as HTML: one line, cleaned, at most limit bytes with all its
// entities.
func prose(text string, limit int) string {
	out, whole := escape(cleanLine(text, limit), limit-len("…"))
	if !whole {
		out += "…"
	}
	return out
}

// blank are letters and signs that look like nothing at all.
var blank = &unicode.RangeTable{R16: []unicode.Range16{{Lo: 0x115f, Hi: 0x1160, Stride: 1}, {Lo: 0x2800, Hi: 0x2800, Stride: 1}, {Lo: 0x3164, Hi: 0xffa0, Stride: 0xffa0 - 0x3164}}}

// verbatim is text as HTML that shows every character of it: what is invisible,
// turns the reading direction or is no UTF-8 is shown by its number. It has at
// most limit bytes, and whole says whether that was all.
func verbatim(text string, limit int) (out string, whole bool) {
	var b strings.Builder
	for len(text) > 0 && b.Len() <= limit {
		r, width := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && width == 1:
			fmt.Fprintf(&b, "\\x%02x", text[0])
		case r == '\n' || r == '\t' || r == ' ' || unicode.IsGraphic(r) && !unicode.In(r, unicode.Zs, unicode.M, blank):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u{%x}", r)
		}
		text = text[width:]
	}
	out, whole = escape(b.String(), limit)
	return out, whole && text == ""
}

// escape writes text as HTML of at most limit bytes.
func escape(text string, limit int) (out string, whole bool) {
	var b strings.Builder
	for _, r := range text {
		e := entity(r)
		if b.Len()+len(e) > limit {
			return b.String(), false
		}
		b.WriteString(e)
	}
	return b.String(), true
}
