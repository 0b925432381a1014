package outbox

import (
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

const (
	// firstBeside is the index of the first letter that is on no record: beyond the
	// entries of any ledger.
	firstBeside = uint64(1) << 63
	// maxBeside is how many of them may wait.
	maxBeside = 16
)

// Tell has everybody who is told at once told what cannot be recorded, as the ledger
// takes no entries. It is sent as what is due is, once to each, but nothing of it is on
// record, nor known to the next process: what a person sees twice then is better than
// what nobody sees. In shadow mode, and beyond 16 that wait, nothing is. It never
// waits.
func (o *Outbox) Tell(tenant, service, event, text string, at time.Time) {
	o.mu.Lock()
	told := o.box.Tell(Letter{Tenant: tenant, Service: service, Event: event, Text: text, At: at})
	o.mu.Unlock()
	if !told {
		o.opts.Log.Warn("people are not told what cannot be recorded: shadow mode is on, or too much waits", "tenant", tenant, "event", event)
		return
	}
	o.Wake()
}

// Tell takes in a letter that is on no record. It is false when it is not to be sent.
func (b *Box) Tell(l Letter) bool {
	if !b.state.live[l.Tenant] || len(b.beside) == maxBeside {
		return false
	}
	l.Index = firstBeside + b.told
	l.since, l.Effects, l.done, l.ids = l.At, []uint64{l.Index}, map[string]bool{}, map[string]string{}
	b.told++
	b.beside = append(b.beside, &l)
	return true
}

// onRecord says whether an entry of the ledger made the letter due.
func (l *Letter) onRecord() bool { return l.Index < firstBeside }

// done notes that a delivery of a letter which is on no record has ended.
func (b *Box) besideDone(index uint64, id string) {
	for _, l := range b.beside {
		if l.Index == index {
			l.done[id] = true
		}
	}
	b.beside = slices.DeleteFunc(b.beside, func(l *Letter) bool {
		return !slices.ContainsFunc(firsts(l, b.contacts, false), func(d delivery) bool { return !l.done[d.id] })
	})
}

// hush drops what is on no record when a tenant goes into shadow mode.
func (b *Box) hush(e incident.Entry) {
	if e.Kind == incident.KindShadowOn {
		b.beside = slices.DeleteFunc(b.beside, func(l *Letter) bool { return l.Tenant == e.TenantID })
	}
}
