package histogram

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/histogram/clock"
)

// Config says what a Recorder keeps. The zero value is usable.
type Config struct {
	// Window is the span of Snapshot: whole seconds, 10 s to 1 h; default 60 s.
	// Its memory is about 2 bytes for each latency bucket hit in each second.
	Window time.Duration
	// MaxRoutes is how many routes are told apart before the rest are counted
	// as "other": 1 to 1000; default 200.
	MaxRoutes int
	// Templates name the routes; paths they do not match, and all when it is
	// nil, are named by Collapse.
	Templates *Templates
	// Now is a monotonic clock in nanoseconds, the one the readings given to a
	// Lane come from; clock.Now when nil.
	Now func() int64
}

// Recorder counts requests by route and outcome. Make one with NewRecorder and
// have Run, or calls of Seal, move what was recorded into the window each
// second. Safe for concurrent use.
type Recorder struct {
	now       func() int64
	epoch     int64 // when the first second began
	routes    routes
	shards    []*shard
	nextShard atomic.Uint32
	full      chan struct{} // tells Run that a log is filling up

	// sealing is held by Seal, and by snapshots so that a request cannot be
	// in flight and in the window at once. It guards spare. Taken before a
	// shard's locks and before mu.
	sealing sync.Mutex
	spare   []record

	// mu guards what was counted. Taken after a shard's locks.
	mu       sync.Mutex
	tally    tally
	window   window
	overhead Counts
	feeds    []*Feed
	packed   []byte // scratch of Seal
}

// NewRecorder makes a Recorder, or says what is wrong with the Config.
func NewRecorder(cfg Config) (*Recorder, error) {
	if cfg.Window == 0 {
		cfg.Window = time.Minute
	}
	if cfg.Window < 10*time.Second || cfg.Window > time.Hour || cfg.Window%time.Second != 0 {
		return nil, fmt.Errorf("window of %v: must be whole seconds from 10s to 1h", cfg.Window)
	}
	if cfg.MaxRoutes == 0 {
		cfg.MaxRoutes = 200
	}
	if cfg.MaxRoutes < 1 || cfg.MaxRoutes > 1000 {
		return nil, fmt.Errorf("limit of %d routes: must be from 1 to 1000", cfg.MaxRoutes)
	}
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	r := &Recorder{
		now:    cfg.Now,
		epoch:  cfg.Now(),
		full:   make(chan struct{}, 1),
		tally:  tally{routes: make([]*routeTally, cfg.MaxRoutes+1)},
		window: window{slots: make([]slot, cfg.Window/time.Second)},
	}
	r.routes.init(cfg.MaxRoutes, cfg.Templates)
	shards := 1
	for shards < min(runtime.GOMAXPROCS(0), 8) {
		shards *= 2
	}
	for range shards {
		r.shards = append(r.shards, &shard{recorder: r})
	}
	return r, nil
}

// Run seals a slot each second until ctx ends, and then returns nil. It
// calibrates the clock first.
func (r *Recorder) Run(ctx context.Context) error {
	clock.Calibrate()
	timer := time.NewTimer(r.untilNext())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.full:
			r.sealing.Lock()
			r.gather()
			r.sealing.Unlock()
		case <-timer.C:
			r.Seal(r.now())
			timer.Reset(r.untilNext())
		}
	}
}

// untilNext is the time to the end of the present second, just beyond.
func (r *Recorder) untilNext() time.Duration {
	into := (r.now() - r.epoch) % second
	return time.Duration(min(max(second-into, 0), second)) + 100*time.Microsecond
}

// Seal ends the seconds that are over at now and moves what was recorded since
// the last Seal into the newest of them. Seconds that nobody sealed are empty:
// their requests are in the newest one too. When no second has ended, and when
// now is earlier than it was, nothing changes. Run calls it.
func (r *Recorder) Seal(now int64) {
	upTo := (now - r.epoch) / second
	r.sealing.Lock()
	defer r.sealing.Unlock()
	r.mu.Lock()
	early := upTo <= r.window.sealed
	r.mu.Unlock()
	if early {
		return
	}
	for _, s := range r.shards {
		s.walk(nil)
	}
	r.gather()
	r.mu.Lock()
	defer r.mu.Unlock()
	unmeasured := r.tally.unmeasured
	r.packed = r.tally.drain(r.packed[:0])
	r.window.seal(upTo, r.packed, unmeasured)
}

// gather counts the shards' logs. The caller holds sealing.
func (r *Recorder) gather() {
	for _, s := range r.shards {
		r.spare = s.take(r.spare)
		r.count(r.spare)
	}
}

func (r *Recorder) count(log []record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.count(log, &r.overhead)
}

func (r *Recorder) wake() {
	select {
	case r.full <- struct{}{}:
	default:
	}
}
