package outbox

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Next is what there is to do at the time now: the parcels to send, at most one to a
// channel at a time, each of which must be answered with [Box.Sent] or [Box.Failed];
// and a receipt to record, which is given again until it is seen in the ledger, nil
// while there is none. Without either, nothing is to be done for wait, unless the box
// is told something before.
func (b *Box) Next(now time.Time) (parcels []Parcel, record *Receipt, wait time.Duration) {
	n := &next{Box: b, now: now, at: b.watch.read(now), wait: math.MaxInt64, held: map[string]bool{}}
	list := b.deliveries()
	b.sweep(list)
	n.proofs()
	for _, d := range list {
		n.delivery(d)
	}
	n.letters(list)
	if hold := n.until - n.at; n.record != nil && hold > 0 {
		n.rest(hold)
		n.record = nil
	}
	if n.record != nil {
		n.record.Settles = n.record.Contact == "" || n.settles(*n.record)
	}
	return n.parcels, n.record, n.wait
}

// next is one look at what there is to do.
type next struct {
	*Box
	now     time.Time
	at      time.Duration // of the stopwatch
	held    map[string]bool
	parcels []Parcel
	record  *Receipt
	wait    time.Duration
}

// sweep forgets deliveries that are not to be made any more.
func (b *Box) sweep(list []delivery) {
	wanted := make(map[key]bool, len(list))
	for _, d := range list {
		wanted[d.key()] = true
	}
	for k, m := range b.marks {
		if !wanted[k] && !m.sending && (m.proof == nil || m.ended) {
			delete(b.marks, k)
		}
	}
}

// offer has a receipt recorded, unless another comes first: one that could be
// recorded so far, what was accepted, what is older.
func (n *next) offer(r Receipt) {
	order := func(a, b Receipt) int {
		return cmp.Or(
			cmp.Compare(n.unrecorded[a.key()], n.unrecorded[b.key()]), cmp.Compare(rank(a.Outcome), rank(b.Outcome)),
			cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.ID, b.ID),
		)
	}
	if n.record == nil || order(r, *n.record) < 0 {
		n.record = &r
	}
}

func rank(o Outcome) int {
	if o == Delivered {
		return 0
	}
	return 1
}

// proofs records what was accepted, of letters that are withdrawn or decided meanwhile
// too.
func (n *next) proofs() {
	for _, m := range n.marks {
		if m.proof != nil && !m.ended {
			n.offer(*m.proof)
		}
	}
}

// settles says whether a receipt leaves nothing of its letter to be delivered.
func (n *next) settles(r Receipt) bool {
	i := slices.IndexFunc(n.state.letters, func(l *Letter) bool { return l.Index == r.Effect })
	if i < 0 || r.Step != First {
		return false
	}
	l := n.state.letters[i]
	return !slices.ContainsFunc(firsts(l, n.contacts, false), func(d delivery) bool { return d.id != r.ID && !l.done[d.id] })
}

// delivery finds out what is to be done for one delivery.
func (n *next) delivery(d delivery) {
	m := n.mark(d, n.now, n.at)
	if due := d.after - m.old(n.at); due > 0 {
		n.rest(due)
		return
	}
	// What comes later to the same person on the same subject waits for it.
	thread := d.letter.thread() + "\x00" + d.contact
	held := n.held[thread] && d.step == First
	if d.step == First && m.proof == nil && !m.ended {
		n.held[thread] = true
	}
	if m.proof != nil || m.ended || m.sending {
		return
	}
	if wait := n.rules.Diagnosis - m.old(n.at); wait > 0 && d.step == First && d.resent == 0 && n.state.awaits(d.letter) {
		n.rest(wait)
		return
	}
	if outcome, why := n.over(d, m); outcome != "" {
		n.giveUp(d, m, outcome, why)
		return
	}
	if !held {
		n.send(d, m)
	}
}

func (n *next) rest(d time.Duration) { n.wait = min(n.wait, d) }

// over says whether a delivery is not to be tried again, and why.
func (n *next) over(d delivery, m *mark) (Outcome, string) {
	switch {
	case m.moot != "":
		return Withdrawn, m.moot
	case len(d.channels) == 0:
		return Dead, fmt.Sprintf("no channel leads to the contact %q any more: configure one, then send it again", d.contact)
	case m.doubts >= maxDoubts:
		return Dead, fmt.Sprintf("it was handed over %d times, and each time the process died before the answer was kept: ask whether it arrived before sending it again", m.doubts)
	case m.old(n.at) >= n.rules.Stale:
		return Dead, fmt.Sprintf("it is older than %s%s", n.rules.Stale, because(m.last))
	case m.attempts >= n.rules.Attempts:
		return Dead, fmt.Sprintf("%d attempts failed%s", m.attempts, because(m.last))
	case !slices.ContainsFunc(d.channels, func(c string) bool { return !m.way(c).refused }):
		return Dead, "no channel will take it" + because(m.last)
	}
	return "", ""
}

func because(last string) string {
	if last == "" {
		return ""
	}
	return "; the last said: " + last
}

func (n *next) giveUp(d delivery, m *mark, o Outcome, why string) {
	if !d.letter.onRecord() {
		n.besideDone(d.letter.Index, d.id)
		return
	}
	r := d.receipt(o, n.now)
	r.Attempts, r.Repeated, r.Reason = m.attempts, m.repeated, plain(why)
	n.offer(r)
}

// send makes out a parcel for the channel whose turn it is, if that may be asked now.
func (n *next) send(d delivery, m *mark) {
	channel, wait := n.turn(d, m)
	if wait > 0 {
		n.rest(wait)
		return
	}
	br := n.breaker(channel)
	if br.busy {
		return
	}
	br.busy, m.sending = true, true
	n.parcels = append(n.parcels, d.parcel(m, channel))
}

// turn is the channel that a delivery uses next, and how long it has to wait for it.
// The first has [Rules.Fallback] attempts, then the next has as many, and so on round
// and round. One that does not answer, or asked for a long pause, is passed over while
// there is another.
func (n *next) turn(d delivery, m *mark) (string, time.Duration) {
	best, back := "", ""
	bestRank, backWait := math.MaxInt, time.Duration(math.MaxInt64)
	for i, channel := range d.channels {
		w, br := m.way(channel), n.breaker(channel)
		away := br.wait(n.at)
		wait := max(w.until-n.at, away)
		switch rank := w.attempts/n.rules.Fallback*len(d.channels) + i; {
		case w.refused:
		case away > 0 && (!br.paused || away > n.rules.Patience):
			if wait < backWait {
				back, backWait = channel, wait
			}
		case rank < bestRank:
			best, bestRank = channel, rank
		}
	}
	if best == "" {
		return back, backWait
	}
	return best, max(m.way(best).until-n.at, n.breaker(best).wait(n.at), 0)
}

// letters ends those of which no delivery is left: which are withdrawn, or which
// nobody is there to be told.
func (n *next) letters(list []delivery) {
	left := map[uint64]bool{}
	for _, d := range list {
		left[d.letter.Index] = left[d.letter.Index] || d.step == First
	}
	// What is being sent, or was accepted, is recorded before the rest is withdrawn.
	for _, m := range n.marks {
		left[m.effect] = left[m.effect] || m.sending || m.proof != nil && !m.ended
	}
	for _, l := range n.state.letters {
		if left[l.Index] {
			continue
		}
		r := l.receipt(Withdrawn, n.now)
		switch {
		case l.withdrawn != "":
			r.Reason = l.withdrawn
		case len(l.done) > 0:
			r.Reason = "nobody is left who has not got it"
		default:
			r.Outcome, r.Reason = Dead, "nobody is configured to be told: add channels and contacts, then send it again"
		}
		n.offer(r)
	}
}
