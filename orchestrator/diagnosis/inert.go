package diagnosis

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Inert is text of any origin as one line of plain characters, of limit bytes
// at most: no control characters, nothing invisible or that turns the reading
// direction, no markup, and nothing that a program would make a link or a mention
// of. It is safe to show in a terminal, a page or a chat, each with its own
// escaping. Inert of inert text is the same text.
func Inert(s string, limit int) string {
	return clip(apart(strings.Map(tame, plain.Line(s, limit))), limit)
}

// tame replaces what markup is made of by what looks like it.
func tame(r rune) rune {
	switch r {
	case '<':
		return '‹'
	case '>':
		return '›'
	case '`', '\\', '|', '*', '~':
		return '\''
	case '[':
		return '('
	case ']':
		return ')'
	case '@', '＠', '﹫':
		return '＠'
	}
	return r
}

// apart takes addresses apart: a colon before a slash, and a full stop within a
// word, as in a host's name, get a space behind them.
func apart(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		b.WriteRune(r)
		if i+1 >= len(runes) {
			continue
		}
		before, after := ' ', runes[i+1]
		if i > 0 {
			before = runes[i-1]
		}
		switch {
		case r == ':' && (after == '/' || unicode.IsLetter(after) && unicode.IsLetter(before)):
			b.WriteByte(' ')
		case (r == '.' || r == '。' || r == '．' || r == '｡') && before != ' ' && before != '/' && unicode.IsLetter(after):
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// clip shortens s to limit bytes, the last of them an ellipsis.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const ellipsis = "…"
	end := max(limit-len(ellipsis), 0)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.TrimRight(s[:end], " ") + ellipsis
}
