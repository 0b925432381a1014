package outbox

import (
	"cmp"
	"slices"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// maxDead is how many dead letters are kept; older ones can no longer be resent.
const maxDead = 500

// State is what the ledger says is due and not done: the fold of its entries, of
// all tenants. Make one with [NewState]. It is not safe for concurrent use.
type State struct {
	letters []*Letter // that are not settled, in order
	live    map[string]bool
	asks    map[string]*Letter // by tenant: the decision that is asked for
	told    map[string]told    // by tenant: who heard of its last incident by escalation
	doubts  map[string]doubt   // by tenant: what of its last incident may yet be diagnosed
	dead    []ordered          // dead letters, the oldest first
	again   []ordered          // dead letters that a person ordered to be sent again
	next    uint64
}

type told struct {
	incident string
	contacts []string
}

// doubt is an incident, and what needs no diagnosis any more.
type doubt struct {
	incident          string
	opened, validated bool
}

// ordered is a delivery that is apart from its letter, and the receipt that put it
// there.
type ordered struct {
	letter  *Letter
	receipt Receipt
}

// NewState is the state before the first entry: nothing is due, all is shadow.
func NewState() *State {
	return &State{live: map[string]bool{}, asks: map[string]*Letter{}, told: map[string]told{}, doubts: map[string]doubt{}}
}

// Next is the number of the first entry that the state has not taken in.
func (s *State) Next() uint64 { return s.next }

// Apply takes in an entry of the ledger. Entries come in order, some may be left out;
// one that was there before is ignored.
func (s *State) Apply(index uint64, e incident.Entry) {
	if index < s.next {
		return
	}
	s.next = index + 1
	switch e.Kind {
	case incident.KindEffectDue:
		if l, ok := letterOf(index, e); ok {
			s.due(l)
		}
	case KindReceipt:
		if r, ok := ReceiptOf(e); ok {
			s.receive(r)
		}
	case incident.KindShadowOff:
		s.live[e.TenantID] = true
	case incident.KindShadowOn:
		s.silence(e.TenantID)
	case incident.KindOf(incident.Detected):
		s.told[e.TenantID] = told{incident: e.IncidentID}
		s.doubts[e.TenantID] = doubt{incident: e.IncidentID}
	case incident.KindDiagnosed:
		g, _ := e.Diagnosis()
		s.explained(e, g.Of == incident.Validated)
	default:
		if e.Stage.Terminal() && e.Kind == incident.KindOf(e.Stage) {
			s.explained(e, true)
		}
		decided := e.Stage == incident.Authorized || e.Stage.Terminal()
		if a := s.asks[e.TenantID]; decided && a != nil && e.Kind == incident.KindOf(e.Stage) && a.Incident == e.IncidentID {
			delete(s.asks, e.TenantID)
		}
	}
}

// explained notes that no diagnosis of the detection is to be waited for any more, nor,
// with validated, of the validation.
func (s *State) explained(e incident.Entry, validated bool) {
	if d := s.doubts[e.TenantID]; d.incident == e.IncidentID {
		d.opened, d.validated = true, d.validated || validated
		s.doubts[e.TenantID] = d
	}
}

// awaits says whether what a letter tells may yet be diagnosed.
func (s *State) awaits(l *Letter) bool {
	d := s.doubts[l.Tenant]
	if !l.onRecord() || l.Incident == "" || l.Incident != d.incident || l.resent > 0 {
		return false
	}
	return l.Event == incident.EventIncident && !d.opened || l.Event == incident.EventValidated && !d.validated
}

func (s *State) due(l *Letter) {
	if !s.live[l.Tenant] {
		l.withdrawn = "shadow mode is on"
	}
	if n := len(s.letters); n > 0 && s.letters[n-1].takes(l) {
		l = s.letters[n-1].with(l)
		s.letters = s.letters[:n-1]
	}
	if t := s.told[l.Tenant]; l.Ends && l.Incident == t.incident {
		l.also = slices.Clone(t.contacts)
	}
	if l.Asks && l.withdrawn == "" {
		s.supersede(l.Tenant)
		s.asks[l.Tenant] = l
	}
	s.letters = append(s.letters, l)
}

// supersede withdraws what was asked of a tenant's people before: they are asked anew.
func (s *State) supersede(tenant string) {
	for _, l := range s.letters {
		if l.Asks && l.Tenant == tenant && l.withdrawn == "" {
			l.withdrawn = "people were asked anew"
		}
	}
}

// silence withdraws all that was due to a tenant that goes into shadow: going live
// again must not send what is old.
func (s *State) silence(tenant string) {
	const why = "shadow mode was switched on before it was sent"
	s.live[tenant] = false
	delete(s.asks, tenant)
	for _, l := range s.letters {
		if l.Tenant == tenant && l.withdrawn == "" {
			l.withdrawn = why
		}
	}
	s.again = slices.DeleteFunc(s.again, func(o ordered) bool {
		if o.letter.Tenant != tenant {
			return false
		}
		o.receipt.Outcome, o.receipt.Reason = Dead, why
		s.bury(o)
		return true
	})
}

func (s *State) bury(o ordered) {
	s.dead = append(s.dead, o)
	if len(s.dead) > maxDead {
		s.dead = slices.Delete(s.dead, 0, len(s.dead)-maxDead)
	}
}

// letter finds that of a receipt: the one that covers the same effects.
func (s *State) letter(r Receipt) *Letter {
	for _, l := range s.letters {
		if l.Index == r.Effect && len(l.Effects) == len(r.Effects) {
			return l
		}
	}
	if a := s.asks[r.Tenant]; a != nil && a.Index == r.Effect && len(a.Effects) == len(r.Effects) {
		return a
	}
	for _, list := range [][]ordered{s.dead, s.again} {
		for _, o := range list {
			if o.letter.Index == r.Effect && len(o.letter.Effects) == len(r.Effects) {
				return o.letter
			}
		}
	}
	return nil
}

func (s *State) receive(r Receipt) {
	if r.Outcome == Requeued {
		s.requeue(r)
		return
	}
	l := s.letter(r)
	if l == nil || !s.ends(l, r) {
		return
	}
	if r.Outcome == Dead {
		s.bury(ordered{l, r})
	}
	if r.Outcome == Delivered && r.Step == Secondary {
		s.escalated(r)
	}
	if r.Settles {
		s.letters = slices.DeleteFunc(s.letters, func(x *Letter) bool { return x == l })
	}
}

// ends takes away the delivery that a receipt is about. It is false when there is
// none any more, as with a receipt that was recorded twice.
func (s *State) ends(l *Letter, r Receipt) bool {
	if i := slices.IndexFunc(s.again, func(o ordered) bool { return o.receipt.ID == r.ID && o.receipt.Resent == r.Resent }); i >= 0 {
		s.again = slices.Delete(s.again, i, i+1)
		return true
	}
	if r.Resent != l.resent || l.done[r.ID] {
		return false
	}
	l.done[r.ID] = true
	return true
}

// escalated notes who has heard of an incident, and is to hear of its end.
func (s *State) escalated(r Receipt) {
	if t := s.told[r.Tenant]; t.incident == r.Incident && !slices.Contains(t.contacts, r.Contact) {
		t.contacts = append(slices.Clip(t.contacts), r.Contact)
		s.told[r.Tenant] = t
	}
	for _, l := range s.letters {
		if l.Ends && l.Tenant == r.Tenant && l.Incident == r.Incident && !slices.Contains(l.also, r.Contact) {
			l.also = append(slices.Clip(l.also), r.Contact)
		}
	}
}

// requeue makes a dead letter due again.
func (s *State) requeue(r Receipt) {
	i := slices.IndexFunc(s.dead, func(o ordered) bool { return o.receipt.ID == r.ID && o.receipt.Resent+1 == r.Resent })
	if i < 0 || !s.live[s.dead[i].letter.Tenant] {
		return
	}
	o := s.dead[i]
	s.dead = slices.Delete(s.dead, i, i+1)
	if o.receipt.Contact != "" {
		o.receipt.Resent, o.receipt.At = r.Resent, r.At
		s.again = append(s.again, o)
		return
	}
	// It died as a whole, as there was nobody to tell: whom it concerns now gets it.
	l := *o.letter
	l.resent, l.since, l.done, l.withdrawn = r.Resent, r.At, map[string]bool{}, ""
	at, _ := slices.BinarySearchFunc(s.letters, l.Index, func(x *Letter, index uint64) int { return cmp.Compare(x.Index, index) })
	s.letters = slices.Insert(s.letters, at, &l)
	if s.asks[l.Tenant] == o.letter {
		s.asks[l.Tenant] = &l
	}
}

// deadLetter finds a dead letter by its id.
func (s *State) deadLetter(id string) (ordered, bool) {
	for _, o := range s.dead {
		if o.receipt.ID == id {
			return o, true
		}
	}
	return ordered{}, false
}

// skip notes that the ledger has nothing else before the entry of number next.
func (s *State) skip(next uint64) { s.next = max(s.next, next) }
