package approval

import (
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// View is what the page shows of a request. Texts may come from anywhere: the
// page cleans, cuts and escapes them. What is zero or nil is left out.
type View struct {
	// Standing is [Request.Stand] for the link that the page was opened with.
	Standing Outcome
	// Names are what contacts are called, by their ids.
	Names map[string]string

	Service   string
	Tenant    string
	Incident  string
	Stage     string
	StartedAt time.Time

	Status    string // ok, warning or critical
	Issue     string // what is wrong, in plain words
	Score     *float64
	P95MS     *float64
	ErrorRate *float64 // 0 to 1
	Chart     Chart
	// Changes are lines of what changed before, the newest first.
	Changes []string
	// Diagnosis is what may be the cause; nil when nobody says.
	Diagnosis *Diagnosis
	// Because says in plain words why the action is proposed, or what its requester
	// gave as the reason.
	Because string

	Action      Action
	SubmittedBy string // who asked for it, a contact with or without "human:" before; empty when the policy did
	AskedAt     time.Time
	Approvals   []Approval
	Expires     time.Time // of the link; when zero, what its token says
	Policy      string    // version, and digest if wanted
	LedgerSize  uint64
	LedgerRoot  string // hexadecimal or base64, in full
}

// Diagnosis is what may be behind an incident: one theory, or two that differ. It
// decides nothing, and is shown as plain text.
type Diagnosis struct {
	Theories []Theory
	// TellApart says what would show which of two is right.
	TellApart string
	// Earlier says how the last incident like this ended.
	Earlier string
}

// Theory is a cause, and what speaks for it.
type Theory struct {
	By, Cause  string
	Text       string // what is thought to have happened
	Check      string // what to look at first
	Rests      string // the figures that it cites
	Action     string // of the catalogue, empty when none is suggested
	Confidence float64
}

// Action is exactly what would be sent. Secrets in it must be masked already.
type Action struct {
	Name    string
	Title   string
	Risk    Risk
	Method  string
	URL     string
	Headers []Header
	Body    string
	Digest  string // over all that decides what is sent
}

// Header is one header field of what would be sent.
type Header struct{ Name, Value string }

// title is what the action is called.
func (a Action) title() string {
	if a.Title != "" {
		return a.Title
	}
	return a.Name
}

// Chart is what breached, over time.
type Chart struct {
	// Errors says that it is the error rate, from 0 to 1; else it is P95, in milliseconds.
	Errors bool
	Points []Point // in the order of time
	// Warning and Critical are thresholds, drawn if they come near.
	Warning, Critical *float64
}

// Point is one value; nil where nothing was measured.
type Point struct {
	At    time.Time
	Value *float64
}

// name is what a contact is called: the name and the id, or the id alone.
func (v View) name(contact string) string {
	id := plain.Line(contact, maxID)
	n := plain.Line(v.Names[contact], maxShown)
	if n == "" || n == id {
		return id
	}
	return n + " (" + id + ")"
}

// maxShown is what a person's name has at most, in characters.
const maxShown = 60
