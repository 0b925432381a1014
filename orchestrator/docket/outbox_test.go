package docket

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// carrier accepts every parcel.
type carrier struct{ parcels []string }

func (c *carrier) Carry(_ context.Context, p outbox.Parcel) (notify.Receipt, error) {
	c.parcels = append(c.parcels, p.Letter.Event+" to "+p.Contact+map[bool]string{true: " with a link"}[p.Link])
	return notify.Receipt{Reference: "m1"}, nil
}

// TestOutboxOfADocket: an outbox reads what is due from a docket, and records its
// receipts there.
func TestOutboxOfADocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := newPaper(), new(carrier)
		s := start(t, l, acting(new(outside), restart))
		box := outbox.New(outbox.Options{
			Path: t.TempDir() + "/outbox.sent", Ledger: s.Docket, Receipts: s.Docket, Carrier: c,
			Contacts: []outbox.Contact{{ID: "ana", Channels: []outbox.Way{{Channel: "pager"}}}},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- box.Run(ctx) }()
		s.live()
		id := s.asked()
		time.Sleep(10 * time.Second)
		s.tap(s.link(id, "ana"), true)
		s.sees(calm("payments"))
		time.Sleep(10 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.stop()
		proper(t, l)
		if got, want := strings.Join(c.parcels, ", "), "incident to ana, validated to ana with a link, recovered to ana"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		receipts := 0
		for _, e := range l.entries(t) {
			if r, ok := outbox.ReceiptOf(e.Entry); ok && r.Outcome == outbox.Delivered && r.Reference == "m1" && e.Entry.Actor == incident.ActorExecutor {
				receipts++
			}
		}
		if receipts != 3 || len(box.List()) != 0 {
			t.Errorf("%d receipts: the ledger has %s", receipts, kinds(l.entries(t)))
		}
	})
}

func TestReceiptsThatAreNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper()
		s := start(t, l, settings())
		s.live()
		before := l.Checkpoint().Size
		for name, r := range map[string]outbox.Receipt{
			"of nothing that was due": {Tenant: "payments", Service: "payments-api", Effect: 1, Effects: []uint64{1}, Outcome: outbox.Delivered},
			"of nothing at all":       {Tenant: "payments", Service: "payments-api", Outcome: outbox.Delivered},
			"by nobody":               {Tenant: "payments", Service: "payments-api", Effect: 1, Effects: []uint64{1}, Outcome: outbox.Requeued},
		} {
			if err := s.Record(t.Context(), r); err == nil {
				t.Errorf("%s: it is recorded", name)
			}
		}
		if size := l.Checkpoint().Size; size != before || s.view("payments").Problem != "" {
			t.Errorf("the ledger has %d entries after %d, and %q", size, before, s.view("payments").Problem)
		}
		gone := outbox.Receipt{Tenant: "gone", Service: "gone-api", Effect: 1, Effects: []uint64{1}, Outcome: outbox.Withdrawn}
		if err := s.Record(t.Context(), gone); err != nil {
			t.Errorf("of a tenant that is not configured any more: %v", err)
		}
		s.stop()
	})
}

func TestReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPaper(`{"v":1,"kind":"sidecar.started","time":"1999-12-31T03:00:00Z"}`)
		s := New(settings())
		if _, err := s.Read(t.Context(), 0, nil); !errors.Is(err, ErrNotReady) {
			t.Errorf("before the ledger is open: %v", err)
		}
		run := start(t, l, settings())
		run.sees(breached("payments"))
		var got []string
		take := func(e incident.Indexed) error { got = append(got, e.Entry.Kind); return nil }
		next, err := run.Read(t.Context(), 0, take)
		if err != nil || next != l.Checkpoint().Size || strings.Join(got, " ") != "policy.loaded incident.detected effect.suppressed" {
			t.Errorf("%v up to %d, %v", got, next, err)
		}
		if again, err := run.Read(t.Context(), next+5, take); err != nil || again != next || len(got) != 3 {
			t.Errorf("beyond the end: %d, %v, %v", again, err, got)
		}
		stop := errors.New("enough")
		if _, err := run.Read(t.Context(), 0, func(incident.Indexed) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := run.Read(gone, 0, take); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		run.stop()
	})
}

// TestLogOfAnApproval: an operator reads who decided, and what became of it.
func TestLogOfAnApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outside{answer: func(_ context.Context, c call) recovery.Receipt { return receipt(c, recovery.Refused) }}
		s := start(t, newPaper(), acting(o, restart))
		s.live()
		id := s.asked()
		ana, ben := s.link(id, "ana"), s.link(id, "ben")
		s.tap(ana, true)
		s.tap(ben, true)
		s.sees(calm("payments"))
		s.stop()
		for _, want := range []string{
			`msg="incident advanced" tenant=payments by=human:ana`, `level=ERROR msg="action run" tenant=payments outcome=refused`,
			`level=WARN msg="decision refused"`, `msg="service healthy again after the incident"`,
		} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("there is no %q in\n%s", want, s.log.String())
			}
		}
	})
}
