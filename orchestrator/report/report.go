// Package report makes the shadow report: what Countersign saw and decided for
// one tenant in a period, and what it would have done, told from the ledger
// alone, so that everybody who has the ledger can make it again.
package report

import (
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Options say what is reported.
type Options struct {
	// Tenant is whose report it is. Nothing of another tenant's is in it.
	Tenant string
	// From and To bound the period; To is not included. Zero is the first entry,
	// and At.
	From, To time.Time
	// At is when the report is made.
	At time.Time
	// Head is the checkpoint of the ledger that the entries are from.
	Head ledger.Checkpoint
	// VerifyCommand is the command with which a reader verifies that ledger.
	VerifyCommand string
}

// What a report lists at most, the latest, with a count of what it leaves out.
const (
	MaxIncidents = 500
	MaxNotices   = 50
	MaxPeriods   = 100
	MaxTargets   = 50
)

// Report is the report, as its JSON has it.
type Report struct {
	Tenant   string    `json:"tenant_id"`
	Services []string  `json:"services"`
	At       time.Time `json:"generated_at"`
	Period   Period    `json:"period"`
	Shadow   Shadow    `json:"shadow"`

	// Incidents are those of which a part lies in the period.
	Incidents Incidents `json:"incidents"`
	Effects   Effects   `json:"effects"`
	Targets   []Target  `json:"targets"`
	Policies  Policies  `json:"policies"`
	// Denied counts requests that were refused, by what they were for.
	Denied []Denied `json:"denied_accesses"`
	Ledger Ledger   `json:"ledger"`
}

// Period is what the report is of.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Entries of the tenant's lie in it, from First to Last in the ledger.
	Entries uint64 `json:"entries"`
	First   uint64 `json:"first_entry"`
	Last    uint64 `json:"last_entry"`
}

// Shadow is when nothing was sent or run.
type Shadow struct {
	// Share is how much of the period was in shadow mode, 0 to 1, as far as the
	// ledger reaches; null when it does not.
	Share   *float64       `json:"share"`
	Now     bool           `json:"shadow_mode"` // at the end of the period
	Periods []ShadowPeriod `json:"periods"`
	LeftOut int            `json:"left_out"`
}

// ShadowPeriod is a time in one mode.
type ShadowPeriod struct {
	Shadow bool      `json:"shadow_mode"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	// Who and Why are of the one who began it, and Entry says so. Without one
	// it is the mode of a new installation.
	Who   string  `json:"who,omitempty"`
	Why   string  `json:"reason,omitempty"`
	Entry *uint64 `json:"entry"`
}

// Incidents are the incidents and what they come to.
type Incidents struct {
	Total       int            `json:"total"`
	ByStage     map[string]int `json:"by_stage"` // the stage they had reached at the end of the period
	FalseAlarms int            `json:"false_alarms"`
	Confirmed   int            `json:"confirmed"`
	Unmarked    int            `json:"unmarked"`
	// Detection is over those of which it is known how long it took.
	Detection Detection  `json:"detection"`
	List      []Incident `json:"list"` // the latest first
	LeftOut   int        `json:"left_out"`
}

// Detection is how long it took from the tick that found the breach until the
// incident was DETECTED in the ledger, in seconds.
type Detection struct {
	Known int      `json:"known"`
	Mean  *float64 `json:"mean_seconds"`
	Max   *float64 `json:"max_seconds"`
}

// Incident is one incident.
type Incident struct {
	incident.Summary
	// Reached is the last stage before the end, Stage where it stands.
	Reached  incident.Stage `json:"stage_reached"`
	Detected *float64       `json:"detection_seconds"`
	Duration *float64       `json:"duration_seconds"` // null while it is open
	// Who gave the verdict, and a note with it.
	Who  string `json:"verdict_by,omitempty"`
	Note string `json:"verdict_note,omitempty"`
	// Suppressed effects are about it.
	Suppressed int `json:"suppressed_effects"`
}

// Effects are what would have been done, and what was due.
type Effects struct {
	Notifications int `json:"suppressed_notifications"`
	Links         int `json:"suppressed_approval_links"`
	Executions    int `json:"suppressed_executions"`
	Other         int `json:"suppressed_other"`
	Due           int `json:"due"` // outside of shadow mode
	// ByEvent counts suppressed notifications by what they were about.
	ByEvent map[string]int `json:"suppressed_notifications_by_event"`
	Notices []Notice       `json:"notices"` // the latest first
	LeftOut int            `json:"left_out"`
}

// Notice is one suppressed effect.
type Notice struct {
	Time       time.Time `json:"time"`
	Action     string    `json:"suppressed_action"`
	Event      string    `json:"event"`
	IncidentID string    `json:"incident_id,omitempty"`
	Text       string    `json:"text"`
	Entry      uint64    `json:"entry"`
}

// Target is how often a target changed.
type Target struct {
	Name     string `json:"target"`
	Downs    int    `json:"downs"`
	Flapping int    `json:"flapping"`
}

// Policies are the policies in force in the period, in order.
type Policies struct {
	List    []PolicyInForce `json:"list"`
	LeftOut int             `json:"left_out"`
	// Unversioned counts those with the version of the one before and other content.
	Unversioned int `json:"unversioned_changes"`
}

// PolicyInForce is one of them, from when it was loaded until the next was.
type PolicyInForce struct {
	Version     string    `json:"version"`
	Digest      string    `json:"digest"`
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Entry       uint64    `json:"entry"`
	Unversioned bool      `json:"unversioned_change"`
}

// Denied are refused requests.
type Denied struct {
	What  string `json:"what"`
	Count uint64 `json:"count"`
}

// Ledger says what the report was made of and how to verify that.
type Ledger struct {
	Origin        string `json:"origin"`
	Size          uint64 `json:"size"`
	Root          string `json:"root"` // base64
	VerifyCommand string `json:"verify_command"`
}
