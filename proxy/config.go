package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// Config says what a Proxy stands in front of and within which limits.
// The zero value of every field but Upstream is usable: New fills in the
// default named beside it.
type Config struct {
	// Upstream is the API: http://host:port, https://host:port or
	// unix:///path/to.sock. A path, query or fragment is refused.
	Upstream string
	// UpstreamHost replaces the client's Host header when not empty.
	UpstreamHost string
	// UpstreamCAFile is a PEM file of the authorities that may sign an https
	// upstream's certificate; the system's when empty.
	UpstreamCAFile string
	// UpstreamServerName is the name sent in SNI and verified in the
	// certificate of an https upstream; the URL's host when empty.
	UpstreamServerName string
	// MaxUpstreamConns bounds the connections to the upstream (default 1024).
	// A request that finds all of them busy waits up to ConnectTimeout.
	MaxUpstreamConns int
	// UpstreamIdle is how long an unused upstream connection is kept
	// (default 4 s, below the 5 s of common application servers).
	UpstreamIdle time.Duration

	// CertFile and KeyFile make the listener speak TLS. Both files are read
	// again when they change.
	CertFile, KeyFile string

	// TrustedProxies are the peers whose X-Forwarded-* and Forwarded headers
	// are kept and appended to. Everybody else's are replaced.
	TrustedProxies []netip.Prefix

	// MaxHeaderBytes bounds a request head, request line included, and a
	// response head (default 32 KiB, 1 KiB to 1 MiB).
	MaxHeaderBytes int
	// MaxHeaderCount bounds the header lines of a request or response (default 128).
	MaxHeaderCount int
	// MaxBodyBytes bounds a request body; 0 is no limit.
	MaxBodyBytes int64
	// MaxClientConns bounds the open client connections (default 65536).
	MaxClientConns int

	// HeaderTimeout is the time a client has to send a whole request head (default 10 s).
	HeaderTimeout time.Duration
	// IdleTimeout is how long a client connection may wait for its next request (default 75 s).
	IdleTimeout time.Duration
	// StallTimeout is how long a client may go without sending a byte of its
	// body, and how long either side may take to make room for the next piece
	// of a body, which is at most one read buffer or 64 KiB (default 60 s).
	StallTimeout time.Duration
	// ConnectTimeout is the time to connect to the upstream, TLS included (default 5 s).
	ConnectTimeout time.Duration
	// ResponseTimeout is the time from the request sent to the head of the
	// final response (default 60 s).
	ResponseTimeout time.Duration
	// TotalTimeout is the time for a whole exchange, streams and upgraded
	// connections excepted; 0 is no limit.
	TotalTimeout time.Duration

	// HealthPath answers Health on the proxied port when not empty.
	HealthPath string
	// Health returns the /health/alerts document. Needed with HealthPath.
	Health func() []byte

	// Recorder receives every request; nil measures nothing.
	Recorder *histogram.Recorder
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
}

// upstreamAddr is a validated Config.Upstream.
type upstreamAddr struct {
	network string // "tcp" or "unix"
	address string // host:port, or the socket's path
	host    string // what to put in Host when the client sent none
	tls     *tls.Config
}

func (c Config) withDefaults() Config {
	setInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	setDur := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	setInt(&c.MaxUpstreamConns, 1024)
	setInt(&c.MaxHeaderBytes, 32<<10)
	setInt(&c.MaxHeaderCount, 128)
	setInt(&c.MaxClientConns, 65536)
	setDur(&c.UpstreamIdle, 4*time.Second)
	setDur(&c.HeaderTimeout, 10*time.Second)
	setDur(&c.IdleTimeout, 75*time.Second)
	setDur(&c.StallTimeout, 60*time.Second)
	setDur(&c.ConnectTimeout, 5*time.Second)
	setDur(&c.ResponseTimeout, 60*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// Validate says what is wrong with the configuration, in a sentence a user
// can act on, and reads the files it names.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, err := c.upstream(); err != nil {
		return err
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("TLS on the listener needs both a certificate file and a key file")
	}
	if c.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
			return fmt.Errorf("cannot load the listener's certificate: %w", err)
		}
	}
	if c.MaxHeaderBytes < 1<<10 || c.MaxHeaderBytes > 1<<20 {
		return fmt.Errorf("max header bytes is %d: it must lie between 1024 and 1048576", c.MaxHeaderBytes)
	}
	if c.MaxHeaderCount < 1 || c.MaxUpstreamConns < 1 || c.MaxClientConns < 1 || c.MaxBodyBytes < 0 {
		return errors.New("the limits for header count and connections must be at least 1, the body limit at least 0")
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"header", c.HeaderTimeout}, {"idle", c.IdleTimeout}, {"stall", c.StallTimeout}, {"connect", c.ConnectTimeout},
		{"response", c.ResponseTimeout}, {"total", c.TotalTimeout}, {"upstream idle", c.UpstreamIdle},
	} {
		if t.d < 0 {
			return fmt.Errorf("the %s timeout is %v: it cannot be negative", t.name, t.d)
		}
	}
	if c.HealthPath != "" && !strings.HasPrefix(c.HealthPath, "/") {
		return fmt.Errorf("the exposed health path %q must begin with a slash", c.HealthPath)
	}
	if c.HealthPath != "" && c.Health == nil {
		return errors.New("a health path is exposed and there is no document to answer with")
	}
	return nil
}

func (c Config) upstream() (upstreamAddr, error) {
	var a upstreamAddr
	if c.Upstream == "" {
		return a, errors.New("no upstream given: name your API, for example --upstream http://127.0.0.1:8000")
	}
	u, err := url.Parse(c.Upstream)
	if err != nil {
		return a, fmt.Errorf("upstream %q is not a URL: %w", c.Upstream, err)
	}
	if u.Scheme == "unix" {
		if u.Path == "" || u.Host != "" {
			return a, fmt.Errorf("upstream %q: a unix socket is written unix:///path/to.sock", c.Upstream)
		}
		return upstreamAddr{network: "unix", address: u.Path, host: "localhost"}, nil
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return a, fmt.Errorf("upstream %q: the scheme must be http, https or unix", c.Upstream)
	}
	if u.Hostname() == "" {
		return a, fmt.Errorf("upstream %q has no host", c.Upstream)
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return a, fmt.Errorf("upstream %q: give only scheme, host and port; paths are passed through as the client sends them", c.Upstream)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return a, fmt.Errorf("upstream %q: a port is a number from 1 to 65535", c.Upstream)
	}
	a = upstreamAddr{network: "tcp", address: net.JoinHostPort(u.Hostname(), port), host: u.Host}
	if u.Scheme == "https" {
		a.tls, err = c.upstreamTLS(u.Hostname())
	} else if c.UpstreamCAFile != "" || c.UpstreamServerName != "" {
		err = fmt.Errorf("upstream %q is not https: a CA file or server name has no use there", c.Upstream)
	}
	return a, err
}

func (c Config) upstreamTLS(host string) (*tls.Config, error) {
	t := &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	if c.UpstreamServerName != "" {
		t.ServerName = c.UpstreamServerName
	}
	if c.UpstreamCAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.UpstreamCAFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the upstream's CA file: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", c.UpstreamCAFile)
	}
	return t, nil
}
