package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator"
)

var started = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

// fixture is an API over a recorder and an orchestrator with a clock of its own.
type fixture struct {
	cfg Config
	now time.Time
	srv *httptest.Server
}

func (f *fixture) clock() time.Time { return f.now }

// serve records a little traffic and serves the API on a loopback port.
func serve(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{now: started.Add(90 * time.Second)}
	rec := recorder(t)
	log := slog.New(slog.DiscardHandler)
	o, err := orchestrator.New(orchestrator.Config{Recorder: rec, Service: "shop", Instance: "shop-1", Now: f.clock, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	f.cfg = Config{
		Orchestrator: o, Recorder: rec, Now: f.clock, Log: log,
		Ready: func() error { return nil },
		Stats: func() ProxyStats {
			return ProxyStats{ClientConns: 3, UpstreamConns: 5, UpstreamIdle: 4, Accepted: 12, Retries: 1, Errors: map[string]uint64{"connect": 2}}
		},
		Build:     Build{Version: "1.2.3", Revision: "abc123", Go: "go1.26"},
		StartedAt: started, Upstream: "http://127.0.0.1:8000", Listen: "0.0.0.0:8080", Admin: "127.0.0.1:9090", Sensor: "proxy",
		AllowedHosts: []string{"admin.example"},
	}
	if change != nil {
		change(&f.cfg)
	}
	srv, err := New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.srv = httptest.NewUnstartedServer(nil)
	f.srv.Config = srv
	f.srv.Start()
	t.Cleanup(f.srv.Close)
	return f
}

func recorder(t *testing.T) *histogram.Recorder {
	t.Helper()
	now := int64(1)
	rec, err := histogram.NewRecorder(histogram.Config{Now: func() int64 { return now }})
	if err != nil {
		t.Fatal(err)
	}
	lane := rec.Lane()
	one := func(method, path string, o histogram.Outcome, ttfb, end time.Duration) {
		lane.Start(rec.Route([]byte(method), []byte(path)), now)
		lane.Finish(o, now+int64(ttfb), now+int64(end))
	}
	one("GET", "/users/17", histogram.Success, 3*time.Millisecond, 4*time.Millisecond)
	one("GET", "/users/18", histogram.Success, 150*time.Millisecond, 200*time.Millisecond)
	one("GET", "/users/19", histogram.ServerError, time.Millisecond, time.Millisecond)
	one("POST", "/orders", histogram.ClientError, 20*time.Microsecond, 30*time.Microsecond)
	lane.Start(rec.Route([]byte("GET"), []byte("/events")), now)
	lane.FinishStream(histogram.Success, now+int64(7*time.Millisecond))
	lane.Start(rec.Route([]byte("GET"), []byte("/users/20")), now)
	lane.Discard(histogram.ClientGone)
	lane.Unparsed(histogram.Malformed)
	lane.Overhead(12_000)
	lane.Close()
	rec.Seal(int64(10 * time.Second))
	return rec
}

func (f *fixture) do(t *testing.T, method, path, host string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	res, err := f.srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
	return res, body
}

func TestPathsAndMethods(t *testing.T) {
	f := serve(t, nil)
	for _, c := range []struct {
		method, path, host string
		code               int
		contains           string
	}{
		{"GET", "/health/alerts", "", 200, `"service_name":"shop"`},
		{"GET", "/health/alerts?x=1", "", 200, `"service_name":"shop"`},
		{"GET", "/status", "", 200, `"version":"1.2.3"`},
		{"GET", "/healthz", "", 200, `{"status":"ok"}`},
		{"GET", "/readyz", "", 200, `{"status":"ok"}`},
		{"GET", "/metrics", "", 200, "countersign_build_info{"},
		{"POST", "/health/alerts", "", 405, "only GET and HEAD"},
		{"OPTIONS", "/metrics", "", 405, "only GET and HEAD"},
		{"GET", "/", "", 404, `"/health/alerts","/healthz","/metrics","/readyz","/status"`},
		{"GET", "/health/alerts/", "", 404, "nothing here"},
		{"POST", "/nowhere", "", 404, "nothing here"},
		{"GET", "/healthz", "localhost:9090", 200, "ok"},
		{"GET", "/healthz", "LOCALHOST.", 200, "ok"},
		{"GET", "/healthz", "sidecar.localhost", 200, "ok"},
		{"GET", "/healthz", "[::1]:9090", 200, "ok"},
		{"GET", "/healthz", "10.1.2.3", 200, "ok"},
		{"GET", "/healthz", "Admin.Example:9090", 200, "ok"},
		{"GET", "/healthz", "evil.example", 421, "evil.example"},
		{"GET", "/healthz", "localhost.evil.example:9090", 421, "evil.example"},
		{"GET", "/healthz", "127.0.0.1.evil.example", 421, "evil.example"},
		{"GET", "/nowhere", "evil.example", 421, "evil.example"},
	} {
		t.Run(c.method+" "+c.path+" "+c.host, func(t *testing.T) {
			res, body := f.do(t, c.method, c.path, c.host)
			if res.StatusCode != c.code || !strings.Contains(body, c.contains) {
				t.Errorf("%d %q, want %d with %q", res.StatusCode, body, c.code, c.contains)
			}
			if c.code == 405 && res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow is %q", res.Header.Get("Allow"))
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", res.Header)
			}
			if c.path != "/metrics" && !json.Valid([]byte(body)) {
				t.Errorf("%q is not JSON", body)
			}
			for name := range res.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("CORS header %s", name)
				}
			}
		})
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	f := serve(t, nil)
	for _, path := range []string{"/health/alerts", "/healthz", "/readyz", "/nowhere"} {
		get, body := f.do(t, "GET", path, "")
		head, none := f.do(t, "HEAD", path, "")
		if head.StatusCode != get.StatusCode || head.ContentLength != int64(len(body)) || none != "" {
			t.Errorf("HEAD %s: %d, length %d, body %q; GET had %d and %d bytes", path, head.StatusCode, head.ContentLength, none, get.StatusCode, len(body))
		}
	}
	if res, _ := f.do(t, "HEAD", "/metrics", ""); res.StatusCode != 200 {
		t.Errorf("HEAD /metrics: %d", res.StatusCode)
	}
}

func TestAnyHostIsFineFromTheNetwork(t *testing.T) {
	f := serve(t, nil)
	for _, c := range []struct {
		local string
		code  int
	}{{"192.0.2.7:9090", 200}, {"127.0.0.1:9090", 421}, {"[::1]:9090", 421}, {"[::ffff:127.0.0.1]:9090", 421}, {"[2001:db8::1]:9090", 200}} {
		r := httptest.NewRequest("GET", "http://prometheus.example/healthz", nil)
		r = r.WithContext(withLocalAddr(r.Context(), c.local))
		w := httptest.NewRecorder()
		f.srv.Config.Handler.ServeHTTP(w, r)
		if w.Code != c.code {
			t.Errorf("arriving on %s: %d, want %d", c.local, w.Code, c.code)
		}
	}
}

func TestVitalSigns(t *testing.T) {
	var down error
	f := serve(t, func(c *Config) { c.Ready = func() error { return down } })
	f.now = f.now.Add(16 * time.Second) // no tick runs: the document grows stale
	if res, body := f.do(t, "GET", "/healthz", ""); res.StatusCode != 503 || !strings.Contains(body, "16s old") {
		t.Errorf("/healthz with a stale document: %d %s", res.StatusCode, body)
	}
	if res, body := f.do(t, "GET", "/readyz", ""); res.StatusCode != 200 || !strings.Contains(body, `"document":"stale"`) {
		t.Errorf("/readyz with a stale document: %d %s", res.StatusCode, body)
	}
	if res, _ := f.do(t, "GET", "/health/alerts", ""); res.StatusCode != 200 {
		t.Errorf("/health/alerts with a stale document: %d", res.StatusCode)
	}
	down = errors.New("the traffic listener is closed")
	if res, body := f.do(t, "GET", "/readyz", ""); res.StatusCode != 503 || !strings.Contains(body, "listener is closed") {
		t.Errorf("/readyz without a listener: %d %s", res.StatusCode, body)
	}
	s := f.status(t)
	if s.Ready || s.Alive || s.ReadyProblem != "the traffic listener is closed" || !strings.Contains(s.AliveProblem, "16s old") {
		t.Errorf("status %+v", s)
	}
}

func (f *fixture) status(t *testing.T) Status {
	t.Helper()
	_, body := f.do(t, "GET", "/status", "")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return s
}

func TestStatusSaysItAll(t *testing.T) {
	s := serve(t, nil).status(t)
	if s.UptimeSeconds != 90 || !s.StartedAt.Equal(started) || !s.Ready || !s.Alive || s.Sensor != "proxy" || s.Upstream != "http://127.0.0.1:8000" {
		t.Errorf("status %+v", s)
	}
	if s.Health.ServiceName != "shop" || s.Proxy.ClientConns != 3 || s.Proxy.Errors["connect"] != 2 {
		t.Errorf("health %+v, proxy %+v", s.Health, s.Proxy)
	}
	if s.Traffic.Seen != 7 || s.Traffic.Unmeasured["client_gone"] != 1 || s.Traffic.Unmeasured["malformed"] != 1 || len(s.Traffic.Unmeasured) != 2 {
		t.Errorf("traffic %+v", s.Traffic)
	}
}

func TestStatusWithoutErrors(t *testing.T) {
	f := serve(t, func(c *Config) { c.Stats = func() ProxyStats { return ProxyStats{} } })
	if _, body := f.do(t, "GET", "/status", ""); !strings.Contains(body, `"errors":{}`) {
		t.Errorf("status %s", body)
	}
}

func TestPagesWhileTrafficIsRecorded(t *testing.T) {
	f := serve(t, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		lane := f.cfg.Recorder.Lane()
		defer lane.Close()
		for i := range int64(2000) {
			lane.Start(f.cfg.Recorder.Route([]byte("GET"), []byte("/users/"+strconv.FormatInt(i, 10))), i)
			lane.Finish(histogram.Success, i+1, i+2)
		}
	})
	for _, path := range []string{"/health/alerts", "/status", "/metrics"} {
		wg.Go(func() {
			for range 5 {
				w := httptest.NewRecorder()
				f.srv.Config.Handler.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
				if w.Code != 200 {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
	wg.Wait()
}

func TestServerHasTimeouts(t *testing.T) {
	c := serve(t, nil).srv.Config
	if slices.Contains([]time.Duration{c.ReadHeaderTimeout, c.ReadTimeout, c.WriteTimeout, c.IdleTimeout}, 0) || c.MaxHeaderBytes == 0 {
		t.Errorf("the server has a limit missing: %+v", c)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an API over nothing was accepted")
	}
}
