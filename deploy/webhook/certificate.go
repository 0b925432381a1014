package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"time"
)

// serving is the certificate that a replica serves by, its key known to this
// replica alone, and who signed it.
type serving struct {
	pair   *tls.Certificate
	issuer *x509.Certificate
}

// issue makes a serving certificate for names, which are of DNS or addresses. It
// does not outlive its authority.
func (a authority) issue(names []string, now time.Time, t Terms) (*serving, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make the key of a serving certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "countersign webhook"},
		NotBefore:   now.Add(-skew),
		NotAfter:    now.Add(t.Certificate),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if template.NotAfter.After(a.cert.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	leaf, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a serving certificate: %w", err)
	}
	pair := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	return &serving{pair: pair, issuer: a.cert}, nil
}

// aged reports whether the last third of the certificate's life has begun.
func (s *serving) aged(now time.Time) bool {
	begin, end := s.pair.Leaf.NotBefore.Add(skew), s.pair.Leaf.NotAfter
	return !now.Before(end.Add(-end.Sub(begin) / 3))
}

// settled returns the newest authority that API servers are sure to trust. Trusted
// says since when this replica has seen an authority in the caBundle; one that
// serves already does not rely on having just seen it.
func settled(all []authority, serves bool, trusted map[fingerprint]time.Time, now time.Time, t Terms) (authority, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		since, seen := trusted[fingerprintOf(all[i].cert)]
		if !seen || now.Sub(all[i].madeAt()) < t.settle() {
			continue
		}
		if !serves || now.Sub(since) >= t.settle() {
			return all[i], true
		}
	}
	return authority{}, false
}

// replaced returns the serving certificate that there should be now: the present
// one while it is young and of the authority to sign by, else a new one. While
// there is no such authority the present one, and its own authority, will do; a
// replica that has neither begins with the oldest authority, which has been in the
// caBundle for the longest. There must be an authority.
func replaced(present *serving, all []authority, trusted map[fingerprint]time.Time, names []string, now time.Time, t Terms) (*serving, error) {
	if present != nil && !now.Before(present.pair.Leaf.NotAfter) {
		present = nil
	}
	by, found := settled(all, present != nil, trusted, now, t)
	switch {
	case present == nil && !found:
		by = all[0]
	case present == nil:
	case found && present.issuer.Equal(by.cert) && !present.aged(now):
		return present, nil
	case !found:
		own := slices.IndexFunc(all, func(a authority) bool { return a.cert.Equal(present.issuer) })
		if own < 0 || !present.aged(now) {
			return present, nil
		}
		by = all[own]
	}
	return by.issue(names, now, t)
}
