// Package cost measures what a sidecar costs in front of an API: the time it adds to a request, the throughput, its CPU
// time for each request, and its memory.
//
// Four arms take turns, round after round: the API itself, the API itself once more, the API through a sidecar that
// measures, and through one that only forwards. The two direct arms are alike, so what differs between them is what
// cannot be told from noise. Intervals are over rounds, of differences within a round, so that what disturbs a whole
// round cancels out.
package cost

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/bench/load"
)

// Plan is what is measured.
type Plan struct {
	Target      Target
	Request     load.Request // its path and Host are the target's
	Rate        float64      // requests a second; 0 is as many as are answered
	Connections int
	Rounds      int           // from 3
	For         time.Duration // each arm, in each round
	Program     string        // the sidecar's executable
	Progress    func(round int)
}

// arm is one way to the API.
type arm int

const (
	direct arm = iota
	again
	measuring
	forwarding
	arms
)

// sample is what one arm gave in one round.
type sample struct {
	p50, p95, p99 time.Duration
	throughput    float64
	cpu           time.Duration // of the sidecar, for each request
}

// warm is before each arm's turn, so that no arm begins with connections of its own still cold.
const warm = 200 * time.Millisecond

// Measure carries a plan out. It starts two sidecars and stops them again.
func Measure(ctx context.Context, p Plan) (Report, error) {
	if p.Rounds < 3 {
		return Report{}, fmt.Errorf("%d rounds say nothing: give at least 3", p.Rounds)
	}
	p.Request = p.addressed()
	if err := p.try(ctx, p.Target.Addr, p.Target.URL); err != nil {
		return Report{}, err
	}
	on, err := startSidecar(ctx, p.Program, p.Target.Addr, true)
	if err != nil {
		return Report{}, err
	}
	defer on.stop()
	off, err := startSidecar(ctx, p.Program, p.Target.Addr, false)
	if err != nil {
		return Report{}, err
	}
	defer off.stop()
	for _, s := range []*sidecar{on, off} {
		if err := p.try(ctx, s.listen, "the sidecar in front of "+p.Target.URL); err != nil {
			return Report{}, err
		}
	}
	ways := [arms]way{direct: {p.Target.Addr, nil}, again: {p.Target.Addr, nil}, measuring: {on.listen, on}, forwarding: {off.listen, off}}
	samples, err := p.rounds(ctx, ways)
	if err != nil {
		return Report{}, err
	}
	report, err := p.report(samples)
	if err != nil {
		return Report{}, err
	}
	report.Sidecar.MemoryBytes, err = on.memory()
	if err != nil {
		return Report{}, err
	}
	report.Forwarding.MemoryBytes, err = off.memory()
	return report, err
}

// addressed is the request with the target's path, and its Host unless another was given.
func (p Plan) addressed() load.Request {
	r := p.Request
	r.Path = p.Target.Path
	for _, line := range r.Header {
		if name, _, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Host") {
			return r
		}
	}
	r.Header = append([]string{"Host: " + p.Target.Host}, r.Header...)
	return r
}

// way is where an arm sends to, and the sidecar there.
type way struct {
	addr    string
	sidecar *sidecar
}

// rounds has the arms take turns. Which is first moves on by one each round, and every other round goes the other way
// round, so that none profits from its place or from what comes before it.
func (p Plan) rounds(ctx context.Context, ways [arms]way) (samples [arms][]sample, err error) {
	for round := range p.Rounds {
		if p.Progress != nil {
			p.Progress(round + 1)
		}
		for turn := range arms {
			a := (turn + arm(round)) % arms
			if round%2 == 1 {
				a = arms - 1 - a
			}
			s, err := p.turn(ctx, ways[a])
			if err != nil {
				return samples, err
			}
			samples[a] = append(samples[a], s)
		}
	}
	return samples, nil
}

func (p Plan) turn(ctx context.Context, w way) (sample, error) {
	before, err := w.cpu()
	if err != nil {
		return sample{}, err
	}
	r, err := load.Run(ctx, load.Plan{Addr: w.addr, Requests: []load.Request{p.Request}, Connections: p.Connections, Rate: p.Rate, For: p.For, Warm: warm})
	if err != nil {
		return sample{}, err
	}
	after, err := w.cpu()
	if err != nil {
		return sample{}, err
	}
	if err := p.enough(r); err != nil {
		return sample{}, err
	}
	return sample{
		p50: load.Quantile(r.Latency, 0.50), p95: load.Quantile(r.Latency, 0.95), p99: load.Quantile(r.Latency, 0.99),
		throughput: r.Throughput(), cpu: (after - before) / time.Duration(r.Warmed+r.Sent),
	}, nil
}

// behind is how much of the load may be unanswered at the end before the API does not keep up: short of that it is
// what a busy machine holds up now and then.
const behind = 250 * time.Millisecond

// enough refuses figures of an API that fails, or that does not keep up: its latencies would only be those of a queue.
func (p Plan) enough(r load.Result) error {
	if r.Failed > 0 {
		return fmt.Errorf("%d of %d requests to %s failed (%s): choose a path that it answers, and no more requests a second than it can", r.Failed, r.Done+r.Failed, p.Target.URL, worst(r.Errors))
	}
	if r.Answered == 0 {
		return fmt.Errorf("no request to %s was answered in %v: give --for a longer time", p.Target.URL, p.For)
	}
	if missing := p.Rate - r.Throughput(); missing > p.Rate/10 && missing*p.For.Seconds() > p.Rate*behind.Seconds() {
		return fmt.Errorf("%s was asked for %v requests a second and answered %.0f: give --rate less, or saturate", p.Target.URL, p.Rate, r.Throughput())
	}
	return nil
}

// worst is the most frequent error.
func worst(errs map[string]uint64) string {
	var text string
	for what, n := range errs {
		if n > errs[text] || n == errs[text] && what < text {
			text = what
		}
	}
	return text
}

// try sends a few requests before anything is measured.
func (p Plan) try(ctx context.Context, addr, what string) error {
	r, err := load.Run(ctx, load.Plan{Addr: addr, Requests: []load.Request{p.Request}, Connections: 1, Rate: 20, For: 200 * time.Millisecond, Grace: 10 * time.Second})
	if err != nil {
		return err
	}
	if r.Failed > 0 {
		return fmt.Errorf("%s does not answer as an API that can be measured: %s", what, worst(r.Errors))
	}
	return nil
}

func (w way) cpu() (time.Duration, error) {
	if w.sidecar == nil {
		return 0, nil
	}
	return w.sidecar.cpu()
}
