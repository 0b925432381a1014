// Package orchestrator is the brain beside the traffic sensor: every few
// seconds it takes what the recorder measured, has it judged, and publishes
// the document that everything else reads.
//
// The judging is pure and lives in orchestrator/health; this package owns the
// clock, the tick and the state carried from one tick to the next. It knows
// no sensor, and nothing in it can slow or fail a proxied request.
package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
)

// TickInterval is the time between two evaluations, and the span of the most
// recent traffic that each compares with the baseline.
const TickInterval = 5 * time.Second

// staleAfter is how old a document is when the tick must be called dead:
// three evaluations were due and none succeeded.
const staleAfter = 3 * TickInterval

// Config says what an Orchestrator watches.
type Config struct {
	// Recorder is where measurements come from. Required.
	Recorder *histogram.Recorder
	// Service and Instance name the API and this sidecar in the document.
	Service, Instance string
	// Params are the thresholds; health.DefaultParams when zero.
	Params health.Params
	// Ledger reads the audit log's state for the document, nil while there is
	// none. It must not wait. Without it there is no ledger.
	Ledger func() *health.Ledger
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Ticks makes Run evaluate each time it delivers, in the place of a
	// ticker of TickInterval.
	Ticks <-chan time.Time
}

// Orchestrator evaluates and publishes. Its methods are safe for concurrent
// use, except that only one Run may be active.
type Orchestrator struct {
	cfg      Config
	evaluate func(health.State, health.Input, health.Params) (health.State, health.Document)

	// state is owned by New, then by Run.
	state health.State

	published atomic.Pointer[published]
}

// published is one document in both its forms, and when it was made.
type published struct {
	document health.Document
	json     []byte
	at       time.Time
}

// New makes an Orchestrator and publishes its first document, so that there
// is one to serve before Run starts.
func New(cfg Config) (*Orchestrator, error) {
	if cfg.Recorder == nil {
		return nil, errors.New("the orchestrator needs a recorder to read from")
	}
	if cfg.Params == (health.Params{}) {
		cfg.Params = health.DefaultParams()
	}
	if err := cfg.Params.Validate(); err != nil {
		return nil, fmt.Errorf("the health parameters cannot be judged by: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Ledger == nil {
		cfg.Ledger = func() *health.Ledger { return nil }
	}
	o := &Orchestrator{cfg: cfg, evaluate: health.Evaluate}
	if err := o.tick(); err != nil {
		return nil, err
	}
	return o, nil
}

// Run evaluates at every tick until ctx ends, and returns nil then. An
// evaluation that fails or panics is logged; the last document stays
// published and grows old, which Alive reports.
func (o *Orchestrator) Run(ctx context.Context) error {
	ticks := o.cfg.Ticks
	if ticks == nil {
		t := time.NewTicker(TickInterval)
		defer t.Stop()
		ticks = t.C
	}
	last := o.Document().Status
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
		if err := o.tick(); err != nil {
			o.cfg.Log.Error("evaluation failed, the last document stays", "err", err, "age", o.age().Round(time.Second))
			continue
		}
		last = o.report(last)
	}
}

// report logs a change of status, once, and returns the present one.
func (o *Orchestrator) report(last health.Status) health.Status {
	d := o.Document()
	if d.Status == last {
		return last
	}
	level, because := slog.LevelInfo, ""
	if d.Status != health.OK {
		level = slog.LevelWarn
	}
	if len(d.Alerts) > 0 {
		because = d.Alerts[0].Message
	}
	o.cfg.Log.Log(context.Background(), level, "status changed", "from", last, "to", d.Status, "score", d.HealthScore.Score, "because", because)
	return d.Status
}

// tick evaluates once and publishes. It never panics.
func (o *Orchestrator) tick() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic in evaluation: %v\n%s", v, debug.Stack())
		}
	}()
	now := o.cfg.Now()
	state, doc := o.evaluate(o.state, health.Input{
		Time: now, Service: o.cfg.Service, Instance: o.cfg.Instance,
		Window: o.cfg.Recorder.Snapshot(), Tick: o.cfg.Recorder.SnapshotLast(TickInterval),
		Ledger: o.cfg.Ledger(),
	}, o.cfg.Params)
	encoded, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("cannot encode the health document: %w", err)
	}
	o.state = state
	o.published.Store(&published{document: doc, json: append(encoded, '\n'), at: now})
	return nil
}

// Document is the last document published. Its slices and pointers are shared
// and must not be written to.
func (o *Orchestrator) Document() health.Document { return o.published.Load().document }

// JSON is the same document encoded, ready to be sent. It must not be written to.
func (o *Orchestrator) JSON() []byte { return o.published.Load().json }

// Alive is nil while documents are being published, and says how old the last
// one is when three were due and none came.
func (o *Orchestrator) Alive() error {
	if age := o.age(); age > staleAfter {
		return fmt.Errorf("the health document is %s old, a new one is due every %s", age.Round(time.Second), TickInterval)
	}
	return nil
}

func (o *Orchestrator) age() time.Duration { return o.cfg.Now().Sub(o.published.Load().at) }
