package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificate is the listener's certificate, read again when its files change.
type certificate struct {
	config  *tls.Config
	current atomic.Pointer[tls.Certificate]

	mu         sync.Mutex // guards the fields below
	cert, key  string
	modified   [2]time.Time
	lastFailed [2]time.Time // modification times that could not be loaded
}

func loadCertificate(cert, key string) (*certificate, error) {
	c := &certificate{}
	if err := c.load(cert, key); err != nil {
		return nil, err
	}
	c.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{protocol},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
	return c, nil
}

// certificateInterval is the time between two looks at the files.
const certificateInterval = 5 * time.Second

// watch refreshes the certificate until stop is closed.
func (c *certificate) watch(stop <-chan struct{}, log *slog.Logger) {
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			c.refresh(log)
		}
	}
}

// load reads the pair and keeps the old one when that fails.
func (c *certificate) load(cert, key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	modified := modifiedAt(cert, key)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("cannot load the listener's certificate: %w", err)
	}
	c.cert, c.key, c.modified = cert, key, modified
	c.current.Store(&pair)
	return nil
}

// refresh loads the files again if they have changed since they were read.
func (c *certificate) refresh(log *slog.Logger) {
	c.mu.Lock()
	cert, key := c.cert, c.key
	now := modifiedAt(cert, key)
	due := now != c.modified && now != c.lastFailed
	c.mu.Unlock()
	if !due {
		return
	}
	if err := c.load(cert, key); err != nil {
		c.mu.Lock()
		c.lastFailed = now
		c.mu.Unlock()
		log.Error("the changed certificate cannot be used, the old one stays", "error", err)
		return
	}
	log.Info("certificate reloaded", "file", cert)
}

func modifiedAt(files ...string) (t [2]time.Time) {
	for i, f := range files {
		if st, err := os.Stat(f); err == nil {
			t[i] = st.ModTime()
		}
	}
	return t
}

// Certificate is that of another listener than the proxied one, read again when
// its files change.
type Certificate struct {
	loaded *certificate
	log    *slog.Logger
}

// OpenCertificate reads a PEM certificate chain and its key.
func OpenCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c, err := loadCertificate(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &Certificate{loaded: c, log: log}, nil
}

// TLS is what a listener with the certificate needs.
func (c *Certificate) TLS() *tls.Config { return c.loaded.config }

// Run looks at the files every five seconds, until ctx ends.
func (c *Certificate) Run(ctx context.Context) error {
	c.loaded.watch(ctx.Done(), c.log)
	return nil
}
