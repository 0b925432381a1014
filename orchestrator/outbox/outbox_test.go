package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

var (
	chatter = Contact{ID: "ana", Channels: []Way{{Channel: "chat"}}}
	down    = due(incident.Notification, incident.EventTargetDown, "", began)
)

// running runs an outbox in a bubble for as long as test takes.
func running(t *testing.T, opts func(*Options), s *shore, test func(t *testing.T, o *Outbox, stop func())) {
	path := filepath.Join(t.TempDir(), "outbox.sent")
	synctest.Test(t, func(t *testing.T) {
		options := s.options(path, chatter)
		start := time.Now()
		options.Now = func() time.Time { return began.Add(time.Since(start)) }
		if opts != nil {
			opts(&options)
		}
		o := New(options)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := o.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		stop := func() { cancel(); <-ended }
		defer stop()
		test(t, o, stop)
	})
}

func TestRunSendsAndRecords(t *testing.T) {
	s := newShore(down)
	running(t, nil, s, func(t *testing.T, o *Outbox, _ func()) {
		if s := o.Status(); s.Problem != ErrNotReady.Error() {
			t.Errorf("before the ledger is read: %+v", s)
		}
		time.Sleep(time.Minute)
		r := s.receipts()
		if len(r) != 1 || r[0].Outcome != Delivered || r[0].Reference != "chat-1" || len(s.sent()) != 1 || len(s.sent()[r[0].ID]) != 1 {
			t.Errorf("receipts %+v, carried %v", r, s.sent())
		}
		if st := o.Status(); st.Pending != 0 || st.Dead != 0 || st.Problem != "" || st.Channels["chat"] != "closed" {
			t.Errorf("status %+v", st)
		}
		s.add(due(incident.Notification, incident.EventTargetUp, "", began))
		o.Wake()
		synctest.Wait()
		if r := s.receipts(); len(r) != 2 {
			t.Errorf("woken, it has not sent: %+v", r)
		}
	})
}

func TestLedgerThatTakesNothing(t *testing.T) {
	s := newShore(down, due(incident.Notification, incident.EventTargetUp, "", began))
	var broken atomic.Bool
	broken.Store(true)
	s.record = func(Receipt) error {
		if broken.Load() {
			return errDisk
		}
		return nil
	}
	running(t, nil, s, func(t *testing.T, o *Outbox, _ func()) {
		time.Sleep(time.Hour)
		if len(s.sent()) != 2 {
			t.Errorf("without receipts %v was sent", s.sent())
		}
		st := o.Status()
		if st.Pending != 2 || !strings.Contains(st.Problem, "no space left") {
			t.Errorf("status %+v", st)
		}
		for _, i := range o.List() {
			if i.Condition != Accepted {
				t.Errorf("item %+v", i)
			}
		}
		broken.Store(false)
		time.Sleep(time.Hour)
		if r := s.receipts(); len(r) != 2 || o.Status().Problem != "" {
			t.Errorf("receipts %+v, %+v", r, o.Status())
		}
		for id, by := range s.sent() {
			if len(by) != 1 {
				t.Errorf("%s was sent %d times", id, len(by))
			}
		}
	})
}

func TestRetry(t *testing.T) {
	s := newShore(down)
	var refuse atomic.Bool
	refuse.Store(true)
	s.carry = func(Parcel) error {
		if refuse.Load() {
			return errRefused
		}
		return nil
	}
	running(t, nil, s, func(t *testing.T, o *Outbox, _ func()) {
		if err := o.Retry(t.Context(), "eff-1-000000000000", "ana"); !errors.Is(err, ErrNotReady) {
			t.Errorf("before the ledger is read: %v", err)
		}
		time.Sleep(time.Second)
		items := o.List()
		if len(items) != 1 || items[0].Condition != Given || !strings.Contains(items[0].Reason, "the token is wrong") {
			t.Fatalf("items %+v", items)
		}
		id := items[0].ID
		if err := o.Retry(t.Context(), "eff-1-000000000000", "ana"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "outbox list") {
			t.Errorf("an id that there is not: %v", err)
		}
		if err := o.Retry(t.Context(), id, " \n"); err == nil {
			t.Error("nobody may send it again")
		}
		refuse.Store(false)
		must(t, o.Retry(t.Context(), id, "ana"))
		synctest.Wait()
		r := s.receipts()
		if len(r) != 3 || r[1].Outcome != Requeued || r[1].By != "ana" || r[2].Outcome != Delivered || r[2].ID != id || len(o.List()) != 0 {
			t.Errorf("receipts %+v, items %+v", r, o.List())
		}
		if err := o.Retry(t.Context(), id, "ana"); !errors.Is(err, ErrNotFound) {
			t.Errorf("what was delivered is sent again: %v", err)
		}
	})
}

func TestRetryInShadowAndWithoutLedger(t *testing.T) {
	s := newShore(down)
	s.carry = func(Parcel) error { return errRefused }
	var broken atomic.Bool
	s.record = func(Receipt) error {
		if broken.Load() {
			return errDisk
		}
		return nil
	}
	running(t, nil, s, func(t *testing.T, o *Outbox, _ func()) {
		time.Sleep(time.Second)
		id := o.List()[0].ID
		broken.Store(true)
		if err := o.Retry(t.Context(), id, "ana"); !errors.Is(err, errDisk) {
			t.Errorf("without a ledger: %v", err)
		}
		broken.Store(false)
		s.add(entry(incident.KindShadowOn, began))
		time.Sleep(2 * time.Second)
		if err := o.Retry(t.Context(), id, "ana"); !errors.Is(err, ErrShadow) {
			t.Errorf("in shadow mode: %v", err)
		}
	})
}

func TestShadowIsAskedBeforeEachAttempt(t *testing.T) {
	s := newShore(down)
	var shadow atomic.Bool
	shadow.Store(true)
	running(t, func(o *Options) { o.Shadow = func(tenant string) bool { return tenant == acme && shadow.Load() } }, s, func(t *testing.T, o *Outbox, _ func()) {
		time.Sleep(time.Hour)
		if len(s.sent()) != 0 || len(s.receipts()) != 0 {
			t.Errorf("in shadow mode %v was sent", s.sent())
		}
		shadow.Store(false)
		time.Sleep(time.Minute)
		if len(s.sent()) != 1 {
			t.Error("live, nothing is sent")
		}
	})
}

func TestPanickingChannel(t *testing.T) {
	s := newShore(down)
	n := 0
	s.carry = func(Parcel) error {
		if n++; n == 1 {
			panic("nil map")
		}
		return nil
	}
	running(t, nil, s, func(t *testing.T, o *Outbox, _ func()) {
		time.Sleep(time.Minute)
		if r := s.receipts(); len(r) != 1 || r[0].Attempts != 2 || !r[0].Repeated {
			t.Errorf("receipts %+v", r)
		}
	})
}

func TestJournalThatFailsStopsNoMessage(t *testing.T) {
	s := newShore(down)
	var path string
	s.carry = func(Parcel) error {
		// The directory goes away under it.
		return os.RemoveAll(filepath.Dir(path))
	}
	running(t, func(o *Options) {
		path = filepath.Join(filepath.Dir(o.Path), "data", "outbox.sent")
		must(t, os.Mkdir(filepath.Dir(path), 0o700))
		o.Path = path
	}, s, func(t *testing.T, o *Outbox, _ func()) {
		time.Sleep(time.Minute)
		if r := s.receipts(); len(r) != 1 || r[0].Outcome != Delivered {
			t.Errorf("receipts %+v", r)
		}
	})
}

func TestEndWaitsForWhatIsUnderWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration
		heeds bool
		ends  time.Duration
		doubt bool
	}{
		{"soon", 3 * time.Second, true, 3 * time.Second, false},
		{"too late", time.Hour, true, 5 * time.Second, true},
		{"never", time.Hour, false, 6 * time.Second, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShore(down)
			var path string
			slow := &slowCarrier{shore: s, takes: tt.takes, heeds: tt.heeds}
			running(t, func(o *Options) { o.Carrier, path = slow, o.Path }, s, func(t *testing.T, o *Outbox, stop func()) {
				synctest.Wait()
				began := time.Now()
				stop()
				if took := time.Since(began); took != tt.ends {
					t.Errorf("it ended after %s, want %s", took, tt.ends)
				}
				data, err := os.ReadFile(path)
				must(t, err)
				traces, _ := readJournal(data)
				for _, tr := range traces {
					if (tr.doubts > 0) != tt.doubt || (tr.proof != nil) == tt.doubt {
						t.Errorf("the journal has %+v", tr)
					}
				}
				if len(traces) != 1 {
					t.Errorf("the journal has %d traces", len(traces))
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// slowCarrier takes its time, and heeds the end of its context or does not.
type slowCarrier struct {
	*shore
	takes time.Duration
	heeds bool
}

func (c *slowCarrier) Carry(ctx context.Context, p Parcel) (notify.Receipt, error) {
	over := ctx.Done()
	if !c.heeds {
		over = nil
	}
	select {
	case <-time.After(c.takes):
		return c.shore.Carry(ctx, p)
	case <-over:
		return notify.Receipt{}, ctx.Err()
	}
}

func TestPost(t *testing.T) {
	channel := &fakeChannel{}
	compose := func(_ context.Context, p Parcel) (notify.Message, error) {
		if p.Step == Voice {
			return notify.Message{}, Moot("it was decided")
		}
		return notify.Message{ID: "other", Event: notify.Incident, Service: p.Letter.Service}, nil
	}
	post := Post{Channels: []notify.Channel{channel}, Compose: compose}
	r, err := post.Carry(t.Context(), Parcel{ID: "eff-1-a", Channel: "chat", Letter: Letter{Service: "checkout"}})
	if err != nil || r.Reference != "m1" || channel.got.ID != "eff-1-a" || channel.got.Service != "checkout" {
		t.Errorf("%+v, %v, sent %+v", r, err, channel.got)
	}
	if _, err := post.Carry(t.Context(), Parcel{Channel: "chat", Step: Voice}); !errors.Is(err, Moot("it was decided")) {
		t.Errorf("what is moot: %v", err)
	}
	_, err = post.Carry(t.Context(), Parcel{Channel: "pager"})
	if f := failure(err); f.Retry || !strings.Contains(err.Error(), `there is no channel "pager"`) {
		t.Errorf("a channel that there is not: %+v", f)
	}
}

type fakeChannel struct{ got notify.Message }

func (c *fakeChannel) Name() string { return "chat" }
func (c *fakeChannel) Kind() string { return "fake" }
func (c *fakeChannel) Send(_ context.Context, m notify.Message) (notify.Receipt, error) {
	c.got = m
	return notify.Receipt{Reference: "m1"}, nil
}

func TestContacts(t *testing.T) {
	list := Contacts(
		[]notify.Contact{{ID: "ana", Channels: []string{"chat", "phone"}, Escalation: 1}, {ID: "ben", Channels: []string{"mail"}, Escalation: 2}},
		[]notify.Config{
			{ID: "chat", Fallback: "sms"}, {ID: "sms", Fallback: "chat"}, {ID: "phone", Voice: true}, {ID: "mail", Tenant: acme},
			{ID: "room", Fallback: "mail"}, {ID: "hook"},
		})
	var got []string
	for _, c := range list {
		got = append(got, fmt.Sprintf("%s %d %v %v", c.ID, c.Level, c.Channels, c.Voice))
	}
	want := []string{
		"ana 0 [{chat } {sms }] [{phone }]", "ben 1 [{mail acme}] []", "channel:room 0 [{room } {mail acme}] []", "channel:hook 0 [{hook }] []",
	}
	if !slices.Equal(got, want) {
		t.Errorf("contacts\n%q, want\n%q", got, want)
	}
}

func TestReceiptThroughAnEntry(t *testing.T) {
	for _, r := range []Receipt{
		sample,
		{ID: "eff-7-0123456789ab", Effect: 1 << 40, Effects: []uint64{1 << 40}, Event: "incident", Contact: "ana", Step: Voice, Outcome: Requeued, At: began,
			Resent: 2, Tenant: acme, Service: "checkout", By: "ben", Reason: "ben ordered it"},
	} {
		got, ok := ReceiptOf(receiptEntry(t, r))
		if !ok || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", r) {
			t.Errorf("%+v came back as %+v", r, got)
		}
	}
	odd := entry(KindReceipt, began)
	for _, m := range []map[string]any{nil, {"outcome": "lost"}, {"outcome": "dead", "effect_index": "x"}} {
		odd.Metadata = m
		if _, ok := ReceiptOf(odd); ok {
			t.Errorf("%v is a receipt", m)
		}
	}
}

func TestPlain(t *testing.T) {
	long := plain(strings.Repeat("é", 2000))
	if got := plain(" a\x1b[31m\n\u202eb\xff "); got != "a[31m b\ufffd" || len(long) > maxReason || !strings.HasSuffix(long, "é…") {
		t.Errorf("%q, %d bytes ending in %q", got, len(long), long[len(long)-8:])
	}
}
