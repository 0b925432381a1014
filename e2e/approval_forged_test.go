//go:build slow

package e2e

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
)

// handmade is a token with any header, claims and signature.
func handmade(header, claims map[string]any, sign func(text []byte) []byte) string {
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(header) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(text)))
}

// code is what the form of a link has beside its token.
func code(t *testing.T, data, token string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, approval.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(append([]byte("countersign approval form\x00"), private.(ed25519.PrivateKey).Seed()...))
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(token))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// bad is a link that must decide nothing.
type bad struct {
	name, token string
	status      int
	page        string // what the page says of it
	entry       string // what an entry says of it
}

// forged are links that the sidecar's key did not sign.
func forged(t *testing.T, token string, key *approval.Key) []bad {
	t.Helper()
	parts := strings.Split(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	byOther := func(text []byte) []byte { return ed25519.Sign(other, text) }
	header := func(alg string, more ...any) map[string]any {
		h := map[string]any{"alg": alg, "typ": "JWT", "kid": key.ID()}
		for i := 0; i < len(more); i += 2 {
			h[more[i].(string)] = more[i+1]
		}
		return h
	}
	public := key.Public()
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	signature[7] ^= 1
	const notOurs, changed = "This link was not made by this installation.", "This link was changed after it was made."
	return []bad{
		{"alg none", handmade(header("none"), claims, func([]byte) []byte { return nil }), 403, notOurs, "forged"},
		{"HS256 with the public key", handmade(header("HS256"), claims, func(text []byte) []byte {
			mac := hmac.New(sha256.New, public)
			mac.Write(text)
			return mac.Sum(nil)
		}), 403, notOurs, "forged"},
		{"another key", handmade(header("EdDSA", "kid", "AAAAAAAAAAAA"), claims, byOther), 403, notOurs, "forged"},
		{"another key in the name of this one", handmade(header("EdDSA"), claims, byOther), 403, changed, "altered"},
		{"a key of its own", handmade(header("EdDSA", "kid", "../../../../dev/null", "jwk", map[string]any{
			"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(other.Public().(ed25519.PublicKey)),
		}), claims, byOther), 403, notOurs, "forged"},
		{"another signature", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(signature), 403, changed, "altered"},
		{"cut short", token[:len(token)-70], 400, "This is not a whole link", "malformed"},
	}
}

// misused are links that the sidecar's key has signed, of what was not offered.
func misused(t *testing.T, c approval.Claims, key *approval.Key) []bad {
	t.Helper()
	const unknown = "The ledger has no record of this link."
	cases := []struct {
		name   string
		change func(*approval.Claims)
		status int
		page   string
		entry  string
	}{
		{"another tenant", func(c *approval.Claims) { c.Tenant = "acme" }, 403, unknown, "an approval of what was not asked"},
		{"another incident", func(c *approval.Claims) { c.Incident = "inc-000000000000" }, 403, unknown, "an approval of what was not asked"},
		{"another action", func(c *approval.Claims) { c.ActionDigest = "sha256:" + strings.Repeat("0", 64) }, 403, unknown, "unknown_link"},
		{"another policy", func(c *approval.Claims) { c.PolicyDigest = "sha256:" + strings.Repeat("0", 64) }, 403, unknown, "unknown_link"},
		{"another contact", func(c *approval.Claims) { c.Contact = "mallory" }, 403, unknown, "unknown_link"},
		{"a link that was not offered", func(c *approval.Claims) { c.ID = approval.NewID() }, 403, unknown, "unknown_link"},
		{"a longer life", func(c *approval.Claims) {
			c.IssuedAt = c.IssuedAt.Add(time.Second)
			c.ExpiresAt = c.ExpiresAt.Add(time.Second)
		}, 403, unknown, "unknown_link"},
		{"an hour ago", func(c *approval.Claims) {
			c.IssuedAt = c.IssuedAt.Add(-time.Hour)
			c.ExpiresAt = c.ExpiresAt.Add(-time.Hour)
		}, 410, "A link is good for 5 min.", "expired"},
	}
	var list []bad
	for _, one := range cases {
		changed := c
		one.change(&changed)
		token, err := key.Mint(changed)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, bad{one.name, token, one.status, one.page, one.entry})
	}
	return list
}

// TestApprovalByForgedLinks taps links that are forged, altered, expired or for
// something else: none decides, each has a page that says why and an entry.
func TestApprovalByForgedLinks(t *testing.T) {
	t.Parallel()
	a := startAsking(t, 1)
	a.live(t)
	values := form(t, a.awaitLinks(t, 2)[0])
	key, err := approval.OpenKey(filepath.Join(a.data, approval.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	token := values.Get("token")
	claims, err := key.Verify(token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range append(forged(t, token, key), misused(t, claims, key)...) {
		link := "http://" + a.public + "/action/recover?token=" + url.QueryEscape(b.token)
		r, err := http.NewRequest("GET", link, nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, page := answered(t, r); status != b.status || !strings.Contains(string(page), b.page) || strings.Contains(string(page), "<form") {
			t.Errorf("%s: GET: %d, want %d with %q\n%s", b.name, status, b.status, b.page, page)
		}
		// With the code of its own form, which only who has the key can make.
		a.mustTap(t, "confirm", url.Values{"token": {b.token}, "code": {code(t, a.data, b.token)}}, b.status, b.page)
		eventually(t, b.name+" should have an entry", func() bool {
			return strings.Contains(fmt.Sprint(a.entries(t, "approval.refused"), a.entries(t, "access.denied")), b.entry)
		})
	}
	// The code belongs to one link.
	a.mustTap(t, "confirm", url.Values{"token": {token}, "code": {code(t, a.data, token+"=")}}, 403, "not sent from the page of this link")
	if n := len(a.entries(t, "incident.authorized")); n > 0 || a.knobs.Actions() > 0 {
		t.Fatalf("%d entries authorize, %d actions ran", n, a.knobs.Actions())
	}
	a.mustTap(t, "confirm", values, 200, "Approved")
	a.mustBeMended(t)
}
