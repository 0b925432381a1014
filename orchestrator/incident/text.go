package incident

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the parts of an entry have at most, in bytes. Together they stay far
// below the 65,535 bytes of a leaf, also when JSON writes each of these bytes
// as two.
const (
	maxName   = 256  // a tenant, a service, a target, the key of a breach
	maxPhrase = 400  // one gate's message or comparison
	maxReason = 2000 // why a decision is as it is, a person's reason
	maxText   = 1200 // a message
)

// clean makes text of any origin fit to be recorded and read: valid UTF-8, one
// line, nothing that a terminal or a reader's eye obeys, at most limit bytes.
func clean(text string, limit int) string {
	// What is cut off anyway need not be looked at.
	if len(text) > 4*limit {
		text = text[:4*limit]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	text = strings.TrimSpace(text)
	if len(text) <= limit {
		return text
	}
	const more = "…"
	cut := limit - len(more)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}
