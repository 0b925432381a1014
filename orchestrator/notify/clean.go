package notify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many accents one letter may carry; more are there to paint
// over the neighbouring lines.
const maxMarks = 3

// Plain makes one line of text of any origin: valid UTF-8, each run of blanks
// and control characters one space, nothing that is invisible or turns the
// reading direction, at most limit characters. It is for where a link cannot be
// tapped; elsewhere use Line.
func Plain(s string, limit int) string {
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

// Line is Plain, with everything that an app could make something to tap of
// taken apart: https://evil.example becomes https[:]//evil[.]example, and
// @everyone (at)everyone. The brackets count towards the limit.
func Line(s string, limit int) string {
	return cut(disarm(Plain(s, limit)), limit)
}

// hidden are characters of Unicode's category Cf (the overrides of reading
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

// cut shortens s to limit characters, the last of them "…".
func cut(s string, limit int) string {
	if len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return strings.TrimRight(string(runes[:max(limit-1, 0)]), " ") + "…"
}

// disarm takes apart what looks like an address or a mention.
func disarm(s string) string {
	if !strings.ContainsAny(s, ":@.。．｡") {
		return s
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		words[i] = disarmWord([]rune(word))
	}
	return strings.Join(words, " ")
}

func disarmWord(word []rune) string {
	var b strings.Builder
	numbers := dotted(word)
	for i, r := range word {
		var before, after rune
		if i > 0 {
			before = word[i-1]
		}
		if i+1 < len(word) {
			after = word[i+1]
		}
		switch {
		case r == ':' && (after == '/' || after == '\\') && before != 0 && before != '[':
			b.WriteString("[:]")
		case isDot(r) && before != 0 && before != '.' && before != '[' && (unicode.IsLetter(after) || numbers && unicode.IsDigit(after)):
			b.WriteString("[.]")
		case r == '@' && (unicode.IsLetter(after) || unicode.IsNumber(after) || after == '_'):
			b.WriteString("(at)")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// isDot says whether r stands between the parts of a host's name: the full
// stop, or one of those that IDNA takes for it.
func isDot(r rune) bool { return r == '.' || r == '。' || r == '．' || r == '｡' }

// dotted says whether a word has an IPv4 address in it: three stops, each
// between digits.
func dotted(word []rune) bool {
	n := 0
	for i := 1; i+1 < len(word); i++ {
		if isDot(word[i]) && unicode.IsDigit(word[i-1]) && unicode.IsDigit(word[i+1]) {
			n++
		}
	}
	return n >= 3
}
