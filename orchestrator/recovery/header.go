package recovery

import (
	"net/http"
	"slices"
	"strings"
)

const (
	jsonType = "application/json"

	headerContentType = "Content-Type"
	headerKey         = "Idempotency-Key"
	headerID          = "Webhook-Id"
	headerTimestamp   = "Webhook-Timestamp"
	headerSignature   = "Webhook-Signature"
)

// reserved headers are made by the executor, or belong to the connection.
var reserved = []string{
	headerKey, headerID, headerTimestamp, headerSignature, "Host", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Connection",
	"Keep-Alive", "Upgrade", "Te", "Trailer", "Expect", "Accept-Encoding", "Proxy-Authorization", "Proxy-Connection",
}

func canonicalHeader(name string) string { return http.CanonicalHeaderKey(name) }

func sameHeader(a, b string) bool { return canonicalHeader(a) == canonicalHeader(b) }

func isReserved(name string) bool { return slices.Contains(reserved, canonicalHeader(name)) }

// isToken says whether s can be the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isHeaderText says whether s can be the value of a header: printable ASCII.
func isHeaderText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// looksSecret says whether what has that name is most likely a secret.
func looksSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"authorization", "token", "secret", "passw", "cookie", "credential", "apikey", "api-key", "api_key", "access-key", "access_key", "private-key", "signature"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return slices.Contains([]string{"auth", "x-auth", "key", "sig", "pwd"}, name)
}
