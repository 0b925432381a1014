package outbox

import (
	"slices"
	"time"
)

// Condition is how a delivery stands.
type Condition string

// The conditions.
const (
	Waiting  Condition = "waiting"  // it is sent at Next, or when the one before it is
	Sending  Condition = "sending"  // an attempt is under way
	Accepted Condition = "accepted" // its receipt is not in the ledger yet
	Given    Condition = "dead"     // it was given up: a dead letter
)

// Item is a delivery that is not done, or a dead letter.
type Item struct {
	ID        string    `json:"id"`
	Condition Condition `json:"condition"`
	Effect    uint64    `json:"effect_index"` // 0 of what is on no record
	Tenant    string    `json:"tenant_id"`
	Service   string    `json:"service"`
	Incident  string    `json:"incident_id,omitempty"`
	Event     string    `json:"event"`
	Text      string    `json:"text"`
	Contact   string    `json:"contact,omitempty"`
	Step      Step      `json:"step,omitempty"`
	Channels  []string  `json:"channels,omitempty"`
	Attempts  int       `json:"attempts"`
	// Due is when it became due, Next when it is tried again; zero when that does not
	// depend on time.
	Due  time.Time `json:"due"`
	Next time.Time `json:"next,omitzero"`
	// Repeated is true when the person may have got it already.
	Repeated bool `json:"repeated,omitempty"`
	// Reason is why the last attempt failed, or why it was given up.
	Reason string `json:"reason,omitempty"`
}

// Status is the outbox in a few numbers.
type Status struct {
	// Pending are the deliveries that are due and not done, Dead the dead letters.
	Pending int `json:"pending"`
	Dead    int `json:"dead"`
	// Oldest is since when the oldest of the pending is due; zero without one.
	Oldest time.Time `json:"oldest,omitzero"`
	// Channels says of each channel that was used whether its circuit breaker is
	// closed, open, half-open, or paused as it asked for.
	Channels map[string]string `json:"channels,omitempty"`
	// Problem says what keeps the outbox from its work; empty while nothing does.
	Problem string `json:"problem,omitempty"`
}

// Items are what is due and not done at the time now, then the dead letters, each in
// the order of the ledger. Escalations that are not due yet are not among them.
func (b *Box) Items(now time.Time) []Item {
	at := b.watch.read(now)
	var items []Item
	for _, d := range b.deliveries() {
		m := b.marks[d.key()]
		if m != nil && m.ended || d.after > 0 && (m == nil || m.old(at) < d.after) {
			continue
		}
		items = append(items, b.pending(d, m, now, at))
	}
	dead := slices.Clone(b.state.dead)
	slices.SortStableFunc(dead, func(x, y ordered) int { return x.receipt.At.Compare(y.receipt.At) })
	for _, o := range dead {
		i := item(o.letter)
		i.ID, i.Condition, i.Contact, i.Step = o.receipt.ID, Given, o.receipt.Contact, o.receipt.Step
		i.Attempts, i.Repeated, i.Reason = o.receipt.Attempts, o.receipt.Repeated, o.receipt.Reason
		items = append(items, i)
	}
	return items
}

func (b *Box) pending(d delivery, m *mark, now time.Time, at time.Duration) Item {
	i := item(d.letter)
	i.ID, i.Condition, i.Contact, i.Step, i.Channels = d.id, Waiting, d.contact, d.step, d.channels
	i.Due = d.since.Add(d.after)
	if m == nil {
		return i
	}
	i.Attempts, i.Repeated, i.Reason = m.attempts, m.repeated, m.last
	switch {
	case m.proof != nil:
		i.Condition = Accepted
	case m.sending:
		i.Condition = Sending
	case len(d.channels) > 0:
		if _, wait := (&next{Box: b, at: at}).turn(d, m); wait > 0 && wait < b.rules.Stale {
			i.Next = now.Add(wait)
		}
	}
	return i
}

func item(l *Letter) Item {
	i := Item{
		Tenant: l.Tenant, Service: l.Service, Incident: l.Incident, Event: l.Event, Text: l.Text, Due: l.since,
	}
	if l.onRecord() {
		i.Effect = l.Index
	}
	return i
}

// Status counts the items at the time now. Its problem is empty.
func (b *Box) Status(now time.Time) Status {
	s := Status{Channels: map[string]string{}}
	for _, i := range b.Items(now) {
		if i.Condition == Given {
			s.Dead++
			continue
		}
		s.Pending++
		if s.Oldest.IsZero() || i.Due.Before(s.Oldest) {
			s.Oldest = i.Due
		}
	}
	for name, br := range b.breakers {
		s.Channels[name] = br.state(b.watch.elapsed, b.rules)
	}
	return s
}
