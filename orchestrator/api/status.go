package api

import (
	"time"

	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/journal"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Build identifies the running binary.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// ProxyStats is what the proxy counts about itself. Its fields are
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
	// Statuses counts the upstream's answers of 400 and above, by status, since start.
	Statuses map[int]uint64 `json:"statuses"`
	// Connects counts the connections made to the upstream, since start;
	// ConnectTime, in nanoseconds, is what they took together.
	Connects    uint64        `json:"upstream_connects"`
	ConnectTime time.Duration `json:"upstream_connect_ns"`
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
	// "host:port"; the first two are empty where there is none.
	Upstream string `json:"upstream"`
	Listen   string `json:"listen"`
	Admin    string `json:"admin"`
	// Sensor is how traffic is seen: "proxy", "ebpf" or "both". SensorReason says
	// why it is the proxy although the probe was to be tried.
	Sensor       string `json:"sensor"`
	SensorReason string `json:"sensor_reason,omitempty"`
	// Ready is what /readyz says, Alive what /healthz says; the problem is
	// empty when there is none.
	Ready        bool   `json:"ready"`
	ReadyProblem string `json:"ready_problem,omitempty"`
	Alive        bool   `json:"alive"`
	AliveProblem string `json:"alive_problem,omitempty"`
	// Tenant is the id of the own service's tenant, absent when nothing is decided.
	Tenant string `json:"tenant_id,omitempty"`
	// Health is the document of GET /health/alerts.
	Health health.Document `json:"health"`
	// Decisions is absent when nothing is decided.
	Decisions *Decisions `json:"decisions,omitempty"`
	// Targets are those that are watched, by name.
	Targets map[string]TargetStatus `json:"targets,omitempty"`
	// Outbox is what is to be said, of all tenants; absent when nothing is sent.
	Outbox *outbox.Status `json:"outbox,omitempty"`
	// Ledger is absent when none is kept.
	Ledger  *journal.Report `json:"ledger,omitempty"`
	Traffic Traffic         `json:"traffic"`
	// Proxy and Probe are absent where that sensor is not at work, Comparison where
	// not both are.
	Proxy      *ProxyStats `json:"proxy,omitempty"`
	Probe      *ProbeStats `json:"probe,omitempty"`
	Comparison *Comparison `json:"comparison,omitempty"`
}

// Decisions is what was decided about the own service and recorded. Whether
// shadow mode is on, and the open incident, are in the health document too.
type Decisions struct {
	// Ready is false until the ledger has been read.
	Ready       bool      `json:"ready"`
	ShadowMode  bool      `json:"shadow_mode"`
	ShadowSince time.Time `json:"shadow_since,omitzero"`
	// Problem says why nothing is decided or recorded at present.
	Problem string `json:"problem,omitempty"`
	// Open is the open incident, absent when there is none.
	Open *incident.Summary `json:"open_incident,omitempty"`
}

// TargetStatus is what is known of a target now, and when the ledger last has
// it that somebody was told, or would have been.
type TargetStatus struct {
	State               policy.TargetState `json:"state"`
	ConsecutiveFailures int                `json:"consecutive_failures"`
	LastAlertedAt       time.Time          `json:"last_alerted_at,omitzero"`
	LastStateChangeAt   time.Time          `json:"last_state_change_at,omitzero"`
	LastCheckedAt       time.Time          `json:"last_checked_at,omitzero"`
	Flapping            bool               `json:"flapping"`
	// Reason is why the last check failed.
	Reason string `json:"reason,omitempty"`
}

func decisionsOf(v docket.View) *Decisions {
	return &Decisions{Ready: v.Ready, ShadowMode: v.Shadow, ShadowSince: v.ShadowSince, Problem: v.Problem, Open: v.Open}
}

func targetsOf(now map[string]policy.Target, recorded map[string]incident.TargetRecord) map[string]TargetStatus {
	all := make(map[string]TargetStatus, len(now))
	for name, t := range now {
		all[name] = TargetStatus{
			State: t.State, ConsecutiveFailures: t.ConsecutiveFailures, LastAlertedAt: recorded[name].LastAlertedAt,
			LastStateChangeAt: t.LastStateChangeAt, LastCheckedAt: t.LastCheckedAt, Flapping: t.Flapping, Reason: t.Reason,
		}
	}
	return all
}
