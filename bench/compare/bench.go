package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/bench/meter"
	"github.com/countersign-dev/countersign/bench/peer"
	"github.com/countersign-dev/countersign/bench/stats"
)

// bench is the peers that run, and how long they are measured.
type bench struct {
	rounds     int
	each, warm time.Duration
	progress   io.Writer

	place, probed *peer.Bench // probed is nil where there is no probe
	upstream      *running
	probedUp      *running
	peers         map[string]*running
	counted       bool // system calls can be
	leftOut       []LeftOut
}

// running is a server and its processes.
type running struct {
	server *peer.Server
	set    meter.Set
}

// open starts everything, and warms it up: pools are filled, code has been run, profiles of branches are learnt.
func (b *bench) open(ctx context.Context) (err error) {
	if b.upstream, err = start(func() (*peer.Server, error) { return b.place.StartUpstream(ctx) }); err != nil {
		return err
	}
	b.peers = map[string]*running{peer.Direct: {server: b.upstream.server}}
	for _, name := range append(slices.Clone(everybody), peer.CountersignTwo) {
		if name == peer.Direct {
			continue
		}
		r, err := start(func() (*peer.Server, error) { return b.place.Start(ctx, name, b.upstream.server.Addr) })
		if missing := (*peer.Missing)(nil); errors.As(err, &missing) {
			b.leaveOut(peer.About[name], missing.Why)
			continue
		}
		if err != nil {
			return err
		}
		b.peers[name] = r
	}
	if err := b.openProbe(ctx); err != nil {
		b.leaveOut(peer.About[peer.Probe], err.Error())
	}
	if counter, err := meter.CountSyscalls(); err != nil {
		b.leaveOut("system calls", err.Error())
	} else {
		counter.Close() // it is opened where it counts
		b.counted = true
	}
	warmUp := Scenario{Body: small, Connections: 32}
	for name := range b.peers {
		r, _, addr := b.of(name)
		if _, err := send(ctx, r.server.Inside, warmUp.plan(addr, 2*b.each, 0)); err != nil {
			return fmt.Errorf("warming up %s: %w", name, err)
		}
	}
	return nil
}

// start starts a server by what is given, and finds its processes.
func start(by func() (*peer.Server, error)) (*running, error) {
	s, err := by()
	if err != nil {
		return nil, err
	}
	set, err := s.Processes()
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return &running{s, set}, nil
}

// openProbe starts an upstream and the probe that watches it.
func (b *bench) openProbe(ctx context.Context) (err error) {
	if b.probed == nil {
		return errors.New("it needs a network namespace of its own, which only root can make")
	}
	if b.probedUp, err = start(func() (*peer.Server, error) { return b.probed.StartUpstream(ctx) }); err != nil {
		return err
	}
	probe, err := start(func() (*peer.Server, error) { return b.probed.StartProbe(ctx, b.probedUp.server.Addr) })
	if err != nil {
		return err
	}
	b.peers[peer.Probe] = probe
	return nil
}

func (b *bench) leaveOut(what, why string) {
	b.leftOut = append(b.leftOut, LeftOut{what, why})
	fmt.Fprintf(b.progress, "left out: %s: %s\n", what, why)
}

// close stops everything.
func (b *bench) close() (err error) {
	for name, r := range b.peers {
		if name != peer.Direct {
			err = errors.Join(err, r.server.Stop())
		}
	}
	for _, r := range []*running{b.upstream, b.probedUp} {
		if r != nil {
			err = errors.Join(err, r.server.Stop())
		}
	}
	return err
}

// of is where requests for a peer go, and whose cost is the upstream's.
func (b *bench) of(name string) (r, upstream *running, addr string) {
	r = b.peers[name]
	if name == peer.Probe {
		return r, b.probedUp, b.probedUp.server.Addr
	}
	return r, b.upstream, r.server.Addr
}

// measure carries a scenario out.
func (b *bench) measure(ctx context.Context, s Scenario) ScenarioResult {
	result := ScenarioResult{Scenario: s, Rounds: b.rounds * max(s.Times, 1)}
	for _, name := range s.Peers {
		result.Peers = append(result.Peers, PeerResult{Name: name, Figures: map[string][]float64{}, Errors: map[string]uint64{}})
	}
	if err := b.carryOut(ctx, &result); err != nil {
		return ScenarioResult{Scenario: s, Broken: err.Error()}
	}
	result.finish()
	return result
}

func (b *bench) carryOut(ctx context.Context, result *ScenarioResult) error {
	for round := range result.Rounds {
		for _, i := range order(len(result.Peers), round) {
			if err := b.round(ctx, result.Scenario, &result.Peers[i]); err != nil {
				return err
			}
		}
		fmt.Fprintf(b.progress, "%s: round %d of %d\n", result.Name, round+1, result.Rounds)
	}
	for i := range result.Peers {
		p := &result.Peers[i]
		r, _, _ := b.of(p.Name)
		var err error
		if p.Memory, err = r.set.Memory(); err != nil {
			return err
		}
		if err := r.server.TrimLog(); err != nil {
			return err
		}
	}
	return b.countSyscalls(ctx, result)
}

// round measures a peer once.
func (b *bench) round(ctx context.Context, s Scenario, p *PeerResult) error {
	r, upstream, addr := b.of(p.Name)
	before, err := read(r.set, upstream.set)
	if err != nil {
		return err
	}
	o, err := send(ctx, r.server.Inside, s.plan(addr, b.each, b.warm))
	if err != nil {
		return fmt.Errorf("%s, %s: %w", s.Name, p.Name, err)
	}
	after, err := read(r.set, upstream.set)
	if err != nil {
		return err
	}
	latency, err := decode(o.Latency)
	if err != nil {
		return err
	}
	lag, err := decode(o.Lag)
	if err != nil {
		return err
	}
	cost := spent{after.peer.Since(before.peer), after.upstream.Since(before.upstream), o.generator}
	for key, v := range figuresOf(o, latency, lag, cost) {
		p.Figures[key] = append(p.Figures[key], v)
	}
	if p.all == nil {
		p.all = latency
	} else {
		p.all.Merge(latency)
	}
	p.Done, p.Failed, p.Late = p.Done+o.Done, p.Failed+o.Failed, p.Late+o.Late
	for what, n := range o.Errors {
		p.Errors[what] += n
	}
	return nil
}

func read(set, upstream meter.Set) (s spent, err error) {
	if s.peer, err = set.Usage(); err != nil {
		return s, err
	}
	s.upstream, err = upstream.Usage()
	return s, err
}

// countSyscalls gives each peer a round more, of which nothing but its system calls counts.
func (b *bench) countSyscalls(ctx context.Context, result *ScenarioResult) error {
	if !b.counted {
		return nil
	}
	counter, err := meter.CountSyscalls()
	if err != nil {
		return err
	}
	defer counter.Close()
	for i := range result.Peers {
		p := &result.Peers[i]
		r, _, addr := b.of(p.Name)
		if err := counter.Watch(r.set); err != nil {
			return err
		}
		o, err := send(ctx, r.server.Inside, result.plan(addr, b.each/2, 0))
		if err != nil {
			return fmt.Errorf("%s, %s, counting system calls: %w", result.Name, p.Name, err)
		}
		n, err := counter.Read(r.set)
		if err != nil {
			return err
		}
		p.Syscalls = float64(n) / float64(o.Requests)
	}
	return nil
}

// halfOf is half of what the slowest of those that claims are about carries, and who carries too little for it.
func halfOf(r *ScenarioResult) (rate float64, tooSlow []string) {
	const reserve = 1.25
	for _, name := range []string{peer.Countersign, peer.NginxLog, peer.HAProxyLog} {
		if p := r.find(name); p != nil && (rate == 0 || p.median(answersPerSecond)/2 < rate) {
			rate = p.median(answersPerSecond) / 2
		}
	}
	for _, p := range r.Peers {
		if p.median(answersPerSecond) < rate*reserve {
			tooSlow = append(tooSlow, p.Name)
		}
	}
	return rate, tooSlow
}

// starts measures how soon each peer answers.
func (b *bench) starts(ctx context.Context, times int) (all []Start, err error) {
	for _, name := range everybody {
		if name == peer.Direct || name == peer.CountersignOff || b.peers[name] == nil {
			continue
		}
		s := Start{Name: name}
		for range times {
			took, err := b.place.FirstAnswer(ctx, name, b.upstream.server.Addr)
			if err != nil {
				return all, err
			}
			s.MS = append(s.MS, float64(took.Microseconds())/1e3)
		}
		all = append(all, s)
		fmt.Fprintf(b.progress, "first answer of %s after %.1f ms\n", name, stats.Median(s.MS))
	}
	return all, nil
}
