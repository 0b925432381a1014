package outbox

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Box is a [State] with what a restart may forget: who is tried how often by which
// channel, and which channel does not answer. It decides what is sent and recorded
// next. What it does follows from what it was told and the times it was given: it
// has no clock and no chance of its own. It is not safe for concurrent use.
type Box struct {
	state    *State
	contacts []Contact
	rules    Rules
	watch    stopwatch
	marks    map[key]*mark
	breakers map[string]*breaker
	beside   []*Letter // that are on no record
	told     uint64    // how many of those there were

	unrecorded map[key]int   // how often a receipt could not be recorded
	troubles   int           // failures to record in a row
	until      time.Duration // nothing is recorded before
}

// mark is what is remembered of one delivery. Times are those of the stopwatch.
type mark struct {
	effect   uint64        // its letter's Index
	looked   bool          // at all
	seen     time.Duration // when it was first looked at
	age      time.Duration // its age then
	attempts int
	ways     map[string]*way // by channel
	doubts   int             // attempts of earlier processes of which nobody knows the end
	repeated bool            // an attempt may have been accepted without our knowing
	sending  bool
	proof    *Receipt // it was accepted
	ended    bool     // its receipt is in the ledger
	moot     string   // why it need not be said any more
	last     string   // why the last attempt failed
}

// way is what is remembered of a delivery by one channel.
type way struct {
	attempts, unsure int
	until            time.Duration // not again before
	refused          bool          // never again
}

// maxDoubts is how often a message is sent of which it is not known whether it was
// accepted before the process died.
const maxDoubts = 2

// NewBox is the box of an empty ledger. The fields of rules that are zero have their
// defaults.
func NewBox(contacts []Contact, rules Rules) *Box {
	return &Box{
		state: NewState(), contacts: contacts, rules: rules.withDefaults(),
		marks: map[key]*mark{}, breakers: map[string]*breaker{}, unrecorded: map[key]int{},
	}
}

// restore takes in what the journal has of a delivery, before the first entry is applied.
func (b *Box) restore(k key, t trace) {
	if t.doubts > 0 || t.proof != nil {
		m := &mark{doubts: t.doubts, repeated: t.doubts > 0, proof: t.proof, ways: map[string]*way{}}
		if t.proof != nil {
			m.effect = t.proof.Effect
		}
		b.marks[k] = m
	}
}

// Apply takes in an entry of the ledger, as [State.Apply] does.
func (b *Box) Apply(index uint64, e incident.Entry) {
	b.state.Apply(index, e)
	b.hush(e)
	if r, ok := ReceiptOf(e); ok && r.Outcome != Requeued {
		b.ended(r)
	}
}

// ended notes that a receipt is in the ledger.
func (b *Box) ended(r Receipt) {
	delete(b.unrecorded, r.key())
	if m := b.marks[r.key()]; m != nil {
		m.ended = true
	}
}

// Recorded takes in that receipts can be recorded. That one is in the ledger is for
// [Box.Apply].
func (b *Box) Recorded() { b.troubles = 0 }

// Unrecorded takes in that a receipt could not be recorded, at the time now; jitter is
// as in [Box.Failed]. Others are recorded before it is tried again.
func (b *Box) Unrecorded(r Receipt, now time.Time, jitter float64) {
	b.troubles++
	b.unrecorded[r.key()]++
	b.until = b.watch.read(now) + b.rules.backoff(b.troubles, jitter)
}

func (b *Box) breaker(channel string) *breaker {
	if b.breakers[channel] == nil {
		b.breakers[channel] = &breaker{}
	}
	return b.breakers[channel]
}

// mark is what is remembered of a delivery.
func (b *Box) mark(d delivery, now time.Time, at time.Duration) *mark {
	m := b.marks[d.key()]
	if m == nil {
		m = &mark{ways: map[string]*way{}}
		b.marks[d.key()] = m
	}
	if !m.looked {
		m.looked, m.effect, m.seen, m.age = true, d.letter.Index, at, max(now.Sub(d.since), 0)
	}
	return m
}

func (m *mark) old(at time.Duration) time.Duration { return m.age + at - m.seen }

func (m *mark) way(channel string) *way {
	if m.ways[channel] == nil {
		m.ways[channel] = &way{}
	}
	return m.ways[channel]
}

// deliveries are all that there are to make, in the order of their letters.
func (b *Box) deliveries() []delivery {
	var list []delivery
	for _, l := range b.state.letters {
		if l.withdrawn == "" {
			list = append(list, firsts(l, b.contacts, l == b.state.asks[l.Tenant])...)
		}
	}
	for _, l := range b.beside {
		list = append(list, firsts(l, b.contacts, false)...)
	}
	for _, o := range b.state.again {
		list = append(list, b.ordered(o))
	}
	for _, l := range b.state.asks {
		list = append(list, escalations(l, b.contacts, b.rules)...)
	}
	list = slices.DeleteFunc(list, func(d delivery) bool { return d.resent == d.letter.resent && d.letter.done[d.id] })
	slices.SortStableFunc(list, func(x, y delivery) int {
		return cmp.Or(cmp.Compare(x.letter.Index, y.letter.Index), cmp.Compare(x.after, y.after))
	})
	return list
}

// ordered is the delivery that a person ordered anew, without channels when its
// contact is not configured any more.
func (b *Box) ordered(o ordered) delivery {
	d := delivery{id: o.receipt.ID, letter: o.letter, contact: o.receipt.Contact, step: o.receipt.Step}
	for _, c := range b.contacts {
		if c.ID == o.receipt.Contact {
			d, _ = o.letter.to(c, o.receipt.Step)
			d.id = o.receipt.ID
		}
	}
	d.resent, d.since, d.link = o.receipt.Resent, o.receipt.At, o.letter == b.state.asks[o.letter.Tenant]
	return d
}

// Sent takes in that a channel has accepted a parcel.
func (b *Box) Sent(p Parcel, proof Receipt) {
	br := b.breaker(p.Channel)
	br.busy = false
	br.succeeded()
	m := b.marks[p.key()]
	switch {
	case m == nil:
	case p.Letter.onRecord():
		m.sending, m.proof = false, &proof
	default:
		m.sending, m.ended = false, true
		b.besideDone(p.Letter.Index, p.ID)
	}
}

// Failed takes in that an attempt failed, at the time now; jitter is random, at least
// 0 and below 1.
func (b *Box) Failed(p Parcel, err error, now time.Time, jitter float64) {
	at := b.watch.read(now)
	br, m := b.breaker(p.Channel), b.marks[p.key()]
	br.busy = false
	if m == nil {
		return
	}
	m.sending = false
	w := m.way(p.Channel)
	if silenced(err) {
		// The switch is in the ledger, or about to be, and withdraws the letter.
		w.until = at + b.rules.Base
		return
	}
	if moot, ok := errors.AsType[Moot](err); ok {
		m.moot = plain(string(moot))
		return
	}
	f := failure(err)
	m.attempts++
	w.attempts++
	m.last = plain(p.Channel + ": " + f.Error())
	w.until = at + max(b.rules.backoff(w.attempts, jitter), min(f.After, b.rules.Pause))
	if f.Unsure {
		w.unsure++
		m.repeated = true
	}
	w.refused = !f.Retry || w.unsure >= b.rules.Unsure
	switch {
	case f.After > 0:
		br.pause(at, f.After, b.rules)
	case f.Retry:
		br.failed(at, b.rules)
	default:
		// The channel answered: it is the message, or the settings, that it refuses.
		br.succeeded()
	}
}
