package roots

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// What crypto/x509 trusts is of a process, once and for all: each case is a process.
const (
	caseVariable  = "ROOTS_CASE"
	ownVariable   = "ROOTS_OWN"
	systemIsEmpty = "the system has no authorities"
	systemHasOne  = "the system has an authority"
	overHTTP      = "a request without TLS"
	overHTTPS     = "a request with TLS"
)

func TestMain(m *testing.M) {
	which := os.Getenv(caseVariable)
	if which == "" {
		os.Exit(m.Run())
	}
	if err := inProcess(which); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestLoad(t *testing.T) {
	own := ownAuthority(t)
	for _, c := range []struct{ name, file string }{
		{systemIsEmpty, os.DevNull}, {systemHasOne, own}, {overHTTP, os.DevNull}, {overHTTPS, os.DevNull},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), caseVariable+"="+c.name, ownVariable+"="+own, "SSL_CERT_FILE="+c.file, "SSL_CERT_DIR="+t.TempDir())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func inProcess(which string) error {
	switch which {
	case systemIsEmpty:
		Load()
		Load()
		return errors.Join(trusts(bundled(), true), trusts(own(), false))
	case systemHasOne:
		Load()
		return errors.Join(trusts(own(), true), trusts(bundled(), false))
	}
	scheme := map[string]string{overHTTP: "http", overHTTPS: "https"}[which]
	req, err := http.NewRequest(http.MethodGet, scheme+"://example.com/", nil)
	if err != nil {
		return err
	}
	if _, err := Before(answerNothing{}).RoundTrip(req); !errors.Is(err, errNothing) {
		return fmt.Errorf("the request did not go on: %w", err)
	}
	return trusts(bundled(), which == overHTTPS)
}

var errNothing = errors.New("nothing")

type answerNothing struct{}

func (answerNothing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNothing }

// trusts compares what a certificate is worth to who names no roots.
func trusts(authority *x509.Certificate, want bool) error {
	_, err := authority.Verify(x509.VerifyOptions{CurrentTime: authority.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if (err == nil) != want {
		return fmt.Errorf("%s is trusted: %v; want %v (%w)", authority.Subject, err == nil, want, err)
	}
	return nil
}

// bundled is any of the authorities that were brought along.
func bundled() *x509.Certificate {
	for root := range bundle.Roots() {
		if c, err := x509.ParseCertificate(root.Certificate); err == nil && root.Constraint == nil {
			return c
		}
	}
	return nil
}

func own() *x509.Certificate {
	text, err := os.ReadFile(os.Getenv(ownVariable))
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return c
}

// ownAuthority writes an authority that nobody else knows.
func ownAuthority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the system's own"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "own.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestEveryAuthorityIsTaken as none is skipped for not being readable.
func TestEveryAuthorityIsTaken(t *testing.T) {
	pool, n := brought(), 0
	for root := range bundle.Roots() {
		n++
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		again := pool.Clone()
		again.AddCert(c)
		if !again.Equal(pool) {
			t.Errorf("%s is missing", c.Subject)
		}
	}
	if n < 100 {
		t.Errorf("there are only %d authorities", n)
	}
}
