package slack

import (
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// payload is the body of a webhook. Every text that is shown is of the type
// plain_text, in which Slack knows no links, mentions or formatting.
type payload struct {
	Text        string  `json:"text"` // in notifications, and where there are no blocks
	Markdown    bool    `json:"mrkdwn"`
	UnfurlLinks bool    `json:"unfurl_links"`
	UnfurlMedia bool    `json:"unfurl_media"`
	Blocks      []block `json:"blocks"`
}

type block struct {
	Type     string    `json:"type"`
	Text     *text     `json:"text,omitempty"`
	Elements []element `json:"elements,omitempty"`
}

type text struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji bool   `json:"emoji"`
}

// element is a button of an actions block, or a text of a context block.
type element struct {
	Type     string `json:"type"`
	Text     any    `json:"text"` // a *text in a button, a string in a text
	Emoji    *bool  `json:"emoji,omitempty"`
	ActionID string `json:"action_id,omitempty"`
	URL      string `json:"url,omitempty"`
	Style    string `json:"style,omitempty"`
}

func plain(s string) *text { return &text{Type: "plain_text", Text: s} }

func newPayload(m notify.Message) payload {
	blocks := []block{
		{Type: "header", Text: plain(m.Heading())},
		{Type: "section", Text: plain(strings.Join(m.Body(), "\n"))},
	}
	if m.Decidable() {
		blocks = append(blocks, block{Type: "actions", Elements: []element{{
			Type: "button", Text: plain("Look and decide"), ActionID: "countersign_decide", URL: m.Link, Style: "primary",
		}}})
	}
	if foot := foot(m); foot != "" {
		off := false
		blocks = append(blocks, block{Type: "context", Elements: []element{{Type: "plain_text", Text: foot, Emoji: &off}}})
	}
	return payload{Text: Escape(m.Subject()), Blocks: blocks}
}

// foot is what stands below the message.
func foot(m notify.Message) string {
	var parts []string
	if m.Promises() {
		parts = append(parts, notify.Promise)
	}
	if until := m.Until(); m.Decidable() && until != "" {
		parts = append(parts, strings.ToUpper(until[:1])+until[1:]+".")
	}
	if mark := m.Mark(); mark != "" {
		parts = append(parts, mark)
	}
	return strings.Join(parts, "\n")
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Escape writes a text so that Slack's mrkdwn finds no link or mention in it
// (https://docs.slack.dev/messaging/formatting-message-text#escaping).
func Escape(s string) string { return escaper.Replace(s) }
