//go:build slow

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates that are written to files.
type authority struct {
	dir  string
	file string // its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	a.file, _ = a.sign(t, name, a.cert)
	return a
}

// issue makes a server certificate and returns the files of the pair.
func (a *authority) issue(t *testing.T, host string) (cert, key string) {
	t.Helper()
	return a.sign(t, host, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   a.cert.NotBefore, NotAfter: a.cert.NotAfter,
	})
}

func (a *authority) sign(t *testing.T, name string, template *x509.Certificate) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.key == nil {
		a.key = key // the authority's own certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", pkcs8)
	return certFile, keyFile
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startTLSNginx serves with a certificate for host.
func startTLSNginx(t *testing.T, a *authority, host string) (n *nginx, url string) {
	t.Helper()
	cert, key := a.issue(t, host)
	n = startNginx(t, "ssl", "ssl_certificate "+cert+"; ssl_certificate_key "+key+";")
	n.fill(t)
	_, port, _ := strings.Cut(n.address, ":")
	return n, "https://127.0.0.1:" + port
}

// TestTLSOnBothSides: curl and nginx each verify or are verified by name.
func TestTLSOnBothSides(t *testing.T) {
	t.Parallel()
	inside, outside := newAuthority(t, "inside"), newAuthority(t, "outside")
	_, upstream := startTLSNginx(t, inside, "api.internal")
	cert, key := outside.issue(t, "api.example")
	s := startSidecar(t, upstream, "--upstream-ca", inside.file, "--upstream-server-name", "api.internal",
		"--tls-cert", cert, "--tls-key", key)
	_, port, _ := strings.Cut(s.address, ":")
	url := "https://api.example:" + port
	client := []string{"--cacert", outside.file, "--connect-to", "api.example::127.0.0.1:", "--http2"}

	for range 2 {
		a := curl(t, append(client, url+"/data.bin")...)
		if a.version != "HTTP/1.1" || a.status != "200 OK" || !bytes.Equal(a.body, noise(3<<20+17)) {
			t.Fatalf("%v", &a)
		}
	}
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, noise(3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := curl(t, append(client, "--upload-file", file, url+"/put/up")...); a.status != "201 Created" {
		t.Errorf("upload: %v", &a)
	}
	if a := curl(t, "--connect-to", "api.example::127.0.0.1:", url+"/"); a.exit != 60 {
		t.Errorf("curl should not have trusted the certificate: %v", &a)
	}
	s.expectCounts(t, counts{"success": 3})
}

// TestUpstreamCertificateIsVerified: neither a foreign authority nor a wrong
// name is accepted, and the client is told no more than that.
func TestUpstreamCertificateIsVerified(t *testing.T) {
	t.Parallel()
	inside, other := newAuthority(t, "inside"), newAuthority(t, "other")
	_, upstream := startTLSNginx(t, inside, "api.internal")
	for name, flags := range map[string][]string{
		"system authorities": {"--upstream-server-name", "api.internal"},
		"foreign authority":  {"--upstream-server-name", "api.internal", "--upstream-ca", other.file},
		"wrong name":         {"--upstream-server-name", "api.example", "--upstream-ca", inside.file},
		"address as name":    {"--upstream-ca", inside.file},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSidecar(t, upstream, flags...)
			a := curl(t, s.url+"/")
			if !strings.HasPrefix(a.status, "502 ") || a.header("Countersign-Error") != "upstream_certificate" || bytes.Contains(a.body, []byte("x509")) {
				t.Errorf("%v\n%s", &a, a.body)
			}
			s.expectCounts(t, counts{"gateway_error": 1})
		})
	}
}

// TestProtocolMismatch: plain HTTP spoken to a TLS port and the reverse end
// with an error for the client, not with a wait.
func TestProtocolMismatch(t *testing.T) {
	t.Parallel()
	inside := newAuthority(t, "inside")
	n, upstream := startTLSNginx(t, inside, "api.internal")
	plain := startSidecar(t, n.url)
	if a := curl(t, plain.url+"/"); !strings.HasPrefix(a.status, "400 ") {
		t.Errorf("nginx answers plain HTTP on its TLS port with 400, got %v", &a)
	}
	cert, key := inside.issue(t, "proxy")
	s := startSidecar(t, upstream, "--upstream-ca", inside.file, "--tls-cert", cert, "--tls-key", key)
	if a := curl(t, s.url+"/"); a.exit == 0 || a.exit == 28 {
		t.Errorf("plain HTTP to the TLS listener: %v", &a)
	}
}
