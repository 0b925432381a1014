// Package webhook puts the sidecar into pods as they are made: an admission webhook
// that mutates, and the certificates by which API servers trust it.
//
// It never stands in the way of a pod: one that cannot have the sidecar is admitted
// without, with a warning to whoever made it and an annotation that has the
// reason. A webhook that is down leaves pods without a word; `countersign inject
// audit` finds them.
//
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/deploy/kube"
)

// Certificate is a serving certificate that somebody else makes and renews.
type Certificate interface {
	// TLS is what a listener with the certificate needs.
	TLS() *tls.Config
	// Run keeps up with its changes until ctx ends.
	Run(ctx context.Context) error
}

// Config says how the webhook serves.
type Config struct {
	// Defaults are the options of a pod that says nothing.
	Defaults inject.Options
	// Native says whether sidecars are init containers that keep running; nil to go by
	// the cluster's version, of which 1.29 and later have them.
	Native *bool

	// Kube is required unless both Certificate and Native are given.
	Kube *kube.Client
	// Certificate is one from files; nil to make and renew one by an authority of the
	// webhook's own, for which all of the following are required.
	Certificate Certificate
	// Namespace and Secret are where replicas share their authorities. Registration
	// is the MutatingWebhookConfiguration by which API servers trust them.
	Namespace, Secret, Registration string
	// Names are those by which API servers reach the webhook: of DNS, such as
	// countersign-webhook.countersign.svc, or addresses.
	Names []string
	// Terms are the lifetimes of authorities and certificates.
	Terms Terms

	// Drain is how long requests are still answered after the end was asked for: API
	// servers go on sending until they have heard of it.
	Drain time.Duration
	Build Build
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

func (c Config) validate() error {
	own := c.Certificate == nil
	switch {
	case c.Kube == nil && (own || c.Native == nil):
		return errors.New("the webhook needs the API server: to keep its certificates, or to ask for the cluster's version")
	case own && (c.Namespace == "" || c.Secret == "" || c.Registration == ""):
		return errors.New("the webhook needs the names of its namespace, its Secret and its MutatingWebhookConfiguration to keep its own certificates")
	case own && len(c.Names) == 0:
		return errors.New("the webhook needs a name by which API servers reach it")
	case own:
		return c.Terms.validate()
	}
	return nil
}

// Webhook is one replica.
type Webhook struct {
	cfg      Config
	keeper   *keeper // nil with a certificate from files
	metrics  *metrics
	status   http.Handler
	native   atomic.Pointer[bool] // nil while the cluster's version is not known
	stopping atomic.Bool
}

// New returns a webhook; Run serves it.
func New(cfg Config) (*Webhook, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	w := &Webhook{cfg: cfg, metrics: newMetrics()}
	w.native.Store(cfg.Native)
	if cfg.Certificate == nil {
		at := cluster{kube: cfg.Kube, namespace: cfg.Namespace, secret: cfg.Secret, registration: cfg.Registration}
		w.keeper = newKeeper(at, cfg.Names, cfg.Terms, cfg.Now, cfg.Log)
	}
	scrape, err := metricsHandler(w.metrics, w.state(), cfg.Log)
	if err != nil {
		return nil, err
	}
	w.status = w.statusHandler(scrape)
	return w, nil
}

// state is what a scrape shows beside the counters.
func (w *Webhook) state() state {
	s := state{ready: w.ready, leaf: w.leaf, build: w.cfg.Build}
	if w.keeper != nil {
		s.kept = w.keeper.shown.Load
	}
	return s
}

// ready is nil while the replica can answer and API servers trust it.
func (w *Webhook) ready() error {
	switch {
	case w.stopping.Load():
		return errors.New("stopping")
	case w.native.Load() == nil:
		return errors.New("the cluster's version is not known yet")
	case w.keeper != nil:
		return w.keeper.ready()
	}
	return nil
}

// leaf is the serving certificate; nil while there is none.
func (w *Webhook) leaf() *x509.Certificate {
	if w.keeper != nil {
		return w.keeper.leaf()
	}
	pair, err := w.cfg.Certificate.TLS().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return nil
	}
	return pair.Leaf
}

// tls is what the listener needs.
func (w *Webhook) tls() *tls.Config {
	if w.keeper == nil {
		return w.cfg.Certificate.TLS()
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: w.keeper.certificate}
}

// statusHandler answers the kubelet and Prometheus.
func (w *Webhook) statusHandler(scrape http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, _ *http.Request) {
		if err := w.ready(); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(rw, "ok")
	})
	return mux
}

// Run serves reviews on one listener, over TLS, and /metrics, /healthz and /readyz on
// the other, until ctx ends or one of them fails. Both are closed at the end.
func (w *Webhook) Run(ctx context.Context, reviews, status net.Listener) error {
	beside, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { w.learnNative(beside) })
	if w.keeper != nil {
		running.Go(func() { w.keeper.run(beside) })
	} else {
		running.Go(func() { _ = w.cfg.Certificate.Run(beside) })
	}
	answering := w.server(w.parting(newAdmission(w.decide, w.metrics, w.cfg.Now, w.cfg.Log)))
	telling := w.server(w.status)
	ended := make(chan error, 2)
	go func() { ended <- answering.Serve(tls.NewListener(reviews, w.tls())) }()
	go func() { ended <- telling.Serve(status) }()
	defer func() { _ = telling.Close() }()
	select {
	case err := <-ended:
		_ = answering.Close()
		return fmt.Errorf("a listener of the webhook has failed: %w", err)
	case <-ctx.Done():
	}
	return w.drain(answering)
}

// server has the limits that both listeners share.
func (w *Webhook) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       maxPatience,
		WriteTimeout:      2 * maxPatience,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(w.cfg.Log.Handler(), slog.LevelWarn),
	}
}

// parting asks API servers to leave the connections on which they still get answers. Those
// without a request are not closed for as long as they may have heard nothing: one
// that is just being sent would be lost.
func (w *Webhook) parting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.stopping.Load() {
			rw.Header().Set("Connection", "close")
		}
		h.ServeHTTP(rw, r)
	})
}

// drain goes on answering for as long as API servers may not have heard of the end.
func (w *Webhook) drain(answering *http.Server) error {
	w.stopping.Store(true)
	w.cfg.Log.Info("stopping: reviews are answered until API servers have heard of it", "limit", w.cfg.Drain)
	time.Sleep(w.cfg.Drain)
	limited, cancel := context.WithTimeout(context.Background(), maxPatience)
	defer cancel()
	if err := answering.Shutdown(limited); err != nil {
		_ = answering.Close()
		return fmt.Errorf("reviews were still being answered after %v and have been cut off", maxPatience)
	}
	return nil
}

// nativeFrom is the version from which on clusters have native sidecars without
// being told to.
var nativeFrom = kube.Version{Major: 1, Minor: 29}

// learnNative asks for the cluster's version until it is known.
func (w *Webhook) learnNative(ctx context.Context) {
	for told := ""; w.native.Load() == nil; {
		v, err := w.cfg.Kube.Version(ctx)
		if err == nil {
			native := !v.Less(nativeFrom)
			w.native.Store(&native)
			w.cfg.Log.Info("the cluster's version is known", "version", v, "native_sidecars", native)
			return
		}
		if err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			w.cfg.Log.Warn("the cluster's version is not known; asked for again, and not needed with --native true or false", "every", time.Second, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
