package change

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/countersign-dev/countersign/orchestrator/plain"
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
)

// firstLine is a commit message's title. No more of the message is looked at
// than a title can be long.
func firstLine(message string) string {
	message = strings.TrimLeftFunc(message, unicode.IsSpace)
	if i := strings.IndexAny(message, "\r\n"); i >= 0 {
		message = message[:i]
	}
	return plain.Line(message, maxTitle)
}

// link is s when it is a web address without a password in it, else nothing.
func link(s string) string {
	if len(s) > maxURL || s != plain.Line(s, maxURL) {
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
