package main

import (
	"fmt"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/api"
)

// path is the way of a request that the sensors see.
func path(s api.Status) string {
	switch {
	case s.Listen != "":
		return s.Listen + " → " + s.Upstream
	case s.Probe != nil:
		return fmt.Sprintf("port %d, with nothing in the way", s.Probe.Port)
	default:
		return s.Upstream
	}
}

// where traffic has to go to be measured.
func where(s api.Status) string {
	if s.Listen == "" && s.Probe != nil {
		return fmt.Sprintf("to port %d in this network namespace", s.Probe.Port)
	}
	return "through the sidecar"
}

// sensors is what each of them says of itself.
func sensors(b *page, s api.Status) {
	if s.SensorReason != "" {
		b.long("Sensor     %s, as the eBPF probe cannot work here: %s", s.Sensor, s.SensorReason)
	}
	if p := s.Proxy; p != nil {
		b.line("Proxy      %d client and %d upstream connections, %d retries", p.ClientConns, p.UpstreamConns, p.Retries)
		b.line("Errors     %s", tally(p.Errors))
	}
	if p := s.Probe; p != nil {
		b.line("Probe      port %d by %s on %s, %d connections, %.1f MiB", p.Port, p.Attach, strings.Join(p.Interfaces, ", "), p.Connections, float64(p.MemoryBytes)/(1<<20))
	}
	if c := s.Comparison; c != nil {
		b.long("Compared   P95 %s by the proxy, %s by the probe; %d and %d requests", millis(c.Proxy.P95MS), millis(c.Probe.P95MS), c.Proxy.Requests, c.Probe.Requests)
	}
}
