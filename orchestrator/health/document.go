package health

import "time"

// Status is the document's verdict, the one word an operator or a poller acts on.
type Status string

// The verdicts, from best to worst.
const (
	// OK: nothing asks for attention. It is also the verdict when nothing was
	// measured; Document.Reason then says so.
	OK Status = "ok"
	// Warning: an alert of severity warning is firing, or the score is below 70.
	Warning Status = "warning"
	// Critical: an alert of severity critical is firing, or the score is below 40.
	Critical Status = "critical"
)

// ReasonNoData is the document's reason when nothing was measured.
const ReasonNoData = "no_data"

// Document is what GET /health/alerts answers: the health of one service at
// one moment, over one window. Its JSON is a superset of the document served
// by FastAPI AlertEngine at the same path.
//
// Latencies are milliseconds, rates are shares between 0 and 1, and a number
// that could not be measured is null, never zero.
type Document struct {
	Status Status `json:"status"`
	// Reason is "no_data" when no latency and no outcome was measured in the
	// window, else absent.
	Reason      string `json:"reason,omitempty"`
	ServiceName string `json:"service_name"`
	InstanceID  string `json:"instance_id"`
	// Timestamp is when the document was made, in unix seconds.
	Timestamp   int64   `json:"timestamp"`
	HealthScore Score   `json:"health_score"`
	Metrics     Metrics `json:"metrics"`
	Alerts      []Alert `json:"alerts"`
	// ShadowAlerts are of gates that are only watched: they count neither in
	// the status nor in the score.
	ShadowAlerts       []Alert             `json:"shadow_alerts"`
	AdaptiveThresholds *AdaptiveThresholds `json:"adaptive_thresholds"`
	RateOfChange       []Change            `json:"rate_of_change"`
	Routes             []Route             `json:"routes"`
	// Incident is null while no incident is open.
	Incident *Incident `json:"incident"`
	Policy   Policy    `json:"policy"`
	// ShadowMode is true while Countersign only observes.
	ShadowMode bool `json:"shadow_mode"`
	// Ledger is null while no ledger is open.
	Ledger *Ledger `json:"ledger"`
}

// ScoreStatus puts a score in one of three bands.
type ScoreStatus string

// The bands: healthy from 70, degraded below 70, critical below 40.
const (
	ScoreHealthy  ScoreStatus = "healthy"
	ScoreDegraded ScoreStatus = "degraded"
	ScoreCritical ScoreStatus = "critical"
)

// Score is the health compressed into one number.
type Score struct {
	// Score lies between 0 and 100; 100 is best. It is 100 when nothing was
	// measured, as there is then nothing against the service.
	Score      float64     `json:"score"`
	Status     ScoreStatus `json:"status"`
	Components Components  `json:"components"`
	Trend      Trend       `json:"trend"`
}

// Components are what the score is made of, each 0 to 100, or null when it
// could not be measured; a null component counts as 100 in the score.
type Components struct {
	Latency   *float64 `json:"latency"`
	Errors    *float64 `json:"errors"`
	Anomalies *float64 `json:"anomalies"`
}

// Metrics are the measurements of the window.
type Metrics struct {
	// OverallP95MS is the exact-rank P95 over all routes, requests in flight
	// for longer than it included. P95BracketMS is the histogram bucket that
	// holds it: the true value lies within, at most 0.1 % away.
	OverallP95MS *float64    `json:"overall_p95_ms"`
	P95BracketMS *[2]float64 `json:"p95_bracket_ms"`
	P50MS        *float64    `json:"p50_ms"`
	P99MS        *float64    `json:"p99_ms"`
	MaxMS        *float64    `json:"max_ms"`
	// WebhookP95MS is over the routes with a path segment that contains
	// "webhook", APIP95MS over all others.
	APIP95MS     *float64 `json:"api_p95_ms"`
	WebhookP95MS *float64 `json:"webhook_p95_ms"`
	// ErrorRate is the share of finished requests that ended in a 5xx answer or none.
	ErrorRate *float64 `json:"error_rate"`
	// AnomalyScore is max(0, z) over the z threshold: 1 warns, 2 is critical.
	// It is 0 while the slowdown is below the minimum effect.
	AnomalyScore *float64 `json:"anomaly_score"`
	// ZScore is how many standard deviations the last tick's P95 lies above the baseline's mean.
	ZScore *float64 `json:"z_score"`
	// SampleSize counts the latencies in the window.
	SampleSize uint64 `json:"sample_size"`
	// RequestsPerSecond counts finished requests.
	RequestsPerSecond *float64 `json:"requests_per_second"`
	// InFlight requests are being served now; InFlightIncluded of them are in
	// the latencies at their present age.
	InFlight         int `json:"in_flight"`
	InFlightIncluded int `json:"in_flight_included"`
}

// The types of alert. The first two are FastAPI AlertEngine's.
const (
	TypeLatency      = "latency_spike"
	TypeErrors       = "error_anomaly"
	TypeAnomaly      = "latency_anomaly"
	TypeRateOfChange = "rate_of_change"
	TypeStalled      = "requests_stalled"
	TypeUnmeasured   = "unmeasured_traffic"

	TypeTargetDown = "target_down"
	TypeFlapping   = "flapping"
	TypeBurnRate   = "burn_rate"
	TypeReported   = "reported_unhealthy"
	TypeLedger     = "ledger_unavailable"
)

// Alert is one thing that asks for attention now. Severity is Warning or Critical.
type Alert struct {
	Type     string `json:"type"`
	Message  string `json:"message"`
	Severity Status `json:"severity"`
	// ReasonForTrigger is the comparison that fired, in plain English, with its numbers.
	ReasonForTrigger string `json:"reason_for_trigger"`
	// TrendDirection is the trend of the score at the time.
	TrendDirection     Trend               `json:"trend_direction"`
	TriggeredBy        Gate                `json:"triggered_by"`
	BaselineComparison *BaselineComparison `json:"baseline_comparison,omitempty"`
}

// BaselineComparison sets a tick's P95 beside what is usual for the service.
type BaselineComparison struct {
	BaselineMeanMS   float64 `json:"baseline_mean_ms"`
	BaselineStddevMS float64 `json:"baseline_stddev_ms"`
	BaselineTicks    int     `json:"baseline_ticks"`
	CurrentMS        float64 `json:"current_ms"`
	// Change is CurrentMS over the mean, less one: 0.5 is half as much again.
	Change float64 `json:"change"`
}

// AdaptiveThresholds are the limits learned from the baseline, when learning
// is on and the baseline is long enough.
type AdaptiveThresholds struct {
	P95WarningMS     float64 `json:"p95_warning_ms"`
	P95CriticalMS    float64 `json:"p95_critical_ms"`
	BaselineMeanMS   float64 `json:"baseline_mean_ms"`
	BaselineStddevMS float64 `json:"baseline_stddev_ms"`
	BaselineTicks    int     `json:"baseline_ticks"`
}

// Change is a measurement that rose too fast from one tick to the next.
type Change struct {
	// Metric is "p95_ms" or "error_rate", and Previous and Current are in its unit.
	Metric   string  `json:"metric"`
	Previous float64 `json:"previous"`
	Current  float64 `json:"current"`
	// Ratio is Current over Previous, null when Previous is zero.
	Ratio *float64 `json:"ratio"`
	// Seconds lie between the two measurements.
	Seconds          float64 `json:"seconds"`
	ReasonForTrigger string  `json:"reason_for_trigger"`
}

// Route is one route's share of the window.
type Route struct {
	// Route is the method and the path template, as in "GET /users/{id}".
	Route      string   `json:"route"`
	P95MS      *float64 `json:"p95_ms"`
	ErrorRate  *float64 `json:"error_rate"`
	SampleSize uint64   `json:"sample_size"`
}

// Incident is the open incident.
type Incident struct {
	IncidentID string `json:"incident_id"`
	Stage      string `json:"stage"`
	// StartedAt is in unix seconds.
	StartedAt int64 `json:"started_at"`
}

// Policy identifies the document that judged.
type Policy struct {
	Version string `json:"version"`
	// Digest is "sha256:" and the hex SHA-256 of the document's canonical form.
	Digest string `json:"digest"`
}

// Ledger is the state of the audit log: what its last acknowledged checkpoint
// says.
type Ledger struct {
	// Size counts the entries.
	Size uint64 `json:"size"`
	// Root is the Merkle tree's root hash in base64, as the checkpoint has it.
	Root string `json:"root"`
}

// About is what a Document says besides the verdict.
type About struct {
	Service, Instance string
	Time              time.Time
	Routes            []Route
	Policy            Policy
	// Shadow is true while Countersign only observes.
	Shadow   bool
	Incident *Incident
	Ledger   *Ledger
	// LedgerProblem is why decisions cannot be recorded, empty when they are.
	LedgerProblem string
}

// NewDocument is the verdict as it is published.
func NewDocument(v Verdict, about About) Document {
	if about.LedgerProblem != "" {
		v = v.With([]Alert{{
			Type: TypeLedger, Severity: Warning, TriggeredBy: GateLedger,
			Message:          "Decisions are not being recorded: the ledger is unavailable",
			ReasonForTrigger: about.LedgerProblem,
		}}, nil)
	}
	d := Document{
		Status: v.Status, Reason: v.Reason,
		ServiceName: about.Service, InstanceID: about.Instance, Timestamp: about.Time.Unix(),
		HealthScore: v.HealthScore, Metrics: v.Metrics,
		Alerts: v.Alerts, ShadowAlerts: v.ShadowAlerts, AdaptiveThresholds: v.AdaptiveThresholds, RateOfChange: v.RateOfChange,
		Routes: about.Routes, Incident: about.Incident, Policy: about.Policy, ShadowMode: about.Shadow, Ledger: about.Ledger,
	}
	if d.Routes == nil {
		d.Routes = []Route{}
	}
	return d
}
