// Package twilio sends messages through Twilio: WhatsApp templates by the
// Messages API (https://www.twilio.com/docs/messaging/api/message-resource) and
// calls that read a message out by the Calls API
// (https://www.twilio.com/docs/voice/api/call-resource).
package twilio

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// account are the settings that both kinds have.
func account() []notify.Setting {
	return []notify.Setting{
		{Key: "token", Secret: true, Required: true, Help: "The auth token, or the secret of `api_key`."},
		{Key: "account_sid", Required: true, Help: "The account.", Check: sid("AC", "account")},
		{Key: "api_key", Help: "An API key to sign in with in the account's place.", Check: sid("SK", "API key")},
		{Key: "api_url", Default: "https://api.twilio.com", Help: "The API of a region, such as https://api.dublin.ie1.twilio.com.", Check: notify.WebAddress},
	}
}

// sid checks an identifier of Twilio's.
func sid(prefix, what string) func(string) error {
	return notify.Pattern("^"+prefix+"[0-9a-fA-F]{32}$", "must be the SID of an "+what+": "+prefix+" and 32 hexadecimal digits")
}

type channel struct {
	config  notify.Config
	outside notify.Outside
	// resource is what is created, and form is what it is made of.
	resource string
	form     func(notify.Config, notify.Message) (url.Values, error)
}

func (c *channel) Name() string { return c.config.ID }
func (c *channel) Kind() string { return c.config.Kind }

func (c *channel) Send(ctx context.Context, m notify.Message) (notify.Receipt, error) {
	if err := m.Check(); err != nil {
		return notify.Receipt{}, err
	}
	form, err := c.form(c.config, m)
	if err != nil {
		return notify.Receipt{}, err
	}
	token, err := c.config.Secret("token").Read(c.outside.Getenv)
	if err != nil {
		return notify.Receipt{}, err
	}
	user := c.config.Get("api_key")
	if user == "" {
		user = c.config.Get("account_sid")
	}
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + token))
	answer, err := notify.Exchange(ctx, c.outside.HTTP(m.Tenant), notify.Call{
		URL: strings.TrimRight(c.config.Get("api_url"), "/") + "/2010-04-01/Accounts/" +
			c.config.Get("account_sid") + "/" + c.resource + ".json",
		ContentType: "application/x-www-form-urlencoded", Header: http.Header{"Authorization": {"Basic " + basic}},
		Body: []byte(form.Encode()), Timeout: c.config.Timeout, Secrets: append(m.Secrets(), token, basic),
	})
	if err != nil {
		return notify.Receipt{}, err
	}
	return read(answer)
}

type response struct {
	SID     string `json:"sid"`
	Status  any    `json:"status"` // a word in a resource, a number in an error
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func read(a notify.Answer) (notify.Receipt, error) {
	var r response
	err := json.Unmarshal(a.Body, &r)
	if a.OK() {
		if err != nil || r.SID == "" {
			return notify.Receipt{}, a.Unclear("not as Twilio does", "check api_url")
		}
		status, _ := r.Status.(string)
		return notify.Receipt{Reference: a.Reference(r.SID, 64), Note: a.Say(status)}, nil
	}
	e := a.Refused(r.Message, mend(a.Status, r.Code))
	if r.Code != 0 {
		e.Text = fmt.Sprintf("refused with status %d, code %d: %s", a.Status, r.Code, a.Say(r.Message))
	}
	return notify.Receipt{}, e
}

// mend says what to do about an error, by its status and code
// (https://www.twilio.com/docs/api/errors).
func mend(status, code int) string {
	switch code {
	case 20003, 20006, 20403:
		return "check account_sid, api_key and the token, and what they may do"
	case 20005, 10001, 30002:
		return "the account is not active: see Twilio's console"
	case 20404:
		return "check account_sid and api_url"
	case 21211, 21214, 21217, 21401, 21614, 63024:
		return "check to: it must be a telephone number that can be reached"
	case 21212, 21210, 21606, 21603, 63007:
		return "check from: it must be a number of this account that can do this"
	case 21215, 21216, 21219, 21608, 13227:
		return "let the account reach this number: verify it on a trial account, or allow its country under geo permissions"
	case 21654, 21655, 21656, 21617, 63016, 63021, 63040, 63041, 63042, 92005:
		return "make the content template of docs/templates, have it approved for WhatsApp, and put its SID here"
	case 32018:
		return "report this: the text of the call is too long"
	}
	if status == http.StatusUnauthorized {
		return "check account_sid, api_key and the token"
	}
	return ""
}
