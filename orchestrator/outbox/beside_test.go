package outbox

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

func (s *scene) beside(text string) bool {
	s.t.Helper()
	return s.box.Tell(Letter{Tenant: acme, Service: "checkout", Event: incident.EventIncident, Text: text, At: s.now})
}

// TestBesideTheLedger: what cannot be recorded is told once to everybody at once, by the
// next channel when one fails, and leaves no receipt.
func TestBesideTheLedger(t *testing.T) {
	s := newScene(t, ana, ben, Contact{ID: "ops", Channels: []Way{{Channel: "room"}}})
	if !s.beside("one") {
		t.Fatal("it is not taken")
	}
	parcels := s.want("ana incident chat", "ops incident room")
	if items := s.box.Items(s.now); len(items) != 2 || items[0].Effect != 0 || items[0].Condition != Sending {
		t.Errorf("%+v", items)
	}
	s.accept(parcels[1:])
	s.fail(parcels[:1], &notify.Error{Text: "the token is wrong"})
	s.accept(s.want("ana incident mail"))
	if s.want(); len(s.settle()) != 0 || len(s.box.beside) != 0 || len(s.box.marks) != 0 || len(s.box.Items(s.now)) != 0 {
		t.Errorf("left are %d letters and %d marks", len(s.box.beside), len(s.box.marks))
	}

	s.beside("two")
	first := s.want("ana incident chat", "ops incident room")
	if first[0].ID == parcels[0].ID {
		t.Error("two letters have one key")
	}
	s.accept(first[:1])
	s.fail(first[1:], &notify.Error{Text: "no such room"})
	if s.want(); len(s.box.beside) != 0 || len(s.settle()) != 0 {
		t.Error("what nobody takes is kept")
	}

	s.beside("three")
	s.add(entry(incident.KindShadowOn, s.now))
	if s.want(); s.beside("four") {
		t.Error("it is taken in shadow mode")
	}
	s.add(entry(incident.KindShadowOff, s.now))
	for range maxBeside {
		s.beside("five")
	}
	if s.beside("one too many") {
		t.Error("there is no limit")
	}
}

// readsNothing is a ledger that says that a tenant is live and takes nothing.
type readsNothing struct{ t *testing.T }

func (readsNothing) Read(_ context.Context, from uint64, visit func(incident.Indexed) error) (uint64, error) {
	if from > 0 {
		return from, errDisk
	}
	return 1, visit(incident.Indexed{Index: 0, Entry: entry(incident.KindShadowOff, began)})
}

func (r readsNothing) Record(context.Context, Receipt) error {
	r.t.Error("a receipt of what is on no record")
	return errDisk
}

// sees is a carrier that takes everything.
type sees chan Parcel

func (s sees) Carry(_ context.Context, p Parcel) (notify.Receipt, error) {
	s <- p
	return notify.Receipt{}, nil
}

// TestTellWhileTheLedgerIsGone runs it, and looks into the file.
func TestTellWhileTheLedgerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, path := make(sees, 8), filepath.Join(t.TempDir(), "outbox.sent")
		o := New(Options{Path: path, Ledger: readsNothing{t}, Receipts: readsNothing{t}, Carrier: got, Contacts: []Contact{ana}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- o.Run(ctx) }()
		synctest.Wait()
		o.Tell(acme, "checkout", incident.EventIncident, "checkout: it is slow", time.Now())
		o.Tell("other", "other", incident.EventIncident, "it is in shadow mode", time.Now())
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p := <-got; len(got) != 0 || p.Letter.Text != "checkout: it is slow" || p.Contact != "ana" {
			t.Errorf("%d more, the first %+v", len(got), p)
		}
		j, damaged, err := openJournal(path)
		if err != nil || damaged != 0 || len(j.open()) != 0 {
			t.Errorf("the file has %v, %d, %v", j.open(), damaged, err)
		}
		if err := j.close(); err != nil {
			t.Error(err)
		}
	})
}
