package notify

import (
	"strings"
	"unicode"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Line is plain.Line, with everything that an app could make something to tap of
// taken apart: https://evil.example becomes https[:]//evil[.]example, and
// @everyone (at)everyone. The brackets count towards the limit.
func Line(s string, limit int) string {
	return plain.Cut(disarm(plain.Line(s, limit)), limit)
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
		case r == ':' && (after == '/' || after == '\\') && before != 0:
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
