package outbox

import (
	"slices"
	"time"
)

// Contact is somebody who is told, or a room where several read.
type Contact struct {
	// ID names the contact in receipts.
	ID string
	// Level is 0 for who is told at once. Higher ones are told when nobody has
	// decided for that many times [Rules.Secondary].
	Level int
	// Channels are the ways to the contact, the best first; each stands in for the
	// one before.
	Channels []Way
	// Voice are the ways that ring, the best first; they are used when nobody has
	// decided for [Rules.Voice]. May be empty.
	Voice []Way
}

// Way is a channel by its name, for the letters of one tenant or, when that is
// empty, of all.
type Way struct{ Channel, Tenant string }

// channels are the names of those ways that may be used for a tenant.
func channels(ways []Way, tenant string) []string {
	var names []string
	for _, w := range ways {
		if w.Tenant == "" || w.Tenant == tenant {
			names = append(names, w.Channel)
		}
	}
	return names
}

// Step is why a contact gets a letter.
type Step string

// The steps.
const (
	First     Step = ""          // it is due
	Voice     Step = "voice"     // nobody has decided: ring
	Secondary Step = "secondary" // nobody has decided: tell somebody else
)

// delivery is a letter on its way to one contact.
type delivery struct {
	id       string
	letter   *Letter
	contact  string
	channels []string
	step     Step
	resent   int           // how often a person ordered it anew
	since    time.Time     // when it became due, or was ordered anew
	after    time.Duration // it is not due before this time after since
	link     bool          // a decision is still asked for
}

// key tells the orders of one delivery apart.
func (d delivery) key() key { return key{d.id, d.resent} }

type key struct {
	id     string
	resent int
}

// to is the delivery of a letter to a contact. It is false when no channel leads
// there for the letter's tenant, as that is somebody else's contact.
func (l *Letter) to(c Contact, step Step) (delivery, bool) {
	ways := c.Channels
	if step == Voice {
		ways = c.Voice
	}
	d := delivery{letter: l, contact: c.ID, step: step, channels: channels(ways, l.Tenant), resent: l.resent, since: l.since}
	if len(d.channels) == 0 {
		return d, false
	}
	d.id = l.id(c.ID, step)
	return d, true
}

// firsts are the deliveries of a letter to everybody who is told at once.
func firsts(l *Letter, contacts []Contact, asked bool) []delivery {
	var list []delivery
	for _, c := range contacts {
		if c.Level > 0 && !slices.Contains(l.also, c.ID) {
			continue
		}
		if d, ok := l.to(c, First); ok {
			d.link = asked
			list = append(list, d)
		}
	}
	return list
}

// escalations are the deliveries that become due while nobody decides.
func escalations(l *Letter, contacts []Contact, r Rules) []delivery {
	var list []delivery
	add := func(c Contact, step Step, after time.Duration) {
		if d, ok := l.to(c, step); ok {
			d.after, d.link = after, true
			list = append(list, d)
		}
	}
	for _, c := range contacts {
		told := time.Duration(c.Level) * r.Secondary
		if c.Level > 0 {
			add(c, Secondary, told)
		}
		add(c, Voice, told+r.Voice)
	}
	return list
}
