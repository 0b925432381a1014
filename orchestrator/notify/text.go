package notify

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Bounds of the parts of a message, in characters. Together with what stands
// around them they keep Short within MaxShort.
const (
	// MaxShort is the most characters of Short, its link not counted.
	MaxShort = 700

	maxTitle   = 50
	maxName    = 50
	maxTarget  = 40
	maxIssue   = 130
	maxCause   = 110
	maxApart   = 80
	maxChange  = 80
	maxMore    = 99
	maxRoot    = 8
	maxSubject = 120
)

// Promise is what every message says that asks for a decision or leads to one.
const Promise = "Nothing will run without your approval."

// headings stand at the top of a message.
var headings = map[Event]string{
	Incident:       "⚠ Incident",
	Validated:      "⚠ Action recommended",
	Escalation:     "⏰ Nobody has decided yet",
	Recovered:      "✅ Recovered",
	Expired:        "⌛ Nobody decided, nothing was run",
	Failed:         "❌ The action did not help",
	NotRun:         "❌ The action was not run",
	Unknown:        "❓ It is not known whether it ran",
	TargetDown:     "⚠ DOWN",
	TargetUp:       "✅ UP again",
	TargetFlapping: "⚠ Keeps failing and recovering",
	Test:           "🔔 Test message",
}

// Heading is the first line of a message.
func (m Message) Heading() string {
	if title := Line(m.Title, maxTitle); title != "" {
		return title
	}
	if m.Event == Validated && m.Link == "" {
		return "⚠ Incident confirmed"
	}
	return headings[m.Event]
}

// Place is the service, and the target when there is one.
func (m Message) Place() string {
	place := or(Line(m.Service, maxName), "(no service name)")
	if target := Line(m.Target, maxTarget); target != "" && target != place {
		place += " · " + target
	}
	return place
}

// Problem is the issue in one line; "" when there is none.
func (m Message) Problem() string { return Line(m.Issue, maxIssue) }

// Figures are what was measured, such as "P95 1847 ms · errors 8 % · score 61 of 100";
// "" when nothing was.
func (m Message) Figures() string {
	var parts []string
	if v, ok := finite(m.P95MS); ok {
		parts = append(parts, "P95 "+figure(max(v, 0))+" ms")
	}
	if v, ok := finite(m.ErrorRate); ok {
		parts = append(parts, "errors "+figure(100*min(max(v, 0), 1))+" %")
	}
	if v, ok := finite(m.Score); ok {
		parts = append(parts, "score "+figure(min(max(v, 0), 100))+" of 100")
	}
	return strings.Join(parts, " · ")
}

// Finite is v, or nil when it is no number that can be written down.
func Finite(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}

func finite(v *float64) (float64, bool) {
	if v = Finite(v); v == nil {
		return 0, false
	}
	return *v, true
}

// figure writes a number as a person reads it: whole from 100, else with one
// digit after the point that is left out when it is 0.
func figure(v float64) string {
	if v >= 1e9 {
		return "over 1000000000"
	}
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// Reason is the likely cause and the newest change before it; "" when neither
// is known.
func (m Message) Reason() string {
	cause, change := Line(m.Cause, maxCause), m.change()
	switch {
	case cause != "" && change != "" && m.Apart == "": // what tells two causes apart takes its place
		return cause + " (" + change + ")"
	case cause == "" && change != "":
		return "changed just before: " + change
	}
	return cause
}

// change is the newest change, and how many more there were; "" when there was
// none.
func (m Message) change() string {
	if len(m.Changes) == 0 {
		return ""
	}
	change := Line(m.Changes[0], maxChange)
	if more := min(len(m.Changes)-1, maxMore); more > 0 && change != "" {
		change += fmt.Sprintf(" and %d more", more)
	}
	return change
}

// Certainty is the confidence in the cause, such as "87 %"; "" when not known.
func (m Message) Certainty() string {
	v, ok := finite(m.Confidence)
	if !ok {
		return ""
	}
	return strconv.Itoa(int(math.Round(100*min(max(v, 0), 1)))) + " %"
}

// Mark is the ledger's size and the beginning of its root, such as
// "ledger 1234 · abcd1234"; "" when there is no ledger.
func (m Message) Mark() string {
	if m.Ledger.Size == 0 {
		return ""
	}
	root := []rune(plain.Line(m.Ledger.Root, 2*maxRoot))
	mark := "ledger " + strconv.FormatUint(m.Ledger.Size, 10)
	if len(root) > 0 {
		mark += " · " + disarm(string(root[:min(len(root), maxRoot)]))
	}
	return mark
}

// Until says when the link ends; "" when not known.
func (m Message) Until() string {
	if m.Expires.IsZero() {
		return ""
	}
	return "the link works until " + m.Expires.UTC().Format("15:04:05") + " UTC"
}

// Body is the message line by line, without heading, link and mark.
func (m Message) Body() []string {
	lines := []string{m.Place()}
	add := func(prefix, text string) {
		if text != "" {
			lines = append(lines, prefix+text)
		}
	}
	add("", m.Problem())
	add("", m.Figures())
	if m.Cause == "" {
		add("Changed just before: ", m.change())
	} else {
		add("Likely cause: ", m.Reason())
		add("Confidence: ", m.Certainty())
		add("To tell: ", Line(m.Apart, maxApart))
	}
	if m.Event == Recovered || m.Event == TargetUp {
		add("It lasted ", lasted(m.Began, m.At))
	}
	return lines
}

// lasted is a length of time in its two largest units; "" when not known.
func lasted(from, to time.Time) string {
	if from.IsZero() || to.Before(from) {
		return ""
	}
	d := to.Sub(from).Truncate(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// Promises says whether the message carries the Promise.
func (m Message) Promises() bool {
	return m.Event == Incident || m.Event == Validated || m.Event == Escalation
}

// Short is the whole message as plain text, at most MaxShort characters and
// the link, which has a line of its own.
func (m Message) Short() string { return m.text(true) }

// Unlinked is Short without the link, for channels that have a button for it.
func (m Message) Unlinked() string { return m.text(false) }

func (m Message) text(link bool) string {
	lines := append([]string{m.Heading()}, m.Body()...)
	if m.Decidable() {
		if link {
			lines = append(lines, "Look and decide:", m.Link)
		}
		if until := m.Until(); until != "" {
			lines = append(lines, sentence(until))
		}
	}
	if m.Promises() {
		lines = append(lines, Promise)
	}
	if mark := m.Mark(); mark != "" {
		lines = append(lines, mark)
	}
	return strings.Join(lines, "\n")
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// Subject is the message in one line.
func (m Message) Subject() string {
	s := m.Heading() + ": " + m.Place()
	if problem := m.Problem(); problem != "" {
		s += " – " + problem
	}
	return plain.Cut(s, maxSubject)
}

// Spoken is the message as it is read out on the telephone: without links,
// marks and what else nobody can follow by ear.
func (m Message) Spoken() string {
	parts := []string{
		"This is Countersign.",
		spokenHeadings[m.Event],
		"The service is " + or(plain.Line(m.Service, maxName), "not named") + ".",
	}
	if target := plain.Line(m.Target, maxTarget); target != "" {
		parts = append(parts, "The target is "+target+".")
	}
	if issue := plain.Line(m.Issue, maxIssue); issue != "" {
		parts = append(parts, strings.TrimRight(issue, ".!? ")+".")
	}
	if m.Promises() {
		parts = append(parts, "Look at your messages, and decide there.", Promise)
	}
	return strings.Join(parts, " ")
}

var spokenHeadings = map[Event]string{
	Incident:       "There is an incident.",
	Validated:      "There is an incident, and an action is recommended.",
	Escalation:     "There is an incident, and nobody has decided yet.",
	Recovered:      "The incident is over.",
	Expired:        "Nobody has decided in time, and nothing was run.",
	Failed:         "The action that was approved did not help.",
	NotRun:         "The action that was approved was not run.",
	Unknown:        "It is not known whether the action that was approved was run.",
	TargetDown:     "A target is down.",
	TargetUp:       "A target is up again.",
	TargetFlapping: "A target keeps failing and recovering.",
	Test:           "This is a test.",
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
