package twilio

import (
	"net/url"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Voice is the kind of channel that calls a person up. It is for escalation.
func Voice() notify.Kind {
	return notify.Kind{
		Name: "twilio_voice", Title: "Telephone call through Twilio", Voice: true,
		Settings: append(account(),
			notify.Setting{Key: "from", Required: true, Help: "The calling number.", Check: notify.Phone},
			notify.Setting{Key: "to", Required: true, Help: "The number to call.", Check: notify.Phone},
			notify.Setting{Key: "ring", Default: "40", Help: "How many seconds it rings.", Check: notify.Whole(5, 600)},
		),
		New: func(c notify.Config, o notify.Outside) (notify.Channel, error) {
			return &channel{c, o, "Calls", callForm}, nil
		},
	}
}

func callForm(c notify.Config, m notify.Message) (url.Values, error) {
	return url.Values{
		"To": {c.Get("to")}, "From": {c.Get("from")}, "Timeout": {c.Get("ring")}, "Twiml": {TwiML(m.Spoken())},
	}, nil
}

// markup is what XML has a meaning for.
var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")

// TwiML is the document of a call that says a text twice: who was asleep misses
// the beginning (https://www.twilio.com/docs/voice/twiml/say).
func TwiML(text string) string {
	say := `<Say language="en-US">` + markup.Replace(text) + `</Say>`
	return `<?xml version="1.0" encoding="UTF-8"?><Response><Pause length="1"/>` + say + `<Pause length="2"/>` + say + `</Response>`
}
