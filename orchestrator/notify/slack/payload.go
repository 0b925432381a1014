package slack

import (
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// payload is the body of a webhook. Every text of others that is shown is of the
// type plain_text, in which Slack knows no links, mentions or formatting.
type payload struct {
	Text        string  `json:"text"` // in notifications, and where there are no blocks
	Markdown    bool    `json:"mrkdwn"`
	UnfurlLinks bool    `json:"unfurl_links"`
	UnfurlMedia bool    `json:"unfurl_media"`
	Blocks      []block `json:"blocks"`
}

type block struct {
	Type     string  `json:"type"`
	Text     *text   `json:"text,omitempty"`
	Elements []*text `json:"elements,omitempty"`
}

type text struct {
	Type  string `json:"type"`
	Text  string `json:"text"`
	Emoji *bool  `json:"emoji,omitempty"` // of plain_text alone
}

func plain(s string) *text { return &text{Type: "plain_text", Text: s, Emoji: new(bool)} }

// link is what there is to tap on. A button would be larger, but Slack reports
// each tap on one to the app, and puts a warning beside it where nobody answers
// to that: an incoming webhook has nobody who could.
func link(url string) *text {
	return &text{Type: "mrkdwn", Text: "👉 *<" + Escape(url) + "|Look and decide>*"}
}

func newPayload(m notify.Message) payload {
	blocks := []block{
		{Type: "header", Text: plain(m.Heading())},
		{Type: "section", Text: plain(strings.Join(m.Body(), "\n"))},
	}
	if m.Decidable() {
		blocks = append(blocks, block{Type: "section", Text: link(m.Link)})
	}
	if foot := foot(m); foot != "" {
		blocks = append(blocks, block{Type: "context", Elements: []*text{plain(foot)}})
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
