// Package roots brings certificate authorities along for where the system has none, as
// in a container that holds the binary alone. They are those that Mozilla trusts, by
// golang.org/x/crypto/x509roots.
//
// They cost half a megabyte of memory and some milliseconds, which a sidecar that speaks to
// nobody by TLS is spared: they are read when the first connection needs them. So
// whatever verifies certificates with the roots of the system calls [Load] before it
// does, or sends its requests through [Before].
package roots

import (
	"crypto/x509"
	"net/http"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Load makes crypto/x509 trust the authorities that were brought along, in place of the
// system's, if the system has none: neither in its usual files, nor where SSL_CERT_FILE and
// SSL_CERT_DIR point to. After the first time it does nothing. It is safe for
// concurrent use.
func Load() { load() }

var load = sync.OnceFunc(func() {
	if own, err := x509.SystemCertPool(); err == nil && !own.Equal(x509.NewCertPool()) {
		return
	}
	x509.SetFallbackRoots(brought())
})

// brought are the authorities that were brought along, with what restricts each.
func brought() *x509.CertPool {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		authority, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue // the bundle's own tests parse each; one that fails must not take the others along
		}
		if root.Constraint == nil {
			pool.AddCert(authority)
		} else {
			pool.AddCertWithConstraint(authority, root.Constraint)
		}
	}
	return pool
}

// Before returns a transport that calls [Load] before its first request by https, and
// otherwise is next.
func Before(next http.RoundTripper) http.RoundTripper { return &before{next} }

type before struct{ next http.RoundTripper }

func (b *before) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL != nil && req.URL.Scheme == "https" {
		Load()
	}
	return b.next.RoundTrip(req)
}

// CloseIdleConnections is what http.Client calls by the same name.
func (b *before) CloseIdleConnections() {
	if closer, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}
