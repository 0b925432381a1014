package notify

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/strictyaml"
)

const (
	// MaxContacts is how many contacts there can be.
	MaxContacts   = 64
	maxOrder      = 9
	maxPersonName = 80
)

// Contact is a person who may be asked.
type Contact struct {
	// ID is the name in entries: human:ID.
	ID string
	// Name is for people; the ID when it was left out.
	Name string
	// Channels are the ids of those that lead to the person, in the order of
	// preference.
	Channels []string
	// Escalation is when the person is asked: 1 at once, 2 and more in that order
	// while nobody decides.
	Escalation int
	// Where says where it was configured: FILE:LINE:COL.
	Where string
}

// ParseContacts reads the list below "contacts:" of a configuration, of people
// who are reached over channels.
func ParseContacts(r *strictyaml.Reader, n *yaml.Node, channels []Config) []Contact {
	l := &contactList{channelList: channelList{Reader: r}, channels: channels}
	if r.Items(n, "contacts", "id", MaxContacts, "can be asked", l.contact) {
		l.somebodyFirst(strictyaml.Resolve(n))
	}
	return l.contacts
}

type contactList struct {
	channelList
	channels []Config
	contacts []Contact
	unsound  bool
}

var contactKeys = []string{"id", "name", "channels", "escalation"}

func (l *contactList) contact(at *yaml.Node) {
	n := strictyaml.Resolve(at)
	if n.Kind != yaml.MappingNode {
		l.Problem(at, "a contact must have its keys on lines of their own: id, channels and, if you like, name, escalation")
		l.unsound = true
		return
	}
	c := Contact{Where: l.Where(at), Escalation: 1}
	sound := true
	l.Pairs(n, func(key, value *yaml.Node) { sound = l.contactKey(&c, key, value) && sound })
	if sound {
		sound = l.contactWhole(at, c)
	}
	l.unsound = l.unsound || !sound
}

func (l *contactList) contactKey(c *Contact, key, value *yaml.Node) bool {
	switch key.Value {
	case "id":
		text, ok := l.text("id", value)
		if ok && !validID(text) {
			l.Problem(value, "id must be 1 to 63 lower-case letters, digits and hyphens, not %q", plain.Line(text, 80))
			return false
		}
		c.ID = text
		return ok
	case "name":
		text, ok := l.text("name", value)
		c.Name = plain.Line(text, maxPersonName)
		return ok
	case "escalation":
		if value.Decode(&c.Escalation) != nil || value.ShortTag() != "!!int" || c.Escalation < 1 || c.Escalation > maxOrder {
			l.Problem(value, "escalation must be a whole number from 1 (asked at once) to %d", maxOrder)
			return false
		}
		return true
	case "channels":
		return l.contactChannels(c, value)
	}
	return l.unknown(key, "of a contact", contactKeys)
}

func (l *contactList) contactChannels(c *Contact, value *yaml.Node) bool {
	if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
		l.Problem(value, "channels must be a list of the ids of channels, such as [ops-telegram, ana-voice]")
		return false
	}
	sound := true
	for _, item := range value.Content {
		item = strictyaml.Resolve(item)
		id, ok := l.text("a channel's id", item)
		switch {
		case !ok:
			sound = false
		case !slices.ContainsFunc(l.channels, func(o Config) bool { return o.ID == id }):
			l.Problem(item, "there is no channel %q%s", plain.Line(id, 80), l.nearChannel(id))
			sound = false
		case slices.Contains(c.Channels, id):
			l.Problem(item, "the channel %q is given twice: keep one", id)
			sound = false
		default:
			c.Channels = append(c.Channels, id)
		}
	}
	return sound
}

func (l *contactList) nearChannel(id string) string {
	names := make([]string, len(l.channels))
	for i, c := range l.channels {
		names[i] = c.ID
	}
	if near, ok := strictyaml.Nearest(id, names); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(names) == 0 {
		return ": configure one under channels"
	}
	return "; there are " + strings.Join(names, ", ")
}

func (l *contactList) contactWhole(at *yaml.Node, c Contact) bool {
	i := slices.IndexFunc(l.contacts, func(o Contact) bool { return o.ID == c.ID })
	switch {
	case c.ID == "":
		l.Problem(at, "a contact needs an id")
	case len(c.Channels) == 0:
		l.Problem(at, "the contact %q needs channels", c.ID)
	case i >= 0:
		l.Problem(at, "the contact id %q is given twice, first at %s: give each contact its own", c.ID, l.contacts[i].Where)
	case !slices.ContainsFunc(l.channels, func(o Config) bool { return slices.Contains(c.Channels, o.ID) && !o.Voice }):
		l.Problem(at, "the contact %q can only be called up: add a channel that can carry a link", c.ID)
	default:
		c.Name = or(c.Name, c.ID)
		l.contacts = append(l.contacts, c)
		return true
	}
	return false
}

// somebodyFirst sees to it that somebody is asked at once.
func (l *contactList) somebodyFirst(n *yaml.Node) {
	if !l.unsound && len(l.contacts) > 0 && !slices.ContainsFunc(l.contacts, func(c Contact) bool { return c.Escalation == 1 }) {
		l.Problem(n, "nobody is asked at once: give one contact escalation: 1")
	}
}
