// Package alertmanager posts messages as alerts to the v2 API of Prometheus's
// Alertmanager, so that an existing routing tree passes them on
// (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).
package alertmanager

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Kind is the kind of channel.
func Kind() notify.Kind {
	return notify.Kind{
		Name: "alertmanager", Title: "Alertmanager",
		Settings: []notify.Setting{
			{Key: "url", Required: true, Help: "Where Alertmanager is, with its route prefix if it has one.", Check: notify.WebAddress},
			{Key: "severity", Default: "critical", Help: "The label `severity` of what needs attention. It is the same in firing and resolved alerts, as labels must be.",
				Check: notify.Pattern(`^[A-Za-z0-9_-]{1,40}$`, "must be a word such as critical")},
			{Key: "hold_hours", Default: "24", Help: "After how many hours an alert ends by itself that nothing resolves.", Check: notify.Whole(1, 720)},
			{Key: "user", Help: "The user to sign in as, with `password`.", Check: notify.Pattern(`^[^:]{1,200}$`, "must have no colon")},
			{Key: "password", Secret: true, Help: "That user's password."},
			{Key: "token", Secret: true, Help: "A bearer token, in place of user and password."},
		},
		Check: check,
		New:   func(c notify.Config, o notify.Outside) (notify.Channel, error) { return &channel{c, o}, nil },
	}
}

func check(c notify.Config) error {
	switch {
	case (c.Get("user") != "") != c.Secret("password").Given():
		return errors.New("needs both user and password in its settings, or neither")
	case c.Get("user") != "" && c.Secret("token").Given():
		return errors.New("has both user and token in its settings: keep one")
	}
	return nil
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
	hold, _ := time.ParseDuration(c.config.Get("hold_hours") + "h")
	body, err := json.Marshal(alerts(m, c.config.Get("severity"), hold))
	if err != nil {
		return notify.Receipt{}, &notify.Error{Text: "the message cannot be written", Mend: "report this", Cause: err}
	}
	call := notify.Call{
		URL:         strings.TrimRight(c.config.Get("url"), "/") + "/api/v2/alerts",
		ContentType: "application/json", Header: http.Header{}, Body: body, Timeout: c.config.Timeout,
		Secrets: m.Secrets(),
	}
	if err := c.authorize(&call); err != nil {
		return notify.Receipt{}, err
	}
	answer, err := notify.Exchange(ctx, c.outside.HTTP(m.Tenant), call)
	if err != nil {
		return notify.Receipt{}, err
	}
	if !answer.OK() {
		return notify.Receipt{}, answer.Refused(said(answer.Body), mend(answer.Status))
	}
	return notify.Receipt{Note: "accepted"}, nil
}

func (c *channel) authorize(call *notify.Call) error {
	switch {
	case c.config.Secret("token").Given():
		token, err := c.config.Secret("token").Read(c.outside.Getenv)
		if err != nil {
			return err
		}
		call.Header.Set("Authorization", "Bearer "+token)
		call.Secrets = append(call.Secrets, token)
	case c.config.Secret("password").Given():
		password, err := c.config.Secret("password").Read(c.outside.Getenv)
		if err != nil {
			return err
		}
		basic := base64.StdEncoding.EncodeToString([]byte(c.config.Get("user") + ":" + password))
		call.Header.Set("Authorization", "Basic "+basic)
		call.Secrets = append(call.Secrets, password, basic)
	}
	return nil
}

// said is the reason in an answer: a JSON string, or an object with a message.
func said(body []byte) string {
	var text string
	if json.Unmarshal(body, &text) == nil {
		return text
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &object) == nil && object.Message != "" {
		return object.Message
	}
	return ""
}

func mend(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check user and password, or the token"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the URL: /api/v2/alerts is put behind it"
	}
	return ""
}
