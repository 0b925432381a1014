package policy

import "github.com/countersign-dev/countersign/orchestrator/health"

// Policy is the one document that decides. It is immutable while it is in force.
type Policy struct {
	// Version is the operator's name for this document.
	Version string `json:"version"`
	// Health are the thresholds of the gates over traffic, with the gates' modes.
	Health health.Params `json:"health"`
	// Failures is the consecutive_failures gate.
	Failures Failures `json:"failures"`
	// Burn is the burn_rate gate.
	Burn Burn `json:"burn_rate"`
	// Incident says when an incident opens, is validated and recovers.
	Incident Thresholds `json:"incident"`
	// Flap says when a target that oscillates is called flapping.
	Flap Flap `json:"flap"`
	// Upstream is the check of the upstream while there is no traffic.
	Upstream UpstreamCheck `json:"upstream"`
	// Checks are further targets, by name.
	Checks []Check `json:"checks"`
	// Changes says which changes are shown with an incident.
	Changes Changes `json:"changes"`
}

// Failures are when a target is DOWN.
type Failures struct {
	Mode health.Mode `json:"mode"`
	// After is how many failures in a row make DOWN.
	After int `json:"after"`
	// ErrorRate is the share of a tick's requests that must fail, of at least
	// MinRequests, for the tick to count as a failure of the upstream.
	ErrorRate   float64 `json:"error_rate"`
	MinRequests uint64  `json:"min_requests"`
}

// Burn is a multiwindow burn-rate gate over the error budget.
type Burn struct {
	Mode health.Mode `json:"mode"`
	// Objective is the share of requests that should succeed, such as 0.999.
	Objective float64 `json:"objective"`
	// MinBad is how many failed requests the short window needs.
	MinBad  uint64       `json:"min_bad"`
	Windows []BurnWindow `json:"windows"`
}

// BurnWindow fires when both windows burn the budget at Factor or faster.
type BurnWindow struct {
	Factor       float64 `json:"factor"`
	LongMinutes  int     `json:"long_minutes"`
	ShortMinutes int     `json:"short_minutes"`
	// Severity is health.Critical for one that opens an incident,
	// health.Warning for one that only warns.
	Severity health.Status `json:"severity"`
}

// Thresholds are the life of an incident.
type Thresholds struct {
	// OpenBelow is the score below which one opens.
	OpenBelow float64 `json:"open_below"`
	// ValidateAfterSeconds is how long it must hold.
	ValidateAfterSeconds float64 `json:"validate_after_seconds"`
	// It recovers when the score is above RecoverAbove and the error rate
	// below RecoverErrorRate, no target is DOWN, and that has held for
	// RecoverAfterSeconds.
	RecoverAbove        float64 `json:"recover_above"`
	RecoverErrorRate    float64 `json:"recover_error_rate"`
	RecoverAfterSeconds float64 `json:"recover_after_seconds"`
	// MaxOpenSeconds is how old an open incident may be before the audit asks
	// for its end.
	MaxOpenSeconds float64 `json:"max_open_seconds"`
}

// Flap is when changing is all that a target does.
type Flap struct {
	// Changes of state within WithinSeconds make it flapping; QuietSeconds
	// without one make it steady again.
	Changes       int     `json:"changes"`
	WithinSeconds float64 `json:"within_seconds"`
	QuietSeconds  float64 `json:"quiet_seconds"`
}

// Check is an HTTP target that is asked at an interval.
type Check struct {
	Name            string  `json:"name"`
	URL             string  `json:"url"`
	Method          string  `json:"method"`
	Status          []int   `json:"status"` // expected; 200–299 when empty
	BodyContains    string  `json:"body_contains"`
	IntervalSeconds float64 `json:"interval_seconds"`
	TimeoutSeconds  float64 `json:"timeout_seconds"`
}

// UpstreamCheck asks the upstream itself when no request came for a tick.
type UpstreamCheck struct {
	Enabled bool `json:"enabled"`
	// Path is asked with GET; any answer below 500 is a success.
	Path            string  `json:"path"`
	IntervalSeconds float64 `json:"interval_seconds"`
	TimeoutSeconds  float64 `json:"timeout_seconds"`
}

// Changes is how far back to look for what changed.
type Changes struct {
	BeforeSeconds float64 `json:"before_seconds"`
}

// Default is the policy of a new installation. The caller owns it.
func Default() *Policy {
	return &Policy{
		Version:  "default",
		Health:   health.DefaultParams(),
		Failures: Failures{Mode: health.On, After: 2, ErrorRate: 0.5, MinRequests: 5},
		Burn: Burn{Mode: health.Shadow, Objective: 0.999, MinBad: 10, Windows: []BurnWindow{
			{Factor: 14.4, LongMinutes: 60, ShortMinutes: 5, Severity: health.Critical},
			{Factor: 6, LongMinutes: 360, ShortMinutes: 30, Severity: health.Critical},
		}},
		Incident: Thresholds{
			OpenBelow: 70, ValidateAfterSeconds: 30,
			RecoverAbove: 70, RecoverErrorRate: 0.05, RecoverAfterSeconds: 10,
			MaxOpenSeconds: 24 * 60 * 60,
		},
		Flap:     Flap{Changes: 5, WithinSeconds: 600, QuietSeconds: 300},
		Upstream: UpstreamCheck{Enabled: true, Path: "/", IntervalSeconds: 5, TimeoutSeconds: 3},
		Checks:   []Check{},
		Changes:  Changes{BeforeSeconds: 600},
	}
}

// Identity is what a document says of the policy that judged.
func (p *Policy) Identity() health.Policy {
	return health.Policy{Version: p.Version, Digest: p.Digest()}
}
