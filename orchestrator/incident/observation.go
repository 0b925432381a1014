package incident

import (
	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Observation is one tick of one tenant, as the orchestrator hands it over.
type Observation struct {
	Tenant, Service string
	// Instance names the sidecar that observed; it may be empty.
	Instance string
	Policy   *policy.Policy
	// Before and Input are what Decision was made of, so that it can be made again.
	Before   policy.State
	Input    policy.Input
	After    policy.State
	Decision policy.Decision
	// Window is the measured window, nil for a remote service; Routes are its
	// figures by route; Document the remote health document.
	Window   *histogram.Snapshot
	Routes   []health.Route
	Document []byte
	// Changes came before the incident, newest first. Set by the docket when one opens.
	Changes []change.Change
}
