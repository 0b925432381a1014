package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

var (
	// ErrNotReady says that the ledger has not been read yet.
	ErrNotReady = errors.New("the outbox is not ready: the ledger is still being read")
	// ErrNotFound says that there is no dead letter of that id.
	ErrNotFound = errors.New("not a dead letter")
	// ErrShadow says that nothing can be sent again while shadow mode is on.
	ErrShadow = errors.New("shadow mode is on: go live before sending it again")
)

// Ledger is what the outbox reads.
type Ledger interface {
	// Read visits the entries from number from on, in order, as of one checkpoint: all
	// that one append brought, or none of it. Entries of other families may be left out.
	// next is the size of that checkpoint. An error of visit ends the reading and is
	// returned.
	Read(ctx context.Context, from uint64, visit func(incident.Indexed) error) (next uint64, err error)
}

// Receipts is where receipts go.
type Receipts interface {
	// Record makes an entry of kind [KindReceipt] durable in the ledger. An error says
	// that it may not be there; the same receipt is handed over again then.
	Record(ctx context.Context, r Receipt) error
}

// Options say what an outbox works with.
type Options struct {
	// Path is the file that says what was sent before the ledger can: outbox.sent in the
	// data directory. Required, as are Ledger, Receipts and Carrier.
	Path     string
	Ledger   Ledger
	Receipts Receipts
	Carrier  Carrier
	// Contacts are all who are told, of every tenant.
	Contacts []Contact
	Rules    Rules
	// Shadow says whether a tenant is in shadow mode. It is asked right before each
	// attempt, beside what the ledger says; nil asks nobody.
	Shadow func(tenant string) bool
	// Poll is how often the ledger is looked at without [Outbox.Wake]; 1 s when 0.
	Poll time.Duration
	// Grace is how long attempts that are under way may take at the end; 5 s when 0.
	Grace time.Duration
	// Now is the clock, and Random a number of at least 0 and below 1; time.Now and
	// rand.Float64 when nil. Log receives what an operator should know; slog.Default
	// when nil.
	Now    func() time.Time
	Random func() float64
	Log    *slog.Logger
}

// Outbox sends what is due. Its methods are safe for concurrent use; Run is called
// once.
type Outbox struct {
	opts Options
	wake chan struct{} // has room for one

	mu       sync.Mutex // never held while something is sent, read or written
	box      *Box
	ready    bool // the whole ledger was read once
	troubles map[string]string
}

// New makes an outbox. Nothing is read or sent before Run is under way.
func New(opts Options) *Outbox {
	if opts.Poll <= 0 {
		opts.Poll = time.Second
	}
	if opts.Grace <= 0 {
		opts.Grace = 5 * time.Second
	}
	if opts.Shadow == nil {
		opts.Shadow = func(string) bool { return false }
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Random == nil {
		opts.Random = rand.Float64
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Outbox{opts: opts, wake: make(chan struct{}, 1), box: NewBox(opts.Contacts, opts.Rules), troubles: map[string]string{}}
}

// Wake has Run look at the ledger now. It never waits.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// List is what is due and not done, and the dead letters.
func (o *Outbox) List() []Item {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.box.Items(o.opts.Now())
}

// Status is how the outbox does.
func (o *Outbox) Status() Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.box.Status(o.opts.Now())
	for _, what := range []string{"reading", "recording", "keeping"} {
		if o.troubles[what] != "" {
			s.Problem = o.troubles[what]
			break
		}
	}
	if s.Problem == "" && !o.ready {
		s.Problem = ErrNotReady.Error()
	}
	return s
}

// Retry orders a dead letter to be sent again, with the same idempotency key; by is
// the person who does. It has returned without an error when the order is durable in
// the ledger. Errors are [ErrNotReady], [ErrNotFound], [ErrShadow], or those of
// [Receipts].
func (o *Outbox) Retry(ctx context.Context, id, by string) error {
	by = plain(by)
	if by == "" {
		return errors.New("nobody is named: say who sends it again")
	}
	r, err := o.order(id)
	if err != nil {
		return err
	}
	r.By, r.Reason = by, plain(strings.TrimSpace(by)+" ordered it to be sent again")
	if err := o.opts.Receipts.Record(ctx, r); err != nil {
		return fmt.Errorf("that %s is to be sent again cannot be recorded, and nothing is sent: %w", id, err)
	}
	o.Wake()
	return nil
}

// order begins the receipt of a dead letter that is to be sent again.
func (o *Outbox) order(id string) (Receipt, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ready {
		return Receipt{}, ErrNotReady
	}
	d, ok := o.box.state.deadLetter(id)
	switch {
	case !ok:
		return Receipt{}, fmt.Errorf("%w: %q; countersign outbox list shows those that there are", ErrNotFound, plain(id))
	case !o.box.state.live[d.letter.Tenant]:
		return Receipt{}, ErrShadow
	}
	r := d.letter.receipt(Requeued, o.opts.Now())
	r.ID, r.Contact, r.Step, r.Resent = d.receipt.ID, d.receipt.Contact, d.receipt.Step, d.receipt.Resent+1
	return r, nil
}

// trouble notes what does not work, or with nil that it does again, and logs the
// change.
func (o *Outbox) trouble(what, text string, err error) {
	o.mu.Lock()
	before := o.troubles[what]
	o.troubles[what] = ""
	if err != nil {
		o.troubles[what] = text + ": " + plain(err.Error())
	}
	o.mu.Unlock()
	switch {
	case err != nil && before == "":
		o.opts.Log.Error(text, "error", err)
	case err == nil && before != "":
		o.opts.Log.Info("the outbox works again", "before", before)
	}
}
