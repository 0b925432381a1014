// Package history keeps what was decided on, a record a minute for thirty
// days, so that another policy can be tried over it and a new process knows
// what is usual for the service.
//
// It is no evidence: nothing is signed, and what counts is in the ledger. It
// may be deleted at any time, at the price of a baseline that is learned anew.
//
// # On disk
//
//	DIR/TENANT/2026-11-21.jsonl        a record a line, of the day in UTC that is being written
//	DIR/TENANT/2026-11-20.jsonl.zst    a finished day, compressed with Zstandard (RFC 8878)
//
// A record is a Minute. It is written by one write to a file opened for
// appending, and is not synced: a crash of the process loses the minute that
// was being collected, a crash of the machine perhaps a few more. A line that
// a crash has cut is passed over by Read, and the writer begins a new one.
package history

import (
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Interval is the time between two ticks.
const Interval = 5 * time.Second

// Tick is what one decision was made on, and what it came to.
type Tick struct {
	Input policy.Input `json:"input"`
	// Breached is the decision's, by the policy with the digest PolicyDigest.
	Breached bool `json:"breached"`
	// IncidentID is the incident that was open, empty while none was.
	IncidentID   string `json:"incident_id,omitempty"`
	PolicyDigest string `json:"policy_digest"`
}

// Minute is one record. After a restart two records may be of the same minute.
type Minute struct {
	V int `json:"v"` // version, of this format
	// Start is the whole minute, in UTC, that the ticks fall into.
	Start time.Time `json:"start"`
	// Ticks are in the order in which they came. There are fewer than twelve
	// when the sidecar started or stopped in the minute.
	Ticks []Tick `json:"ticks"`
	// Durations are the latencies in the measured window as of the last tick,
	// in nanoseconds, as HdrHistogram V2, which histogram.DecodeV2 reads: with
	// the default window of 60 seconds, those of the minute. A request that was
	// in flight then may be in it at its age, and in a later minute's again.
	// Absent for a remote service, and for a minute whose last tick did not come.
	Durations []byte `json:"durations_hdr_v2,omitempty"`
}

// version is the one of Minute that is written and read.
const version = 1

// What one record may be at most.
const (
	maxLine  = 4 << 20 // bytes
	maxTicks = 120
)
