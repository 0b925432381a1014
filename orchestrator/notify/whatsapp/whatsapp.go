// Package whatsapp sends messages through Meta's WhatsApp Cloud API
// (https://developers.facebook.com/docs/whatsapp/cloud-api). Who has not
// written within a day can be sent an approved template only, so all messages
// are: their definitions are in docs/templates.
package whatsapp

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Kind is the kind of channel.
func Kind() notify.Kind {
	name := notify.Pattern(`^[a-z0-9_]{1,512}$`, "must be the name of a template: lower-case letters, digits and _")
	return notify.Kind{
		Name: "whatsapp", Title: "WhatsApp through Meta's Cloud API",
		Settings: []notify.Setting{
			{Key: "token", Secret: true, Required: true, Help: "A permanent access token of a system user, with the permission `whatsapp_business_messaging`."},
			{Key: "phone_number_id", Required: true, Help: "The id (not the number) of the sending telephone number.", Check: notify.Digits},
			{Key: "to", Required: true, Help: "The telephone number of who is told.", Check: notify.Phone},
			{Key: "link_base", Required: true, Help: "What the link's address begins with, as it is in the template's button: `https://HOST/action/recover?token=`.", Check: notify.WebAddress},
			{Key: "template_decision", Default: "countersign_decision", Help: "The template with the link.", Check: name},
			{Key: "template_notice", Default: "countersign_notice", Help: "The template without.", Check: name},
			{Key: "language", Default: "en_US", Help: "The templates' language.",
				Check: notify.Pattern(`^[a-z]{2,3}(_[A-Z]{2})?$`, "must be a language such as en_US")},
			{Key: "api_version", Default: "v23.0", Help: "The version of the Graph API.",
				Check: notify.Pattern(`^v[0-9]{1,3}\.[0-9]{1,2}$`, "must be a version such as v23.0")},
			{Key: "api_url", Default: "https://graph.facebook.com", Help: "The Graph API.", Check: notify.WebAddress},
		},
		CheckLink: notify.CheckLinkBase,
		New:       func(c notify.Config, o notify.Outside) (notify.Channel, error) { return &channel{c, o}, nil },
	}
}

type channel struct {
	config  notify.Config
	outside notify.Outside
}

func (c *channel) Name() string { return c.config.ID }
func (c *channel) Kind() string { return c.config.Kind }

type payload struct {
	Product       string   `json:"messaging_product"`
	RecipientType string   `json:"recipient_type"`
	To            string   `json:"to"`
	Type          string   `json:"type"`
	Template      template `json:"template"`
	// Callback comes back with the status of the message, and tells who looks
	// for it which one it is.
	Callback string `json:"biz_opaque_callback_data"`
}

type template struct {
	Name       string      `json:"name"`
	Language   language    `json:"language"`
	Components []component `json:"components"`
}

type language struct {
	Code string `json:"code"`
}

type component struct {
	Type       string      `json:"type"`
	SubType    string      `json:"sub_type,omitempty"`
	Index      string      `json:"index,omitempty"`
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

func (c *channel) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if err := m.Check(); err != nil {
		return notify.Receipt{}, err
	}
	p, err := c.payload(m)
	if err != nil {
		return notify.Receipt{}, err
	}
	token, err := c.config.Secret("token").Read(c.outside.Getenv)
	if err != nil {
		return notify.Receipt{}, err
	}
	body, err := json.Marshal(p)
	if err != nil {
		return notify.Receipt{}, &notify.Error{Text: "the message cannot be written", Mend: "report this", Cause: err}
	}
	answer, err := notify.Exchange(ctx, c.outside.HTTP(m.Tenant), notify.Call{
		URL: strings.TrimRight(c.config.Get("api_url"), "/") + "/" + c.config.Get("api_version") + "/" +
			url.PathEscape(c.config.Get("phone_number_id")) + "/messages",
		ContentType: "application/json", Header: http.Header{"Authorization": {"Bearer " + token}},
		Body: body, Timeout: c.config.Timeout, Secrets: append(m.Secrets(), token),
	})
	if err != nil {
		return notify.Receipt{}, err
	}
	return read(answer)
}

func (c *channel) payload(m notify.Message) (payload, error) {
	p := payload{
		Product: "whatsapp", RecipientType: "individual", To: strings.TrimPrefix(c.config.Get("to"), "+"), Type: "template", Callback: m.ID,
		Template: template{Name: c.config.Get("template_notice"), Language: language{c.config.Get("language")}},
	}
	if !m.Decidable() {
		p.Template.Components = []component{{Type: "body", Parameters: parameters(m.NoticeFields())}}
		return p, nil
	}
	suffix, err := notify.LinkSuffix(m.Link, c.config.Get("link_base"))
	if err != nil {
		return payload{}, err
	}
	p.Template.Name = c.config.Get("template_decision")
	p.Template.Components = []component{
		{Type: "body", Parameters: parameters(m.DecisionFields())},
		{Type: "button", SubType: "url", Index: "0", Parameters: parameters([]string{suffix})},
	}
	return p, nil
}

func parameters(fields []string) []parameter {
	list := make([]parameter, len(fields))
	for i, field := range fields {
		list[i] = parameter{Type: "text", Text: field}
	}
	return list
}
