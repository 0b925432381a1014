package webhook

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// authority is a certificate authority of the webhook's own. All replicas share
// its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Terms are the lifetimes of what the webhook signs for itself.
type Terms struct {
	// Authority is how long an authority is trusted, Certificate how long a serving
	// certificate is good.
	Authority, Certificate time.Duration
}

// DefaultTerms are a year for authorities and thirty days for certificates.
func DefaultTerms() Terms {
	return Terms{Authority: 365 * 24 * time.Hour, Certificate: 30 * 24 * time.Hour}
}

// minTerm is the shortest life of a certificate: below, looking at the API server
// once in a while would not do.
const minTerm = 10 * time.Second

func (t Terms) validate() error {
	if t.Certificate < minTerm {
		return fmt.Errorf("serving certificates would live %v: give them %v or more", t.Certificate, minTerm)
	}
	if t.Authority < 3*t.Certificate {
		return fmt.Errorf("authorities would live %v and certificates %v: an authority must live three times as long as a certificate or longer, as it is replaced in the last third of its life", t.Authority, t.Certificate)
	}
	return nil
}

// settle is how long an authority is in the caBundle before anything is signed by
// it, and a good deal longer than API servers need to hear of it.
func (t Terms) settle() time.Duration { return min(5*time.Minute, t.Authority/10) }

// skew is how far the clocks of API servers may be behind.
const skew = time.Hour

// newAuthority makes an authority whose life begins now.
func newAuthority(now time.Time, t Terms) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("cannot make the key of an authority: %w", err)
	}
	template := &x509.Certificate{
		// The time tells one from the next, for whoever looks at the bundle.
		Subject:               pkix.Name{CommonName: "countersign webhook authority of " + now.UTC().Format(time.RFC3339)},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(t.Authority),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return authority{}, fmt.Errorf("cannot make an authority: %w", err)
	}
	return authority{cert, key}, nil
}

// sign makes a certificate for key by its parent's.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// madeAt is when the authority was made.
func (a authority) madeAt() time.Time { return a.cert.NotBefore.Add(skew) }

// renewed returns the authorities that there should be now, oldest first: those
// that have not expired, and a new one where the newest is in the last third of its
// life. An authority stays until it expires, so that no certificate ever outlives
// its own.
func renewed(all []authority, now time.Time, t Terms) (next []authority, changed bool, err error) {
	for _, a := range all {
		if now.Before(a.cert.NotAfter) {
			next = append(next, a)
		}
	}
	slices.SortFunc(next, func(a, b authority) int { return compare(a.cert, b.cert) })
	changed = len(next) != len(all)
	if n := len(next); n > 0 && next[n-1].cert.NotAfter.Sub(now) > t.Authority/3 {
		return next, changed, nil
	}
	fresh, err := newAuthority(now, t)
	if err != nil {
		return nil, false, err
	}
	return append(next, fresh), true, nil
}

// compare puts the older certificate first, and is the same for every replica.
func compare(a, b *x509.Certificate) int {
	if c := a.NotBefore.Compare(b.NotBefore); c != 0 {
		return c
	}
	return bytes.Compare(a.Raw, b.Raw)
}

// The two blocks of an authority in its PEM form.
const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// encodeAuthorities writes each authority as its certificate followed by its key.
func encodeAuthorities(all []authority) ([]byte, error) {
	var b bytes.Buffer
	for _, a := range all {
		key, err := x509.MarshalPKCS8PrivateKey(a.key)
		if err != nil {
			return nil, fmt.Errorf("cannot encode the key of an authority: %w", err)
		}
		_ = pem.Encode(&b, &pem.Block{Type: pemCertificate, Bytes: a.cert.Raw})
		_ = pem.Encode(&b, &pem.Block{Type: pemKey, Bytes: key})
	}
	return b.Bytes(), nil
}

// parseAuthorities reads what encodeAuthorities writes. Nothing is an empty list.
func parseAuthorities(text []byte) (all []authority, err error) {
	for len(bytes.TrimSpace(text)) > 0 {
		var cert, key *pem.Block
		if cert, text = pem.Decode(text); cert == nil || cert.Type != pemCertificate {
			return nil, errors.New("a PEM certificate should stand where something else does")
		}
		if key, text = pem.Decode(text); key == nil || key.Type != pemKey {
			return nil, errors.New("a PEM private key should follow each certificate")
		}
		a, err := parseAuthority(cert.Bytes, key.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAuthority(certDER, keyDER []byte) (authority, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return authority{}, fmt.Errorf("a certificate cannot be read: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return authority{}, fmt.Errorf("a private key cannot be read: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return authority{}, errors.New("a private key is not the one of the certificate before it")
	}
	if !cert.IsCA {
		return authority{}, errors.New("a certificate is not one of an authority")
	}
	return authority{cert, key}, nil
}

// fingerprint identifies a certificate.
type fingerprint [sha256.Size]byte

func fingerprintOf(cert *x509.Certificate) fingerprint { return sha256.Sum256(cert.Raw) }
