package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/deploy/kube"
)

// keeper keeps the certificate that this replica serves by, the authorities that
// all replicas share, and the caBundle by which API servers trust them. At no time
// does a replica serve by a certificate that an API server may not know the
// authority of:
//
//   - an authority is in the Secret first, then in the caBundle, and signs only
//     when it has been there for a while;
//   - it stays in both until it expires, which none of its certificates outlives;
//   - every write is refused by the API server if another replica wrote first, and
//     is then decided anew.
type keeper struct {
	cluster cluster
	names   []string
	terms   Terms
	now     func() time.Time
	log     *slog.Logger

	// present and trust are owned by the goroutine that calls step.
	present *serving
	trust   trust

	shown atomic.Pointer[kept]
}

// kept is what the keeper shows to other goroutines.
type kept struct {
	serving *tls.Certificate // nil before there is one
	// authorityEnd is when the newest authority expires; zero before there is one.
	authorityEnd time.Time
	// trusted says that the serving certificate's authority is in the caBundle.
	trusted bool
	// problem is what went wrong in the last step.
	problem error
}

func newKeeper(c cluster, names []string, terms Terms, now func() time.Time, log *slog.Logger) *keeper {
	k := &keeper{cluster: c, names: names, terms: terms, now: now, log: log}
	k.shown.Store(&kept{})
	return k
}

// interval is the time between two looks at the cluster, and how long a caBundle
// that somebody has emptied stays so.
func (k *keeper) interval() time.Duration { return min(10*time.Second, k.terms.settle()/2) }

// run keeps until ctx ends. Until the replica is ready it looks every second.
func (k *keeper) run(ctx context.Context) {
	for {
		k.step(ctx)
		wait := k.interval()
		if k.ready() != nil {
			wait = min(wait, time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// tries bounds how often a step begins anew because another replica was faster.
const tries = 5

// step looks at the cluster once and does what is due. What goes wrong is logged
// when it is new, and tried again in the next step: the certificate stays in use.
func (k *keeper) step(ctx context.Context) {
	before := k.shown.Load()
	next := *before
	err := k.attempt(ctx, &next)
	for n := 1; n < tries && kube.Is(err, http.StatusConflict); n++ {
		err = k.attempt(ctx, &next)
	}
	if ctx.Err() != nil {
		return
	}
	next.problem = err
	k.tell(before, &next)
	k.shown.Store(&next)
}

// attempt does one round: authorities, certificate, bundles. The certificate is
// there even if the bundles cannot be read.
func (k *keeper) attempt(ctx context.Context, next *kept) error {
	authorities, err := k.keepAuthorities(ctx)
	if err != nil {
		return err
	}
	next.authorityEnd = authorities[len(authorities)-1].cert.NotAfter
	r, unread := k.cluster.readRegistration(ctx)
	now := k.now()
	if unread == nil {
		k.trust.observe(r.bundles(), authorities, now)
	}
	present, err := replaced(k.present, authorities, k.trust.seen, k.names, now, k.terms)
	if err != nil {
		return errors.Join(unread, err)
	}
	k.present, next.serving = present, present.pair
	if unread != nil {
		return unread
	}
	next.trusted = k.inEvery(r.bundles())
	return k.keepBundles(ctx, r, authorities, now)
}

// inEvery reports whether the bundles have the authority of the certificate.
func (k *keeper) inEvery(bundles [][]byte) bool {
	for _, b := range bundles {
		found := false
		for _, cert := range parseBundle(b) {
			found = found || cert.Equal(k.present.issuer)
		}
		if !found {
			return false
		}
	}
	return len(bundles) > 0
}

// keepAuthorities returns the authorities as they stand in the Secret, after
// renewing them if that is due.
func (k *keeper) keepAuthorities(ctx context.Context) ([]authority, error) {
	all, version, err := k.cluster.readSecret(ctx)
	if err != nil {
		return nil, err
	}
	next, changed, err := renewed(all, k.now(), k.terms)
	if err != nil || !changed {
		return next, err
	}
	if err := k.cluster.writeSecret(ctx, next, version); err != nil {
		return nil, err
	}
	newest := next[len(next)-1].cert
	k.log.Info("authorities renewed", "there_are", len(next), "newest", newest.Subject.CommonName, "until", newest.NotAfter)
	return next, nil
}

// keepBundles writes the bundles that are not as they should be.
func (k *keeper) keepBundles(ctx context.Context, r registration, authorities []authority, now time.Time) error {
	var changed []hook
	for _, h := range r.Webhooks {
		due := k.trust.due(h.ClientConfig.CABundle, authorities, k.present.issuer, now, k.terms)
		if string(due) != string(h.ClientConfig.CABundle) {
			changed = append(changed, hook{Name: h.Name, ClientConfig: clientConfig{CABundle: due}})
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if err := k.cluster.writeBundles(ctx, r, changed); err != nil {
		return err
	}
	k.log.Info("caBundle written", "configuration", k.cluster.registration, "webhooks", len(changed))
	return nil
}

// tell logs what has changed.
func (k *keeper) tell(before, next *kept) {
	switch {
	case next.problem != nil && (before.problem == nil || before.problem.Error() != next.problem.Error()):
		k.log.Error("the webhook's certificates cannot be kept; tried again", "every", k.interval(), "error", next.problem)
	case next.problem == nil && before.problem != nil:
		k.log.Info("the webhook's certificates are kept again")
	}
	if next.serving != before.serving {
		k.log.Info("serving certificate issued", "authority", k.present.issuer.Subject.CommonName, "until", next.serving.Leaf.NotAfter)
	}
	if next.trusted && !before.trusted {
		k.log.Info("API servers trust this replica", "configuration", k.cluster.registration)
	}
}

// certificate answers a handshake.
func (k *keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := k.shown.Load().serving; pair != nil {
		return pair, nil
	}
	return nil, errors.New("there is no serving certificate yet")
}

// ready is nil once API servers trust the certificate. A problem that comes later
// does not take it back: what is trusted goes on being so.
func (k *keeper) ready() error {
	now := k.shown.Load()
	switch {
	case now.serving == nil && now.problem != nil:
		return fmt.Errorf("there is no serving certificate: %w", now.problem)
	case now.serving == nil:
		return errors.New("there is no serving certificate yet")
	case !now.trusted && now.problem != nil:
		return fmt.Errorf("API servers do not trust the serving certificate: %w", now.problem)
	case !now.trusted:
		return errors.New("API servers do not trust the serving certificate yet: its authority is not in the caBundle")
	}
	return nil
}

// leaf is the serving certificate, nil before there is one.
func (k *keeper) leaf() *x509.Certificate {
	if pair := k.shown.Load().serving; pair != nil {
		return pair.Leaf
	}
	return nil
}
