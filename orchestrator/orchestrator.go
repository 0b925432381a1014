// Package orchestrator is the brain beside the traffic sensor: every few
// seconds it takes what the recorder measured, has the policy decide, hands the
// decision to the docket, which records it, and publishes the document that
// everything else reads.
//
// Deciding is pure and lives in orchestrator/policy; this package owns the
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
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// TickInterval is the time between two decisions, and the span of the most
// recent traffic that each compares with the baseline.
const TickInterval = history.Interval

// staleAfter is how old a document is when the tick must be called dead:
// three were due and none came.
const staleAfter = 3 * TickInterval

// Checks are the active checks of targets.
type Checks interface {
	// Drain gives the results since the last call, oldest first.
	Drain() []policy.CheckResult
	// SetIdle says whether no request was answered since the last tick: then
	// the upstream itself is asked.
	SetIdle(bool)
}

// Config says what an Orchestrator watches.
type Config struct {
	// Recorder is where measurements come from. Required.
	Recorder *histogram.Recorder
	// Tenant, Service and Instance name the watched service's tenant, the API
	// and this sidecar.
	Tenant, Service, Instance string
	// Policy decides; policy.Default when nil. It must not change.
	Policy *policy.Policy
	// Checks are asked at each tick; without them traffic alone decides.
	Checks Checks
	// Docket records decisions; without it nothing is, and no incident opens.
	Docket *docket.Docket
	// Counters are what the sensor has counted, for diagnosis; without them it has
	// only what the recorder measured.
	Counters func() diagnosis.Counters
	// History keeps what was measured; without it nothing is kept.
	History *history.Writer
	// Restore gives the state that an earlier process left. It is called once,
	// by Run, and may read files. Without it there is none.
	Restore func() policy.State
	// Ledger reads the audit log's state for the document: nil while there is
	// none, and the problem when it takes no entries. It must not wait. Without
	// it there is no ledger.
	Ledger func() (head *health.Ledger, problem string)
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Ticks makes Run decide each time it delivers, in the place of a ticker of
	// TickInterval.
	Ticks <-chan time.Time
}

// Orchestrator decides and publishes. Its methods are safe for concurrent use,
// except that only one Run may be active.
type Orchestrator struct {
	cfg      Config
	identity health.Policy // of cfg.Policy
	decide   func(policy.State, policy.Input, *policy.Policy) (policy.State, policy.Decision)

	// state, last, the time of the last tick, and watch are owned by New, then by Run.
	state policy.State
	last  time.Time
	watch diagnosis.Watch

	published atomic.Pointer[published]
}

// published is one document in both its forms, and when it was made.
type published struct {
	document health.Document
	targets  map[string]policy.Target
	trail    []Step
	json     []byte
	at       time.Time
}

// New makes an Orchestrator and publishes its first document, so that there
// is one to serve before Run starts.
func New(cfg Config) (*Orchestrator, error) {
	if cfg.Recorder == nil {
		return nil, errors.New("the orchestrator needs a recorder to read from")
	}
	if cfg.Policy == nil {
		cfg.Policy = policy.Default()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Ledger == nil {
		cfg.Ledger = func() (*health.Ledger, string) { return nil, "" }
	}
	o := &Orchestrator{cfg: cfg, identity: cfg.Policy.Identity(), decide: policy.Decide}
	now := cfg.Now()
	window, recent := cfg.Recorder.Snapshot(), cfg.Recorder.SnapshotLast(TickInterval)
	_, d := o.decide(o.state, policy.Input{Time: now.UTC(), Measurement: health.Measure(now, window, recent)}, cfg.Policy)
	if err := o.publish(now, d, policy.State{}, health.RoutesOf(window)); err != nil {
		return nil, err
	}
	return o, nil
}

// Run decides at every tick until ctx ends, and returns nil then. A tick that
// fails or panics is logged; the last document stays published and grows old,
// which Alive reports.
func (o *Orchestrator) Run(ctx context.Context) error {
	o.restore()
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

// restore takes up what an earlier process learned. Without it the baseline
// begins anew, no more.
func (o *Orchestrator) restore() {
	if o.cfg.Restore == nil {
		return
	}
	defer contain(func(err error) {
		o.cfg.Log.Error("what earlier processes measured cannot be used; the baseline begins anew", "err", err)
	})
	o.state, o.last = o.cfg.Restore(), o.cfg.Now()
}

// contain hands a panic to f as an error. It is deferred.
func contain(f func(error)) {
	if v := recover(); v != nil {
		f(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
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

// tick decides once, hands the decision on, and publishes. It never panics.
func (o *Orchestrator) tick() (err error) {
	defer contain(func(panicked error) { err = panicked })
	now := o.cfg.Now()
	window, recent := o.cfg.Recorder.Snapshot(), o.cfg.Recorder.SnapshotLast(TickInterval)
	in := policy.Input{Time: now.UTC(), Measurement: health.Measure(now, window, recent)}
	if o.cfg.Checks != nil {
		in.Checks = o.cfg.Checks.Drain()
		o.cfg.Checks.SetIdle(in.Measurement.Tick.Requests == 0)
	}
	before := history.Continue(o.state, o.last, now)
	after, decision := o.decide(before, in, o.cfg.Policy)
	o.state, o.last = after, now
	routes := health.RoutesOf(window)
	signals := o.signals(now, window, recent, decision)
	if o.cfg.Docket != nil {
		o.cfg.Docket.Submit(incident.Observation{
			Tenant: o.cfg.Tenant, Service: o.cfg.Service, Instance: o.cfg.Instance, Policy: o.cfg.Policy,
			Before: before, Input: in, After: after, Decision: decision,
			Window: window, Routes: routes, Signals: signals,
		})
	}
	if o.cfg.History != nil {
		tick := history.Tick{Input: in, Breached: decision.Breached, PolicyDigest: o.identity.Digest}
		if d := o.Document(); d.Incident != nil {
			tick.IncidentID = d.Incident.IncidentID
		}
		o.cfg.History.Add(o.cfg.Tenant, tick, func() *histogram.Counts { return window.Overall.Durations })
	}
	return o.publish(now, decision, after, routes)
}

// signals shows the watch a tick and, while an incident must be open, returns what
// it has seen. An incident goes without when anything about that goes wrong.
func (o *Orchestrator) signals(now time.Time, window, recent *histogram.Snapshot, d policy.Decision) (data []byte) {
	defer contain(func(err error) {
		data = nil
		o.cfg.Log.Error("what the sensor showed is left out", "err", err)
	})
	r := diagnosis.Reading{At: now, Window: window, Tick: recent, Well: !d.Breached && len(d.Breaches) == 0}
	if o.cfg.Counters != nil {
		r.Counters = o.cfg.Counters()
	}
	o.watch.Show(r)
	if !d.Breached {
		return nil
	}
	data, err := o.watch.Signals(o.cfg.Recorder.SnapshotLast).Encode()
	if err != nil {
		o.cfg.Log.Error("what the sensor showed cannot be kept as evidence", "err", err)
		return nil
	}
	return data
}

func (o *Orchestrator) publish(now time.Time, d policy.Decision, s policy.State, routes []health.Route) error {
	about := health.About{
		Service: o.cfg.Service, Instance: o.cfg.Instance, Time: now, Routes: routes,
		Policy: o.identity, Shadow: true,
	}
	about.Ledger, about.LedgerProblem = o.cfg.Ledger()
	if o.cfg.Docket != nil {
		if v, ok := o.cfg.Docket.View(o.cfg.Tenant); ok {
			about.Shadow, about.Incident = v.Shadow, v.Incident
			if about.LedgerProblem == "" {
				about.LedgerProblem = v.Problem
			}
		}
	}
	doc := health.NewDocument(d.Verdict, about)
	encoded, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("cannot encode the health document: %w", err)
	}
	var trail []Step
	if last := o.published.Load(); last != nil {
		trail = last.trail
	}
	o.published.Store(&published{
		document: doc, targets: s.Targets, trail: follow(trail, Step{At: now, P95MS: doc.Metrics.OverallP95MS, ErrorRate: doc.Metrics.ErrorRate}),
		json: append(encoded, '\n'), at: now,
	})
	return nil
}

// Document is the last document published. Its slices and pointers are shared
// and must not be written to.
func (o *Orchestrator) Document() health.Document { return o.published.Load().document }

// Targets are those that are watched, by name, as of that document. The map is
// shared and must not be written to.
func (o *Orchestrator) Targets() map[string]policy.Target { return o.published.Load().targets }

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
