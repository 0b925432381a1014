// Package slack sends messages through an incoming webhook of Slack
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks),
// laid out with Block Kit.
package slack

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Kind is the kind of channel.
func Kind() notify.Kind {
	return notify.Kind{
		Name: "slack", Title: "Slack",
		Settings: []notify.Setting{
			{Key: "url", Secret: true, Required: true, Help: "The URL of the incoming webhook. It is a secret: whoever has it can post."},
		},
		New: func(c notify.Config, o notify.Outside) (notify.Channel, error) { return &channel{c, o}, nil },
	}
}

type channel struct {
	config  notify.Config
	outside notify.Outside
}

func (c *channel) Name() string { return c.config.ID }
func (c *channel) Kind() string { return c.config.Kind }

func (c *channel) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if err := m.Check(); err != nil {
		return notify.Receipt{}, err
	}
	address, err := c.config.Secret("url").Read(c.outside.Getenv)
	if err != nil {
		return notify.Receipt{}, err
	}
	if err := c.config.MayUse(address); err != nil {
		return notify.Receipt{}, err
	}
	body, err := json.Marshal(newPayload(m))
	if err != nil {
		return notify.Receipt{}, &notify.Error{Text: "the message cannot be written", Mend: "report this", Cause: err}
	}
	answer, err := notify.Exchange(ctx, c.outside.HTTP(m.Tenant), notify.Call{
		URL: address, ContentType: "application/json; charset=utf-8", Body: body, Timeout: c.config.Timeout,
		Secrets: append(append(m.Secrets(), secretParts(address)...), address),
	})
	if err != nil {
		return notify.Receipt{}, err
	}
	said := strings.TrimSpace(string(answer.Body))
	switch {
	case !answer.OK():
		return notify.Receipt{}, answer.Refused(said, mend(answer.Status, said))
	case said != "ok":
		return notify.Receipt{}, answer.Unclear("not with \"ok\" as Slack does", "check that the URL is that of an incoming webhook")
	}
	return notify.Receipt{Note: "ok"}, nil
}

// secretParts are the parts of the webhook's path that let anybody post.
func secretParts(address string) []string {
	var parts []string
	for _, part := range strings.FieldsFunc(address, func(r rune) bool { return r == '/' || r == '?' || r == '=' }) {
		if len(part) >= 16 && !strings.Contains(part, ".") {
			parts = append(parts, part)
		}
	}
	return parts
}

// mend says what to do about an error, by the word that Slack answers with.
func mend(status int, said string) string {
	word, _, _ := strings.Cut(said, "\n")
	switch strings.TrimSpace(word) {
	case "no_service", "no_service_id", "no_team", "team_disabled", "invalid_token", "no_active_hooks":
		return "the webhook was removed or disabled: make a new one in Slack, and put its URL in the secret"
	case "channel_not_found", "channel_is_archived":
		return "the webhook's channel is gone or archived: make a webhook for another"
	case "action_prohibited", "posting_to_general_channel_denied", "team_access_not_granted":
		return "an administrator of the workspace must let the webhook post"
	case "user_not_found":
		return "the webhook's person has left: make a new one"
	case "invalid_payload", "invalid_blocks", "invalid_blocks_format", "no_text", "missing_text_or_fallback_or_attachments":
		return "report this: Slack does not understand what countersign sends"
	}
	if status == http.StatusNotFound {
		return "check that the URL is that of an incoming webhook"
	}
	return ""
}
