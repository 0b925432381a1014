// Package telegram sends messages through a bot of Telegram's Bot API
// (https://core.telegram.org/bots/api#sendmessage), with a button for the link.
package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Kind is the kind of channel.
func Kind() notify.Kind {
	return notify.Kind{
		Name: "telegram", Title: "Telegram",
		Settings: []notify.Setting{
			{Key: "token", Secret: true, Required: true, Help: "The bot's token, from @BotFather."},
			{Key: "chat_id", Required: true, Help: "The chat: a number (negative for a group), or `@name` of a channel.",
				Check: notify.Pattern(`^(-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,31})$`, "must be the number of a chat, or \"@name\" of a channel")},
			{Key: "thread_id", Help: "The topic of a forum group.", Check: notify.Digits},
			{Key: "api_url", Default: "https://api.telegram.org", Help: "A Bot API server of your own.", Check: notify.WebAddress},
		},
		CheckLink: checkLink,
		New:       func(c notify.Config, o notify.Outside) (notify.Channel, error) { return &channel{c, o}, nil },
	}
}

// checkLink refuses what Telegram refuses in a button, and the whole message with
// it: a host's name without a dot.
func checkLink(_ notify.Config, begins string) error {
	u, err := url.Parse(begins)
	if err != nil || !strings.ContainsAny(u.Hostname(), ".:") {
		return fmt.Errorf("cannot bring links that begin with %s: Telegram takes no button to such a host; give public_url a full host name", begins)
	}
	return nil
}

type channel struct {
	config  notify.Config
	outside notify.Outside
}

func (c *channel) Name() string { return c.config.ID }
func (c *channel) Kind() string { return c.config.Kind }

// payload has no parse_mode: the text is shown as it is.
type payload struct {
	ChatID              json.RawMessage `json:"chat_id"`
	ThreadID            int64           `json:"message_thread_id,omitempty"`
	Text                string          `json:"text"`
	LinkPreview         preview         `json:"link_preview_options"`
	DisableNotification bool            `json:"disable_notification"`
	ReplyMarkup         *markup         `json:"reply_markup,omitempty"`
}

type preview struct {
	IsDisabled bool `json:"is_disabled"`
}

type markup struct {
	InlineKeyboard [][]button `json:"inline_keyboard"`
}

type button struct {
	Text string `json:"text"`
	URL  string `json:"url"`
}

func (c *channel) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if err := m.Check(); err != nil {
		return notify.Receipt{}, err
	}
	token, err := c.config.Secret("token").Read(c.outside.Getenv)
	if err != nil {
		return notify.Receipt{}, err
	}
	if strings.Trim(token, "0123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-") != "" {
		return notify.Receipt{}, &notify.Error{Text: "the token cannot be that of a bot", Mend: "copy it anew from @BotFather"}
	}
	body, err := json.Marshal(c.payload(m))
	if err != nil {
		return notify.Receipt{}, &notify.Error{Text: "the message cannot be written", Mend: "check chat_id and thread_id", Cause: err}
	}
	answer, err := notify.Exchange(ctx, c.outside.HTTP(m.Tenant), notify.Call{
		URL:         strings.TrimRight(c.config.Get("api_url"), "/") + "/bot" + token + "/sendMessage",
		ContentType: "application/json", Body: body, Timeout: c.config.Timeout, Secrets: append(m.Secrets(), token),
	})
	if err != nil {
		return notify.Receipt{}, err
	}
	return read(answer)
}

func (c *channel) payload(m notify.Message) payload {
	p := payload{Text: uncommand(m.Unlinked()), LinkPreview: preview{IsDisabled: true}, DisableNotification: m.Urgency() == notify.Info}
	id := c.config.Get("chat_id")
	if strings.HasPrefix(id, "@") {
		p.ChatID = json.RawMessage(strconv.Quote(id))
	} else {
		n, _ := strconv.ParseInt(id, 10, 64) // a number too great is 0 or the greatest, which is no chat
		p.ChatID = json.RawMessage(strconv.FormatInt(n, 10))
	}
	p.ThreadID, _ = strconv.ParseInt(c.config.Get("thread_id"), 10, 64)
	if m.Decidable() {
		p.ReplyMarkup = &markup{[][]button{{{Text: "Look and decide", URL: m.Link}}}}
	}
	return p
}

// uncommand takes apart what Telegram makes a command of that one tap sends to
// every bot of the chat: /orders becomes [/]orders. A path of two parts is none.
func uncommand(text string) string {
	if !strings.Contains(text, "/") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		word := i + 1
		for word < len(text) && inCommand(text[word]) {
			word++
		}
		begins := text[i] == '/' && word > i+1 && (i == 0 || text[i-1] != '/' && !inCommand(text[i-1]))
		if begins && (word == len(text) || text[word] != '/') {
			b.WriteString("[/]")
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// inCommand says whether a command may have c in it.
func inCommand(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// response is what every method of the API answers with.
type response struct {
	OK          bool   `json:"ok"`
	Description string `json:"description"`
	Result      struct {
		MessageID int64 `json:"message_id"`
	} `json:"result"`
	Parameters struct {
		RetryAfter      float64 `json:"retry_after"`
		MigrateToChatID int64   `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

func read(a notify.Answer) (notify.Receipt, error) {
	var r response
	err := json.Unmarshal(a.Body, &r)
	if a.OK() && err == nil && r.OK {
		return notify.Receipt{Reference: strconv.FormatInt(r.Result.MessageID, 10)}, nil
	}
	if a.OK() && (err != nil || r.Description == "") {
		return notify.Receipt{}, a.Unclear("not as the Bot API does", "check api_url")
	}
	e := a.Refused(r.Description, mend(a.Status, r))
	if after := notify.Wait(r.Parameters.RetryAfter); after > 0 {
		e.Retry, e.After = true, after
	}
	return notify.Receipt{}, e
}

// mend says what to do about an error, by its status and its description.
func mend(status int, r response) string {
	said := strings.ToLower(r.Description)
	switch {
	case r.Parameters.MigrateToChatID != 0:
		return fmt.Sprintf("the group has become a supergroup: set chat_id to %d", r.Parameters.MigrateToChatID)
	case status == 401 || status == 404:
		return "the token is wrong or was revoked: get one from @BotFather"
	case strings.Contains(said, "chat not found"):
		return "check chat_id; a person must have written to the bot first, and a group must have it as a member"
	case strings.Contains(said, "initiate conversation"):
		return "the person must write to the bot first"
	case strings.Contains(said, "blocked") || strings.Contains(said, "kicked") || strings.Contains(said, "not a member") || strings.Contains(said, "deactivated"):
		return "let the person unblock the bot, or add it to the group again"
	case strings.Contains(said, "rights") || strings.Contains(said, "need administrator") || strings.Contains(said, "chat_write_forbidden") || strings.Contains(said, "topic_closed"):
		return "let the bot post in this chat"
	case strings.Contains(said, "thread not found"):
		return "check thread_id"
	case strings.Contains(said, "button") || strings.Contains(said, "url"):
		return "the link must be one that Telegram accepts: set public_url to an https address with a public host name"
	}
	return ""
}
