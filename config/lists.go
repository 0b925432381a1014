package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/provider"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/kinds"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

// listNames are the sections that are lists, which no flag and no variable can
// give, in the order in which they are read: each may name what is in one before.
var listNames = []string{"tenants", "actions", "channels", "contacts", "models"}

// lists reads those that the file has.
func (d *document) lists(found map[string]*yaml.Node) {
	l := d.loaded
	for _, name := range listNames {
		n := found[name]
		switch {
		case n == nil:
		case name == "tenants":
			l.Tenants = tenant.ParseList(d.Reader, n)
		case name == "actions":
			l.Actions = recovery.ParseList(d.Reader, n)
		case name == "channels":
			l.Channels = notify.ParseChannels(d.Reader, n, kinds.All())
		case name == "contacts":
			l.Contacts = notify.ParseContacts(d.Reader, n, l.Channels)
		case name == "models":
			l.Models = provider.ParseList(d.Reader, n)
		}
	}
}

// Item is one entry of a list, without what may be secret of it.
type Item struct {
	// Key is the list's name and the entry's own, such as "actions.restart".
	Key string
	// Value says in one line what it is.
	Value string
	// From is FILE:LINE:COL.
	From string

	// what is all of it, but for where it stands.
	what any
}

// Items are the entries of all lists, in the order of the documentation.
func (c Config) Items() []Item {
	var items []Item
	for _, t := range c.Tenants {
		from := t.Where
		t.Where = ""
		items = append(items, Item{"tenants." + t.ID, placeOf(t.HealthURL), from, t})
	}
	for _, a := range c.Actions {
		from := a.Where
		a.Where = ""
		value := fmt.Sprintf("%s %s, %s risk, %s", a.Method, placeOf(a.URL), a.Risk, many(a.Approvals, "approval"))
		items = append(items, Item{"actions." + a.Name, value + suffix(" of ", a.Tenant), from, a})
	}
	for _, ch := range c.Channels {
		from := ch.Where
		ch.Where = ""
		items = append(items, Item{"channels." + ch.ID, ch.Kind + suffix(" of ", ch.Tenant) + suffix(", falls back to ", ch.Fallback), from, ch})
	}
	for _, p := range c.Contacts {
		from := p.Where
		p.Where = ""
		value := fmt.Sprintf("%s by %s, escalation %d", p.Name, strings.Join(p.Channels, ", "), p.Escalation)
		items = append(items, Item{"contacts." + p.ID, value, from, p})
	}
	for _, m := range c.Models {
		from := m.Where
		m.Where = ""
		value := fmt.Sprintf("%s of %s at %s, %d requests an hour", m.Model, m.Provider, placeOf(m.Place()), m.HourlyCalls)
		items = append(items, Item{"models." + m.ID, value, from, m})
	}
	return items
}

// placeOf is a URL without what its query says: that may be a secret.
func placeOf(address string) string {
	where, _, asks := strings.Cut(address, "?")
	if asks {
		where += "?…"
	}
	return where
}

func suffix(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func many(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// listChanges are the entries that are not the same in both. None of them is
// taken over while a sidecar runs: what was asked of people names the action,
// channel and contact as they were.
func listChanges(was, is Config) []Change {
	old, now := byKey(was.Items()), byKey(is.Items())
	var changes []Change
	for key, o := range old {
		if n, still := now[key]; !still || !reflect.DeepEqual(o.what, n.what) {
			changes = append(changes, Change{Field: Field{Key: key}, Old: o.Value, New: n.Value})
		}
	}
	for key, n := range now {
		if _, before := old[key]; !before {
			changes = append(changes, Change{Field: Field{Key: key}, New: n.Value})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Field.Key, b.Field.Key) })
	return changes
}

func byKey(items []Item) map[string]Item {
	all := make(map[string]Item, len(items))
	for _, i := range items {
		all[i.Key] = i
	}
	return all
}

// checkLists says which entries name a tenant that there is not, and which
// actions could never be approved.
func (l *Loaded) checkLists() (problems Problems) {
	ids := []string{l.Service.Tenant}
	for _, t := range l.Tenants {
		ids = append(ids, t.ID)
	}
	check := func(what, name, tenant, where string) {
		if tenant != "" && !slices.Contains(ids, tenant) {
			problems = append(problems, Problem{Where: where, Text: fmt.Sprintf(
				"the %s %q is for the tenant %q, which there is not: list it under tenants, or name the own one, %q", what, name, tenant, l.Service.Tenant)})
		}
	}
	for _, a := range l.Actions {
		check("action", a.Name, a.Tenant, a.Where)
		if people := len(l.Contacts); people > 0 && a.Approvals > people {
			problems = append(problems, Problem{Where: a.Where, Text: fmt.Sprintf(
				"the action %q needs %s by different people, and only %s can be asked: it could never run", a.Name, many(a.Approvals, "approval"), many(people, "contact"))})
		}
	}
	for _, c := range l.Channels {
		check("channel", c.ID, c.Tenant, c.Where)
	}
	return append(problems, l.checkLinks()...)
}

// checkLinks says which channels could not bring anybody a link.
func (l *Loaded) checkLinks() (problems Problems) {
	public, err := approval.ParsePublicURL(l.Approval.PublicURL)
	if l.Approval.Listen == "" || err != nil {
		return nil // nobody is sent a link, or the URL is a problem of its own
	}
	for _, c := range l.Channels {
		if err := c.CheckLink(kinds.All(), approval.Link(public, "")); err != nil {
			problems = append(problems, Problem{Where: c.Where, Text: fmt.Sprintf("the channel %q %v", c.ID, err)})
		}
	}
	return problems
}
