package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/letter"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/kinds"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

// sentFile is what was sent before the ledger can say so, in the data directory.
const sentFile = "outbox.sent"

// inShadow says whether nothing of a tenant may leave. What is not known is not
// let out.
func (d *decisions) inShadow(tenant string) bool {
	v, ok := d.docket.View(tenant)
	return !ok || v.Shadow
}

// addOutbox makes what sends messages.
func (d *decisions) addOutbox(c config.Config, log *slog.Logger) error {
	channels, err := openChannels(c.Channels, d.gate)
	if err != nil {
		return err
	}
	writer := letter.Writer{Docket: d.docket, Health: d.document, Head: d.head}
	if d.public != nil {
		writer.Key, writer.Public = d.public.key, d.public.url
	}
	d.outbox = outbox.New(outbox.Options{
		Path: filepath.Join(c.Ledger.Data, sentFile), Ledger: d.docket, Receipts: d.docket,
		Carrier:  outbox.Post{Channels: channels, Compose: writer.Compose},
		Contacts: outbox.Contacts(c.Contacts, c.Channels), Shadow: d.inShadow, Log: log,
		Rules: outbox.Rules{Voice: c.Approval.VoiceAfter, Secondary: c.Approval.SecondaryAfter, Diagnosis: waitFor(c)},
	})
	return nil
}

func openChannels(configs []notify.Config, gate *egress.Gate) ([]notify.Channel, error) {
	var channels []notify.Channel
	for _, c := range configs {
		channel, err := c.Open(kinds.All(), notify.Through(gate, c, os.Getenv, time.Now))
		if err != nil {
			return nil, err
		}
		channels = append(channels, channel)
	}
	return channels, nil
}

// askable are the contacts who can be sent a link.
func askable(c config.Config) []docket.Contact {
	if c.Approval.Listen == "" {
		return nil
	}
	var list []docket.Contact
	for _, p := range c.Contacts {
		list = append(list, docket.Contact{ID: p.ID, Name: p.Name, Level: p.Escalation - 1, Tenant: onlyTenant(p, c.Channels)})
	}
	return list
}

// onlyTenant is the tenant whose messages alone reach a contact, empty when
// those of others do as well.
func onlyTenant(p notify.Contact, channels []notify.Config) string {
	only := ""
	for _, c := range channels {
		switch {
		case !slices.Contains(p.Channels, c.ID):
		case c.Tenant == "", only != "" && only != c.Tenant:
			return ""
		default:
			only = c.Tenant
		}
	}
	return only
}

// readyEvery is how often it is looked whether the ledger has been read.
const readyEvery = 100 * time.Millisecond

// awaitLedger waits until the ledger has been read. It is false when ctx ended
// before.
func (d *decisions) awaitLedger(ctx context.Context) bool {
	t := time.NewTicker(readyEvery)
	defer t.Stop()
	for {
		if v, ok := d.docket.View(d.own.ID); ok && v.Ready {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
		}
	}
}

// runOutbox runs the outbox once there is a ledger to read.
func (d *decisions) runOutbox(ctx context.Context) error {
	if !d.awaitLedger(ctx) {
		return nil
	}
	return d.outbox.Run(ctx)
}

// head is the ledger's, nil while it is not open.
func (d *decisions) head() *health.Ledger {
	head, _ := d.journal.Head()
	return head
}

// document is a tenant's health document.
func (d *decisions) document(tenant string) (doc health.Document, ok bool) {
	if tenant == d.own.ID {
		return d.brain.Document(), true
	}
	for i, t := range d.others {
		if t.ID == tenant {
			return doc, json.Unmarshal(d.tenants[i].JSON(), &doc) == nil
		}
	}
	return doc, false
}

// showChart adds to an approval page how what breached went.
func (d *decisions) showChart(tenant string, v *approval.View) {
	d.showDiagnosis(tenant, v)
	if tenant != d.own.ID {
		return
	}
	limits := d.policy.Health.P95MS
	if v.Chart.Errors {
		limits = d.policy.Health.ErrorRate
	}
	for _, p := range d.brain.Trail() {
		value := p.P95MS
		if v.Chart.Errors {
			value = p.ErrorRate
		}
		v.Chart.Points = append(v.Chart.Points, approval.Point{At: p.At, Value: value})
	}
	v.Chart.Warning, v.Chart.Critical = &limits.Warning, &limits.Critical
}

// warnOfActions tells an operator why an action that is configured cannot run, or
// could with less than was meant.
func warnOfActions(c config.Config, public bool, log *slog.Logger) {
	for _, doubt := range c.ApprovalDoubts() {
		log.Warn("approvals may not be what they seem", "because", doubt)
	}
	for _, a := range c.Actions {
		if err := a.CheckSecrets(os.Getenv); err != nil {
			log.Warn("an action cannot run until its secrets can be read", "action", a.Name, "error", err)
		}
	}
	switch {
	case len(c.Actions) == 0:
	case !public:
		log.Warn("actions are configured and nobody can approve them: set --approval-listen and --public-url", "actions", len(c.Actions))
	case len(c.Contacts) == 0:
		log.Warn("actions are configured and nobody is asked: list contacts, with the channels that lead to them", "actions", len(c.Actions))
	}
}
