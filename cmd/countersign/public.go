package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/proxy"
)

// public is the listener where people decide. The admin API is never there.
type public struct {
	key         *approval.Key
	url         *url.URL
	server      *http.Server
	listener    net.Listener
	certificate *proxy.Certificate // nil without TLS
	log         *slog.Logger
}

// newPublic makes the listener's parts; nil when none is configured, or when
// there can be no key: then nobody can approve, and traffic goes on.
func newPublic(c config.Config, d *docket.Docket, log *slog.Logger) (*public, error) {
	if c.Approval.Listen == "" {
		return nil, nil
	}
	p := &public{log: log}
	var err error
	if p.url, err = approval.ParsePublicURL(c.Approval.PublicURL); err != nil {
		return nil, err
	}
	if c.Approval.CertFile != "" {
		if p.certificate, err = proxy.OpenCertificate(c.Approval.CertFile, c.Approval.KeyFile, log); err != nil {
			return nil, err
		}
	}
	if p.key, err = approval.OpenKey(filepath.Join(c.Ledger.Data, approval.KeyFile)); err != nil {
		log.Error("nobody can approve anything until the next start; traffic goes on", "error", err)
		return nil, nil
	}
	h, err := approval.NewHandler(approval.Options{
		Key: p.key, Desk: d, Public: p.url, TrustedProxies: c.Proxy().TrustedProxies, Refused: d.Refused, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.server = h.Server()
	return p, nil
}

// listen takes the port.
func (p *public) listen(address string) error {
	l, err := listen(address, "--approval-listen (of a demo, --approve)")
	if err != nil {
		return err
	}
	// Port 0 is whichever is free, and links must lead to it.
	if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil && p.url.Port() == "0" {
		p.url.Host = net.JoinHostPort(p.url.Hostname(), port)
	}
	p.listener = approval.Bounded(l)
	if p.certificate != nil {
		p.listener = tls.NewListener(p.listener, p.certificate.TLS())
	}
	return nil
}

// closing is how long answers that are on their way may take at the end.
const closing = 2 * time.Second

// run answers until ctx ends.
func (p *public) run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- p.server.Serve(p.listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if p.server.Shutdown(limited) != nil {
		_ = p.server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (p *public) close() {
	if p != nil && p.listener != nil {
		_ = p.listener.Close()
	}
}
