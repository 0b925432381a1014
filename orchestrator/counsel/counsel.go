package counsel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Docket is where incidents are read and diagnoses recorded; *docket.Docket is one.
type Docket interface {
	View(tenant string) (docket.View, bool)
	Incidents(tenant string) []incident.Summary
	Case(tenant, id string) (incident.Case, error)
	Blob(sum [32]byte) ([]byte, error)
	Diagnosed(ctx context.Context, tenant, id string, g incident.Diagnosis) error
}

// Tenant is one whose incidents are explained.
type Tenant struct {
	ID string
	// Seats are the diagnosers, in the order in which they count.
	Seats []diagnosis.Diagnoser
	// Actions are the names of the catalogue.
	Actions []string
}

// Config says whose incidents are explained, and by whom.
type Config struct {
	Docket  Docket
	Tenants []Tenant
	// Budget is how long a message waits; [diagnosis.DefaultBudget] when 0. The
	// council has seven eighths of it, so that what it says is on record by then.
	Budget time.Duration
	// Now is the clock, After its alarm; those of package time when nil.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
}

// Counsel explains incidents. Its methods are safe for concurrent use; Run is called
// once.
type Counsel struct {
	cfg  Config
	wake chan struct{} // has room for one
}

const (
	// poll is how often the docket is looked at unasked, settle how soon once more
	// after it was said to have changed: its views follow its entries.
	poll   = time.Second
	settle = 100 * time.Millisecond
	// recordings is how often it is tried to record a diagnosis.
	recordings = 3
)

// New makes a counsel. Nothing is explained before Run is under way.
func New(cfg Config) *Counsel {
	if cfg.Budget <= 0 {
		cfg.Budget = diagnosis.DefaultBudget
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = time.After
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Counsel{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Wake has Run look at the docket now. It never waits.
func (c *Counsel) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// table is where one tenant's incidents are explained. Run's goroutine owns it, but
// for what is under way.
type table struct {
	Tenant
	incident string // that was looked at last
	seen     uint64 // its last entry then
	given    map[incident.Stage]bool
	busy     bool
}

// verdict is what a consultation has come to.
type verdict struct {
	table *table
	id    string
	stage incident.Stage
}

// Run explains incidents until ctx ends, and what is under way has noticed.
func (c *Counsel) Run(ctx context.Context) error {
	var tables []*table
	for _, t := range c.cfg.Tenants {
		tables = append(tables, &table{Tenant: t})
		c.recall(t)
	}
	done := make(chan verdict)
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := poll
		select {
		case <-ctx.Done():
			return nil
		case v := <-done:
			v.table.busy = false
			if v.table.incident == v.id {
				v.table.given[v.stage] = true
			}
		case <-c.wake:
			next = settle
		case <-timer.C:
		}
		for _, t := range tables {
			found, subject, ok := c.due(t)
			if !ok {
				continue
			}
			t.busy = true
			running.Go(func() {
				c.contained(ctx, t, found, subject)
				select {
				case done <- verdict{t, found.ID, subject}:
				case <-ctx.Done():
				}
			})
		}
		timer.Reset(next)
	}
}

// charged is a diagnoser with a budget of requests an hour.
type charged interface {
	Charge(at time.Time, requests int)
}

// recall charges diagnosers for what the ledger has of their requests in the last hour,
// which an earlier process has made. What cannot be read is not charged.
func (c *Counsel) recall(t Tenant) {
	now := c.cfg.Now()
	for _, s := range c.cfg.Docket.Incidents(t.ID) {
		if !s.EndedAt.IsZero() && now.Sub(s.EndedAt) > time.Hour {
			continue
		}
		found, err := c.cfg.Docket.Case(t.ID, s.ID)
		if err != nil {
			continue
		}
		for _, e := range found.Entries {
			if _, ok := e.Entry.Diagnosis(); !ok || now.Sub(e.Entry.Time) > time.Hour {
				continue
			}
			kept, _, err := recordOf(e.Entry, c.cfg.Docket.Blob)
			if err != nil {
				c.cfg.Log.Warn("a diagnosis cannot be read: what it took of the hour's budget is not counted", "incident", s.ID, "error", err)
			}
			t.charge(e.Entry.Time, kept.Record.Opinions)
		}
	}
}

func (t Tenant) charge(at time.Time, opinions []diagnosis.Opinion) {
	for _, o := range opinions {
		for _, seat := range t.Seats {
			if with, ok := seat.(charged); ok && seat.Name() == o.Diagnoser {
				with.Charge(at, o.Attempts)
			}
		}
	}
}

// due is the open incident of a tenant, and the stage of it that is to be explained.
func (c *Counsel) due(t *table) (incident.Case, incident.Stage, bool) {
	v, ok := c.cfg.Docket.View(t.ID)
	if !ok || !v.Ready || v.Open == nil || t.busy {
		return incident.Case{}, "", false
	}
	if t.incident == v.Open.ID && (t.seen == v.Open.Last || t.given[incident.Validated]) {
		return incident.Case{}, "", false
	}
	found, err := c.cfg.Docket.Case(t.ID, v.Open.ID)
	if err != nil || len(found.Entries) == 0 { // it is looked at again
		return incident.Case{}, "", false
	}
	if t.incident != found.ID {
		t.incident, t.given = found.ID, map[incident.Stage]bool{}
	}
	t.seen = found.Last
	stage, ok := Subject(found)
	return found, stage, ok && !t.given[stage]
}

// Subject is the stage of an incident that is to be explained: its validation, or its
// detection while there is none. It is false when that has been done.
func Subject(c incident.Case) (incident.Stage, bool) {
	stage := incident.Detected
	given := map[incident.Stage]bool{}
	for _, e := range c.Entries {
		if e.Entry.Kind == incident.KindOf(incident.Validated) {
			stage = incident.Validated
		}
		if g, ok := e.Entry.Diagnosis(); ok {
			given[g.Of] = true
		}
	}
	return stage, !c.Stage.Terminal() && !given[stage]
}

// contained explains one stage; what goes wrong in it ends there.
func (c *Counsel) contained(ctx context.Context, t *table, found incident.Case, stage incident.Stage) {
	defer func() {
		if v := recover(); v != nil {
			c.cfg.Log.Error("panic while an incident was explained; it goes without", "incident", found.ID, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	g := c.consult(ctx, t, found, stage)
	var err error
	for range recordings {
		if err = c.cfg.Docket.Diagnosed(ctx, t.ID, found.ID, g); err == nil || errors.Is(err, docket.ErrInvalid) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-c.cfg.After(poll):
		}
	}
	switch {
	case errors.Is(err, docket.ErrInvalid):
		c.cfg.Log.Info("a diagnosis came when the incident had ended, and is dropped", "incident", found.ID)
	case err != nil:
		c.cfg.Log.Warn("a diagnosis cannot be recorded; nothing depends on it", "incident", found.ID, "error", err)
	}
}

// consult asks the council.
func (c *Counsel) consult(ctx context.Context, t *table, found incident.Case, stage incident.Stage) incident.Diagnosis {
	e, err := Evidence(found, stage, c.cfg.Docket.Blob, t.Actions, Memory(c.cfg.Docket.Incidents(t.ID)))
	if err != nil {
		return incident.Diagnosis{
			By: names(t.Seats), Of: stage, Outcome: string(diagnosis.None), Withheld: true,
			Record: fmt.Appendf(nil, `{"problem":%q}`, diagnosis.Inert(err.Error(), 400)),
		}
	}
	council := diagnosis.Council{Seats: t.Seats, Budget: c.left(found, stage), Now: c.cfg.Now, After: c.cfg.After}
	return Diagnosis(stage, names(t.Seats), council.Run(ctx, e), e)
}

// left is the time the council has: what is left of it since the entry, or all of it
// for one that nobody waits for any more.
func (c *Counsel) left(found incident.Case, stage incident.Stage) time.Duration {
	all := c.cfg.Budget * 7 / 8
	left := all
	for _, e := range found.Entries {
		if e.Entry.Kind == incident.KindOf(stage) {
			left = all - c.cfg.Now().Sub(e.Entry.Time)
		}
	}
	if left <= 0 || left > all {
		return all
	}
	return left
}

// names are those of the seats, each once.
func names(seats []diagnosis.Diagnoser) string {
	text, seen := "", map[string]bool{}
	for _, s := range seats {
		if n := s.Name(); !seen[n] {
			if seen[n] = true; text != "" {
				text += "+"
			}
			text += n
		}
	}
	return text
}
