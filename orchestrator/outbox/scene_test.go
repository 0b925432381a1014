package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// began is when every scene begins.
var began = time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)

const acme = "acme"

// ana is told at once and can be called, ben is told later.
var (
	ana = Contact{ID: "ana", Channels: []Way{{Channel: "chat"}, {Channel: "mail"}}, Voice: []Way{{Channel: "phone"}}}
	ben = Contact{ID: "ben", Level: 1, Channels: []Way{{Channel: "mail"}}}
)

const inc = "inc-850da6-1767323095"

func entry(kind string, at time.Time) incident.Entry {
	return incident.Entry{V: 1, Kind: kind, Time: at, TenantID: acme, Service: "checkout", Actor: incident.ActorPolicy, Metadata: map[string]any{}}
}

func staged(stage incident.Stage, at time.Time) incident.Entry {
	e := entry(incident.KindOf(stage), at)
	e.IncidentID, e.Stage = inc, stage
	return e
}

// due is the entry of an effect of the incident in a stage.
func due(effect, event string, stage incident.Stage, at time.Time) incident.Entry {
	e := entry(incident.KindEffectDue, at)
	e.IncidentID, e.Stage = inc, stage
	e.Metadata = map[string]any{"effect": effect, "event": event, "text": event + " of checkout", "channel": nil}
	return e
}

func receiptEntry(t testing.TB, r Receipt) incident.Entry {
	t.Helper()
	e := entry(KindReceipt, r.At)
	var err error
	e.TenantID, e.Service, e.IncidentID, e.Actor, e.Reason = r.Tenant, r.Service, r.Incident, r.Actor(), r.Reason
	if e.Metadata, err = r.Metadata(); err != nil {
		t.Fatal(err)
	}
	return e
}

// scene is a box, a ledger beside it, and a clock.
type scene struct {
	t     *testing.T
	box   *Box
	index uint64
	now   time.Time
}

func newScene(t *testing.T, contacts ...Contact) *scene {
	s := &scene{t: t, box: NewBox(contacts, Rules{}), now: began}
	s.add(entry(incident.KindShadowOff, began))
	return s
}

func (s *scene) add(entries ...incident.Entry) {
	for _, e := range entries {
		s.box.Apply(s.index, e)
		s.index++
	}
}

// pass lets time pass as the runner does, in seconds.
func (s *scene) pass(d time.Duration) {
	for ; d > 0; d -= time.Second {
		s.now = s.now.Add(min(d, time.Second))
		s.box.watch.read(s.now)
	}
}

// next is what the box wants, as text: "contact step channel" of each parcel.
func (s *scene) next() (texts []string, parcels []Parcel) {
	parcels, _, _ = s.box.Next(s.now)
	for _, p := range parcels {
		text := p.Contact + " " + p.Letter.Event + " " + p.Channel
		if p.Step != First {
			text += " " + string(p.Step)
		}
		if p.Link {
			text += " link"
		}
		texts = append(texts, text)
	}
	return texts, parcels
}

func (s *scene) accept(parcels []Parcel) {
	for _, p := range parcels {
		s.box.Sent(p, p.receipt("ref", s.now))
	}
}

func (s *scene) fail(parcels []Parcel, err error) {
	for _, p := range parcels {
		s.box.Failed(p, err, s.now, 0)
	}
}

// settle records all that is to be recorded, and returns it.
func (s *scene) settle() (receipts []Receipt) {
	for {
		_, r, _ := s.box.Next(s.now)
		if r == nil {
			return receipts
		}
		receipts = append(receipts, *r)
		s.add(receiptEntry(s.t, *r))
		if len(receipts) > 1000 {
			s.t.Fatal("receipts without an end")
		}
	}
}

var (
	errBusy    = &notify.Error{Retry: true, Text: "503"}
	errRefused = &notify.Error{Text: "the token is wrong", Mend: "give it another"}
)

// shore is a ledger, its receipts and channels, for runners.
type shore struct {
	mu      sync.Mutex
	entries []incident.Indexed
	carried map[string][]string // channels by id
	carry   func(Parcel) error
	record  func(Receipt) error
}

func newShore(entries ...incident.Entry) *shore {
	s := &shore{carried: map[string][]string{}}
	s.add(append([]incident.Entry{entry(incident.KindShadowOff, began)}, entries...)...)
	return s
}

func (s *shore) add(entries ...incident.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		s.entries = append(s.entries, incident.Indexed{Index: uint64(len(s.entries)), Entry: e})
	}
}

func (s *shore) Read(_ context.Context, from uint64, visit func(incident.Indexed) error) (uint64, error) {
	s.mu.Lock()
	entries := s.entries
	s.mu.Unlock()
	for _, e := range entries[min(from, uint64(len(entries))):] {
		if err := visit(e); err != nil {
			return 0, err
		}
	}
	return uint64(len(entries)), nil
}

func (s *shore) Record(_ context.Context, r Receipt) error {
	if s.record != nil {
		if err := s.record(r); err != nil {
			return err
		}
	}
	m, err := r.Metadata()
	if err != nil {
		return err
	}
	e := entry(KindReceipt, r.At)
	e.TenantID, e.IncidentID, e.Actor, e.Reason, e.Metadata = r.Tenant, r.Incident, r.Actor(), r.Reason, m
	s.add(e)
	return nil
}

func (s *shore) Carry(_ context.Context, p Parcel) (notify.Receipt, error) {
	if s.carry != nil {
		if err := s.carry(p); err != nil {
			return notify.Receipt{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carried[p.ID] = append(s.carried[p.ID], p.Channel)
	return notify.Receipt{Reference: fmt.Sprintf("%s-%d", p.Channel, len(s.carried[p.ID]))}, nil
}

// sent are the channels by which each message was accepted, by its id.
func (s *shore) sent() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.carried)
}

func (s *shore) receipts() (list []Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if r, ok := ReceiptOf(e.Entry); ok {
			list = append(list, r)
		}
	}
	return list
}

func (s *shore) options(path string, contacts ...Contact) Options {
	return Options{
		Path: path, Ledger: s, Receipts: s, Carrier: s, Contacts: contacts,
		Random: func() float64 { return 0 }, Log: slog.New(slog.DiscardHandler),
	}
}

var errDisk = errors.New("no space left on device")

var errGate = fmt.Errorf("chat: %w", egress.ErrShadow)
