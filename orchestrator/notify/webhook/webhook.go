// Package webhook sends messages to any HTTP endpoint: as a CloudEvent in
// structured mode (https://github.com/cloudevents/spec), signed as Standard
// Webhooks has it (https://www.standardwebhooks.com).
package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Kind is the kind of channel.
func Kind() notify.Kind {
	return notify.Kind{
		Name: "webhook", Title: "Webhook",
		Settings: []notify.Setting{
			{Key: "url", Required: true, Help: "Where messages are posted.", Check: notify.WebAddress},
			{Key: "secret", Secret: true, Required: true, Help: "The signing secret, `whsec_` and base64 of 24 to 64 bytes; two of them with a blank between while one replaces the other."},
			{Key: "token", Secret: true, Help: "A token that is sent in the header Authorization as well."},
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
	secret, err := c.config.Secret("secret").Read(c.outside.Getenv)
	if err != nil {
		return notify.Receipt{}, err
	}
	body, err := json.Marshal(newEvent(m))
	if err != nil {
		return notify.Receipt{}, &notify.Error{Text: "the message cannot be written", Mend: "report this", Cause: err}
	}
	now := c.outside.Now()
	signature, err := sign(secret, m.ID, now, body)
	if err != nil {
		return notify.Receipt{}, err
	}
	call := notify.Call{
		URL: c.config.Get("url"), ContentType: "application/cloudevents+json; charset=utf-8", Body: body, Timeout: c.config.Timeout,
		Header: http.Header{
			// In the specification's spelling.
			"Webhook-Id": {m.ID}, "Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)}, "Webhook-Signature": {signature},
		},
		Secrets: append(append(m.Secrets(), strings.Fields(secret)...), signature),
	}
	if token := c.config.Secret("token"); token.Given() {
		text, err := token.Read(c.outside.Getenv)
		if err != nil {
			return notify.Receipt{}, err
		}
		call.Header.Set("Authorization", "Bearer "+text)
		call.Secrets = append(call.Secrets, text)
	}
	answer, err := notify.Exchange(ctx, c.outside.HTTP(m.Tenant), call)
	if err != nil {
		return notify.Receipt{}, err
	}
	if !answer.OK() {
		return notify.Receipt{}, answer.Refused("", mend(answer.Status))
	}
	return notify.Receipt{Note: "status " + strconv.Itoa(answer.Status)}, nil
}

func mend(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check that both sides have the same secret, the token, and that the clocks are right"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the URL"
	case http.StatusGone:
		return "the receiver wants no more messages: remove the channel, or set it up there again"
	case http.StatusUnsupportedMediaType:
		return "the receiver must take application/cloudevents+json"
	}
	return ""
}

// sign is the value of webhook-signature: one signature for each secret.
func sign(secret, id string, at time.Time, body []byte) (string, error) {
	var signatures []string
	for _, one := range strings.Fields(secret) {
		hook, err := standardwebhooks.NewWebhook(one)
		if err != nil || len(one) < 32 {
			return "", &notify.Error{
				Text: "the signing secret cannot be one",
				Mend: "it must be whsec_ and base64 of 24 to 64 bytes, such as echo whsec_$(openssl rand -base64 32) prints",
			}
		}
		signature, err := hook.Sign(id, at, body)
		if err != nil {
			return "", &notify.Error{Text: "the message cannot be signed", Mend: "report this", Cause: err}
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}

// event is a CloudEvent 1.0.
type event struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Subject     string    `json:"subject,omitempty"`
	Time        time.Time `json:"time"`
	ContentType string    `json:"datacontenttype"`
	Data        data      `json:"data"`
}

type data struct {
	Event      notify.Event    `json:"event"`
	Tenant     string          `json:"tenant_id"`
	Service    string          `json:"service"`
	Target     string          `json:"target,omitempty"`
	IncidentID string          `json:"incident_id,omitempty"`
	Severity   notify.Severity `json:"severity"`
	Title      string          `json:"title"`
	Issue      string          `json:"issue,omitempty"`
	StartedAt  time.Time       `json:"started_at,omitzero"`
	P95MS      *float64        `json:"p95_ms"`
	ErrorRate  *float64        `json:"error_rate"`
	Score      *float64        `json:"score"`
	Cause      string          `json:"cause,omitempty"`
	Changes    []string        `json:"changes"`
	Confidence *float64        `json:"confidence"`
	Link       string          `json:"link,omitempty"`
	Expires    time.Time       `json:"expires_at,omitzero"`
	Ledger     *ledger         `json:"ledger"`
	DetailURL  string          `json:"detail_url,omitempty"`
	Text       string          `json:"text"` // the whole message, for who only shows it
}

type ledger struct {
	Size uint64 `json:"size"`
	Root string `json:"root"`
}

// Bounds of what is told in full, in characters.
const (
	maxName    = 256
	maxText    = 2000
	maxChange  = 400
	maxChanges = 20
)

func newEvent(m notify.Message) event {
	d := data{
		Event: m.Event, Tenant: plain.Line(m.Tenant, maxName), Service: plain.Line(m.Service, maxName), Target: plain.Line(m.Target, maxName),
		IncidentID: plain.Line(m.IncidentID, maxName), Severity: m.Urgency(), Title: m.Heading(), Issue: plain.Line(m.Issue, maxText),
		StartedAt: m.Began.UTC(), P95MS: notify.Finite(m.P95MS), ErrorRate: notify.Finite(m.ErrorRate), Score: notify.Finite(m.Score),
		Cause: plain.Line(m.Cause, maxText), Changes: []string{}, Confidence: notify.Finite(m.Confidence),
		DetailURL: m.Detail(), Text: m.Short(),
	}
	for _, change := range m.Changes[:min(len(m.Changes), maxChanges)] {
		d.Changes = append(d.Changes, plain.Line(change, maxChange))
	}
	if m.Decidable() {
		d.Link, d.Expires = m.Link, m.Expires.UTC()
	}
	if m.Ledger.Size > 0 {
		d.Ledger = &ledger{m.Ledger.Size, plain.Line(m.Ledger.Root, maxName)}
	}
	subject := d.IncidentID
	if subject == "" {
		subject = d.Service
	}
	return event{
		SpecVersion: "1.0", ID: m.ID, Source: "/countersign/tenants/" + url.PathEscape(d.Tenant),
		Type: "dev.countersign." + string(m.Event), Subject: subject, Time: m.At.UTC(), ContentType: "application/json", Data: d,
	}
}
