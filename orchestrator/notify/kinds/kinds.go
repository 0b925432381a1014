// Package kinds lists the kinds of channels that there are.
package kinds

import (
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/alertmanager"
	"github.com/countersign-dev/countersign/orchestrator/notify/slack"
	"github.com/countersign-dev/countersign/orchestrator/notify/smtp"
	"github.com/countersign-dev/countersign/orchestrator/notify/telegram"
	"github.com/countersign-dev/countersign/orchestrator/notify/twilio"
	"github.com/countersign-dev/countersign/orchestrator/notify/webhook"
	"github.com/countersign-dev/countersign/orchestrator/notify/whatsapp"
)

// All is every kind, in the order of the documentation.
func All() []notify.Kind {
	return []notify.Kind{
		telegram.Kind(), slack.Kind(), whatsapp.Kind(), twilio.WhatsApp(), twilio.Voice(),
		smtp.Kind(), webhook.Kind(), alertmanager.Kind(),
	}
}
