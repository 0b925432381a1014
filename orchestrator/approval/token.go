package approval

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// LinkLife is how long a link is good for.
	LinkLife = 5 * time.Minute
	// issuer and audience keep our tokens apart from whatever else is a JWT.
	issuer   = "countersign"
	audience = "countersign/approval"
	// maxToken is what a token has at most, in bytes; maxID what each name in it
	// has.
	maxToken = 1536
	maxID    = 128
	// slack is by how much the clock may have been put back.
	slack = 30 * time.Second
)

// Path is where links lead, below the public URL.
const Path = "/action/recover"

// Claims are what a token says. Minted twice, the same claims give the same
// token: so that the ledger need not keep the token to send it again.
type Claims struct {
	ID           string    // of the link (jti), as [NewID] makes it
	Contact      string    // whom it is for (sub)
	Tenant       string    // whose incident
	Incident     string    // which
	ActionDigest string    // of what would run, with all that decides what is sent
	PolicyDigest string    // of the policy that proposed it
	IssuedAt     time.Time // whole seconds
	ExpiresAt    time.Time // whole seconds, at most [LinkLife] later
}

// NewID returns a name for a link: 128 random bits.
func NewID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// check says what keeps claims from being signed.
func (c Claims) check() error {
	for _, part := range []struct{ name, value string }{
		{"an id", c.ID}, {"a contact", c.Contact}, {"a tenant", c.Tenant}, {"an incident", c.Incident},
		{"an action", c.ActionDigest}, {"a policy", c.PolicyDigest},
	} {
		if part.value == "" || len(part.value) > maxID {
			return fmt.Errorf("a link must name %s, in 1 to %d bytes", part.name, maxID)
		}
	}
	life := c.ExpiresAt.Sub(c.IssuedAt)
	if c.IssuedAt.IsZero() || life <= 0 || life > LinkLife || c.IssuedAt.Nanosecond() != 0 || c.ExpiresAt.Nanosecond() != 0 {
		return fmt.Errorf("a link must be good for 1 s to %s, in whole seconds", LinkLife)
	}
	return nil
}

// same compares claims, and times as moments.
func (c Claims) same(d Claims) bool {
	moments := c.IssuedAt.Equal(d.IssuedAt) && c.ExpiresAt.Equal(d.ExpiresAt)
	d.IssuedAt, d.ExpiresAt = c.IssuedAt, c.ExpiresAt
	return moments && c == d
}

// wire is the JSON of a token's claims.
type wire struct {
	Issuer   string           `json:"iss"`
	Audience string           `json:"aud"`
	Subject  string           `json:"sub"`
	ID       string           `json:"jti"`
	Issued   *jwt.NumericDate `json:"iat"`
	Expires  *jwt.NumericDate `json:"exp"`
	Tenant   string           `json:"tenant"`
	Incident string           `json:"incident"`
	Action   string           `json:"action"`
	Policy   string           `json:"policy"`
}

func (w *wire) GetExpirationTime() (*jwt.NumericDate, error) { return w.Expires, nil }
func (w *wire) GetIssuedAt() (*jwt.NumericDate, error)       { return w.Issued, nil }
func (w *wire) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (w *wire) GetIssuer() (string, error)                   { return w.Issuer, nil }
func (w *wire) GetSubject() (string, error)                  { return w.Subject, nil }
func (w *wire) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings{w.Audience}, nil }

// Mint signs claims.
func (k *Key) Mint(c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, &wire{
		Issuer: issuer, Audience: audience, Subject: c.Contact, ID: c.ID,
		Issued: jwt.NewNumericDate(c.IssuedAt), Expires: jwt.NewNumericDate(c.ExpiresAt),
		Tenant: c.Tenant, Incident: c.Incident, Action: c.ActionDigest, Policy: c.PolicyDigest,
	})
	t.Header["kid"] = k.id
	token, err := t.SignedString(k.private)
	switch {
	case err != nil:
		return "", fmt.Errorf("the link cannot be signed: %w", err)
	case len(token) > maxToken:
		return "", fmt.Errorf("the link would have %d bytes: at most %d are allowed, so give contacts and tenants shorter names", len(token), maxToken)
	}
	return token, nil
}

var errOtherKey = errors.New("not of this key")

// Verify returns what a token says. The error is an *[Error]. Claims that are
// too early or too late are returned with it; of any other that is not good,
// none are.
func (k *Key) Verify(token string, now time.Time) (Claims, error) {
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return Claims{}, &Error{Malformed}
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
	)
	var w wire
	parsed, err := parser.ParseWithClaims(token, &w, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != k.id {
			return nil, errOtherKey
		}
		return k.public, nil
	})
	if err != nil && !errors.Is(err, jwt.ErrTokenInvalidClaims) {
		return Claims{}, &Error{untrusted(parsed, err)}
	}
	if w.Issued == nil || w.Expires == nil || errors.Is(err, jwt.ErrTokenInvalidIssuer) || errors.Is(err, jwt.ErrTokenInvalidAudience) {
		return Claims{}, &Error{Forged}
	}
	c := Claims{
		ID: w.ID, Contact: w.Subject, Tenant: w.Tenant, Incident: w.Incident, ActionDigest: w.Action, PolicyDigest: w.Policy,
		IssuedAt: w.Issued.UTC(), ExpiresAt: w.Expires.UTC(),
	}
	switch {
	case c.check() != nil:
		return Claims{}, &Error{Forged}
	case !now.Before(c.ExpiresAt):
		return c, &Error{TooLate}
	case now.Before(c.IssuedAt.Add(-slack)):
		return c, &Error{TooEarly}
	case err != nil:
		return Claims{}, &Error{Forged}
	}
	return c, nil
}

// untrusted tells the tokens apart that are not signed by the key.
func untrusted(t *jwt.Token, err error) Reason {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed) || t == nil:
		return Malformed
	case errors.Is(err, errOtherKey) || t.Method != jwt.SigningMethodEdDSA:
		return Forged
	case len(t.Signature) != ed25519.SignatureSize: // the end of a link is what gets lost
		return Malformed
	}
	return Altered
}

// Link is the address that a token is sent as, below the URL under which people
// reach the public listener.
func Link(public *url.URL, token string) string {
	u := public.JoinPath(Path)
	u.RawQuery = "token=" + url.QueryEscape(token)
	return u.String()
}

// ParsePublicURL reads the URL under which people reach the public listener: http
// or https, with a path if a proxy has it below one.
func ParsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the public URL cannot be read: it must be as in https://approve.example.com: %w", err)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("the public URL %q must begin with https:// (or http://) and name a host, as in https://approve.example.com", u.Redacted())
	case u.User != nil:
		return nil, errors.New("the public URL must not have a user or password in it: it is sent to everybody who is asked")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("the public URL %q must end with its host or path", text)
	}
	return u, nil
}
