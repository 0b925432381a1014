package outbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

func (s *scene) want(texts ...string) []Parcel {
	s.t.Helper()
	got, parcels := s.next()
	if !slices.Equal(got, texts) {
		s.t.Fatalf("at %s sent %q, want %q", s.now.Sub(began), got, texts)
	}
	return parcels
}

func opened(s *scene) {
	s.add(staged(incident.Detected, s.now), due(incident.Notification, incident.EventIncident, incident.Detected, s.now))
}

func validated(s *scene) {
	s.add(staged(incident.Validated, s.now),
		due(incident.Notification, incident.EventValidated, incident.Validated, s.now),
		due(incident.ApprovalLink, incident.EventValidated, incident.Validated, s.now))
}

func TestEachContactOnceInOrder(t *testing.T) {
	s := newScene(t, ana, Contact{ID: "ops", Channels: []Way{{Channel: "room"}}}, Contact{ID: "other", Channels: []Way{{Channel: "x", Tenant: "other"}}})
	opened(s)
	validated(s)
	first := s.want("ana incident chat", "ops incident room")
	s.want()
	s.accept(first)
	second := s.want("ana validated chat link", "ops validated room link")
	if got := second[0].Letter.Effects; !slices.Equal(got, []uint64{4, 5}) {
		t.Errorf("the validation and its link are effects %v of one message, want 4 and 5", got)
	}
	r := s.settle()
	if len(r) != 2 || r[0].Settles || !r[1].Settles || r[0].Outcome != Delivered || r[0].Reference != "ref" {
		t.Errorf("receipts %+v", r)
	}
	s.accept(second)
	s.settle()
	if s.want(); len(s.box.state.letters) != 0 || len(s.box.state.asks) != 1 {
		t.Errorf("%d letters and %d asks are left", len(s.box.state.letters), len(s.box.state.asks))
	}
}

func TestEscalation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		then   func(*scene)
		voice  bool
		second bool
	}{
		{"nobody decides", func(*scene) {}, true, true},
		{"authorized", func(s *scene) { s.add(staged(incident.Authorized, s.now)) }, false, false},
		{"rejected", func(s *scene) { s.add(staged(incident.Rejected, s.now)) }, false, false},
		{"recovered", func(s *scene) { s.add(staged(incident.Recovered, s.now)) }, false, false},
		{"shadow", func(s *scene) { s.add(entry(incident.KindShadowOn, s.now)) }, false, false},
		{"another incident", func(s *scene) { e := staged(incident.Authorized, s.now); e.IncidentID = "inc-000000-1"; s.add(e) }, true, true},
		{"the clock goes back", func(s *scene) { s.now = s.now.Add(-time.Hour); s.want() }, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, ana, ben)
			opened(s)
			s.accept(s.want("ana incident chat"))
			validated(s)
			s.accept(s.want("ana validated chat link"))
			s.settle()
			s.pass(170 * time.Second)
			s.want()
			tt.then(s)
			s.pass(10 * time.Second)
			if tt.voice {
				s.accept(s.want("ana validated phone voice link"))
			} else {
				s.want()
			}
			s.settle()
			s.pass(119 * time.Second)
			s.want()
			s.pass(time.Second)
			if !tt.second {
				s.want()
				return
			}
			s.accept(s.want("ben validated mail secondary link"))
			s.settle()
			// Who was told is told of the end, too.
			s.add(staged(incident.Recovered, s.now), due(incident.Notification, incident.EventRecovered, incident.Recovered, s.now))
			s.want("ana recovered chat", "ben recovered mail")
		})
	}
}

func TestLinkOfADecidedIncidentIsLeftOut(t *testing.T) {
	s := newScene(t, ana)
	validated(s)
	s.fail(s.want("ana validated chat link"), errBusy)
	s.add(staged(incident.Recovered, s.now))
	s.pass(time.Second)
	s.want("ana validated chat")
}

func TestFallback(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	for n := range 3 {
		s.fail(s.want("ana incident chat"), errBusy)
		if n < 2 {
			s.want()
			s.pass(5 * time.Second)
		}
	}
	for range 3 {
		s.fail(s.want("ana incident mail"), errBusy)
		s.pass(5 * time.Second)
	}
	s.want("ana incident chat")
}

func TestRefusedGoesToTheNextAtOnce(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	s.fail(s.want("ana incident chat"), errRefused)
	s.fail(s.want("ana incident mail"), errRefused)
	r := s.settle()
	if len(r) != 1 || r[0].Outcome != Dead || !r[0].Settles || !strings.Contains(r[0].Reason, "mail: the token is wrong; give it another") {
		t.Fatalf("receipts %+v", r)
	}
	s.want()
	items := s.box.Items(s.now)
	if len(items) != 1 || items[0].Condition != Given || items[0].ID != r[0].ID || items[0].Attempts != 2 {
		t.Errorf("items %+v", items)
	}
}

func TestUnsureAttemptsAreFew(t *testing.T) {
	s := newScene(t, Contact{ID: "ana", Channels: []Way{{Channel: "chat"}}})
	opened(s)
	for n := range 3 {
		p := s.want("ana incident chat")
		if p[0].Repeated != (n > 0) {
			t.Errorf("attempt %d: repeated %t", n+1, p[0].Repeated)
		}
		s.fail(p, &notify.Error{Retry: true, Unsure: true, Text: "no answer"})
		s.pass(time.Minute)
	}
	if r := s.settle(); len(r) != 1 || r[0].Outcome != Dead || !r[0].Repeated {
		t.Errorf("receipts %+v", r)
	}
}

func TestBreakerSparesADeadChannel(t *testing.T) {
	people := []Contact{}
	for i := range 9 {
		people = append(people, Contact{ID: fmt.Sprint("c", i), Channels: []Way{{Channel: "chat"}, {Channel: "mail"}}})
	}
	s := newScene(t, people...)
	opened(s)
	chat := 0
	for range 100 {
		_, parcels := s.next()
		if len(parcels) == 0 {
			break
		}
		for _, p := range parcels {
			if p.Channel == "chat" {
				chat++
				s.fail([]Parcel{p}, errBusy)
			} else {
				s.accept([]Parcel{p})
			}
		}
	}
	if chat != 5 {
		t.Errorf("the dead channel was asked %d times, want 5", chat)
	}
	if got := s.box.Status(s.now).Channels["chat"]; got != "open" {
		t.Errorf("its breaker is %s", got)
	}
	if r := s.settle(); len(r) != 9 {
		t.Errorf("%d of 9 have got it by the other channel", len(r))
	}
	s.pass(30 * time.Second)
	if got := s.box.Status(s.now).Channels["chat"]; got != "half-open" {
		t.Errorf("after the cool-down its breaker is %s", got)
	}
	opened(s)
	got, parcels := s.next()
	if !slices.Contains(got, "c0 incident chat") || len(got) > 2 {
		t.Fatalf("after the cool-down: %q, want one probe", got)
	}
	s.accept(parcels)
	if got := s.box.Status(s.now).Channels["chat"]; got != "closed" {
		t.Errorf("after a success its breaker is %s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	s := newScene(t, Contact{ID: "a", Channels: []Way{{Channel: "chat"}}}, ana)
	opened(s)
	p := s.want("a incident chat")
	s.fail(p, &notify.Error{Retry: true, After: 20 * time.Second, Text: "429"})
	s.want()
	if got := s.box.Status(s.now).Channels["chat"]; got != "paused" {
		t.Errorf("the channel is %s", got)
	}
	s.pass(19 * time.Second)
	s.want()
	s.pass(time.Second)
	p = s.want("a incident chat")
	// A long pause is no reason to keep somebody waiting who has another channel.
	s.fail(p, &notify.Error{Retry: true, After: 10 * time.Minute, Text: "429"})
	s.want("ana incident mail")
	s.pass(9 * time.Minute)
	if got, _ := s.next(); len(got) != 0 {
		t.Errorf("within its pause the channel was asked: %q", got)
	}
}

func TestAttemptsAndAgeEnd(t *testing.T) {
	one := Contact{ID: "ana", Channels: []Way{{Channel: "chat"}}}
	s := newScene(t, one)
	opened(s)
	tries := 0
	for range 10000 {
		if _, p := s.next(); len(p) > 0 {
			tries++
			s.fail(p, errBusy)
		}
		s.pass(time.Second)
	}
	if r := s.settle(); tries != 20 || len(r) != 1 || r[0].Outcome != Dead || r[0].Reason != "20 attempts failed; the last said: chat: 503" {
		t.Errorf("%d attempts, receipts %+v", tries, r)
	}

	s = newScene(t, one)
	s.now = began.Add(24 * time.Hour)
	s.add(due(incident.Notification, incident.EventTargetDown, "", began))
	s.want()
	if r := s.settle(); len(r) != 1 || r[0].Reason != "it is older than 24h0m0s" {
		t.Errorf("receipts %+v", r)
	}
}

func TestClockJumps(t *testing.T) {
	s := newScene(t, Contact{ID: "ana", Channels: []Way{{Channel: "chat"}}})
	opened(s)
	s.fail(s.want("ana incident chat"), errBusy)
	s.now = began.AddDate(-20, 0, 0)
	s.want()
	s.pass(time.Second)
	s.fail(s.want("ana incident chat"), errBusy)
	s.now = began.AddDate(20, 0, 0)
	s.fail(s.want("ana incident chat"), errBusy)
	if r := s.settle(); len(r) != 0 {
		t.Errorf("a clock that was put forward made it old: %+v", r)
	}
}

func TestShadowWithdraws(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	under := s.want("ana incident chat")
	validated(s)
	s.add(entry(incident.KindShadowOn, s.now))
	s.pass(time.Hour)
	s.want()
	// What is under way may still be accepted: that it was is recorded.
	s.accept(under)
	r := s.settle()
	if len(r) != 2 || r[0].Outcome != Delivered || !r[0].Settles || r[1].Outcome != Withdrawn || r[1].Effect != 4 {
		t.Fatalf("receipts %+v", r)
	}
	s.add(entry(incident.KindShadowOff, s.now))
	s.want()
}

func TestGateRefusesInShadow(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	for range 50 {
		s.fail(s.want("ana incident chat"), errGate)
		s.want()
		s.pass(time.Second)
	}
	s.want("ana incident chat")
}

func TestNobodyIsTold(t *testing.T) {
	s := newScene(t)
	opened(s)
	r := s.settle()
	if len(r) != 1 || r[0].Outcome != Dead || r[0].Contact != "" {
		t.Fatalf("receipts %+v", r)
	}
	// Contacts are configured, and it is ordered again.
	entries := s.box.state
	s.box = NewBox([]Contact{ana}, Rules{})
	s.box.state = entries
	s.now = s.now.Add(48 * time.Hour)
	o, ok := s.box.state.deadLetter(r[0].ID)
	if !ok {
		t.Fatal("it is no dead letter")
	}
	again := o.letter.receipt(Requeued, s.now)
	again.ID, again.Resent, again.By = r[0].ID, 1, "ana"
	s.add(receiptEntry(t, again), receiptEntry(t, again))
	s.accept(s.want("ana incident chat"))
	if r := s.settle(); len(r) != 1 || r[0].Resent != 1 || !r[0].Settles {
		t.Errorf("receipts %+v", r)
	}
	s.want()
}

func TestContactIsGone(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	s.fail(s.want("ana incident chat"), errRefused)
	s.fail(s.want("ana incident mail"), errRefused)
	id := s.settle()[0].ID
	o, _ := s.box.state.deadLetter(id)
	s.box.contacts = nil
	r := o.letter.receipt(Requeued, s.now)
	r.ID, r.Contact, r.Resent, r.By = id, "ana", 1, "ben"
	s.add(receiptEntry(t, r))
	if r := s.settle(); len(r) != 1 || r[0].Outcome != Dead || r[0].Resent != 1 || !strings.Contains(r[0].Reason, `no channel leads to the contact "ana"`) {
		t.Errorf("receipts %+v", r)
	}
}

func TestMoot(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	s.fail(s.want("ana incident chat"), fmt.Errorf("composing: %w", Moot("the incident was merged")))
	if r := s.settle(); len(r) != 1 || r[0].Outcome != Withdrawn || r[0].Reason != "the incident was merged" || !r[0].Settles {
		t.Errorf("receipts %+v", r)
	}
}

func TestWaitIsTheShortest(t *testing.T) {
	s := newScene(t, ana)
	opened(s)
	_, parcels := s.next()
	s.fail(parcels, errBusy)
	if _, _, wait := s.box.Next(s.now); wait != time.Second {
		t.Errorf("waits %s, want 1s", wait)
	}
}

func TestReceiptsThatCannotBeRecordedLetOthersPass(t *testing.T) {
	s := newScene(t, ana, Contact{ID: "ops", Channels: []Way{{Channel: "room"}}})
	opened(s)
	s.accept(s.want("ana incident chat", "ops incident room"))
	_, first, _ := s.box.Next(s.now)
	s.box.Unrecorded(*first, s.now, 0)
	if _, r, wait := s.box.Next(s.now); r != nil || wait != time.Second {
		t.Errorf("right after a failure %+v is recorded, wait %s", r, wait)
	}
	s.pass(time.Second)
	if _, r, _ := s.box.Next(s.now); r == nil || r.ID == first.ID {
		t.Errorf("the same receipt is tried again before the other: %+v", r)
	}
	s.want()
	if r := s.settle(); len(r) != 2 || r[0].Settles || !r[1].Settles {
		t.Errorf("receipts %+v", r)
	}
}

// TestAskedAnew: who has not got the first question gets only the second, and it is
// the second that is escalated.
func TestAskedAnew(t *testing.T) {
	s := newScene(t, ana, Contact{ID: "ops", Channels: []Way{{Channel: "room"}}}, ben)
	opened(s)
	s.accept(s.want("ana incident chat", "ops incident room"))
	validated(s)
	first := s.want("ana validated chat link", "ops validated room link")
	s.accept(first[:1])
	s.fail(first[1:], &notify.Error{Retry: true, Text: "no answer"})
	s.pass(time.Minute / 2)
	asked := entry(incident.KindAsked, s.now)
	asked.IncidentID, asked.Stage = inc, incident.Validated
	s.add(asked, due(incident.ApprovalLink, incident.EventValidated, incident.Validated, s.now))
	second := s.want("ana validated chat link", "ops validated room link")
	if second[0].ID == first[0].ID || second[1].ID == first[1].ID {
		t.Error("the second question has the idempotency keys of the first")
	}
	s.accept(second)
	s.settle()
	s.pass(170 * time.Second)
	s.want()
	s.pass(10 * time.Second)
	s.accept(s.want("ana validated phone voice link"))
	s.settle()
	s.pass(120 * time.Second)
	s.accept(s.want("ben validated mail secondary link"))
	s.settle()
	if s.want(); len(s.box.state.letters) != 0 {
		t.Errorf("%d letters are left", len(s.box.state.letters))
	}
}
