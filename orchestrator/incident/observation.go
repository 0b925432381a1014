package incident

import (
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
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
	// Signals are what the sensor showed before the decision, as JSON, for whoever
	// explains the incident; nothing is decided by them. Empty when there are none.
	Signals []byte
	// Causes are what was found likely, such as "deployment"; the kinds of what changed
	// before the incident began are added.
	Causes []string
	// Changes came before the incident, newest first. Set by the docket when one opens.
	Changes []change.Change
	// Plan is what can be done about an incident. Set by the docket.
	Plan Plan
}

// Plan is what can be done about a tenant's incidents, and who is asked.
type Plan struct {
	// Actions can be proposed; Own says that the tenant is the sidecar's own.
	Actions recovery.Catalogue
	Own     bool
	// Contacts are asked at once. Without any, nothing is asked.
	Contacts []string
	// Later are those who are asked when nobody has decided.
	Later []string
	// Patience is how long people are asked, at least [approval.LinkLife].
	Patience time.Duration
}
