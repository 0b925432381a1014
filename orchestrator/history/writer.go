package history

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// The limits of a tenant's history when Config leaves them open. A day of a
// busy service takes up 16 MB while it is written and about 5 MB packed, so
// that thirty of them fit.
const (
	DefaultMaxDays  = 30
	DefaultMaxBytes = 192 << 20
)

// queued is how many ticks may wait for the disk: minutes, for a few tenants.
const queued = 256

// Config says where a history is kept and how much of it.
type Config struct {
	// Dir holds a directory for each tenant; it is made when it is first needed.
	Dir string
	// MaxDays is how many days of each tenant are kept, today's included, and
	// MaxBytes how many bytes they may take up, so that no tenant can push
	// another's out. The day farthest from today goes first; today's stays, and
	// takes no more records once it has MaxBytes alone.
	MaxDays  int
	MaxBytes int64
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
}

// Writer writes histories. Add is safe for concurrent use, Run is called once.
type Writer struct {
	cfg     Config
	queue   chan item
	dropped atomic.Uint64

	// Owned by Run.
	recordings map[string]*recording
	today      day
	lost       uint64 // of dropped, as far as it was logged
}

// item is a tick on its way to the disk.
type item struct {
	tenant    string
	tick      Tick
	durations *histogram.Counts
}

// NewWriter makes a Writer. It touches no disk: Run does.
func NewWriter(cfg Config) *Writer {
	if cfg.MaxDays <= 0 {
		cfg.MaxDays = DefaultMaxDays
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Writer{cfg: cfg, queue: make(chan item, queued), recordings: map[string]*recording{}}
}

// Add hands over a tenant's tick, the one after the last it handed over. It
// never waits: what the disk is too slow for is dropped, and logged.
//
// durations gives the latencies in the measured window. It is called, before
// Add returns, on a tick after which no other is expected in the same minute,
// so about once a minute; what it gives must not be changed afterwards. It is
// nil for a service whose latencies are not measured here.
func (w *Writer) Add(tenant string, t Tick, durations func() *histogram.Counts) {
	it := item{tenant: tenant, tick: t}
	if at := t.Input.Time; durations != nil && !minuteOf(at).Equal(minuteOf(at.Add(Interval))) {
		it.durations = durations()
	}
	select {
	case w.queue <- it:
	default:
		w.dropped.Add(1)
	}
}

func minuteOf(t time.Time) time.Time { return t.UTC().Truncate(time.Minute) }

// Run writes what Add hands over until ctx ends, then what is still there, and
// returns nil. No fault of the disk ends it.
func (w *Writer) Run(ctx context.Context) error {
	for {
		select {
		case it := <-w.queue:
			w.contain(func() { w.take(it) })
		case <-ctx.Done():
			w.finish()
			return nil
		}
	}
}

// finish writes what has come so far, unfinished minutes included.
func (w *Writer) finish() {
	for {
		select {
		case it := <-w.queue:
			w.contain(func() { w.take(it) })
		default:
			for _, r := range w.recordings {
				w.contain(r.flush)
				r.close()
			}
			return
		}
	}
}

// contain keeps a fault in here from ending the process that the traffic
// passes through.
func (w *Writer) contain(f func()) {
	defer func() {
		if v := recover(); v != nil {
			w.cfg.Log.Error("a record of the history is lost", "err", fmt.Sprintf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	f()
}

// take adds one tick to its minute, which is written when the next begins.
func (w *Writer) take(it item) {
	if n := w.dropped.Load(); n > w.lost && len(w.queue) == 0 { // once it keeps up again
		w.cfg.Log.Warn("the disk was too slow for the history: ticks were not recorded", "ticks", n-w.lost)
		w.lost = n
	}
	r := w.recordings[it.tenant]
	if r == nil {
		r = &recording{cfg: w.cfg, tenant: it.tenant, dir: tenantDir(w.cfg.Dir, it.tenant)}
		w.recordings[it.tenant] = r
	}
	r.add(it)
	if d := dayOf(it.tick.Input.Time); d != w.today {
		w.turn(d)
	}
}

// turn is the begin of a day, or the first tick of all.
func (w *Writer) turn(d day) {
	// Age says something only of a clock that goes on steadily: one that jumps
	// to another year must not make everything old.
	steady := w.today != 0 && d == w.today+1
	w.today = d
	// A recording writes its last minute of the old day, and tidies up, when
	// its own next tick comes; this is for tenants that nobody watches anymore.
	tenants, err := Tenants(w.cfg.Dir)
	if err != nil {
		return // there is none yet, or their own recordings will say what is wrong
	}
	for _, tenant := range tenants {
		if w.recordings[tenant] != nil {
			continue
		}
		dir := tenantDir(w.cfg.Dir, tenant)
		if err := tidy(dir, d, w.cfg.MaxDays, w.cfg.MaxBytes, steady); err != nil {
			w.cfg.Log.Warn("cannot tidy up the history", "tenant", tenant, "err", err)
		}
	}
}
