package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Letter is what is due to be said: an effect.due entry of the ledger, or the two
// of one event of which the second brings the link to decide by. They are told in
// one message. A letter is shared and must not be written to.
type Letter struct {
	// Index is the number of the first entry in the ledger and names the letter;
	// Effects are the numbers of all.
	Index   uint64
	Effects []uint64
	// These are the entry's. Incident and Target may be empty.
	Tenant, Service, Incident, Event, Text, Target string
	// At is when it became due.
	At time.Time
	// Asks is true when a decision is asked for.
	Asks bool
	// Ends is true when the incident had ended by then.
	Ends bool

	also      []string          // contacts that heard of the incident by escalation
	done      map[string]bool   // ids of the deliveries that have a receipt
	withdrawn string            // why it must not be sent any more
	since     time.Time         // At, or when a person ordered it anew
	resent    int               // how often a person did
	ids       map[string]string // of deliveries, once they were asked for
}

// letterOf is the letter that an entry makes due. It is false for every other
// entry, and for an effect that nobody is to be told.
func letterOf(index uint64, e incident.Entry) (*Letter, bool) {
	if e.Kind != incident.KindEffectDue {
		return nil, false
	}
	text := func(name string) string {
		s, _ := e.Metadata[name].(string)
		return s
	}
	effect := text("effect")
	if effect != incident.Notification && effect != incident.ApprovalLink {
		return nil, false
	}
	return &Letter{
		Index: index, Effects: []uint64{index}, Tenant: e.TenantID, Service: e.Service, Incident: e.IncidentID,
		Event: text("event"), Text: text("text"), Target: text("target"), At: e.Time, since: e.Time,
		Asks: effect == incident.ApprovalLink, Ends: e.Stage.Terminal(), done: map[string]bool{}, ids: map[string]string{},
	}, true
}

// with is the letter that also brings the link of the letter ask.
func (l *Letter) with(ask *Letter) *Letter {
	both := *l
	both.Effects = append(slices.Clone(l.Effects), ask.Effects...)
	both.Asks, both.ids = true, map[string]string{}
	return &both
}

// takes says whether ask brings the link of the same event, and nothing has been
// told yet.
func (l *Letter) takes(ask *Letter) bool {
	return ask.Asks && !l.Asks && l.withdrawn == "" && len(l.done) == 0 && l.Effects[len(l.Effects)-1]+1 == ask.Index &&
		l.Tenant == ask.Tenant && l.Incident == ask.Incident && l.Event == ask.Event
}

// thread is what letters have in common that must be read in their order.
func (l *Letter) thread() string {
	if l.Incident != "" {
		return l.Tenant + "\x00" + l.Incident
	}
	return l.Tenant + "\x00\x00" + l.Target
}

// id names one delivery of the letter: it is what `outbox list` shows, what `outbox
// retry` takes, and the idempotency key that the channel passes on. It follows from
// the ledger and the contact alone, is the same at every attempt, and consists of
// lower-case letters, digits and hyphens.
func (l *Letter) id(contact string, step Step) string {
	who := contact + "\x00" + string(step)
	if l.ids[who] == "" {
		l.ids[who] = l.newID(contact, step)
	}
	return l.ids[who]
}

func (l *Letter) newID(contact string, step Step) string {
	h := sha256.New()
	for _, part := range []string{l.Tenant, l.Incident, l.Event, l.Text, l.At.UTC().Format(time.RFC3339Nano), fmt.Sprint(l.Effects), contact, string(step)} {
		// A part's length before it keeps parts apart. A hash takes every write.
		_, _ = io.WriteString(h, fmt.Sprintf("%d:%s", len(part), part))
	}
	sum := hex.EncodeToString(h.Sum(nil)[:6])
	if !l.onRecord() {
		return fmt.Sprintf("beside-%d-%s", l.Index-firstBeside, sum)
	}
	return fmt.Sprintf("eff-%d-%s", l.Index, sum)
}
