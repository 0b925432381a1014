package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/countersign-dev/countersign/histogram"
)

// ProbeStats is what the eBPF probe counts about itself.
type ProbeStats struct {
	// Port is the one that is watched. Attach is how: "tcx" or "socket"; Interfaces are where.
	Port       uint16   `json:"port"`
	Attach     string   `json:"attach"`
	Interfaces []string `json:"interfaces"`
	// Connections are followed now; InFlight of their requests have no answer yet.
	Connections int `json:"connections"`
	InFlight    int `json:"in_flight"`
	// Seen requests ended since start, and are Measured or Unmeasured by reason;
	// reasons that never occurred are left out.
	Seen       uint64            `json:"seen"`
	Measured   uint64            `json:"measured"`
	Unmeasured map[string]uint64 `json:"unmeasured"`
	// MemoryBytes is what the probe takes up in the kernel.
	MemoryBytes uint64 `json:"memory_bytes"`
}

// Comparison is what two sensors make of the same traffic over the same window.
// A P95 is absent while its sensor has measured nothing, and the difference while one is.
type Comparison struct {
	Proxy SensorFigures `json:"proxy"`
	Probe SensorFigures `json:"ebpf"`
	// P95DifferenceMS is the proxy's P95 less the probe's, in milliseconds. The
	// proxy's includes the way between it and the API.
	P95DifferenceMS *float64 `json:"p95_difference_ms,omitempty"`
}

// SensorFigures is what one sensor measured.
type SensorFigures struct {
	// Requests ended in the window and were measured; Unmeasured ended without a latency.
	Requests   uint64 `json:"requests"`
	Unmeasured uint64 `json:"unmeasured"`
	// P95MS is the upper end of P95BracketMS, as in the health document.
	P95MS        *float64    `json:"p95_ms,omitempty"`
	P95BracketMS *[2]float64 `json:"p95_bracket_ms,omitempty"`
}

// compare reads both recorders.
func compare(proxy, probe *histogram.Recorder) Comparison {
	c := Comparison{Proxy: figuresOf(proxy.Snapshot()), Probe: figuresOf(probe.Snapshot())}
	if a, b := c.Proxy.P95MS, c.Probe.P95MS; a != nil && b != nil {
		difference := *a - *b
		c.P95DifferenceMS = &difference
	}
	return c
}

func figuresOf(s *histogram.Snapshot) SensorFigures {
	f := SensorFigures{Requests: s.Overall.Requests()}
	f.Unmeasured = s.Seen - f.Requests
	if p95, ok := s.Overall.Durations.Quantile(0.95); ok {
		low, high := millis(p95.Low), millis(p95.High)
		f.P95MS, f.P95BracketMS = &high, &[2]float64{low, high}
	}
	return f
}

func millis(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }

var (
	descProbe           = desc("probe_info", "Always 1 where the eBPF probe is attached; the labels say how and to which port.", "attach", "port")
	descProbeInterfaces = desc("probe_interfaces", "Network interfaces that the eBPF probe is attached to.")
	descProbeConns      = desc("probe_connections", "TCP connections that the eBPF probe follows.")
	descProbeInFlight   = desc("probe_requests_in_flight", "Requests that the eBPF probe has seen and that have no answer yet.")
	descProbeSeen       = desc("probe_requests_seen_total", "Requests that ended as the eBPF probe saw it: measured ones and unmeasured ones.")
	descProbeMeasured   = desc("probe_requests_measured_total", "Requests that the eBPF probe has measured.")
	descProbeUnmeasured = desc("probe_requests_unmeasured_total", "Requests that the eBPF probe saw and has no latency of, by the reason why.", "reason")
	descProbeMemory     = desc("probe_memory_bytes", "Memory that the eBPF probe takes up in the kernel.")

	descSensorP95        = desc("sensor_p95_seconds", "P95 of the request duration over the window by each of two sensors on the same traffic. Absent where nothing was measured.", "sensor")
	descSensorDifference = desc("sensor_p95_difference_seconds", "The proxy's P95 less the eBPF probe's, on the same traffic. Absent unless both have measured.")

	sensorDescs = []*prometheus.Desc{
		descProbe, descProbeInterfaces, descProbeConns, descProbeInFlight, descProbeSeen, descProbeMeasured, descProbeUnmeasured, descProbeMemory,
		descSensorP95, descSensorDifference,
	}
)

func collectProbe(ch chan<- prometheus.Metric, s ProbeStats) {
	ch <- gauge(descProbe, 1, s.Attach, strconv.Itoa(int(s.Port)))
	ch <- gauge(descProbeInterfaces, float64(len(s.Interfaces)))
	ch <- gauge(descProbeConns, float64(s.Connections))
	ch <- gauge(descProbeInFlight, float64(s.InFlight))
	ch <- counter(descProbeSeen, s.Seen)
	ch <- counter(descProbeMeasured, s.Measured)
	for reason, n := range s.Unmeasured {
		ch <- counter(descProbeUnmeasured, n, reason)
	}
	ch <- gauge(descProbeMemory, float64(s.MemoryBytes))
}

func collectComparison(ch chan<- prometheus.Metric, c Comparison) {
	for sensor, f := range map[string]SensorFigures{"proxy": c.Proxy, "ebpf": c.Probe} {
		if f.P95MS != nil {
			ch <- gauge(descSensorP95, *f.P95MS/1000, sensor)
		}
	}
	if c.P95DifferenceMS != nil {
		ch <- gauge(descSensorDifference, *c.P95DifferenceMS/1000)
	}
}
