package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Of 100 values 80 are in the first bucket and 20 in the second: rank 95 is
// three quarters into the second.
func TestQuantilesByHand(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Help: "h", Buckets: []float64{1, 3}})
	s := &scraped{metric: h, quantile: classicQuantile}
	for range 50 {
		h.Observe(2) // before the minute
	}
	s.begin()
	for i := range 100 {
		s.observe(0, int64(1e9+2e9*(i/80)))
	}
	if e, err := s.p95(); err != nil || math.Abs(e.Value-2.5e9) > 1 {
		t.Errorf("got %v, %v; want 2.5 s", e.Value, err)
	}
	for range 10_000 {
		s.observe(0, 60e9)
	}
	if e, err := s.p95(); err != nil || e.Value != 3e9 {
		t.Errorf("beyond the last bucket: got %v, %v; want its beginning, 3 s", e.Value, err)
	}

	n, err := newNative(0)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		n.observe(0, 5e9)
	}
	n.begin()
	if _, err := n.p95(); err == nil {
		t.Error("a minute without requests has a P95")
	}
	for range 100 {
		n.observe(0, 1e9) // the bucket that ends at 2^0: from 2^(−1/8) on
	}
	if e, err := n.p95(); err != nil || math.Abs(e.Value-1e9*math.Exp2(-0.05/8)) > 1 {
		t.Errorf("native: got %v, %v", e.Value, err)
	}
}

// What a real Prometheus answers, by the same histograms.
func TestPrometheusAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Prometheus")
	}
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("Prometheus is not installed (Debian: prometheus)")
	}
	classic, err := newClassic(0)
	if err != nil {
		t.Fatal(err)
	}
	native, err := newNative(0)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(classic.(*scraped).metric.(prometheus.Collector), native.(*scraped).metric.(prometheus.Collector))
	for _, q := range draw(distributions[2], 100*time.Millisecond, 1).requests {
		classic.observe(q.end, q.duration)
		native.observe(q.end, q.duration)
	}
	at := startPrometheus(t, program, registry)
	for _, q := range []struct {
		query string
		tool  tool
		// Before its third version Prometheus interpolates linearly in a native
		// histogram's bucket too, which is 2^(1/8) wide.
		within float64
	}{
		{"histogram_quantile(0.95, classic_bucket)", classic, 1e-9},
		{"histogram_quantile(0.95, native)", native, math.Exp2(1.0/8) - 1},
	} {
		want := ask(t, at, q.query)
		got, err := q.tool.p95()
		if err != nil {
			t.Fatal(err)
		}
		if off := math.Abs(got.Value/1e9/want - 1); !(off <= q.within) {
			t.Errorf("%s: Prometheus says %v s, we say %v s", q.query, want, got.Value/1e9)
		}
	}
}

// startPrometheus has one scrape the registry, and returns its address.
func startPrometheus(t *testing.T, program string, registry *prometheus.Registry) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = target.Serve(ln) }()
	t.Cleanup(func() { _ = target.Close(); <-done })
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: a\n  static_configs: [{targets: [%q]}]\n", ln.Addr())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{dir: filepath.Join(dir, "program"), output: filepath.Join(dir, "output")}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	_, err = p.proxying(context.Background(), address, program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--enable-feature=native-histograms")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// ask waits for a query's only value.
func ask(t *testing.T, at, query string) float64 {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		res, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil {
			continue // it starts
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		_ = res.Body.Close()
		if err == nil && len(answer.Data.Result) == 1 {
			v, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("Prometheus does not answer %s within a minute: %+v", query, answer)
	return 0
}
