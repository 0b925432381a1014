package outbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// KindReceipt is the kind of the entry that a receipt is.
const KindReceipt = "effect.receipt"

// Outcome is what became of a delivery.
type Outcome string

// The outcomes. The first three end a delivery; a dead one can be requeued.
const (
	Delivered Outcome = "delivered" // the channel accepted it
	Dead      Outcome = "dead"      // given up, with a reason: a dead letter
	Withdrawn Outcome = "withdrawn" // it must not or need not be said any more
	Requeued  Outcome = "requeued"  // a person ordered a dead letter to be sent again
)

// maxReason is what a reason has at most, in bytes.
const maxReason = 600

// Receipt is what the ledger is to have of a delivery. It is the metadata of an
// entry of kind [KindReceipt], whose decision is the outcome.
type Receipt struct {
	// ID is the delivery's. A receipt without a contact is of a letter as a whole.
	ID string `json:"id"`
	// Effect and Effects are the letter's Index and Effects.
	Effect  uint64   `json:"effect_index"`
	Effects []uint64 `json:"effect_indices"`
	// Event, Contact, Step and Channel say what was told, to whom, why and by which
	// channel.
	Event   string  `json:"event"`
	Contact string  `json:"contact,omitempty"`
	Step    Step    `json:"step,omitempty"`
	Channel string  `json:"channel,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Reference is the other side's name for the message.
	Reference string `json:"reference,omitempty"`
	// At is when it was accepted, given up, withdrawn or ordered.
	At time.Time `json:"at"`
	// Attempts are those of this process.
	Attempts int `json:"attempts,omitempty"`
	// Repeated is true when the person may have got it twice.
	Repeated bool `json:"repeated,omitempty"`
	// Resent is how often a person had ordered it anew.
	Resent int `json:"resent,omitempty"`
	// Settles is true when nothing of the letter remains to be delivered.
	Settles bool `json:"settles,omitempty"`

	// What follows has members of its own in the entry.
	Tenant   string `json:"-"`
	Service  string `json:"-"`
	Incident string `json:"-"`
	// By is the person who ordered it anew.
	By string `json:"-"`
	// Reason says why, in a sentence of at most 600 bytes without control characters.
	Reason string `json:"-"`
}

// Actor is whose step the receipt is.
func (r Receipt) Actor() string {
	if r.Outcome == Requeued {
		return "human:" + r.By
	}
	return incident.ActorExecutor
}

func (r Receipt) key() key { return key{r.ID, r.Resent} }

// Metadata is the receipt as the entry has it, with the types that come out of JSON.
func (r Receipt) Metadata() (map[string]any, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("the receipt of effect %d cannot be written: %w", r.Effect, err)
	}
	var m map[string]any
	return m, json.Unmarshal(data, &m)
}

// ReceiptOf reads a receipt back from its entry. It is false for every other
// entry, and for one that is no receipt of this program's.
func ReceiptOf(e incident.Entry) (Receipt, bool) {
	if e.Kind != KindReceipt {
		return Receipt{}, false
	}
	data, err := json.Marshal(e.Metadata)
	var r Receipt
	if err != nil || json.Unmarshal(data, &r) != nil {
		return Receipt{}, false
	}
	switch r.Outcome {
	case Delivered, Dead, Withdrawn, Requeued:
	default:
		return Receipt{}, false
	}
	r.Tenant, r.Service, r.Incident, r.Reason = e.TenantID, e.Service, e.IncidentID, e.Reason
	r.By, _ = strings.CutPrefix(e.Actor, "human:")
	if r.Outcome != Requeued {
		r.By = ""
	}
	return r, true
}

// receipt begins the receipt of a delivery.
func (d delivery) receipt(o Outcome, at time.Time) Receipt {
	r := d.letter.receipt(o, at)
	r.ID, r.Contact, r.Step, r.Resent = d.id, d.contact, d.step, d.resent
	return r
}

// receipt begins the receipt of a letter as a whole.
func (l *Letter) receipt(o Outcome, at time.Time) Receipt {
	return Receipt{
		ID: l.id("", First), Resent: l.resent, Effect: l.Index, Effects: l.Effects, Event: l.Event, Outcome: o, At: at.UTC().Round(0),
		Tenant: l.Tenant, Service: l.Service, Incident: l.Incident,
	}
}

// plain makes what a channel says fit to be recorded and shown: one line, nothing
// that a terminal obeys, at most maxReason bytes.
func plain(text string) string {
	if len(text) > 4*maxReason {
		text = text[:4*maxReason]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason-len("…")], "") + "…"
	}
	return strings.TrimSpace(text)
}
