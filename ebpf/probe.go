package ebpf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// Attach is the hook by which the probe sees packets.
type Attach string

const (
	Auto   Attach = "auto"   // TCX where the host has it and allows it, else Socket
	TCX    Attach = "tcx"    // tcx ingress and egress of every interface: Linux 6.6, CAP_BPF and CAP_NET_ADMIN
	Socket Attach = "socket" // the filter of an AF_PACKET socket: Linux 6.1, CAP_BPF and CAP_NET_RAW
)

// Config says what a Probe measures.
type Config struct {
	// Port is the API's own TCP port, in the network namespace of the process.
	Port uint16
	// Attach is the hook; empty is Auto.
	Attach Attach
	// Recorder is told what was measured. It must not be nil.
	Recorder *histogram.Recorder
	// MaxConnections is how many connections are followed at once, 64 to
	// 1048576; default 16384. Each takes about half a KiB of kernel memory
	// while it is open.
	MaxConnections int
	// Log is told of interfaces that come and go, and of readings that fail.
	// No log when nil.
	Log *slog.Logger
}

// check fills in the defaults, and says what is wrong with the rest.
func (cfg *Config) check() error {
	if cfg.Attach == "" {
		cfg.Attach = Auto
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 16384
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case cfg.Port == 0:
		return errors.New("the probe needs the API's port, from 1 to 65535")
	case cfg.Recorder == nil:
		return errors.New("the probe needs a Recorder to tell what it measures")
	case cfg.Attach != Auto && cfg.Attach != TCX && cfg.Attach != Socket:
		return fmt.Errorf("hook %q: must be %s, %s or %s", cfg.Attach, Auto, TCX, Socket)
	case cfg.MaxConnections < 64 || cfg.MaxConnections > 1<<20:
		return fmt.Errorf("limit of %d connections: must be from 64 to 1048576", cfg.MaxConnections)
	}
	return nil
}

// Probe is an attached eBPF probe. Make one with Open; its Run moves what the
// kernel counted into the Recorder. Safe for concurrent use.
type Probe struct {
	log    *slog.Logger
	kernel *kernel
	hook   hook
	reader *reader

	mu     sync.Mutex // held to read and to close
	closed bool
}

// hook is a way of attaching.
type hook interface {
	// follow attaches to interfaces that come, until ctx ends.
	follow(ctx context.Context, log *slog.Logger)
	// interfaces is what is attached to, by name.
	interfaces() []string
	close() error
}

// Open loads the probe into the kernel and attaches it. When the host does not
// allow that, the error is an *Unavailable.
func Open(cfg Config) (*Probe, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Attach != Auto {
		return open(cfg)
	}
	var failed []*Unavailable
	for _, cfg.Attach = range []Attach{TCX, Socket} {
		p, err := open(cfg)
		var u *Unavailable
		if err == nil || !errors.As(err, &u) {
			return p, err
		}
		failed = append(failed, u)
	}
	return nil, neither(failed)
}

// open attaches to the hook that cfg names.
func open(cfg Config) (*Probe, error) {
	k, err := load(cfg)
	if err != nil {
		return nil, unavailable(cfg.Attach, err)
	}
	h, err := k.attach(cfg.Attach, cfg.Log)
	if err != nil {
		return nil, errors.Join(unavailable(cfg.Attach, err), k.close())
	}
	return &Probe{log: cfg.Log, kernel: k, hook: h, reader: newReader(k, cfg)}, nil
}

// Run reads what the kernel counted into the Recorder each second, twice while it
// counts more different things than it has room for in two, and attaches to
// interfaces that come up, until ctx ends; it then returns nil. The last reading
// happens before it returns. It is called once.
func (p *Probe) Run(ctx context.Context) error {
	var following sync.WaitGroup
	following.Go(func() { p.hook.follow(ctx, p.log) })
	defer following.Wait()
	half := time.NewTicker(time.Second / 2)
	defer half.Stop()
	for halves := 1; ctx.Err() == nil; halves++ {
		select {
		case <-ctx.Done():
		case <-half.C:
			if halves%2 == 1 && !p.crowded() {
				continue
			}
		}
		if err := p.Read(); err != nil {
			p.log.Error("the probe's counts could not be read", "error", err)
		}
	}
	return nil
}

// Read moves what the kernel has counted since the last reading into the
// Recorder. Run does so every second.
func (p *Probe) Read() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("the probe is closed")
	}
	return p.reader.read()
}

// crowded reports whether the kernel has less room for counts than the last
// reading took out of it.
func (p *Probe) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reader.pages.crowded
}

// Close detaches the probe. Nothing stays in the kernel. Closing again does
// nothing.
func (p *Probe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.hook.close(), p.reader.close(), p.kernel.close())
}

// Stats is how much the probe has seen since Open, as of the last reading.
func (p *Probe) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.reader.stats()
	s.Attach = p.kernel.kind
	s.Interfaces = p.hook.interfaces()
	s.KernelMemory = p.kernel.memory
	return s
}
