package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Run carries a plan out, and returns when all is answered, at most Plan.Warm + For + Grace after the connections are
// open. The error says that it could not be carried out; requests that fail are counted in the result. Several may run
// at once, and take the processor from each other.
func Run(ctx context.Context, p Plan) (Result, error) {
	p, err := p.complete()
	if err != nil {
		return Result{}, err
	}
	all, err := messages(p)
	if err != nil {
		return Result{}, err
	}
	addr, err := resolve(p.Addr)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	threads, err := newLoops(p, addr, all)
	if err != nil {
		return Result{}, err
	}
	if err := runLoops(ctx, cancel, threads); err != nil {
		return Result{}, fmt.Errorf("cannot load %s: %w", p.Addr, err)
	}
	result := newResult(p)
	for _, l := range threads {
		result.add(l.result)
	}
	return result, nil
}

// newLoops shares connections and rate among the threads.
func newLoops(p Plan, addr *net.TCPAddr, all []message) ([]*loop, error) {
	epoch := time.Now()
	var threads []*loop
	for k := range p.Threads {
		connections := p.Connections / p.Threads
		if k < p.Connections%p.Threads {
			connections++
		}
		l, err := newLoop(p, newTarget(addr), all, connections, epoch)
		if err != nil {
			for _, l := range threads {
				l.close()
			}
			return nil, err
		}
		l.schedule = schedule{first: uint64(k), stride: uint64(p.Threads)}
		if p.Rate > 0 {
			l.schedule.interval = float64(time.Second) / p.Rate
		}
		threads = append(threads, l)
	}
	return threads, nil
}

// runLoops runs each on a thread of its own. They begin together once all are connected; one that cannot ends all.
func runLoops(ctx context.Context, cancel context.CancelFunc, threads []*loop) error {
	var connecting, running sync.WaitGroup
	var start int64
	begin := make(chan struct{})
	errs := make([]error, len(threads))
	connecting.Add(len(threads))
	for k, l := range threads {
		running.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			err := l.connect(ctx)
			connecting.Done()
			<-begin
			if err == nil {
				err = l.run(ctx, start)
			} else {
				l.close()
			}
			if errs[k] = err; err != nil {
				cancel()
			}
		})
	}
	connecting.Wait()
	start = threads[0].now() + int64(time.Millisecond)
	close(begin)
	running.Wait()
	// That one thread stopped because another had failed is not the reason.
	var reason error
	for _, err := range errs {
		if err != nil && (reason == nil || errors.Is(reason, context.Canceled)) {
			reason = err
		}
	}
	return reason
}

// precise has this thread's timers end when they are to, and not up to 50 µs later. What it returns undoes it.
func precise() (undo func()) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return func() {}
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) }
}
