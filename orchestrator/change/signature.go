package change

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// verifySignature checks X-Hub-Signature-256: "sha256=" and the HMAC-SHA256 of
// the body under the webhook's secret in lower-case hexadecimal, as GitHub
// documents it. The SHA-1 signature that GitHub sends beside it is not looked
// at. With an empty secret nothing is accepted, and the answer is that of a
// wrong one, so that nobody learns which tenants have none.
func verifySignature(header http.Header, body []byte, secret string) error {
	given := header.Values("X-Hub-Signature-256")
	if len(given) != 1 {
		return refuse(http.StatusUnauthorized, "the request needs one X-Hub-Signature-256 header; give the webhook a secret at GitHub")
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	fits := hmac.Equal([]byte(want), []byte(given[0]))
	if !fits || strings.TrimSpace(secret) == "" {
		return refuse(http.StatusUnauthorized, "the X-Hub-Signature-256 header does not fit this body and the webhook's secret; the tenant must be the right one, and its secret must be set here and be the same at GitHub")
	}
	return nil
}
