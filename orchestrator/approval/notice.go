package approval

import (
	"fmt"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// notice is what a page has to say before anything else.
type notice struct {
	title  string
	tone   string   // go, stop or wait: the colour, which says nothing that the text does not
	text   []string // sentences
	status int      // of HTTP
}

// mends are what a person can do about a refusal.
var mends = map[Reason]string{
	Malformed:     "Open the link from the message again, or copy all of it.",
	Forged:        "Do not trust the message that it came with, and tell whoever runs Countersign.",
	Altered:       "Open the link from the message itself. If it is the same, tell whoever runs Countersign.",
	TooEarly:      "Try again in a minute, and have the clock looked after.",
	OtherTenant:   "Open the link from the latest message.",
	OtherIncident: "Open the link from the latest message.",
	OtherAction:   "Open the link from the latest message.",
	OtherPolicy:   "Open the link from the latest message.",
	UnknownLink:   "Open the link from the latest message.",
	SamePerson:    "Somebody else has to approve as well. You may still reject.",
	Requester:     "Somebody else has to approve. You may still reject.",
	Withdrawn:     "If the service is still ill, a new message follows: open the link in that one.",
	InShadow:      "Whoever runs Countersign can go live with countersign shadow off.",
	CrossSite:     "Open the link from the message, and decide on the page it leads to.",
	NoForm:        "Open the link from the message, and decide on the page it leads to.",
}

const nothingRan = "Nothing was run because of it."

// refusalNotice explains a refusal.
func refusalNotice(why Reason) notice {
	n := notice{title: "This link cannot be used", tone: "stop", status: http.StatusForbidden}
	switch why {
	case TooLate:
		return expiredNotice()
	case Malformed:
		n.status = http.StatusBadRequest
	case SamePerson:
		n.title = "You have approved already"
	case Requester:
		n.title = "Somebody else must approve"
	case InShadow:
		n.title = "Shadow mode is on"
	case Withdrawn:
		n.title = "Shadow mode was on"
	case CrossSite, NoForm:
		n.title = "Not decided"
	}
	n.text = []string{sentence(sentences[why]), nothingRan, mends[why]}
	return n
}

func expiredNotice() notice {
	return notice{"This link has expired", "wait", []string{
		fmt.Sprintf("A link is good for %s.", duration(LinkLife)), nothingRan,
		"If another message about it has come, open the link in that one.",
	}, http.StatusGone}
}

// lapsedNotice says that there is nothing left to decide.
func lapsedNotice(o Outcome, now time.Time) notice {
	return notice{"Nobody decided in time", "wait", []string{
		fmt.Sprintf("The question was closed at %s, and nothing was run.", clock(o.At, now)),
		"If the service is still ill, look after it yourself: about the same trouble nobody is asked again at once.",
	}, http.StatusGone}
}

// noticeOf explains where a request stands; decided says that it does so because
// of a tap just now. Of an open one there is nothing to explain.
func noticeOf(o Outcome, v View, you string, decided bool, now time.Time) notice {
	action := quoted(v.Action)
	status := http.StatusOK
	if decided {
		status = http.StatusConflict
	}
	switch o.Kind {
	case Authorized:
		return notice{"Approved", "go", []string{"Your approval is on record.", sentence(action + " runs now, once"), "You will be told how it ended."}, http.StatusOK}
	case Rejected:
		return notice{"Rejected", "stop", []string{"Your decision is on record.", "Nothing runs.", "The incident is closed; if the service is still ill, look after it yourself."}, http.StatusOK}
	case Waiting:
		return notice{"Waiting for another approval", "wait", []string{
			fmt.Sprintf("You approved at %s.", clock(o.At, now)), fmt.Sprintf("That makes %d of %d approvals: somebody else has to approve.", o.Approvals, o.Quorum),
			"Until then nothing runs.",
		}, http.StatusOK}
	case Already:
		return alreadyNotice(o, v, you, status, now)
	case Recovered:
		return notice{"The service has recovered", "go", []string{"It recovered before a decision was made.", "Nothing needs to run, and nothing will because of this link."}, status}
	case Expired:
		if o.Decided == StepExpired {
			return lapsedNotice(o, now)
		}
		return expiredNotice()
	case Refused:
		return refusalNotice(o.Reason)
	case Open:
		if o.Reason != "" {
			n := refusalNotice(o.Reason)
			n.status, n.tone, n.text = http.StatusOK, "wait", []string{n.text[0], n.text[2]}
			return n
		}
	}
	return notice{status: http.StatusOK}
}

// alreadyNotice says who was first.
func alreadyNotice(o Outcome, v View, you string, status int, now time.Time) notice {
	who := v.name(o.By)
	if samePerson(o.By, you) {
		who = "You"
	}
	n := notice{"Approved already", "go", []string{fmt.Sprintf("%s approved at %s.", who, clock(o.At, now)), "One approval is enough to run it once: this link does nothing more."}, status}
	if o.Quorum > 1 {
		n.text = []string{fmt.Sprintf("The last of %d approvals was given at %s. %s gave it.", o.Quorum, clock(o.At, now), who), "The action runs once: this link does nothing more."}
	}
	if o.Decided == StepRejected {
		n.title, n.tone = "Rejected already", "stop"
		n.text = []string{fmt.Sprintf("%s rejected at %s.", who, clock(o.At, now)), "Nothing runs."}
	}
	if v.Stage != "" {
		n.text = append(n.text, fmt.Sprintf("The incident is now %s.", v.Stage))
	}
	return n
}

func quoted(a Action) string {
	if title := a.title(); title != "" {
		return "“" + plain.Line(title, 100) + "”"
	}
	return "the action"
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return capital(text) + "."
}

// capital is text with its first letter in upper case.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}
