package notify

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Event is what a message tells of.
type Event string

// The events.
const (
	Incident       Event = "incident"        // a service is in trouble
	Validated      Event = "validated"       // it still is: somebody has to decide
	Escalation     Event = "escalation"      // nobody has decided yet
	Recovered      Event = "recovered"       // it is well again
	Expired        Event = "expired"         // nobody has decided in time
	Failed         Event = "failed"          // an authorized action did not help
	NotRun         Event = "not_run"         // an authorized action was not run
	Unknown        Event = "unknown"         // nobody knows whether it was
	TargetDown     Event = "target_down"     // a checked target stopped answering
	TargetUp       Event = "target_up"       // it answers again
	TargetFlapping Event = "target_flapping" // it keeps failing and recovering
	Test           Event = "test"            // somebody tries a channel out
)

// Events are all of them, in the order in which they come.
var Events = []Event{Incident, Validated, Escalation, Recovered, Expired, Failed, NotRun, Unknown, TargetDown, TargetUp, TargetFlapping, Test}

// Severity is how bad things are.
type Severity string

// The severities. A message without one has that of its event.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Mark is the state of the ledger when the message was written. Whoever keeps
// the message is a witness of it.
type Mark struct {
	Size uint64
	Root string // as the ledger writes it; its first characters are shown
}

// Message is what is to be said. Nothing in it needs to be clean.
type Message struct {
	// ID is the idempotency key: the same for every attempt and every channel.
	ID         string
	Event      Event
	Tenant     string
	Service    string
	Target     string // the checked target, in the events that tell of one
	IncidentID string
	At         time.Time // when what it tells of happened
	Began      time.Time // when the trouble began; zero when not known
	Severity   Severity
	// Title stands at the top; empty for the event's own.
	Title string
	// Issue says in plain words what is wrong, or what ended.
	Issue string
	// P95MS is in milliseconds, ErrorRate from 0 to 1, Score from 0 to 100;
	// nil is not known, and is left out.
	P95MS, ErrorRate, Score *float64
	Cause                   string   // what probably caused it
	Changes                 []string // what changed just before, newest first, one line each
	Confidence              *float64 // in the cause, from 0 to 1
	// Apart says what would show which of two causes it is; "" when one is named.
	Apart string
	// Link is where a person decides; it works until Expires.
	Link      string
	Expires   time.Time
	Ledger    Mark
	DetailURL string // where more is to be read; "" when nowhere
}

// maxLink is the most bytes of a link: what WhatsApp takes in a button.
const maxLink = 2000

// Check says why a message cannot be sent over any channel, or nil.
func (m Message) Check() error {
	switch {
	case m.ID == "" || len(m.ID) > 200 || strings.ContainsFunc(m.ID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return unsendable("its id must be 1 to 200 printable ASCII characters without spaces", "give it the idempotency key of its effect")
	case headings[m.Event] == "":
		return unsendable(fmt.Sprintf("there is no event %q", Line(string(m.Event), 40)), "use one of the events of package notify")
	case m.Link != "" && !soundLink(m.Link):
		return unsendable("its link is no web address of at most 2,000 characters", "check the public URL in the configuration")
	}
	return nil
}

func unsendable(text, mend string) error {
	return &Error{Text: "the message cannot be sent: " + text, Mend: mend}
}

// soundLink says whether s can be given to a person to tap on: http or https, a
// host, no password, and nothing that a header or a line could end at.
func soundLink(s string) bool {
	if len(s) > maxLink || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("<>\"'`\\|^{}", r) }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

// Secrets are the parts of the link by which whoever has them can decide. Others
// repeat links in what they say of a message, and it is written down.
func (m Message) Secrets() []string {
	_, query, _ := strings.Cut(m.Link, "?")
	var parts []string
	for _, pair := range strings.Split(query, "&") {
		if _, value, found := strings.Cut(pair, "="); found && value != "" {
			parts = append(parts, value)
		}
	}
	return parts
}

// Detail is DetailURL, or nothing when it is no sound web address.
func (m Message) Detail() string {
	if m.DetailURL != "" && soundLink(m.DetailURL) {
		return m.DetailURL
	}
	return ""
}

// Urgency is the message's severity, or that of its event when it has none.
func (m Message) Urgency() Severity {
	switch {
	case m.Severity == Info, m.Severity == Warning, m.Severity == Critical:
		return m.Severity
	case m.Event == Recovered, m.Event == TargetUp, m.Event == Test:
		return Info
	case m.Event == TargetFlapping:
		return Warning
	}
	return Critical
}

// Decidable says whether somebody can decide by this message.
func (m Message) Decidable() bool {
	return m.Link != "" && (m.Event == Validated || m.Event == Escalation)
}

// TestMessage is what tries a channel out.
func TestMessage(id, tenant, service string, at time.Time, mark Mark) Message {
	return Message{
		ID: id, Event: Test, Tenant: tenant, Service: service, At: at, Ledger: mark,
		Issue: "This is a test: nothing is wrong. Messages of incidents will come this way.",
	}
}
