package api

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/countersign-dev/countersign/histogram"
)

func probeStats() ProbeStats {
	return ProbeStats{
		Port: 8000, Attach: "tcx", Interfaces: []string{"lo", "eth0"}, Connections: 7, InFlight: 2,
		Seen: 103, Measured: 100, Unmeasured: map[string]uint64{"sequence_gap": 2, "tls": 1}, MemoryBytes: 21 << 20,
	}
}

// latencies is a recorder with one request for each.
func latencies(t *testing.T, all ...time.Duration) *histogram.Recorder {
	t.Helper()
	now := int64(1)
	rec, err := histogram.NewRecorder(histogram.Config{Now: func() int64 { return now }})
	if err != nil {
		t.Fatal(err)
	}
	lane := rec.Lane()
	for _, d := range all {
		lane.Start(rec.Route([]byte("GET"), []byte("/")), now)
		lane.Finish(histogram.Success, now+int64(d), now+int64(d))
	}
	lane.Unparsed(histogram.ClientGone)
	lane.Close()
	rec.Seal(int64(10 * time.Second))
	return rec
}

func sensorsOf(t *testing.T, change func(*Config)) (Status, string) {
	t.Helper()
	f := serve(t, change)
	_, metrics := f.do(t, "GET", "/metrics", "")
	_, body := f.do(t, "GET", "/status", "")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	return s, metrics
}

func TestTheProbeAlone(t *testing.T) {
	s, metrics := sensorsOf(t, func(c *Config) {
		c.Sensor, c.Listen, c.Stats, c.Probe = "ebpf", "", nil, probeStats
	})
	if s.Sensor != "ebpf" || s.Proxy != nil || s.Comparison != nil || s.Probe == nil || s.Probe.Attach != "tcx" || s.Probe.Unmeasured["tls"] != 1 {
		t.Errorf("status %+v, probe %+v", s, s.Probe)
	}
	for _, line := range []string{
		`countersign_probe_info{attach="tcx",port="8000"} 1`,
		"countersign_probe_interfaces 2", "countersign_probe_connections 7", "countersign_probe_requests_in_flight 2",
		"countersign_probe_requests_seen_total 103", "countersign_probe_requests_measured_total 100",
		`countersign_probe_requests_unmeasured_total{reason="sequence_gap"} 2`, "countersign_probe_memory_bytes 2.2020096e+07",
	} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, of := range []string{"countersign_proxy_", "countersign_sensor_"} {
		if strings.Contains(metrics, "\n"+of) {
			t.Errorf("there is no proxy, and there are metrics %s…", of)
		}
	}
}

func TestBothAreCompared(t *testing.T) {
	probe := latencies(t, 4*time.Millisecond, 199*time.Millisecond)
	s, metrics := sensorsOf(t, func(c *Config) {
		c.Recorder, c.Sensor, c.Probe, c.Compared = latencies(t, 4*time.Millisecond, 200*time.Millisecond), "both", probeStats, probe
	})
	c := s.Comparison
	if c == nil || s.Proxy == nil || s.Probe == nil || c.P95DifferenceMS == nil {
		t.Fatalf("status %+v, comparison %+v", s, c)
	}
	if c.Proxy.Requests != 2 || c.Probe.Requests != 2 || c.Proxy.Unmeasured != 1 || math.Abs(*c.P95DifferenceMS-1) > 0.2 {
		t.Errorf("%+v, %+v, difference %v", c.Proxy, c.Probe, *c.P95DifferenceMS)
	}
	if b := c.Probe.P95BracketMS; b == nil || b[0] > 199 || b[1] < 199 || b[1] != *c.Probe.P95MS {
		t.Errorf("bracket %v", b)
	}
	for _, series := range []string{`countersign_sensor_p95_seconds{sensor="proxy"} 0.2`, `countersign_sensor_p95_seconds{sensor="ebpf"} 0.199`, "countersign_sensor_p95_difference_seconds 0.00"} {
		if !strings.Contains(metrics, "\n"+series) {
			t.Errorf("no series %s", series)
		}
	}
}

func TestNothingIsComparedBeforeBothHaveMeasured(t *testing.T) {
	s, metrics := sensorsOf(t, func(c *Config) {
		c.Probe, c.Compared = probeStats, latencies(t)
	})
	if c := s.Comparison; c == nil || c.P95DifferenceMS != nil || c.Probe.P95MS != nil || c.Proxy.P95MS == nil {
		t.Errorf("%+v", s.Comparison)
	}
	if strings.Contains(metrics, "p95_difference_seconds ") || strings.Contains(metrics, `sensor="ebpf"`) {
		t.Error("a P95 of nothing is among the metrics")
	}
}

func TestWhyTheProxyWasTaken(t *testing.T) {
	s, _ := sensorsOf(t, func(c *Config) { c.SensorReason = "CAP_BPF is missing" })
	if s.Sensor != "proxy" || s.SensorReason != "CAP_BPF is missing" || s.Probe != nil {
		t.Errorf("%+v", s)
	}
}

func TestSensorMetricsFollowTheConventions(t *testing.T) {
	cfg := serve(t, func(c *Config) { c.Probe, c.Compared = probeStats, latencies(t, time.Second) }).cfg
	problems, err := testutil.CollectAndLint(newCollector(cfg))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(newCollector(cfg)); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}
