package tenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/check"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// Target is the name of the target that a tenant's health document is.
const Target = "health_url"

// staleAfter is how long a document may say that it is of the same moment: the
// service answers, but nothing in it measures any more.
const staleAfter = time.Minute

// Docket is where decisions go. *docket.Docket is one.
type Docket interface {
	Submit(o incident.Observation)
	View(tenant string) (docket.View, bool)
}

// Options say whom a Tenant watches.
type Options struct {
	// Config is where its document is. Required.
	Config Config
	// Secret is sent with each request; none when empty.
	Secret string
	// Policy decides. It must not change. Required.
	Policy *policy.Policy
	// Docket records decisions. Required.
	Docket Docket
	// Instance names this sidecar.
	Instance string
	// Ledger reads the audit log's state for the document, as the
	// orchestrator's does. It may be nil.
	Ledger func() (head *health.Ledger, problem string)
	// History keeps what was measured; without it nothing is kept.
	History *history.Writer
	// Restore gives the state that an earlier process left. It is called once,
	// by Run, and may read files. It may be nil.
	Restore func() policy.State
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Ticks makes Run ask each time it delivers, in the place of a ticker of Interval.
	Ticks <-chan time.Time
}

// Tenant is one service that is watched from afar. Its methods are safe for
// concurrent use, except that Run is called once.
type Tenant struct {
	o      Options
	source *source
	log    *slog.Logger
	decide func(policy.State, policy.Input, *policy.Policy) (policy.State, policy.Decision)

	// What follows is owned by New, then by Run.
	state   policy.State
	last    time.Time // of the last tick
	read    time.Time // of the last document
	stamp   string    // of the last document
	stamped time.Time // when it first had that stamp
	failure string    // why there was no document at the last tick

	published atomic.Pointer[[]byte]
}

// New makes a Tenant and publishes a first document that says that nothing was
// measured. It sends nothing.
func New(o Options) (*Tenant, error) {
	if o.Policy == nil || o.Docket == nil || o.Config.HealthURL == "" || !ValidID(o.Config.ID) {
		return nil, errors.New("a tenant needs an id, a health URL, a policy and a docket")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ledger == nil {
		o.Ledger = func() (*health.Ledger, string) { return nil, "" }
	}
	t := &Tenant{o: o, source: newSource(o.Config.HealthURL, o.Secret), log: o.Log.With("tenant", o.Config.ID), decide: policy.Decide}
	now := o.Now()
	_, d := t.decide(t.state, policy.Input{Time: now.UTC(), Measurement: nothing(now)}, o.Policy)
	return t, t.publish(now, d, nil)
}

// JSON is the tenant's health document, as this orchestrator judges it. It
// must not be written to.
func (t *Tenant) JSON() []byte { return *t.published.Load() }

// Run asks at every tick until ctx ends, and returns nil then. Whatever it is
// answered, it goes on.
func (t *Tenant) Run(ctx context.Context) error {
	if t.o.Restore != nil {
		t.contain("what earlier processes measured cannot be used; the baseline begins anew", func() error {
			t.state, t.last = t.o.Restore(), t.o.Now()
			return nil
		})
	}
	ticks := t.o.Ticks
	if ticks == nil {
		// Many tenants are not all asked at the same moment.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rand.N(Interval)):
		}
		ticker := time.NewTicker(Interval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		t.contain("a tick failed, the last document stays", func() error { return t.tick(ctx) })
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
	}
}

// contain logs an error or panic of f, and lets the tenant go on.
func (t *Tenant) contain(text string, f func() error) {
	defer func() {
		if v := recover(); v != nil {
			t.log.Error(text, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	if err := f(); err != nil {
		t.log.Error(text, "err", err)
	}
}

// tick asks for the document, has the policy decide on it, hands the decision
// on and publishes it.
func (t *Tenant) tick(ctx context.Context) error {
	raw, doc, result := t.ask(ctx)
	if ctx.Err() != nil { // broken off by our own end
		return nil
	}
	t.report(result.Reason)
	now := t.o.Now()
	in := policy.Input{Time: now.UTC(), Measurement: nothing(now), Checks: []policy.CheckResult{result}}
	if result.OK {
		since := Interval
		if !t.read.IsZero() {
			since = max(0, now.Sub(t.read))
		}
		t.read = now
		in.Measurement, in.Reported = doc.Measurement(now, since), &doc.Reported
	}
	before := history.Continue(t.state, t.last, now)
	after, decision := t.decide(before, in, t.o.Policy)
	t.state, t.last = after, now
	t.o.Docket.Submit(incident.Observation{
		Tenant: t.o.Config.ID, Service: t.o.Config.Service, Instance: t.o.Instance, Policy: t.o.Policy,
		Before: before, Input: in, After: after, Decision: decision,
		Routes: doc.Routes, Document: raw,
	})
	v := t.view()
	if t.o.History != nil {
		tick := history.Tick{Input: in, Breached: decision.Breached, PolicyDigest: t.o.Policy.Digest()}
		if v.Incident != nil {
			tick.IncidentID = v.Incident.IncidentID
		}
		t.o.History.Add(t.o.Config.ID, tick, nil)
	}
	return t.publish(now, decision, doc.Routes)
}

// nothing is the measurement of a moment without one.
func nothing(at time.Time) health.Measurement {
	return health.Measurement{UnixMilli: at.UnixMilli(), Tick: health.Tick{UnixMilli: at.UnixMilli()}}
}

// ask fetches and reads the document. Without one the result says why not, and
// the document is empty.
func (t *Tenant) ask(ctx context.Context) (raw []byte, doc Document, result policy.CheckResult) {
	begin := t.o.Now()
	raw, err := t.source.fetch(ctx)
	end := t.o.Now()
	result = policy.CheckResult{Target: Target, Time: end.UTC(), LatencyMS: float64(end.Sub(begin)) / float64(time.Millisecond)}
	if err == nil {
		doc, err = ParseDocument(raw)
	}
	if err == nil {
		err = t.fresh(doc.Stamp, end)
	}
	if err != nil {
		result.Reason = plain.Line(err.Error(), check.MaxReason)
		return nil, Document{}, result
	}
	result.OK = true
	return raw, doc, result
}

// fresh says whether a document is of another moment than the one before, or
// at least not of the same for long. No clock but ours is asked.
func (t *Tenant) fresh(stamp string, now time.Time) error {
	if stamp == "" || stamp != t.stamp {
		t.stamp, t.stamped = stamp, now
		return nil
	}
	if age := now.Sub(t.stamped); age > staleAfter {
		return fmt.Errorf("the health document has said for %s that it is of the same moment: nothing makes it anew", age.Round(time.Second))
	}
	return nil
}

// report logs when documents cease to come or come again, once.
func (t *Tenant) report(why string) {
	if (why == "") == (t.failure == "") {
		t.failure = why
		return
	}
	if t.failure = why; why == "" {
		t.log.Info("the tenant's health document can be read again")
		return
	}
	t.log.Warn("the tenant's health document cannot be read", "because", why)
}

func (t *Tenant) view() docket.View {
	v, ok := t.o.Docket.View(t.o.Config.ID)
	if !ok {
		return docket.View{Shadow: true}
	}
	return v
}

func (t *Tenant) publish(now time.Time, d policy.Decision, routes []health.Route) error {
	about := health.About{
		Service: t.o.Config.Service, Instance: t.o.Instance, Time: now, Routes: routes, Policy: t.o.Policy.Identity(),
	}
	about.Ledger, about.LedgerProblem = t.o.Ledger()
	v := t.view()
	about.Shadow, about.Incident = v.Shadow, v.Incident
	if about.LedgerProblem == "" {
		about.LedgerProblem = v.Problem
	}
	encoded, err := json.Marshal(health.NewDocument(d.Verdict, about))
	if err != nil {
		return fmt.Errorf("cannot encode the health document: %w", err)
	}
	encoded = append(encoded, '\n')
	t.published.Store(&encoded)
	return nil
}
