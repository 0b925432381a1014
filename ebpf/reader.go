package ebpf

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	cebpf "github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/histogram"
)

const (
	batchSize  = 256
	unresolved = 1 << 31 // in a slot: the rest is the number of a name
	nameLimit  = 1 << 16 // names remembered, for requests that take long
	nameSlots  = 512     // in the kernel's ring
)

// reader moves what the kernel counted into a Recorder. It is used by one
// goroutine at a time.
type reader struct {
	kernel   *kernel
	recorder *histogram.Recorder
	feed     *histogram.Feed
	limit    int // of connections

	pages  *pages
	names  []bpfName // the kernel's ring, in memory since the first path
	named  uint32
	routes []histogram.Route // by number of the name, modulo nameLimit

	counters  bpfCounters // as of the last reading
	quiet     int         // readings in a row before which no packet came
	measured  uint64
	inFlight  int
	overtaken uint64 // requests of connections that were just being forgotten
	followed  int

	keys        []bpfKey
	connections []bpfConnection
	batch       []histogram.Count
}

func newReader(k *kernel, cfg Config) *reader {
	return &reader{
		kernel: k, recorder: cfg.Recorder, feed: cfg.Recorder.Feed(), limit: cfg.MaxConnections, pages: newPages(&k.maps),
		routes: make([]histogram.Route, nameLimit),
		keys:   make([]bpfKey, batchSize), connections: make([]bpfConnection, batchSize),
	}
}

func (r *reader) close() error {
	r.feed.Close()
	names := r.names
	r.names = nil
	return errors.Join(leave(names), r.pages.close())
}

// read hands over everything counted since the last time. What was taken out
// of the kernel when an error comes is handed over the next time.
func (r *reader) read() (err error) {
	if err := r.resolve(); err != nil {
		return err
	}
	counters, err := r.counted()
	if err != nil {
		return err
	}
	if r.awaits(counters.Packets) {
		if r.batch, err = r.pages.take(r.batch, r.route); err != nil {
			r.quiet = 0
			return err
		}
	}
	report := histogram.Report{Counts: r.batch}
	before := r.overtaken
	if report.InFlight, err = r.survey(); err != nil {
		return err
	}
	for reason, n := range counters.Unmeasured {
		report.Unmeasured[reason] = n - r.counters.Unmeasured[reason]
	}
	report.Unmeasured[histogram.Resync] += r.overtaken - before
	r.counters = counters
	r.feed.Report(report)
	for i := range r.batch {
		if c := &r.batch[i]; c.Figure != histogram.TTFB {
			r.measured += uint64(c.N)
		}
	}
	r.batch = r.batch[:0]
	return nil
}

// awaits reports whether something may have been counted since the last reading,
// now that there were so many packets. Nothing can when none has come since the
// one before it: what was at work then has ended, and its paths have names.
func (r *reader) awaits(packets uint64) bool {
	if packets == r.counters.Packets {
		r.quiet++
	} else {
		r.quiet = 0
	}
	return r.quiet < 2
}

// route is the route that a slot stands for; not ok while that is a path whose
// name has not been read.
func (r *reader) route(slot uint32) (_ histogram.Route, ok bool) {
	if slot&unresolved == 0 {
		return histogram.Route(slot), true
	}
	// How many names ago, modulo 2³¹.
	ago := (r.named - slot) &^ unresolved
	switch {
	case ago >= 1 && ago <= nameLimit:
		return r.routes[slot%nameLimit], true
	case ago == 0 || ago > unresolved-2*nameSlots: // it is still to come
		return 0, false
	default:
		return 0, true
	}
}

// resolve finds the routes of the paths that were new.
func (r *reader) resolve() (err error) {
	var given uint32
	if err := r.kernel.vars.NamesGiven.Get(&given); err != nil {
		return fmt.Errorf("reading how many paths are new: %w", err)
	}
	if r.named == given {
		return nil
	}
	if r.names == nil {
		if r.names, err = inMemory[bpfName](r.kernel.maps.Names); err != nil {
			return err
		}
	}
	for ; r.named != given; r.named++ {
		name := &r.names[r.named%nameSlots]
		if atomic.LoadUint32(&name.Whole) != r.named+1 {
			break // it is being written
		}
		target := unsafe.Slice((*byte)(unsafe.Pointer(&name.Target)), unsafe.Sizeof(name.Target))
		method, path, _ := bytes.Cut(target[:min(int(name.Length), len(target))], []byte(" "))
		route := r.recorder.Route(method, path)
		r.routes[r.named%nameLimit] = route
		err := r.kernel.maps.Paths.Update(name.Hash, uint32(route), cebpf.UpdateExist)
		if err != nil && !errors.Is(err, cebpf.ErrKeyNotExist) { // others may have pushed it out
			return fmt.Errorf("naming a path: %w", err)
		}
	}
	if err := r.kernel.vars.NamesRead.Set(r.named); err != nil {
		return fmt.Errorf("making room for new paths: %w", err)
	}
	return nil
}

// counted is the sum of all processors' counters.
func (r *reader) counted() (sum bpfCounters, err error) {
	var each []bpfCounters
	if err := r.kernel.maps.Counted.Lookup(uint32(0), &each); err != nil {
		return sum, fmt.Errorf("reading the counters: %w", err)
	}
	for i := range each {
		c := &each[i]
		sum.Packets += c.Packets
		sum.Seen += c.Seen
		sum.Other += c.Other
		sum.Contended += c.Contended
		for reason, n := range c.Unmeasured {
			sum.Unmeasured[reason] += n
		}
	}
	return sum, nil
}

// survey lists the requests in flight and forgets connections that nobody will
// hear of again.
func (r *reader) survey() ([]histogram.Waiting, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, err
	}
	// The clock of bpf_ktime_get_ns.
	at := now.Nano()
	crowded := r.followed > r.limit*3/4
	var found []histogram.Waiting
	var stale []bpfKey
	followed := 0
	var cursor cebpf.MapBatchCursor
	for {
		n, err := r.kernel.maps.Connections.BatchLookup(&cursor, r.keys, r.connections, nil)
		for i := range n {
			c := &r.connections[i]
			followed++
			if c.stale(at, crowded) {
				stale = append(stale, r.keys[i])
				continue
			}
			waiting := c.Tail - c.Head
			for j := range min(waiting, uint32(len(c.Queue))) {
				q := c.Queue[(c.Head+j)%uint32(len(c.Queue))]
				route, _ := r.route(q.Slot)
				w := histogram.Waiting{Route: route, Age: -1}
				if q.Start != 0 {
					w.Age = time.Duration(max(at-int64(q.Start), 0))
				}
				found = append(found, w)
			}
		}
		if errors.Is(err, cebpf.ErrKeyNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the connections: %w", err)
		}
	}
	for i := range stale {
		var c bpfConnection
		err := r.kernel.maps.Connections.LookupAndDelete(stale[i], &c)
		if err != nil && !errors.Is(err, cebpf.ErrKeyNotExist) {
			return nil, fmt.Errorf("forgetting a connection: %w", err)
		}
		if err == nil {
			r.overtaken += uint64(c.Tail - c.Head) // what came since it was looked at, or waited in vain
		}
	}
	r.inFlight, r.followed = len(found), followed-len(stale)
	return found, nil
}

// stale reports whether nothing is to be expected on a connection any more. One
// that is forgotten too early is taken up again at its next request. Where a
// request waits that is an hour, the highest latency there is.
func (c *bpfConnection) stale(now int64, crowded bool) bool {
	idle := time.Duration(now - int64(c.Last))
	if c.Tail != c.Head {
		return idle > time.Duration(histogram.Highest)
	}
	const ended = 64 // stream_flag ENDED
	half := (c.Streams[0].Flags|c.Streams[1].Flags)&ended != 0
	return idle > 15*time.Minute || half && idle > time.Minute || crowded && idle > 10*time.Second
}

func (r *reader) stats() Stats {
	s := Stats{
		Seen: r.counters.Seen, Measured: r.measured, Unmeasured: make(map[histogram.Reason]uint64),
		Connections: r.followed, InFlight: r.inFlight,
		Paths: uint64(r.named), PathsOther: r.counters.Other,
		Packets: r.counters.Packets, Contended: r.counters.Contended,
	}
	for reason, n := range r.counters.Unmeasured {
		if n != 0 {
			s.Unmeasured[histogram.Reason(reason)] = n
		}
	}
	if r.overtaken != 0 {
		s.Unmeasured[histogram.Resync] += r.overtaken
	}
	return s
}
