package approval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// maxWhy is what the reason for a rejection has at most, in characters.
const maxWhy = 500

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
	out, whole := escape(plain.Line(text, limit), limit-len("…"))
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
