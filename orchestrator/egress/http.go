package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/roots"
)

const (
	defaultTimeout     = 10 * time.Second
	defaultMaxResponse = 1 << 20
	maxResponseHeader  = 64 << 10
	maxRedirects       = 3
	userAgent          = "countersign"
)

// Doer sends a request.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// HTTPOptions say how requests are sent, and where they may go.
type HTTPOptions struct {
	// Timeout is how long a request may take, its answer's body included; 10 s
	// when 0.
	Timeout time.Duration
	// AllowPrivate and AllowHosts are those of [DialOptions].
	AllowPrivate bool
	AllowHosts   []string
	// MaxResponse is how many bytes of an answer's body can be read before
	// [ErrTooLarge]; 1 MiB when 0.
	MaxResponse int64
	// RootCAs are the authorities that certificates are verified with; those of
	// the system when nil.
	RootCAs *x509.CertPool
}

// HTTP returns what sends a tenant's requests by HTTP/1.1, each over a
// connection of its own. Certificates are verified. A redirect is followed for
// GET and HEAD within the same scheme, host and port, at most three times; any
// other is returned as the answer that it is.
//
// The body of an answer must be closed. Errors never have the URL in them, as
// it may have a secret. They are an [*UnsentError] when nothing of the request
// was sent, and wrap [ErrShadow] or a [*RefusedError] where one of them is the
// reason. A request is never sent again behind the caller's back. The Doer is
// safe for concurrent use.
func (g *Gate) HTTP(tenant string, o HTTPOptions) Doer {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxResponse <= 0 {
		o.MaxResponse = defaultMaxResponse
	}
	return &doer{gate: g, tenant: tenant, options: o}
}

type doer struct {
	gate    *Gate
	tenant  string
	options HTTPOptions
}

func (d *doer) Do(req *http.Request) (*http.Response, error) {
	if err := d.admit(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &UnsentError{err}
	}
	ctx, cancel := context.WithTimeout(req.Context(), d.options.Timeout)
	var sent atomic.Bool
	req = req.Clone(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	}))
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", userAgent)
	}
	res, err := d.client().Do(req)
	if err != nil {
		cancel()
		if with, ok := errors.AsType[*url.Error](err); ok {
			err = with.Err
		}
		if !sent.Load() {
			err = &UnsentError{err}
		}
		return nil, err
	}
	res.Body = &bounded{ReadCloser: res.Body, left: d.options.MaxResponse, cancel: cancel}
	return res, nil
}

// admit says whether the request may be sent at all. It resolves no name.
func (d *doer) admit(req *http.Request) error {
	if d.gate.shadow(d.tenant) {
		return ErrShadow
	}
	switch u := req.URL; {
	case u == nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL is neither http nor https")
	case u.User != nil:
		return errors.New("the URL has a user or password in it: give it in a header")
	}
	return nil
}

// client is for one request: nothing is kept between them. It uses no proxy, which
// would resolve names itself.
func (d *doer) client() *http.Client {
	transport := &http.Transport{
		DialContext:            d.gate.Dialer(d.tenant, DialOptions{d.options.AllowPrivate, d.options.AllowHosts}),
		TLSClientConfig:        &tls.Config{RootCAs: d.options.RootCAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
	return &http.Client{Transport: roots.Before(transport), CheckRedirect: checkRedirect}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	if first.Method != http.MethodGet && first.Method != http.MethodHead || len(via) > maxRedirects ||
		req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || req.URL.User != nil {
		return http.ErrUseLastResponse
	}
	return nil
}

// bounded is a body of which only so much can be read.
type bounded struct {
	io.ReadCloser
	left   int64
	cancel context.CancelFunc
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var more [1]byte
		n, err := b.ReadCloser.Read(more[:])
		if n > 0 {
			err = ErrTooLarge
		}
		return 0, err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
