package twilio

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// WhatsApp is the kind of channel that sends templates to WhatsApp.
func WhatsApp() notify.Kind {
	return notify.Kind{
		Name: "twilio_whatsapp", Title: "WhatsApp through Twilio",
		Settings: append(account(),
			notify.Setting{Key: "from", Help: "The sending WhatsApp number. This or `messaging_service_sid`.", Check: notify.Phone},
			notify.Setting{Key: "messaging_service_sid", Help: "The messaging service to send by.", Check: sid("MG", "messaging service")},
			notify.Setting{Key: "to", Required: true, Help: "The telephone number of who is told.", Check: notify.Phone},
			notify.Setting{Key: "content_decision", Required: true, Help: "The SID of the content template with the link.", Check: sid("HX", "content template")},
			notify.Setting{Key: "content_notice", Required: true, Help: "The SID of the one without.", Check: sid("HX", "content template")},
			notify.Setting{Key: "link_base", Required: true, Help: "What the link's address begins with, as it is in the template's button: `https://HOST/action/recover?token=`.", Check: notify.WebAddress},
		),
		Check: func(c notify.Config) error {
			if (c.Get("from") == "") == (c.Get("messaging_service_sid") == "") {
				return errors.New("needs one of from and messaging_service_sid in its settings")
			}
			return nil
		},
		CheckLink: notify.CheckLinkBase,
		New: func(c notify.Config, o notify.Outside) (notify.Channel, error) {
			return &channel{c, o, "Messages", messageForm}, nil
		},
	}
}

func messageForm(c notify.Config, m notify.Message) (url.Values, error) {
	form := url.Values{"To": {"whatsapp:" + c.Get("to")}}
	if from := c.Get("from"); from != "" {
		form.Set("From", "whatsapp:"+from)
	} else {
		form.Set("MessagingServiceSid", c.Get("messaging_service_sid"))
	}
	content, fields := c.Get("content_notice"), m.NoticeFields()
	if m.Decidable() {
		suffix, err := notify.LinkSuffix(m.Link, c.Get("link_base"))
		if err != nil {
			return nil, err
		}
		content, fields = c.Get("content_decision"), append(m.DecisionFields(), suffix)
	}
	variables := map[string]string{}
	for i, field := range fields {
		variables[strconv.Itoa(i+1)] = field
	}
	text, err := json.Marshal(variables)
	if err != nil {
		return nil, &notify.Error{Text: "the message cannot be written", Mend: "report this", Cause: err}
	}
	form.Set("ContentSid", content)
	form.Set("ContentVariables", string(text))
	return form, nil
}
