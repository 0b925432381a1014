package api

import (
	"context"
	"flag"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

var update = flag.Bool("update", false, "write the golden files")

func withLocalAddr(ctx context.Context, addr string) context.Context {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		panic(err)
	}
	return context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(a))
}

func TestMetricsText(t *testing.T) {
	f := serve(t, nil)
	_, body := f.do(t, "GET", "/metrics", "")
	var ours []string
	for line := range strings.Lines(body) {
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
	for _, other := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(body, "\n"+other) {
			t.Errorf("no %s", other)
		}
	}
}

func TestMetricNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(newCollector(serve(t, nil).cfg))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryMetricIsDescribed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(newCollector(serve(t, nil).cfg)); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

func TestProtobufIsOffered(t *testing.T) {
	f := serve(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.srv.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	res, err := f.srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || !strings.HasPrefix(got, "application/vnd.google.protobuf") {
		t.Errorf("%d %s: without protobuf there are no native histograms", res.StatusCode, got)
	}
}

func TestNativeIndexAgainstItsDefinition(t *testing.T) {
	for _, c := range []struct {
		v    float64
		want int
	}{
		{1, 0}, {math.Nextafter(1, 2), 1}, {2, 8}, {0.5, -8}, {0.25, -16}, {1024, 80},
		{math.Exp2(1.0 / 8), 1}, {1.1, 2}, {0.001, -79}, {3600, 95},
	} {
		if got := nativeIndex(c.v); got != c.want {
			t.Errorf("nativeIndex(%v) = %d, want %d", c.v, got, c.want)
		}
	}
	for v := 1e-9; v < 4000; v *= 1.003 {
		i := nativeIndex(v)
		if lower, upper := math.Exp2(float64(i-1)/8), math.Exp2(float64(i)/8); v <= lower*(1-1e-12) || v > upper*(1+1e-12) {
			t.Fatalf("%v is in native bucket %d, (%v, %v]", v, i, lower, upper)
		}
	}
}

func TestHistogramIsNativeAndClassicAtOnce(t *testing.T) {
	var c histogram.Counts
	for _, d := range []time.Duration{0, time.Microsecond, 249 * time.Millisecond, 251 * time.Millisecond, time.Second, 30 * time.Minute} {
		c.Add(int64(d), 2)
	}
	m := histogramMetric(descDuration, &c, requestBounds, started, "GET /")
	for range 2 { // writing twice must not add buckets twice
		var out dto.Metric
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		checkHistogram(t, out.Histogram, 12)
		want := map[float64]uint64{0.001: 4, 0.1: 4, 0.25: 6, 0.5: 8, 1: 8, 2.5: 10, 60: 10}
		for _, b := range out.Histogram.Bucket {
			if n, ok := want[b.GetUpperBound()]; ok && b.GetCumulativeCount() != n {
				t.Errorf("%d counts up to %v s, want %d", b.GetCumulativeCount(), b.GetUpperBound(), n)
			}
		}
		if out.Histogram.GetZeroCount() != 2 {
			t.Errorf("%d counts of zero, want 2", out.Histogram.GetZeroCount())
		}
		if sum := out.Histogram.GetSampleSum(); math.Abs(sum-3603.000002) > 4 {
			t.Errorf("sum %v", sum)
		}
	}
}

// checkHistogram counts the native buckets, deltas undone.
func checkHistogram(t *testing.T, h *dto.Histogram, want uint64) {
	t.Helper()
	if len(h.Bucket) != len(requestBounds) || h.GetSampleCount() != want || h.GetSchema() != nativeSchema {
		t.Errorf("%d classic buckets, count %d, schema %d", len(h.Bucket), h.GetSampleCount(), h.GetSchema())
	}
	total, level := h.GetZeroCount(), int64(0)
	for _, delta := range h.PositiveDelta {
		level += delta
		total += uint64(level)
	}
	if total != want {
		t.Errorf("the native buckets hold %d, want %d", total, want)
	}
}

func TestRoutesThatNoLabelCanHold(t *testing.T) {
	one := func(name string, ns int64) histogram.RouteTotals {
		r := histogram.RouteTotals{Name: name, Durations: new(histogram.Counts), TTFB: new(histogram.Counts), Streams: 1}
		r.Durations.Add(ns, 1)
		r.TTFB.Add(ns, 1)
		r.Outcomes[histogram.Success] = 1
		return r
	}
	in := []histogram.RouteTotals{one("GET /\xff", 1), one("GET /é", 2), one("GET /%FF", 3)}
	out := byLabel(in)
	if len(out) != 2 || out[0].Name != "GET /%FF" || out[1].Name != "GET /é" {
		t.Fatalf("routes %+v", out)
	}
	if r := out[0]; r.Durations.Total() != 2 || r.TTFB.Total() != 2 || r.Outcomes[histogram.Success] != 2 || r.Streams != 2 {
		t.Errorf("merged %+v", r)
	}
	if in[0].Durations.Total() != 1 {
		t.Error("merging changed the totals it was given")
	}
}

func TestTargetsAreMetrics(t *testing.T) {
	ch := make(chan prometheus.Metric, 8)
	collectTargets(ch, map[string]policy.Target{
		"db": {State: policy.Up}, "cache": {State: policy.Down}, "new": {State: policy.Unknown}, "b\xffd": {State: policy.Up},
	})
	close(ch)
	got := map[string]float64{}
	for m := range ch {
		var out dto.Metric
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		got[out.Label[0].GetValue()] = out.Gauge.GetValue()
	}
	if want := map[string]float64{"db": 1, "cache": 0, "b%FFd": 1}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
