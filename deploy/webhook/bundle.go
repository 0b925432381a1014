package webhook

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// parseBundle reads the certificates of a caBundle, and passes over what is none:
// a chart or a person may have put anything there, and it is replaced.
func parseBundle(text []byte) (certs []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return certs
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == pemCertificate {
			certs = append(certs, cert)
		}
	}
}

// encodeBundle is the same for the same certificates, whatever their order: else
// the replicas would undo each other's work.
func encodeBundle(certs []*x509.Certificate) []byte {
	certs = slices.Clone(certs)
	slices.SortFunc(certs, compare)
	certs = slices.CompactFunc(certs, (*x509.Certificate).Equal)
	var b bytes.Buffer
	for _, cert := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: pemCertificate, Bytes: cert.Raw})
	}
	return b.Bytes()
}

// trust is what one replica has seen of the caBundles, and when. It is owned by the
// goroutine of the keeper.
type trust struct {
	seen    map[fingerprint]time.Time // since when an authority is in every bundle, without a break
	surplus map[fingerprint]time.Time // since when a certificate is in a bundle, and no authority of ours
}

// observe notes what stands in the bundles now. Authorities are those of the Secret.
func (t *trust) observe(bundles [][]byte, authorities []authority, now time.Time) {
	count := map[fingerprint]int{}
	for _, b := range bundles {
		in := map[fingerprint]bool{}
		for _, cert := range parseBundle(b) {
			in[fingerprintOf(cert)] = true
		}
		for p := range in {
			count[p]++
		}
	}
	ours := map[fingerprint]bool{}
	for _, a := range authorities {
		ours[fingerprintOf(a.cert)] = true
	}
	t.seen = since(t.seen, count, now, func(p fingerprint) bool { return ours[p] && count[p] == len(bundles) })
	t.surplus = since(t.surplus, count, now, func(p fingerprint) bool { return !ours[p] })
}

// since keeps the times of what is still so, and adds what has become so.
func since(before map[fingerprint]time.Time, of map[fingerprint]int, now time.Time, holds func(fingerprint) bool) map[fingerprint]time.Time {
	next := map[fingerprint]time.Time{}
	for p := range of {
		if !holds(p) {
			continue
		}
		next[p] = now
		if begun, ok := before[p]; ok {
			next[p] = begun
		}
	}
	return next
}

// due is the bundle that should stand where present does: every authority, the one
// that this replica serves by, and what else there is for as long as another
// replica may serve by it.
func (t *trust) due(present []byte, authorities []authority, own *x509.Certificate, now time.Time, terms Terms) []byte {
	var certs []*x509.Certificate
	for _, a := range authorities {
		certs = append(certs, a.cert)
	}
	if own != nil && now.Before(own.NotAfter) {
		certs = append(certs, own)
	}
	for _, cert := range parseBundle(present) {
		begun, surplus := t.surplus[fingerprintOf(cert)]
		if surplus && now.Sub(begun) < 3*terms.settle() && now.Before(cert.NotAfter) {
			certs = append(certs, cert)
		}
	}
	return encodeBundle(certs)
}
