package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a self-signed certificate for name, and its key.
func writePair(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeFile(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return cert, key
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// dialTLS connects to the proxy and returns the name in its certificate.
func (e *env) dialTLS(protocols ...string) (*peer, string, error) {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	p := newPeer(e.t, conn)
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: protocols})
	if err := secure.Handshake(); err != nil {
		return nil, "", err
	}
	p.Conn = secure
	p.br.Reset(secure)
	return p, secure.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestListenerTLS(t *testing.T) {
	heads := make(chan string, 1)
	up := play(t, func(p *peer, _ int) {
		heads <- p.head()
		p.send(okResponse)
	})
	dir := t.TempDir()
	e := start(t, up.url(), func(c *Config) { c.CertFile, c.KeyFile = writePair(t, dir, "first") })
	c, name, err := e.dialTLS("h2", "http/1.1")
	if err != nil || name != "first" {
		t.Fatalf("got %q, %v", name, err)
	}
	c.answered("/", 200, "ok")
	head := <-heads
	for _, want := range []string{"X-Forwarded-Proto: https\r\n", "Forwarded: for=127.0.0.1;proto=https;"} {
		if !strings.Contains(head, want) {
			t.Errorf("%q has no %q", head, want)
		}
	}
	if _, _, err := e.dialTLS("h2"); err == nil {
		t.Error("HTTP/2 was agreed upon")
	}
	plain := e.dial()
	plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got, _ := plain.rest(); strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("got %q without TLS", got)
	}
	e.counted("success=1")
}

// TestSlowHandshake: a client that never says hello is let go.
func TestSlowHandshake(t *testing.T) {
	dir := t.TempDir()
	e := startStill(t, always(t, okResponse).url(), func(c *Config) { c.CertFile, c.KeyFile = writePair(t, dir, "a") })
	c := e.dial()
	e.inPhase(phaseHead, 1)
	e.pass(e.cfg.HeaderTimeout+time.Second, false)
	c.closed()
}

// TestTLSIncomplete: what has no other end than the connection's must not end
// like something complete.
func TestTLSIncomplete(t *testing.T) {
	relayed := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\n\r\nab")
		<-relayed
		_ = p.Conn.(*net.TCPConn).SetLinger(0)
	})
	dir := t.TempDir()
	e := start(t, up.url(), func(c *Config) { c.CertFile, c.KeyFile = writePair(t, dir, "a") })
	c, _, err := e.dialTLS()
	if err != nil {
		t.Fatal(err)
	}
	c.send("GET / HTTP/1.0\r\n\r\n")
	c.head()
	c.take(2)
	close(relayed)
	if rest, cut := c.rest(); !cut {
		t.Errorf("the connection ended cleanly after %q", rest)
	}
	e.counted("gateway_error=1")
}

func TestTLSParked(t *testing.T) {
	dir := t.TempDir()
	e := startStill(t, always(t, okResponse).url(), func(c *Config) { c.CertFile, c.KeyFile = writePair(t, dir, "a") })
	c, _, err := e.dialTLS()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.answered("/", 200, "ok")
		e.inPhase(phaseIdle, 1)
		e.pass(parkAfter+time.Second, false)
		e.inPhase(phaseParked, 1)
	}
}

// TestCertificateReload: changed files are taken over, a pair that does not
// fit is not, and the old one serves on meanwhile.
func TestCertificateReload(t *testing.T) {
	dir := t.TempDir()
	var cert, key string
	e := startStill(t, always(t, okResponse).url(), func(c *Config) {
		c.CertFile, c.KeyFile = writePair(t, dir, "first")
		cert, key = c.CertFile, c.KeyFile
	})
	serves := func(want string) {
		t.Helper()
		if _, got, err := e.dialTLS(); err != nil || got != want {
			t.Errorf("serves %q, %v, want %q", got, err, want)
		}
	}
	age := 0
	touch := func() {
		age++
		at := time.Now().Add(time.Duration(age) * time.Minute)
		for _, f := range []string{cert, key} {
			if err := os.Chtimes(f, at, at); err != nil {
				t.Fatal(err)
			}
		}
		e.certs.refresh(slog.New(slog.DiscardHandler))
	}
	serves("first")
	writePair(t, dir, "second")
	serves("first")
	touch()
	serves("second")
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, key, []byte("garbage"))
	touch()
	serves("second")
	writeFile(t, key, good)
	touch()
	serves("second")
	writePair(t, dir, "third")
	if _, err := e.Reload(e.cfg); err != nil {
		t.Fatal(err)
	}
	serves("third")
}

func TestUpstreamTLS(t *testing.T) {
	sni := make(chan string, 10)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sni <- r.TLS.ServerName
		_, _ = w.Write([]byte("ok"))
	}))
	up.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	up.StartTLS()
	t.Cleanup(up.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw}))
	for _, tc := range []struct {
		name, ca, server string
		ok               bool
		sni              string
	}{
		{"address in the certificate", ca, "", true, ""},
		{"name in the certificate", ca, "example.com", true, "example.com"},
		{"another name", ca, "other.example", false, ""},
		{"unknown authority", "", "example.com", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, up.URL, func(c *Config) { c.UpstreamCAFile, c.UpstreamServerName = tc.ca, tc.server })
			c := e.dial()
			if !tc.ok {
				checkFault(t, c.get("/"), faultUpstreamCertificate)
				e.counted("gateway_error=1")
				return
			}
			for range 3 {
				c.answered("/", 200, "ok")
				if got := <-sni; got != tc.sni {
					t.Errorf("the upstream was asked for %q", got)
				}
			}
			if n := e.Stats().UpstreamConns; n != 1 {
				t.Errorf("%d connections for one after another", n)
			}
			e.counted("success=3")
		})
	}
}

func TestUpstreamUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	hosts := make(chan string, 2)
	playOn(t, ln, func(p *peer, _ int) {
		for r := p.request(); r != nil; r = p.request() {
			hosts <- r.Host
			p.send(okResponse)
		}
	})
	e := start(t, "unix://"+path)
	c := e.dial()
	c.answered("/", 200, "ok")
	c.send("GET / HTTP/1.0\r\n\r\n")
	c.reply("GET")
	if a, b := <-hosts, <-hosts; a != "a" || b != "localhost" {
		t.Errorf("got hosts %q, %q", a, b)
	}
	e.counted("success=2")
}
