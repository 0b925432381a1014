package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/backtest"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// monday is when simulated time begins.
var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// settling is the time at the beginning that only teaches what is usual.
const settling = time.Hour

// Week is a service in simulated time: first as it is when all is well, where
// every incident is a false alarm; then the same with faults, of which each should
// be found, so that a policy that never speaks does not look good.
type Week struct {
	RatePerSecond float64 `json:"rate_per_second"` // the mean of a weekday
	Latencies     string  `json:"latencies"`
	Seed          uint64  `json:"seed"`
	Days          float64 `json:"days"` // that were judged: without the time of settling
	Requests      uint64  `json:"requests"`
	// False are the incidents that opened with nothing wrong.
	False []Alarm `json:"false_alarms"`
	// Found is what became of the faults, by kind.
	Found []Found `json:"found"`
}

// Alarm is an incident without a cause.
type Alarm struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
	// Validated says that it held long enough for somebody to be asked to act.
	Validated bool     `json:"validated"`
	Gates     []string `json:"gates"`
	Why       string   `json:"why"`
	// Near is what had happened in the minutes before: a deployment, say.
	Near string `json:"near,omitempty"`
}

// Found is how many faults of a kind were found, and after how many seconds.
type Found struct {
	Kind    string    `json:"kind"`
	Faults  int       `json:"faults"`
	Seconds []float64 `json:"seconds"` // of those that were found
}

// simulate plays a service for so many days without faults, and with them.
func simulate(ctx context.Context, s shape, rate float64, seed uint64, days, faultDays int) (Week, error) {
	w := Week{RatePerSecond: rate, Latencies: s.name, Seed: seed, Days: float64(days) - settling.Hours()/24, False: []Alarm{}}
	well := newService(s, rate, seed, days)
	result, err := well.judge(ctx)
	if err != nil {
		return w, err
	}
	w.Requests = well.requests
	for _, i := range result.Would {
		w.False = append(w.False, Alarm{
			At: i.From, Seconds: i.Seconds(), Validated: i.Validated, Gates: i.Gates, Why: i.Why, Near: well.near(i.From),
		})
	}
	ill := newService(s, rate, seed, faultDays)
	ill.faults = plan(rand.New(rand.NewPCG(seed, 5)), faultDays)
	if result, err = ill.judge(ctx); err != nil {
		return w, err
	}
	w.Found = find(ill.faults, result.Would)
	return w, nil
}

// judge has the default policy decide on every tick.
func (s *service) judge(ctx context.Context) (backtest.Result, error) {
	return backtest.Run(policy.Default(), s.start.Add(settling), s.minutes(ctx))
}

// minutes are what the sidecar would have recorded.
func (s *service) minutes(ctx context.Context) iter.Seq2[history.Minute, error] {
	return func(yield func(history.Minute, error) bool) {
		for s.now.Before(s.end) {
			if err := ctx.Err(); err != nil {
				yield(history.Minute{}, err)
				return
			}
			m := history.Minute{Start: s.now}
			for range time.Minute / history.Interval {
				m.Ticks = append(m.Ticks, history.Tick{Input: s.tick()})
			}
			if !yield(m, nil) {
				return
			}
		}
	}
}

// afterFault is how long after a fault an incident still counts as found: the
// window is a minute long.
const afterFault = time.Minute

// find looks which faults have an incident that opened because of them.
func find(faults []fault, opened []backtest.Interval) []Found {
	var out []Found
	for _, k := range kinds {
		f := Found{Kind: k.name}
		for _, x := range faults {
			if x.kind.name != k.name {
				continue
			}
			f.Faults++
			for _, i := range opened {
				if !i.From.Before(x.from) && i.From.Before(x.to.Add(afterFault)) {
					f.Seconds = append(f.Seconds, i.From.Sub(x.from).Seconds())
					break
				}
			}
		}
		slices.Sort(f.Seconds)
		out = append(out, f)
	}
	return out
}

// weeks plays every shape of latencies at every rate, seeds times, each on a
// processor and with other traffic. What failed is missing from the rest.
func weeks(ctx context.Context, shapes []shape, rates []float64, seeds, days, faultDays int) ([]Week, error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	all := make([]*Week, len(shapes)*len(rates)*seeds)
	n := 0
	for _, s := range shapes {
		for _, rate := range rates {
			for range seeds {
				at := n
				n++
				places <- struct{}{}
				group.Go(func() {
					defer func() { <-places }()
					w, err := simulate(ctx, s, rate, uint64(at), days, faultDays)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failed = errors.Join(failed, fmt.Errorf("the week of %s latencies at %v requests a second cannot be judged: %w", s.name, rate, err))
						return
					}
					all[at] = &w
				})
			}
		}
	}
	group.Wait()
	var done []Week
	for _, w := range all {
		if w != nil {
			done = append(done, *w)
		}
	}
	return done, failed
}
