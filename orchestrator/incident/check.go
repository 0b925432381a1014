package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/ledger/verify"
)

const (
	// DefaultMaxOpen is how long an incident may be open when no policy says it.
	DefaultMaxOpen = 7 * 24 * time.Hour
	// backwards is by how much an entry may be earlier than one before it: two
	// writers of one ledger may have looked at the clock in the other order.
	backwards = 2 * time.Second
	// maxTenants bounds what a hostile ledger can make a check remember.
	maxTenants = 4096
)

// CheckOptions are what an audit asks for.
type CheckOptions struct {
	// MaxOpen is how old an incident without an end may be at the time of the
	// ledger's last entry; when 0 it is what the last policy says.
	MaxOpen time.Duration
}

// NewCheck returns the audit of a ledger's incidents, which is for one ledger. It
// knows what [State.Apply] knows, and besides that times do not run backwards, that
// the policy of each step is on record before it, and that incidents end. With the
// questions that Apply folds, it finds an authorization without its quorum, an
// execution without its authorization or of something else, and a receipt of what
// was not due. Entries of other kinds than ours are none of its business.
func NewCheck(o CheckOptions) verify.Check {
	return &check{options: o, tenants: map[string]*State{}, detected: map[string]uint64{}, policies: map[string]struct{}{}, maxOpen: DefaultMaxOpen}
}

// check holds one state a tenant and one digest a policy, whatever the length
// of the ledger.
type check struct {
	options  CheckOptions
	tenants  map[string]*State
	detected map[string]uint64 // by tenant: the entry that opened its last incident
	policies map[string]struct{}
	maxOpen  time.Duration // of the last policy

	last   time.Time // the latest of our entries
	lastAt uint64    // its number
}

// Entry implements verify.Check.
func (c *check) Entry(index uint64, leaf []byte) error {
	e, ours, err := ParseEntry(leaf)
	if err != nil {
		return ruleError(err)
	}
	if !ours {
		return c.other(index, leaf)
	}
	if err := c.time(index, e.Kind, e.Time); err != nil {
		return err
	}
	if err := c.policy(e); err != nil {
		return err
	}
	s := c.tenants[e.TenantID]
	if s == nil {
		if len(c.tenants) == maxTenants {
			return &verify.RuleError{Text: "the ledger is of too many tenants", Expected: fmt.Sprintf("at most %d", maxTenants)}
		}
		s = NewState(e.TenantID)
		c.tenants[e.TenantID] = s
	}
	if err := s.Apply(index, e); err != nil {
		return ruleError(err)
	}
	if e.Stage == Detected && e.Kind == KindOf(Detected) {
		c.detected[e.TenantID] = index
	}
	return nil
}

// other looks at the time of the sidecar's own steps, once there are entries of
// ours: a ledger that has none was written by a version that promised nothing.
func (c *check) other(index uint64, leaf []byte) error {
	kind, ok := leadingKind(leaf)
	if !ok || !strings.HasPrefix(kind, "sidecar.") || c.last.IsZero() {
		return nil
	}
	var e struct {
		Time time.Time `json:"time"`
	}
	if json.Unmarshal(leaf, &e) != nil || e.Time.IsZero() {
		return nil
	}
	return c.time(index, kind, e.Time)
}

func (c *check) time(index uint64, kind string, at time.Time) error {
	if at.Before(c.last.Add(-backwards)) {
		return &verify.RuleError{
			Text:     fmt.Sprintf("the clock runs backwards: the %s entry is earlier than entry %d", kind, c.lastAt),
			Expected: c.last.UTC().Format(time.RFC3339Nano) + " or later", Found: at.UTC().Format(time.RFC3339Nano),
		}
	}
	if at.After(c.last) {
		c.last, c.lastAt = at, index
	}
	return nil
}

// policy looks for the policy of an entry among those on record.
func (c *check) policy(e Entry) error {
	if e.Kind == KindPolicyLoaded {
		for _, ev := range e.Evidence {
			if ev.Name == PolicyFile && digestPrefix+ev.SHA256 != e.PolicyDigest {
				return &verify.RuleError{Text: "the policy recorded is not the one that the entry names", Expected: e.PolicyDigest, Found: digestPrefix + ev.SHA256}
			}
		}
		c.policies[e.PolicyDigest] = struct{}{}
		c.maxOpen = DefaultMaxOpen
		if s, ok := e.Metadata["max_open_seconds"].(float64); ok && s > 0 && s < float64(1<<33) {
			c.maxOpen = seconds(s)
		}
		return nil
	}
	prefix, _, _ := strings.Cut(e.Kind, ".")
	if _, ok := c.policies[e.PolicyDigest]; !ok && (prefix == "incident" || prefix == "approval" || prefix == "effect" || prefix == "target" || prefix == "diagnosis") {
		return &verify.RuleError{
			Text:     fmt.Sprintf("the %s entry follows from a policy that was never recorded", e.Kind),
			Expected: "the digest of an earlier " + KindPolicyLoaded, Found: e.PolicyDigest,
		}
	}
	return nil
}

// End implements verify.Check.
func (c *check) End() error {
	limit := c.maxOpen
	if c.options.MaxOpen > 0 {
		limit = c.options.MaxOpen
	}
	for _, tenant := range slices.Sorted(maps.Keys(c.tenants)) {
		open := c.tenants[tenant].Open
		if open == nil || c.last.Sub(open.StartedAt) <= limit {
			continue
		}
		index := c.detected[tenant]
		return &verify.RuleError{
			Index:    &index,
			Text:     fmt.Sprintf("the incident %s has no end", open.ID),
			Expected: fmt.Sprintf("a terminal stage within %s", limit),
			Found:    fmt.Sprintf("%s since %s, and entries until %s", open.Stage, open.StartedAt.UTC().Format(time.RFC3339), c.last.UTC().Format(time.RFC3339)),
		}
	}
	return nil
}

// ruleError gives an error the form that a verification's report has.
func ruleError(err error) error {
	if i, ok := errors.AsType[*IllegalError](err); ok {
		return &verify.RuleError{Text: i.Text, Expected: i.Expected, Found: i.Found}
	}
	return err
}
