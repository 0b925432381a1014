// Package docket keeps what has been decided: it turns observations into
// entries of the ledger, and knows the state of every incident, target and
// shadow period by folding those entries.
//
// One goroutine, Docket.Run, owns all of it. Nothing is state that the ledger
// does not have: entries are appended first, read back, and only then applied.
// An observation that is dropped, or a ledger that takes no entries for a
// while, loses nothing, as each observation is compared with the state anew.
//
// Everything that others call returns at once or ends with their context,
// whatever the ledger does.
package docket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/change"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

var (
	// ErrNotReady says that the docket takes no orders now, and why: the ledger
	// is not open yet or no more, it has failed, or what it holds cannot be
	// understood.
	ErrNotReady = errors.New("the docket is not ready")
	// ErrNotFound says that there is no such tenant or incident.
	ErrNotFound = errors.New("not known")
	// ErrInvalid says that an order is wrong in itself. Nothing was recorded.
	ErrInvalid = errors.New("this cannot be recorded")
	// ErrRefused says that an order may not be carried out as things are. Nothing was
	// recorded.
	ErrRefused = errors.New("nothing is asked")
	// ErrNoLink says that nobody can decide anything by a link now: it was decided,
	// or the service has recovered, or nothing was asked.
	ErrNoLink = errors.New("there is nothing to decide")
)

// Ledger is what the docket needs of a ledger; *ledger.Log is one.
type Ledger interface {
	Append(ctx context.Context, entries []ledger.Entry) ([]uint64, error)
	Entries(from, to uint64) iter.Seq2[ledger.Record, error]
	Checkpoint() ledger.Checkpoint
	Blob(sum [32]byte) ([]byte, error)
	Err() error
}

// Tenant is one service that is watched.
type Tenant struct {
	ID, Service string
}

// Config says whose docket it is.
type Config struct {
	// Tenants are all that there are; the first is the own service. Required.
	Tenants []Tenant
	// Instance names this sidecar.
	Instance string
	// Policy is in force. It is recorded when it is not the last that was. Required.
	Policy *policy.Policy
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Changes are those of a tenant that came before a time, newest first. It
	// is asked when an incident opens, and may be nil.
	Changes func(tenant string, before time.Time) []change.Change

	// Actions can be proposed and run. Contacts may be asked; without any, nothing is
	// asked.
	Actions  recovery.Catalogue
	Contacts []Contact
	// Secondary is how long the contacts of each level are asked before those of
	// the next are: 300 s when 0.
	Secondary time.Duration
	// Execute runs an action that was authorized, as [Through] does. When nil,
	// nothing is proposed. It is called once for each execution of this process.
	Execute func(ctx context.Context, tenant string, a recovery.Action, v recovery.Vars, key string) recovery.Receipt
	// Show adds to a page what the docket does not know, such as the chart. It may be
	// nil, and is called by whoever calls [Docket.Look].
	Show func(tenant string, v *approval.View)
	// Changed is called when something was recorded. It must not block, and may be nil.
	Changed func()
	// Unrecorded is called with what people must be told and cannot be recorded, never
	// in shadow mode. It must not block, and may be nil.
	Unrecorded func(Notice)
}

// View is what is known of a tenant at one moment. It is shared: nothing that
// it points to may be written to.
type View struct {
	// Ready is false until the whole ledger has been folded. Shadow is true then.
	Ready bool
	// Shadow is true while nothing may have an effect outside.
	Shadow bool
	// ShadowSince is when shadow mode was last switched, or when the tenant's
	// first entry was recorded; zero when there is none.
	ShadowSince time.Time
	// Incident is the open one as the health document has it, and Open its
	// summary; both nil while there is none.
	Incident *health.Incident
	// Uncleared says that the last incident has ended and left a service that is not
	// healthy: that it is again is recorded and told.
	Uncleared bool
	Open      *incident.Summary
	// Asked is the question about the open incident, nil when nothing was asked.
	Asked *incident.Asked
	// Targets are those that the ledger has something of, by name.
	Targets map[string]incident.TargetRecord
	// Problem says why nothing is decided, or that what was decided could not
	// be recorded; empty while all is well.
	Problem string
}

// Docket is the record of what was decided. Make one with New. Its methods are
// safe for concurrent use.
type Docket struct {
	cfg    Config
	digest string  // of the policy
	desks  []*desk // as Tenants are

	wake    chan struct{} // has room for one: there is something to do
	orders  chan *order
	denials denials

	refusals chan approval.Refusal // to be recorded
	executed chan execution        // what has become of actions

	began   atomic.Bool
	ended   chan struct{}          // closed when Run has returned
	refusal atomic.Pointer[string] // why no order is taken; nil while they are
	reading atomic.Pointer[Ledger] // for those who only read; nil while there is none
	errand  atomic.Pointer[errand] // the call of the ledger that is under way
	asking  atomic.Bool            // Changes is under way

	clerk clerk
}

// clerk is what only Run's goroutine touches.
type clerk struct {
	ledger  Ledger
	folded  uint64    // entries that are applied
	last    time.Time // the latest time in those
	warned  bool      // that the clock is behind it
	ready   bool      // everything that the ledger had at first is applied
	loaded  bool      // the policy in force is recorded
	trouble string    // why nothing is decided for anybody
	// executing is the context of actions that are run: it outlives that of Run.
	executing context.Context
}

// New makes a docket. Nothing is decided before Run is under way.
func New(cfg Config) *Docket {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Secondary <= 0 {
		cfg.Secondary = secondary
	}
	if cfg.Execute == nil {
		cfg.Actions = nil
	}
	d := &Docket{cfg: cfg, wake: make(chan struct{}, 1), orders: make(chan *order), ended: make(chan struct{})}
	d.refusals, d.executed = make(chan approval.Refusal, maxRefusals), make(chan execution)
	d.digest = cfg.Policy.Digest()
	for _, tenant := range cfg.Tenants {
		d.desks = append(d.desks, newDesk(tenant))
	}
	d.refuse("the ledger is not open yet")
	return d
}

// Submit hands over what was observed and decided at one tick. It never waits:
// an observation that has not been looked at is replaced by the next of the
// same tenant. Those of a tenant that is not configured are dropped.
func (d *Docket) Submit(o incident.Observation) {
	if k := d.desk(o.Tenant); k != nil {
		k.mail.Store(&o)
		d.rouse()
		d.tell(k, o)
	}
}

// Denied counts access that was refused with an HTTP status. What was denied to
// a tenant with one status becomes at most one entry a minute, with the count.
// tenant may be what was claimed by whoever was refused. It never waits.
func (d *Docket) Denied(tenant, what string, status int) {
	if d.denials.add(tenant, what, d.desk(tenant) == nil, status) {
		d.rouse()
	}
}

// rouse has Run look for what there is to do.
func (d *Docket) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// View is what is known of a tenant, false when there is none of this name. It
// never waits.
func (d *Docket) View(tenant string) (View, bool) {
	k := d.desk(tenant)
	if k == nil {
		return View{}, false
	}
	v := *k.view.Load()
	if v.Problem == "" {
		v.Problem = d.stalled()
	}
	return v, true
}

// Incidents are the newest incidents of a tenant, at most 500, newest first.
// They are shared and must not be written to. It never waits.
func (d *Docket) Incidents(tenant string) []incident.Summary {
	if k := d.desk(tenant); k != nil {
		return *k.summaries.Load()
	}
	return nil
}

// Blob reads evidence back from the ledger by its SHA-256 sum. The error may be
// ErrNotReady, or the ledger's.
func (d *Docket) Blob(sum [32]byte) ([]byte, error) {
	l, err := d.open()
	if err != nil {
		return nil, err
	}
	return l.Blob(sum)
}

// open is the ledger while Run has it.
func (d *Docket) open() (Ledger, error) {
	if l := d.reading.Load(); l != nil {
		return *l, nil
	}
	return nil, fmt.Errorf("%w: the ledger is not open", ErrNotReady)
}

// desk is a tenant's, nil when there is none.
func (d *Docket) desk(tenant string) *desk {
	for _, k := range d.desks {
		if k.tenant.ID == tenant {
			return k
		}
	}
	return nil
}

// refuse has orders refused from now on.
func (d *Docket) refuse(why string) { d.refusal.Store(&why) }

// notReady is why orders are refused, nil while they are taken.
func (d *Docket) notReady() error {
	if why := d.refusal.Load(); why != nil {
		return fmt.Errorf("%w: %s", ErrNotReady, *why)
	}
	return nil
}
