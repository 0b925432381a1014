package approval

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func someClaims() Claims {
	return Claims{
		ID: "jMvHGUOGkyFvVxUJEIkZ3A", Contact: "ana", Tenant: tenant, Incident: incident, ActionDigest: action, PolicyDigest: policy,
		IssuedAt: began, ExpiresAt: began.Add(LinkLife),
	}
}

func mint(t testing.TB, k *Key, c Claims) string {
	t.Helper()
	token, err := k.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestMintedTokensSayWhatWasMinted(t *testing.T) {
	k, want := testKey(1), someClaims()
	token := mint(t, k, want)
	if again := mint(t, k, want); again != token {
		t.Error("the same claims make another token: it could not be sent again")
	}
	for _, at := range []time.Duration{0, -slack, LinkLife - time.Nanosecond} {
		got, err := k.Verify(token, began.Add(at))
		if err != nil || !got.same(want) {
			t.Errorf("after %v: %+v, %v", at, got, err)
		}
	}
	for at, why := range map[time.Duration]Reason{LinkLife: TooLate, time.Hour: TooLate, -slack - 1: TooEarly} {
		got, err := k.Verify(token, began.Add(at))
		if !isReason(err, why) || !got.same(want) {
			t.Errorf("after %v: %+v, %v", at, got, err)
		}
	}
}

func TestClaimsThatCannotBeMinted(t *testing.T) {
	for name, change := range map[string]func(*Claims){
		"no id":         func(c *Claims) { c.ID = "" },
		"no contact":    func(c *Claims) { c.Contact = "" },
		"no tenant":     func(c *Claims) { c.Tenant = "" },
		"no incident":   func(c *Claims) { c.Incident = "" },
		"no action":     func(c *Claims) { c.ActionDigest = "" },
		"no policy":     func(c *Claims) { c.PolicyDigest = "" },
		"long contact":  func(c *Claims) { c.Contact = strings.Repeat("a", maxID+1) },
		"no time":       func(c *Claims) { c.IssuedAt = time.Time{} },
		"too long":      func(c *Claims) { c.ExpiresAt = c.ExpiresAt.Add(time.Second) },
		"no life":       func(c *Claims) { c.ExpiresAt = c.IssuedAt },
		"a part second": func(c *Claims) { c.IssuedAt = c.IssuedAt.Add(time.Millisecond) },
		"too large": func(c *Claims) {
			c.ID, c.Contact, c.Tenant = strings.Repeat("<", maxID), strings.Repeat("<", maxID), strings.Repeat("<", maxID)
		},
	} {
		c := someClaims()
		change(&c)
		if token, err := testKey(1).Mint(c); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
}

// raw signs a header and claims as they are.
func raw(t *testing.T, header, claims map[string]any, sign func(text string) []byte) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := part(header) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(text))
}

func TestTokensOfOthers(t *testing.T) {
	k, other := testKey(1), testKey(2)
	good := mint(t, k, someClaims())
	parts := strings.Split(good, ".")
	header := func() map[string]any { return map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": k.ID()} }
	claims := func() map[string]any {
		var out map[string]any
		data, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil || json.Unmarshal(data, &out) != nil {
			t.Fatal(err)
		}
		return out
	}
	ours := func(text string) []byte { return ed25519.Sign(k.private, []byte(text)) }
	theirs := func(text string) []byte { return ed25519.Sign(other.private, []byte(text)) }
	with := func(m map[string]any, name string, value any) map[string]any {
		m[name] = value
		if value == nil {
			delete(m, name)
		}
		return m
	}
	hmacToken := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims(claims()))
	hmacToken.Header["kid"] = k.ID()
	confused, err := hmacToken.SignedString([]byte(k.Public()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Verify(raw(t, header(), claims(), ours), began); err != nil {
		t.Fatalf("the test's own tokens are no good: %v", err)
	}
	for name, test := range map[string]struct {
		token string
		want  Reason
	}{
		"nothing":                  {"", Malformed},
		"a word":                   {"token", Malformed},
		"two parts":                {parts[0] + "." + parts[1], Malformed},
		"four parts":               {good + ".x", Malformed},
		"no base64":                {parts[0] + ".!." + parts[2], Malformed},
		"too long":                 {good + strings.Repeat("A", maxToken), Malformed},
		"padded":                   {good + "==", Malformed},
		"its end was lost":         {good[:len(good)-70], Malformed},
		"another key":              {mint(t, other, someClaims()), Forged},
		"another key, our name":    {raw(t, header(), claims(), theirs), Altered},
		"no algorithm":             {raw(t, with(header(), "alg", "none"), claims(), func(string) []byte { return nil }), Forged},
		"an unknown algorithm":     {raw(t, with(header(), "alg", "XX"), claims(), ours), Forged},
		"the public key as secret": {confused, Forged},
		"no key":                   {raw(t, with(header(), "kid", nil), claims(), ours), Forged},
		"another issuer":           {raw(t, header(), with(claims(), "iss", "other"), ours), Forged},
		"another audience":         {raw(t, header(), with(claims(), "aud", "countersign/other"), ours), Forged},
		"no audience":              {raw(t, header(), with(claims(), "aud", nil), ours), Forged},
		"no expiry":                {raw(t, header(), with(claims(), "exp", nil), ours), Forged},
		"no issue":                 {raw(t, header(), with(claims(), "iat", nil), ours), Forged},
		"a long life":              {raw(t, header(), with(claims(), "exp", began.Add(time.Hour).Unix()), ours), Forged},
		"no tenant":                {raw(t, header(), with(claims(), "tenant", ""), ours), Forged},
		"another contact": {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(
			string(must(base64.RawURLEncoding.DecodeString(parts[1]))), `"ana"`, `"eve"`, 1))) + "." + parts[2], Altered},
	} {
		c, err := k.Verify(test.token, began)
		if !isReason(err, test.want) || c != (Claims{}) {
			t.Errorf("%s: %+v, %v, want %s", name, c, err, test.want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestEveryAlterationIsFound changes each character of a token, one at a time.
func TestEveryAlterationIsFound(t *testing.T) {
	k := testKey(1)
	token := mint(t, k, someClaims())
	for i := range token {
		for _, c := range []byte{'A', 'z', '.', '_'} {
			if token[i] == c {
				continue
			}
			altered := token[:i] + string(c) + token[i+1:]
			if claims, err := k.Verify(altered, began); err == nil {
				t.Fatalf("with %q at %d: %+v", c, i, claims)
			}
		}
		if _, err := k.Verify(token[:i], began); err == nil {
			t.Fatalf("the first %d bytes are taken", i)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", KeyFile)
	var keys [8]*Key
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			k, err := OpenKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = k
		})
	}
	all.Wait()
	for _, k := range keys {
		if k == nil || k.ID() != keys[0].ID() || !k.Public().Equal(keys[0].Public()) {
			t.Fatal("those who open it at once have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if keys[0].ID() == testKey(1).ID() || keys[0].form == testKey(1).form {
		t.Error("the key is a known one")
	}
	for name, text := range map[string]string{
		"empty": "", "noise": "key", "cut": "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
	} {
		bad := filepath.Join(t.TempDir(), KeyFile)
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(bad); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v", name, err)
		}
		if kept, err := os.ReadFile(bad); err != nil || string(kept) != text {
			t.Errorf("%s: it was overwritten", name)
		}
	}
}

func TestPublicURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example":         "https://a.example/action/recover?token=t.o-k_n",
		"https://a.example/ops/":    "https://a.example/ops/action/recover?token=t.o-k_n",
		"http://127.0.0.1:9443":     "http://127.0.0.1:9443/action/recover?token=t.o-k_n",
		"":                          "",
		"a.example":                 "",
		"//a.example":               "",
		"ftp://a.example":           "",
		"https://":                  "",
		"https://:80":               "",
		"https://u:pw@a.example":    "",
		"https://a.example/?q=1":    "",
		"https://a.example/#x":      "",
		"javascript:alert(1)//a":    "",
		"https://a.example:port/":   "",
		"https://a.example/\x00bad": "",
	} {
		u, err := ParsePublicURL(text)
		got := ""
		if err == nil {
			got = Link(u, "t.o-k_n")
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
		if got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	if _, err := url.Parse(Link(must(ParsePublicURL("https://a.example")), mint(t, testKey(1), someClaims()))); err != nil {
		t.Error(err)
	}
}

// FuzzVerify reads tokens of anybody: none but those that were minted is good,
// and no other has claims.
func FuzzVerify(f *testing.F) {
	k := testKey(1)
	good := mint(f, k, someClaims())
	f.Add(good)
	f.Add(mint(f, testKey(2), someClaims()))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := k.Verify(token, began)
		if err == nil && token != good {
			t.Fatalf("%q is good: %+v", token, c)
		}
		if err != nil && c != (Claims{}) {
			t.Fatalf("%q is refused with %v, and has claims: %+v", token, err, c)
		}
	})
}
