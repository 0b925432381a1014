package outbox

import (
	"slices"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// roomPrefix begins the ids of contacts that are channels.
const roomPrefix = "channel:"

// Contacts are the outbox's of a configuration: the people that it lists, and each
// channel that leads to none of them, nor is another's fallback, as a room of its
// own. The ways to a person are the channels in the order of preference, each
// followed by its fallback.
func Contacts(people []notify.Contact, configs []notify.Config) []Contact {
	d := directory{byID: map[string]notify.Config{}, used: map[string]bool{}}
	for _, c := range configs {
		d.byID[c.ID] = c
	}
	var list []Contact
	for _, p := range people {
		list = append(list, d.contact(p.ID, max(p.Escalation-1, 0), p.Channels))
	}
	for _, c := range configs {
		if c.Fallback != "" {
			d.used[c.Fallback] = true
		}
	}
	for _, c := range configs {
		if !d.used[c.ID] {
			list = append(list, d.contact(roomPrefix+c.ID, 0, []string{c.ID}))
		}
	}
	return list
}

// directory finds channels by their ids and notes which lead to somebody.
type directory struct {
	byID map[string]notify.Config
	used map[string]bool
}

func (d directory) contact(id string, level int, ids []string) Contact {
	c := Contact{ID: id, Level: level}
	for _, first := range ids {
		// A fallback may have one as well; a circle ends where it closes.
		for next, seen := first, map[string]bool{}; next != "" && !seen[next]; next = d.byID[next].Fallback {
			seen[next], d.used[next] = true, true
			config := d.byID[next]
			ways := &c.Channels
			if config.Voice {
				ways = &c.Voice
			}
			if way := (Way{Channel: next, Tenant: config.Tenant}); !slices.Contains(*ways, way) {
				*ways = append(*ways, way)
			}
		}
	}
	return c
}
