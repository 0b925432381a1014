package incident

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What an effect is.
const (
	Notification = "notification"
	ApprovalLink = "approval_link"
	Execution    = "execution"
)

// What an effect tells of.
const (
	EventIncident       = "incident"
	EventValidated      = "validated"
	EventRecovered      = "recovered"
	EventTargetDown     = "target_down"
	EventTargetUp       = "target_up"
	EventTargetFlapping = "target_flapping"
	// EventExpired is that nobody decided in time.
	EventExpired = "expired"
	// EventFailed is that an action was run and did not help; EventNotRun that it was
	// authorized and not run; EventUnknown that nobody knows whether it was.
	EventFailed  = "failed"
	EventNotRun  = "not_run"
	EventUnknown = "unknown"
	// EventExecution is of an effect that is an [Execution].
	EventExecution = "execution"
)

// message is what would be said to whom it concerns.
type message struct {
	effect, event, text string
	// issue is what a short message says of it, in plain words; text when empty.
	issue   string
	targets []string
}

// tell drafts the entry of a message that the entry cause gives rise to: to be
// suppressed in shadow, else due.
func (s State) tell(cause Entry, m message) Draft {
	e := cause
	e.Decision, e.Reason, e.Evidence = "due", cause.Reason, nil
	e.Kind, e.Actor = KindEffectDue, ActorPolicy
	e.Metadata = map[string]any{"effect": m.effect, "channel": nil}
	if s.Shadow {
		e.Kind, e.Actor, e.Decision = KindEffectSuppressed, ActorShadow, "shadow"
		e.Metadata = map[string]any{"shadow_mode": true, "suppressed_action": m.effect}
	}
	e.Metadata["event"], e.Metadata["text"] = m.event, clean(m.text, maxText)
	if m.issue != "" {
		e.Metadata["issue"] = clean(m.issue, maxPhrase)
	}
	if target := cause.text("target"); target != "" {
		e.Metadata["target"] = target
	}
	if len(m.targets) > 0 {
		e.Metadata["targets"] = texts(m.targets)
	}
	return Draft{Entry: e}
}

// texts is a list as it comes out of JSON.
func texts(list []string) []any {
	out := make([]any, len(list))
	for i, text := range list {
		out[i] = text
	}
	return out
}

func (o Observation) opened(id string, lines []string, targets []string) message {
	text := fmt.Sprintf("%s has an incident (%s). %s", o.Service, id, sentence(clean(o.Decision.Why, maxReason/4)))
	if len(lines) > 0 {
		text += " Changed just before: " + lines[0] + more(len(lines)-1)
	}
	return message{effect: Notification, event: EventIncident, text: text, issue: o.Issue(), targets: targets}
}

func more(n int) string {
	switch n {
	case 0:
		return "."
	case 1:
		return ", and 1 more change."
	}
	return fmt.Sprintf(", and %d more changes.", n)
}

// validated tells that an incident holds, why an action is proposed or none, and
// with a question who decides.
func (o Observation) validated(id string, held time.Duration, why string, asked bool) message {
	text := fmt.Sprintf("%s: the incident %s still holds after %s. %s %s",
		o.Service, id, held.Round(time.Second), sentence(clean(o.Decision.Why, maxReason/4)), sentence(clean(why, maxPhrase)))
	if asked {
		text += " Nothing will run without your approval."
	}
	return message{effect: Notification, event: EventValidated, text: text, issue: o.Issue()}
}

// asked tells that people are asked, of an incident that was validated before.
func (o Observation) asked(id, why, proposed string) message {
	text := fmt.Sprintf("%s: %s The incident %s still holds. %s Nothing will run without your approval.",
		o.Service, sentence(clean(why, maxPhrase)), id, sentence(clean(proposed, maxPhrase)))
	return message{effect: ApprovalLink, event: EventValidated, text: text, issue: o.Issue()}
}

func (o Observation) link(id string) message {
	text := fmt.Sprintf("%s: a link to look at the incident %s and to decide what is done.", o.Service, id)
	return message{effect: ApprovalLink, event: EventValidated, text: text, issue: o.Issue()}
}

func (o Observation) wouldRun(id, action string) message {
	return message{effect: Execution, event: EventExecution, text: fmt.Sprintf("%s: %s, once a person had authorized it, for the incident %s.", o.Service, action, id)}
}

func (o Observation) recovered(id string, lasted time.Duration) message {
	text := fmt.Sprintf("%s has recovered from the incident %s, which lasted %s. %s",
		o.Service, id, lasted.Round(time.Second), sentence(clean(o.Decision.Why, maxReason/4)))
	return message{effect: Notification, event: EventRecovered, text: text, issue: "Nothing was run."}
}

func (o Observation) cleared(id string, stage Stage) message {
	text := fmt.Sprintf("%s is healthy again. The incident %s had ended %s. %s",
		o.Service, id, stage, sentence(clean(o.Decision.Why, maxReason/4)))
	return message{effect: Notification, event: EventRecovered, text: text, issue: fmt.Sprintf("The incident had ended %s before.", stage)}
}

func (o Observation) resolved(id, judgement string) message {
	text := fmt.Sprintf("%s: the incident %s is resolved: %s", o.Service, id, stopped(judgement))
	return message{effect: Notification, event: EventRecovered, text: text, issue: sentence(judgement)}
}

func (o Observation) flapping(id string) message {
	return message{effect: Notification, event: EventTargetFlapping, text: fmt.Sprintf(
		"%s keeps failing and recovering. The incident %s stays open, and nothing more is said of it until the service is steady.", o.Service, id)}
}

// targetMessage tells of a target; reason begins with its name.
func (o Observation) targetMessage(kind, reason string) message {
	m := message{effect: Notification, text: o.Service + ": " + stopped(reason)}
	switch kind {
	case KindTargetDown:
		m.event = EventTargetDown
	case KindTargetUp:
		m.event = EventTargetUp
	case KindTargetFlapping:
		m.event = EventTargetFlapping
		m.text += " Nothing more is said of it until it is steady."
	}
	return m
}

// sentence begins a text with a capital and ends it with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	return stopped(string(unicode.ToUpper(first)) + text[size:])
}

func stopped(text string) string {
	if strings.HasSuffix(text, ".") || strings.HasSuffix(text, "…") {
		return text
	}
	return text + "."
}
