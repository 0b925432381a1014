package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/countersign-dev/countersign/deploy/inject"
)

var update = flag.Bool("update", false, "write the golden files")

// fixed is a certificate from elsewhere that is good for a day from begin on.
type fixed struct{}

func (fixed) TLS() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Leaf: &x509.Certificate{NotAfter: begin.Add(24 * time.Hour)}, PrivateKey: (*ecdsa.PrivateKey)(nil)}, nil
	}}
}

func (fixed) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func TestConfigIsChecked(t *testing.T) {
	s := newStage(t)
	native := true
	good := Config{Kube: s.Client(t), Namespace: "n", Secret: "s", Registration: "r", Names: []string{name}, Terms: DefaultTerms()}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Certificate: fixed{}, Native: &native}); err != nil {
		t.Errorf("with a certificate from elsewhere, and nothing to ask: %v", err)
	}
	for what, ruin := range map[string]func(*Config){
		"no API server":    func(c *Config) { c.Kube = nil },
		"no namespace":     func(c *Config) { c.Namespace = "" },
		"no Secret":        func(c *Config) { c.Secret = "" },
		"no configuration": func(c *Config) { c.Registration = "" },
		"no name":          func(c *Config) { c.Names = nil },
		"no terms":         func(c *Config) { c.Terms = Terms{} },
		"nobody to ask":    func(c *Config) { c.Kube, c.Certificate = nil, fixed{} },
	} {
		c := good
		ruin(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestMetrics(t *testing.T) {
	a := answer(t, nil)
	a.review(t, asking(ofDeployment, withPort))
	a.review(t, asking(`{"name":"web"}`, `{"hostNetwork":true,"containers":[{"name":"web"}]}`))
	a.post(t, "hello")
	rec := scrape(t, a.Webhook)
	var ours []string
	for line := range strings.Lines(rec) {
		if strings.Contains(line, "countersign_") {
			ours = append(ours, line)
		}
	}
	got := strings.Join(ours, "")
	path := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the metrics are\n%s\nwant\n%s", got, want)
	}
	for _, c := range []prometheus.Collector{a.metrics.reviews, a.metrics.duration, a.state()} {
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
	}
}

// TestMetricsOfOwnCertificates has those that files do not.
func TestMetricsOfOwnCertificates(t *testing.T) {
	s := newStage(t)
	w, err := New(Config{Kube: s.Client(t), Namespace: "countersign", Secret: "authorities", Registration: "countersign", Names: []string{name}, Terms: DefaultTerms(), Now: s.now})
	if err != nil {
		t.Fatal(err)
	}
	expiry := func(what string, at time.Time) string {
		return fmt.Sprintf("countersign_webhook_%s_expiry_timestamp_seconds %s\n", what, strconv.FormatFloat(float64(at.Unix()), 'e', -1, 64))
	}
	authority, certificate := expiry("authority", begin.Add(w.cfg.Terms.Authority)), expiry("certificate", begin.Add(w.cfg.Terms.Certificate))
	if text := scrape(t, w); strings.Contains(text, "expiry_timestamp_seconds ") || !strings.Contains(text, "countersign_webhook_ready 0\n") {
		t.Errorf("before there is a certificate: %s", text)
	}
	w.keeper.step(context.Background())
	if text := scrape(t, w); !strings.Contains(text, authority) || !strings.Contains(text, certificate) || !strings.Contains(text, "countersign_webhook_certificates_up 1\n") {
		t.Errorf("%s, want %s%s", text, authority, certificate)
	}
	s.Delete(theHooks)
	w.keeper.step(context.Background())
	if text := scrape(t, w); !strings.Contains(text, "countersign_webhook_certificates_up 0\n") {
		t.Error("nothing says that the caBundle cannot be read")
	}
}

func scrape(t *testing.T, w *Webhook) string {
	t.Helper()
	rec := httptest.NewRecorder()
	w.status.ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// running is a replica that serves on loopback.
type running struct {
	reviews, status string
	stop            context.CancelFunc
	ended           chan error
}

func run(t *testing.T, s *stage, drain time.Duration) *running {
	t.Helper()
	w, err := New(Config{
		Defaults: inject.Defaults(), Kube: s.Client(t), Namespace: "countersign", Secret: "authorities", Registration: "countersign", Names: []string{name, "127.0.0.1"},
		Terms: DefaultTerms(), Drain: drain, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	reviews, status := listen(), listen()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{"https://" + reviews.Addr().String() + Path, "http://" + status.Addr().String(), stop, make(chan error, 1)}
	go func() { r.ended <- w.Run(ctx, reviews, status) }()
	t.Cleanup(stop)
	return r
}

// get returns the status and the body of one of the pages in the clear.
func (r *running) get(path string) (int, string) {
	res, err := http.Get(r.status + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

// await waits until a page answers so.
func (r *running) await(t *testing.T, path string, status int, body string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		code, text := r.get(path)
		if code == status && strings.Contains(text, body) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s answers %d %s, and should %d %s", path, code, text, status, body)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// apiServer is a client that trusts the caBundle as it stands.
func apiServer(t *testing.T, s *stage) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.bundles(t)[0])
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func send(client *http.Client, url string) error {
	_, err := sendTraced(client, url)
	return err
}

// sendTraced is send, and says whether the connection had been used before.
func sendTraced(client *http.Client, url string) (reused bool, err error) {
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodPost, url, strings.NewReader(asking(ofDeployment, withPort)))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && !strings.Contains(string(text), `"patchType":"JSONPatch"`) {
		err = fmt.Errorf("%d %s", res.StatusCode, text)
	}
	return reused, err
}

// TestReplicaServes goes from the first start to the end, with the cluster's
// version unknown at first.
func TestReplicaServes(t *testing.T) {
	s := newStage(t)
	r := run(t, s, 3*time.Second)
	r.await(t, "/readyz", http.StatusServiceUnavailable, "the cluster's version is not known yet")
	r.await(t, "/healthz", http.StatusOK, "ok")
	s.Put("/version", `{"gitVersion":"v1.36.3"}`)
	r.await(t, "/readyz", http.StatusOK, "ok")
	client := apiServer(t, s)
	if err := send(client, r.reviews); err != nil {
		t.Fatal(err)
	}
	if err := send(&http.Client{}, r.reviews); err == nil {
		t.Error("a client without the caBundle trusts the replica")
	}

	// API servers that have not heard of the end are still answered. Nothing that
	// they send on an idle connection is lost, and they do not use it again.
	r.stop()
	r.await(t, "/readyz", http.StatusServiceUnavailable, "stopping")
	for n, want := range []bool{true, false, false} {
		if reused, err := sendTraced(client, r.reviews); err != nil || reused != want {
			t.Errorf("request %d while stopping: %v, and it reused its connection: %v, want %v", n, err, reused, want)
		}
	}
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	if err := send(client, r.reviews); err == nil {
		t.Error("answered after the end")
	}
}

// TestSidecarsFitTheCluster makes ordinary containers on clusters before 1.29.
func TestSidecarsFitTheCluster(t *testing.T) {
	for version, want := range map[string]string{"v1.28.15": `"/spec/containers`, "v1.29.0": `"/spec/initContainers"`} {
		s := newStage(t)
		s.Put("/version", `{"gitVersion":"`+version+`"}`)
		w, err := New(Config{
			Defaults: inject.Defaults(), Kube: s.Client(t), Namespace: "n", Secret: "s", Registration: "r", Names: []string{name}, Terms: DefaultTerms(), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.learnNative(context.Background())
		req, err := parseReview([]byte(asking(ofDeployment, withPort)))
		if err != nil {
			t.Fatal(err)
		}
		patch := string(w.decide(context.Background(), req).response("1").Patch)
		if !strings.Contains(patch, `"path":`+want) || strings.Contains(patch, "initContainers") != strings.Contains(want, "init") {
			t.Errorf("%s: %s", version, patch)
		}
	}
}

// TestListenerThatFailsEndsTheReplica, as one that answers nothing must be started anew.
func TestListenerThatFailsEndsTheReplica(t *testing.T) {
	native := true
	w, err := New(Config{Certificate: fixed{}, Native: &native, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(context.Background(), closed, open); err == nil || !strings.Contains(err.Error(), "listener") {
		t.Errorf("%v", err)
	}
	if _, err := net.Dial("tcp", open.Addr().String()); err == nil {
		t.Error("the other listener is still open")
	}
}
