package check

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// maxPending bounds the results that wait for Drain; the oldest give way.
const maxPending = 1024

// Config says what a Prober asks.
type Config struct {
	// Checks are the targets of the policy, asked at their intervals.
	Checks []policy.Check
	// Upstream is asked by UpstreamCheck while there is no traffic; without a URL
	// nothing is.
	Upstream      Upstream
	UpstreamCheck policy.UpstreamCheck
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
}

// Prober asks targets, each from a goroutine of its own: one that hangs delays
// no other, and is never asked twice at a time. Its methods are safe for
// concurrent use, except that Run is called once.
type Prober struct {
	log     *slog.Logger
	targets []*target
	// ask and delay are what Run does that tests replace.
	ask   func(context.Context, *target) string
	delay func(upTo time.Duration) time.Duration

	idle atomic.Bool

	mu      sync.Mutex
	pending []policy.CheckResult // oldest first
}

// New finds what cannot be asked: an unusable URL, a CA file that cannot be
// read. It sends nothing.
func New(cfg Config) (*Prober, error) {
	p := &Prober{log: cfg.Log, ask: func(ctx context.Context, t *target) string { return t.ask(ctx) }, delay: rand.N[time.Duration]}
	if p.log == nil {
		p.log = slog.Default()
	}
	for _, c := range cfg.Checks {
		t, err := newTarget(c)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	if cfg.UpstreamCheck.Enabled && cfg.Upstream.URL != "" {
		t, err := newUpstream(cfg.Upstream, cfg.UpstreamCheck)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	return p, nil
}

// Run asks until ctx ends, and returns nil then, when no check is under way
// any more.
func (p *Prober) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, t := range p.targets {
		running.Go(func() { p.watch(ctx, t) })
	}
	<-ctx.Done()
	running.Wait()
	return nil
}

// SetIdle says whether there was no traffic at the last tick: only then is
// the upstream asked.
func (p *Prober) SetIdle(idle bool) { p.idle.Store(idle) }

// Drain returns the results since the last call, oldest first.
func (p *Prober) Drain() []policy.CheckResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	results := p.pending
	p.pending = nil
	return results
}

func (p *Prober) watch(ctx context.Context, t *target) {
	first := time.Now().Add(p.delay(spread(t.interval)))
	timer := time.NewTimer(time.Until(first))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !t.onlyIdle || p.idle.Load() {
			p.once(ctx, t)
		}
		timer.Reset(time.Until(next(first, t.interval, time.Now())))
	}
}

// once asks a target and keeps the result. A panic is a fault of ours and says
// nothing of the target.
func (p *Prober) once(ctx context.Context, t *target) {
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("panic in a check; it is tried again at its next time", "target", t.name, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	begin := time.Now()
	why := p.ask(ctx, t)
	if ctx.Err() != nil { // broken off by our own end
		return
	}
	end := time.Now()
	p.keep(policy.CheckResult{
		Target: t.name, Time: end.UTC(), OK: why == "", Reason: why,
		LatencyMS: float64(end.Sub(begin)) / float64(time.Millisecond),
	})
}

func (p *Prober) keep(r policy.CheckResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) == maxPending {
		p.pending = p.pending[1:]
	}
	p.pending = append(p.pending, r)
}
