package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func sampleStatus() api.Status {
	ms := func(v float64) *float64 { return &v }
	return api.Status{
		Build: api.Build{Version: "v1.2.3"}, UptimeSeconds: 93784.9, Ready: true, Alive: true,
		Upstream: "http://127.0.0.1:8000", Listen: "127.0.0.1:8080", Admin: "127.0.0.1:9090",
		Health: health.Document{
			Status: health.Warning, ServiceName: "shop",
			HealthScore: health.Score{Score: 61.4, Status: health.ScoreDegraded, Trend: "degrading",
				Components: health.Components{Latency: ms(48), Errors: ms(100)}},
			Metrics: health.Metrics{
				OverallP95MS: ms(1847.3), P95BracketMS: &[2]float64{1846.5, 1847.6}, P50MS: ms(3.21), P99MS: ms(12345), MaxMS: nil,
				ErrorRate: ms(0.0812), RequestsPerSecond: ms(48.2), SampleSize: 2892, InFlight: 7,
			},
			Alerts: []health.Alert{
				{Severity: health.Warning, Message: "P95 latency is 1847 ms over the last 60 s"},
				{Severity: health.Warning, Message: strings.Repeat("long ", 40)},
			},
			Routes: []health.Route{{Route: "GET /users/{id}", P95MS: ms(1900), ErrorRate: ms(0), SampleSize: 2000}},
		},
		Decisions: &api.Decisions{Ready: true, ShadowMode: true, Open: &incident.Summary{
			ID: "inc-abc123-1790000000", Stage: incident.Validated, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Reason: "score 61.4 is below 70: error rate 6.41 % is at or above the critical threshold of 5 % (200 from the upstream, 0 from the gateway)",
		}},
		Targets: map[string]api.TargetStatus{
			"upstream": {State: policy.Up, Flapping: true}, "db": {State: policy.Down, ConsecutiveFailures: 3, Reason: "connection refused"},
		},
		Traffic: api.Traffic{Seen: 5000, Routes: 3, Unmeasured: map[string]uint64{"client_gone": 2}},
		Proxy:   &api.ProxyStats{ClientConns: 12, UpstreamConns: 4, Errors: map[string]uint64{"a": 1, "b": 3, "c": 0}},
	}
}

func TestScreen(t *testing.T) {
	want := `WARNING  shop                                        countersign v1.2.3, up 1d2h
127.0.0.1:8080 → http://127.0.0.1:8000

Score      61 of 100, degraded, degrading
           latency 48, errors 100, anomalies -
P95        1847.3 ms (between 1846.500 and 1847.600)
           P50 3.21 ms, P99 12.3 s, max -
Traffic    48.2 requests/s, 8.12 % errors, 7 in flight, 2892 samples
Alerts     warning: P95 latency is 1847 ms over the last 60 s
           warning: long long long long long long long long long long long long
           long long long long long long long long long long long long long lon…
Incident   inc-abc123-1790000000, VALIDATED, began 2026-01-02 03:04:05Z
           score 61.4 is below 70: error rate 6.41 % is at or above the critical
           threshold of 5 % (200 from the upstream, 0 from the gateway)
Shadow     on: what would be done is recorded, and nothing is done
Targets    db DOWN (3 failures in a row), upstream UP and flapping
           db: connection refused

ROUTE                                                P95    ERRORS    SAMPLES
GET /users/{id}                                1900.0 ms    0.00 %       2000

Proxy      12 client and 4 upstream connections, 0 retries
Errors     b 3, a 1
Seen       5000 requests, routes: 3, not measured: client_gone 2
`
	if got := screen(sampleStatus(), false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestScreenFitsWhateverItIsGiven(t *testing.T) {
	s := sampleStatus()
	s.Health.ServiceName = strings.Repeat("服", 200)
	s.Upstream = "http://" + strings.Repeat("u", 200)
	s.Ready, s.ReadyProblem = false, strings.Repeat("r", 200)
	s.Alive, s.AliveProblem = false, "a"
	for i := range 30 {
		s.Health.Routes = append(s.Health.Routes, health.Route{Route: fmt.Sprintf("GET /\x1b[2J%d%s", i, strings.Repeat("p", 100))})
	}
	for name, s := range map[string]api.Status{"full": s, "empty": {Health: health.Document{Reason: "no_data"}}} {
		got := screen(s, false)
		lines := strings.Split(got, "\n")
		if len(lines) > 30 {
			t.Errorf("%s: %d lines", name, len(lines))
		}
		for _, line := range lines {
			if n := len([]rune(line)); n > screenWidth {
				t.Errorf("%s: %d wide: %s", name, n, line)
			}
		}
		if strings.Contains(got, "\x1b") {
			t.Errorf("%s: a path steers the terminal: %q", name, got)
		}
	}
	if got := screen(s, false); !strings.Contains(got, "Not ready") || !strings.Contains(got, "Not alive") || !strings.Contains(got, "and 28 more") {
		t.Errorf("something is left unsaid:\n%s", got)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"a b": "a b", "服务": "服务", "\x1b[2J": "?[2J", "\x7f\u009b": "??", "a\u202eb\u2066": "a?b?", "\u200b\u2028": "??", "\xff": "\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := execute([]string{"countersign", "ledger", "verify", "\x1b[2J\u202e"}, &stdout, &stderr); code != exitUsage || stderr.String() != "countersign: ?[2J?: no such file or directory\n" {
		t.Errorf("%d, %q", code, &stderr)
	}
}

func TestColourIsOnlyForTerminals(t *testing.T) {
	if got := screen(sampleStatus(), true); !strings.HasPrefix(got, "\x1b[33mWARNING\x1b[0m  shop") {
		t.Errorf("painted: %q", got[:40])
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if paintsOn(file) || paintsOn(new(bytes.Buffer)) {
		t.Error("colours in a file")
	}
	// The null device passes for a terminal: both are character devices.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	t.Setenv("NO_COLOR", "")
	if !paintsOn(null) {
		t.Error("no colours on a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if paintsOn(null) {
		t.Error("NO_COLOR is not respected")
	}
}

func TestUptime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", 23*time.Hour + time.Minute: "23h1m0s", 50 * time.Hour: "2d2h",
	} {
		if got := uptime(d.Seconds()); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestScreenOfTheProbe(t *testing.T) {
	s := sampleStatus()
	s.Listen, s.Upstream, s.Sensor, s.Proxy = "", "", "ebpf", nil
	s.Probe = &api.ProbeStats{Port: 8000, Attach: "tcx", Interfaces: []string{"lo", "eth0"}, Connections: 12, MemoryBytes: 22 << 20}
	s.Health.Reason = "no_data"
	got := screen(s, false)
	for _, line := range []string{
		"port 8000, with nothing in the way",
		"           nothing was measured yet: send your traffic to port 8000 in this\n           network namespace",
		"Probe      port 8000 by tcx on lo, eth0, 12 connections, 22.0 MiB",
	} {
		if !strings.Contains(got, "\n"+line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
	for _, of := range []string{"Proxy ", "Compared "} {
		if strings.Contains(got, of) {
			t.Errorf("%s in\n%s", of, got)
		}
	}
}

func TestScreenOfBothSensors(t *testing.T) {
	s := sampleStatus()
	proxied, probed := 20.5, 20.47
	s.Probe = &api.ProbeStats{Port: 8000, Attach: "socket"}
	s.Comparison = &api.Comparison{Proxy: api.SensorFigures{Requests: 17, P95MS: &proxied}, Probe: api.SensorFigures{Requests: 16, P95MS: &probed}}
	if got, want := screen(s, false), "Compared   P95 20.50 ms by the proxy, 20.47 ms by the probe; 17 and 16 requests\n"; !strings.Contains(got, want) {
		t.Errorf("no line %q in\n%s", want, got)
	}
	s.SensorReason = "CAP_BPF is missing: give it to the process"
	s.Sensor = "proxy"
	if got, want := screen(s, false), "Sensor     proxy, as the eBPF probe cannot work here: CAP_BPF is missing: give it to the process\n"; !strings.Contains(got, want) {
		t.Errorf("no line %q in\n%s", want, got)
	}
}
