package api

import (
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/journal"
)

// Build identifies the running binary.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// ProxyStats is what the traffic sensor counts about itself. Its fields are
// those of the proxy's own statistics, so that one converts to the other.
type ProxyStats struct {
	// ClientConns and UpstreamConns are open now; UpstreamIdle of the latter
	// wait for a request.
	ClientConns   int `json:"client_connections"`
	UpstreamConns int `json:"upstream_connections"`
	UpstreamIdle  int `json:"upstream_idle"`
	// Accepted counts client connections since start.
	Accepted uint64 `json:"accepted"`
	// Errors counts the answers the proxy made up itself, by reason, since start.
	Errors map[string]uint64 `json:"errors"`
	// Retries counts requests sent again on a fresh upstream connection, since start.
	Retries uint64 `json:"retries"`
}

// Traffic is what the recorder has counted since start.
type Traffic struct {
	// Seen requests have ended, measured or not; InFlight ones have not.
	Seen     uint64 `json:"seen"`
	InFlight int    `json:"in_flight"`
	// Unmeasured is by reason; reasons that never occurred are left out.
	Unmeasured map[string]uint64 `json:"unmeasured"`
	// Routes have been told apart.
	Routes int `json:"routes"`
}

// Status is the document of GET /status: all that one screen shows.
type Status struct {
	Build         Build     `json:"build"`
	StartedAt     time.Time `json:"started_at"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	// Upstream is the API's address, Listen and Admin are the listeners', as
	// "host:port". Sensor is how traffic is seen: "proxy".
	Upstream string `json:"upstream"`
	Listen   string `json:"listen"`
	Admin    string `json:"admin"`
	Sensor   string `json:"sensor"`
	// Ready is what /readyz says, Alive what /healthz says; the problem is
	// empty when there is none.
	Ready        bool   `json:"ready"`
	ReadyProblem string `json:"ready_problem,omitempty"`
	Alive        bool   `json:"alive"`
	AliveProblem string `json:"alive_problem,omitempty"`
	// Health is the document of GET /health/alerts.
	Health health.Document `json:"health"`
	// Ledger is absent when none is kept.
	Ledger  *journal.Report `json:"ledger,omitempty"`
	Traffic Traffic         `json:"traffic"`
	Proxy   ProxyStats      `json:"proxy"`
}
