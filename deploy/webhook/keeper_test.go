package webhook

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/deploy/kube/kubetest"
)

const (
	name      = "countersign-webhook.countersign.svc"
	secrets   = "/api/v1/namespaces/countersign/secrets"
	theSecret = secrets + "/authorities"
	theHooks  = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/countersign"
	noBundle  = `{"metadata":{"name":"countersign"},"webhooks":[{"name":"a.countersign.dev","failurePolicy":"Ignore","clientConfig":{"service":{"name":"s"}}},{"name":"b.countersign.dev","clientConfig":{}}]}`
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// stage is a cluster with a clock that stands still until it is moved.
type stage struct {
	*kubetest.Server
	time time.Time
	log  strings.Builder
}

// newStage has an empty Secret, as the chart makes it, and webhooks without caBundle.
func newStage(t *testing.T) *stage {
	s := &stage{Server: kubetest.Start(t), time: begin}
	s.Put(theSecret, `{"kind":"Secret","metadata":{"name":"authorities","labels":{"made-by":"helm"}},"type":"Opaque"}`)
	s.Put(theHooks, noBundle)
	return s
}

func (s *stage) now() time.Time { return s.time }

func (s *stage) replica(t *testing.T, terms Terms) *keeper {
	c := cluster{kube: s.Client(t), namespace: "countersign", secret: "authorities", registration: "countersign"}
	return newKeeper(c, []string{name}, terms, s.now, slog.New(slog.NewTextHandler(&s.log, nil)))
}

// bundles are the caBundles as they stand.
func (s *stage) bundles(t *testing.T) [][]byte {
	t.Helper()
	var r registration
	if err := json.Unmarshal([]byte(s.Get(theHooks)), &r); err != nil {
		t.Fatal(err)
	}
	return r.bundles()
}

// trusts checks a replica's certificate as an API server does that has the bundle.
func trusts(bundle []byte, k *keeper, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	_, err := k.leaf().Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
	return err
}

func TestFirstReplicaBegins(t *testing.T) {
	s := newStage(t)
	k := s.replica(t, DefaultTerms())
	if k.ready() == nil {
		t.Fatal("ready before anything is known")
	}
	if _, err := k.certificate(nil); err == nil {
		t.Fatal("a certificate before there is one")
	}
	k.step(context.Background())
	if err := k.ready(); err == nil || !strings.Contains(err.Error(), "not in the caBundle") {
		t.Fatalf("after the first look: %v", err)
	}
	k.step(context.Background())
	if err := k.ready(); err != nil {
		t.Fatal(err)
	}
	for i, b := range s.bundles(t) {
		if err := trusts(b, k, s.time); err != nil {
			t.Errorf("webhook %d: %v", i, err)
		}
	}
	for _, kept := range []string{`"made-by":"helm"`, `"type":"Opaque"`} {
		if !strings.Contains(s.Get(theSecret), kept) {
			t.Errorf("the Secret has lost %s", kept)
		}
	}
	for _, kept := range []string{`"failurePolicy":"Ignore"`, `"service":{"name":"s"}`} {
		if !strings.Contains(s.Get(theHooks), kept) {
			t.Errorf("the webhooks have lost %s", kept)
		}
	}
	s.Asked()
	k.step(context.Background())
	for _, asked := range s.Asked() {
		if !strings.HasPrefix(asked, "GET ") {
			t.Errorf("with nothing to do: %s", asked)
		}
	}
}

func TestSecretIsMadeWhereThereIsNone(t *testing.T) {
	s := newStage(t)
	s.Delete(theSecret)
	k := s.replica(t, DefaultTerms())
	k.step(context.Background())
	k.step(context.Background())
	if err := k.ready(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Get(theSecret), authoritiesKey) {
		t.Error("nothing in the Secret")
	}
}

// TestReplicasShareAnAuthority has another replica write first whenever one is about to.
func TestReplicasShareAnAuthority(t *testing.T) {
	for _, exists := range []bool{true, false} {
		s := newStage(t)
		if !exists {
			s.Delete(theSecret)
		}
		first, second := s.replica(t, DefaultTerms()), s.replica(t, DefaultTerms())
		racing := false
		s.Before(func(method, path string) {
			if method == http.MethodGet || racing {
				return
			}
			racing = true
			second.step(context.Background())
		})
		first.step(context.Background())
		s.Before(nil)
		first.step(context.Background())
		second.step(context.Background())
		for _, k := range []*keeper{first, second} {
			if err := k.ready(); err != nil {
				t.Fatal(err)
			}
		}
		if !racing || !first.present.issuer.Equal(second.present.issuer) {
			t.Errorf("with a Secret %v: the replicas have different authorities", exists)
		}
		if n := len(parseBundle(s.bundles(t)[0])); n != 1 {
			t.Errorf("%d authorities in the bundle", n)
		}
	}
}

// TestWhatIsWrongIsSaid needs the words that help, and the old certificate.
func TestWhatIsWrongIsSaid(t *testing.T) {
	for what, c := range map[string]struct {
		ruin func(*stage)
		want string
	}{
		"no configuration": {func(s *stage) { s.Delete(theHooks) }, "there is no MutatingWebhookConfiguration countersign: no pod is sent here until it is applied"},
		"no webhooks":      {func(s *stage) { s.Put(theHooks, `{"metadata":{"name":"countersign"}}`) }, "has no webhooks"},
		"alien Secret":     {func(s *stage) { s.Put(theSecret, `{"metadata":{"name":"a"},"data":{"authorities.pem":"aGVsbG8="}}`) }, "take the key out of its data"},
		"no right to read": {func(s *stage) { s.Refuse(onlyGet(theSecret, http.StatusForbidden)) }, "cannot read the Secret countersign/authorities: the API server answered 403"},
		"no right to make": {func(s *stage) {
			s.Delete(theSecret)
			s.Refuse(func(method, _ string) int { return map[string]int{http.MethodPost: http.StatusForbidden}[method] })
		}, "apply the chart's anew"},
		"no right to write": {func(s *stage) {
			s.Put(theHooks, noBundle)
			s.Refuse(func(method, _ string) int { return map[string]int{http.MethodPatch: http.StatusForbidden}[method] })
		}, "cannot write the caBundle"},
	} {
		s := newStage(t)
		k := s.replica(t, DefaultTerms())
		k.step(context.Background())
		k.step(context.Background())
		before := k.leaf()
		c.ruin(s)
		for range 3 {
			k.step(context.Background())
		}
		problem := k.shown.Load().problem
		if problem == nil || !strings.Contains(problem.Error(), c.want) {
			t.Errorf("%s: %v, want %s", what, problem, c.want)
			continue
		}
		if n := strings.Count(s.log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%s: logged %d times", what, n)
		}
		if k.leaf() != before || (k.ready() != nil && what != "no right to write") {
			t.Errorf("%s: the replica does not go on: %v", what, k.ready())
		}
	}
}

func onlyGet(path string, code int) func(string, string) int {
	return func(method, asked string) int {
		if method == http.MethodGet && asked == path {
			return code
		}
		return 0
	}
}

// TestEmptiedBundleIsFilled is what a deployment tool does that overwrites.
func TestEmptiedBundleIsFilled(t *testing.T) {
	s := newStage(t)
	k := s.replica(t, DefaultTerms())
	k.step(context.Background())
	k.step(context.Background())
	s.Put(theHooks, strings.ReplaceAll(noBundle, `"clientConfig":{}`, `"clientConfig":{"caBundle":"Z2FyYmFnZQ=="}`))
	k.step(context.Background())
	for _, b := range s.bundles(t) {
		if err := trusts(b, k, s.time); err != nil {
			t.Error(err)
		}
	}
}

// short are terms in which a test sees several generations.
var short = Terms{Authority: time.Hour, Certificate: 20 * time.Minute}

// TestRotationRefusesNobody lives through generations of authorities with replicas
// that come, go and are cut off, looked at by an API server that hears of a
// caBundle late and whose clock is wrong: it must trust both at every moment.
func TestRotationRefusesNobody(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		rotate(t, seed, nil)
	}
}

// TestEmptiedSecretRefusesNobody is how a person has an authority replaced whose
// key is known to others.
func TestEmptiedSecretRefusesNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("three lives of an authority take seconds, and with the race detector many")
	}
	emptied := []byte(nil)
	last := rotate(t, 9, func(s *stage, tick int) {
		if tick == 40 {
			emptied = s.bundles(t)[0]
			s.Put(theSecret, `{"metadata":{"name":"authorities"}}`)
		}
	})
	for _, cert := range parseBundle(last[100]) {
		for _, old := range parseBundle(emptied) {
			if cert.Equal(old) {
				t.Error("the authority whose key is known is trusted still")
			}
		}
	}
}

// TestLateBundleRefusesNobody keeps the successor of the first authority out of the
// caBundle for much longer than it takes to settle.
func TestLateBundleRefusesNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("three lives of an authority take seconds, and with the race detector many")
	}
	refused := 0
	rotate(t, 10, func(s *stage, tick int) {
		s.Refuse(func(method, path string) int {
			if method == http.MethodPatch && path == theHooks && tick >= 75 && tick < 95 {
				refused++
				return http.StatusForbidden
			}
			return 0
		})
	})
	if refused < 10 {
		t.Fatalf("only %d writes were refused", refused)
	}
}

// rotate runs for three lives of an authority and returns the bundle at each tick.
func rotate(t *testing.T, seed uint64, disturb func(*stage, int)) (bundles [][]byte) {
	t.Helper()
	const tick, lag = 30 * time.Second, 4 // ticks until an API server hears of a bundle
	random := rand.New(rand.NewPCG(seed, 1))
	s := newStage(t)
	replicas := []*keeper{s.replica(t, short), s.replica(t, short)}
	away := make([]int, 2) // ticks for which a replica cannot reach the API server
	issuers, leaves := map[fingerprint]bool{}, map[fingerprint]bool{}
	for n := range int(3 * short.Authority / tick) {
		if disturb != nil {
			disturb(s, n)
		}
		for i, k := range replicas {
			if away[i] > 0 {
				away[i]--
				continue
			}
			k.step(context.Background())
			if n < lag+2 {
				continue
			}
			switch random.IntN(100) {
			case 0:
				away[i] = random.IntN(6)
			case 1:
				if disturb != nil {
					continue
				}
				replicas[i] = s.replica(t, short)
				replicas[i].step(context.Background())
			}
		}
		bundles = append(bundles, s.bundles(t)[n%2])
		for i, k := range replicas {
			if n < lag {
				continue // nothing serves before it is ready
			}
			wrong := time.Duration(random.Int64N(int64(2*time.Minute))) - time.Minute
			if err := trusts(bundles[n-lag], k, s.time.Add(wrong)); err != nil {
				t.Fatalf("seed %d, tick %d, replica %d: %v", seed, n, i, err)
			}
			if err := trusts(bundles[n], k, s.time.Add(wrong)); err != nil {
				t.Fatalf("seed %d, tick %d, replica %d, by the newest bundle: %v", seed, n, i, err)
			}
			issuers[fingerprintOf(k.present.issuer)], leaves[fingerprintOf(k.leaf())] = true, true
		}
		s.time = s.time.Add(tick)
	}
	if len(issuers) < 4 || len(leaves) < 20 {
		t.Fatalf("only %d authorities and %d certificates in three lives", len(issuers), len(leaves))
	}
	if n := len(parseBundle(bundles[len(bundles)-1])); n > 2 {
		t.Fatalf("%d authorities in the bundle", n)
	}
	return bundles
}
