package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// world is what outlives a process: the ledger, the disk, the people. Everything may
// fail, and the process may die before and after each thing it does.
type world struct {
	t      *testing.T
	path   string
	mu     sync.Mutex
	rng    *rand.Rand
	calm   bool // nothing fails any more
	offset time.Duration

	entries  []incident.Indexed
	shadow   map[string]bool
	synced   int64              // bytes of the journal that a loss of power spares
	heard    map[key]int        // messages that the person has got
	inAir    map[key]bool       // accepted, and not yet synced in the journal
	excused  map[key]bool       // the process died in between
	letters  map[key]deliveryID // whose they are
	lives    int
	stage    map[string]incident.Stage
	incident map[string]string
}

type deliveryID struct {
	effect  uint64
	contact string
	step    Step
}

var errDead = errors.New("the process is dead")

// life is one process.
type life struct {
	*world
	cancel context.CancelFunc
	dead   bool
	done   chan struct{}
	box    *Outbox
	disk   *journal
}

func (l *life) open() map[key]trace { return l.disk.open() }

func (l *life) close() error { return l.disk.close() }

// chance draws; the lock is held.
func (w *world) chance(p float64) bool { return !w.calm && w.rng.Float64() < p }

// dies says whether the process is dead or dies here; the lock is held.
func (l *life) dies() bool {
	if l.dead {
		return true
	}
	if l.chance(0.012) {
		l.dead = true
		for k := range l.inAir {
			l.excused[k] = true
		}
		clear(l.inAir)
		l.cancel()
	}
	return l.dead
}

func (w *world) append(e incident.Entry) {
	e.Time = w.time()
	if n := len(w.entries); n > 0 && e.Time.Before(w.entries[n-1].Entry.Time) {
		e.Time = w.entries[n-1].Entry.Time
	}
	w.entries = append(w.entries, incident.Indexed{Index: uint64(len(w.entries)), Entry: e})
}

func (w *world) time() time.Time { return time.Now().Add(w.offset) }

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time()
}

func (l *life) Read(ctx context.Context, from uint64, visit func(incident.Indexed) error) (uint64, error) {
	l.mu.Lock()
	entries, fails := l.entries, l.dies() || l.chance(0.05)
	l.mu.Unlock()
	for _, e := range entries[from:] {
		if err := visit(e); err != nil {
			return 0, err
		}
	}
	if fails {
		return 0, errDisk
	}
	return uint64(len(entries)), nil
}

func (l *life) Record(_ context.Context, r Receipt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dies() {
		return errDead
	}
	if l.chance(0.2) {
		return errDisk
	}
	m, err := r.Metadata()
	must(l.t, err)
	e := entry(KindReceipt, began)
	e.TenantID, e.IncidentID, e.Actor, e.Reason, e.Metadata = r.Tenant, r.Incident, r.Actor(), r.Reason, m
	l.append(e)
	if l.dies() {
		return errDead
	}
	if l.chance(0.1) {
		return errDisk // the receipt is there, and nobody knows
	}
	return nil
}

func (l *life) Carry(ctx context.Context, p Parcel) (notify.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dies() {
		return notify.Receipt{}, errDead
	}
	if l.shadow[p.Letter.Tenant] {
		l.t.Errorf("%s is sent in shadow mode", p.ID)
	}
	l.mu.Unlock()
	wait := time.NewTimer(time.Duration(len(p.Channel)) * 100 * time.Millisecond)
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	l.mu.Lock()
	switch {
	case l.dies():
		return notify.Receipt{}, errDead
	case l.chance(0.25):
		return notify.Receipt{}, &notify.Error{Retry: true, Text: "503"}
	case l.chance(0.05):
		return notify.Receipt{}, &notify.Error{Retry: true, After: time.Minute, Text: "429"}
	case l.chance(0.05):
		return notify.Receipt{}, &notify.Error{Text: "400"}
	}
	k := p.key()
	l.heard[k]++
	l.inAir[k] = true
	l.letters[k] = deliveryID{p.Letter.Index, p.Contact, p.Step}
	if l.dies() {
		return notify.Receipt{}, errDead
	}
	return notify.Receipt{Reference: "ref"}, nil
}

// keep does something to the journal, with a death before or after it. What is synced
// survives; of the rest the disk has what it likes.
func (l *life) keep(do func() error, synced bool, done func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dies() {
		return errDead
	}
	err := do()
	if l.dies() {
		return errDead
	}
	if synced {
		info, err := os.Stat(l.path)
		must(l.t, err)
		l.synced = info.Size()
	}
	done()
	return err
}

func (l *life) begin(k key) error {
	return l.keep(func() error { return l.disk.begin(k) }, true, func() {})
}

func (l *life) sent(r Receipt) error {
	return l.keep(func() error { return l.disk.sent(r) }, true, func() { delete(l.inAir, r.key()) })
}

func (l *life) failed(k key) error {
	return l.keep(func() error { return l.disk.failed(k) }, false, func() {})
}

func (l *life) recorded(k key) error {
	return l.keep(func() error { return l.disk.recorded(k) }, false, func() {})
}

// isShadow is asked right before an attempt.
func (l *life) isShadow(tenant string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shadow[tenant]
}

var people = []Contact{ana, ben, {ID: "room", Channels: []Way{{Channel: "room"}}}, {ID: "zoe", Channels: []Way{{Channel: "zoe", Tenant: "beta"}}}}

// start begins a process on what the last one left.
func (w *world) start() *life {
	w.lives++
	j, damaged, err := openJournal(w.path)
	must(w.t, err)
	if damaged > 0 {
		w.t.Errorf("%d lines of the journal are damaged", damaged)
	}
	info, err := os.Stat(w.path)
	must(w.t, err)
	w.synced = info.Size()
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{world: w, cancel: cancel, done: make(chan struct{}), disk: j}
	l.box = New(Options{
		Path: w.path, Ledger: l, Receipts: l, Carrier: l, Contacts: people, Shadow: l.isShadow, Now: w.Now,
		Random: func() float64 { w.mu.Lock(); defer w.mu.Unlock(); return w.rng.Float64() }, Log: slog.New(slog.DiscardHandler),
	})
	go func() {
		defer close(l.done)
		if err := l.box.run(ctx, l); err != nil {
			w.t.Error(err)
		}
	}()
	return l
}

// lose leaves of the journal what a death leaves of it.
func (w *world) lose() {
	info, err := os.Stat(w.path)
	must(w.t, err)
	if unsynced := int(info.Size() - w.synced); unsynced > 0 && w.draw(2) == 0 {
		must(w.t, os.Truncate(w.path, info.Size()-int64(w.draw(unsynced+1))))
	}
}

// happen lets something happen to a tenant.
func (w *world) happen(tenant string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	add := func(e incident.Entry, stage incident.Stage, id string) {
		e.TenantID, e.Stage, e.IncidentID = tenant, stage, id
		w.append(e)
	}
	tell := func(effect, event string, stage incident.Stage, id string) {
		if !w.shadow[tenant] {
			add(due(effect, event, stage, began), stage, id)
		}
	}
	switch n := w.rng.IntN(10); {
	case n == 0:
		w.shadow[tenant] = !w.shadow[tenant]
		kind := incident.KindShadowOff
		if w.shadow[tenant] {
			kind = incident.KindShadowOn
		}
		add(entry(kind, began), "", "")
	case n == 1:
		w.offset += time.Duration(w.rng.Int64N(int64(48*time.Hour))) - 24*time.Hour
	case n < 4:
		tell(incident.Notification, incident.EventTargetDown, "", "")
	default:
		id := w.incident[tenant]
		switch w.stage[tenant] {
		case incident.Detected:
			w.stage[tenant] = incident.Validated
			add(entry(incident.KindOf(incident.Validated), began), incident.Validated, id)
			tell(incident.Notification, incident.EventValidated, incident.Validated, id)
			tell(incident.ApprovalLink, incident.EventValidated, incident.Validated, id)
		case incident.Validated:
			w.stage[tenant] = incident.Recovered
			add(entry(incident.KindOf(incident.Recovered), began), incident.Recovered, id)
			tell(incident.Notification, incident.EventRecovered, incident.Recovered, id)
		default:
			id = fmt.Sprintf("inc-000000-%d", len(w.entries)+1)
			w.stage[tenant], w.incident[tenant] = incident.Detected, id
			add(entry(incident.KindOf(incident.Detected), began), incident.Detected, id)
			tell(incident.Notification, incident.EventIncident, incident.Detected, id)
		}
	}
}
