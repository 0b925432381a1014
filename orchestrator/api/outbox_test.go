package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

// fakeOutbox has a dead letter of each tenant.
type fakeOutbox struct {
	status  outbox.Status
	fail    error
	ordered []string
}

func (f *fakeOutbox) List() []outbox.Item {
	return []outbox.Item{
		{ID: "eff-1", Tenant: "shop", Condition: outbox.Given, Text: "of shop"},
		{ID: "eff-2", Tenant: "pay", Condition: outbox.Given, Text: "of pay"},
	}
}

func (f *fakeOutbox) Status() outbox.Status { return f.status }

func (f *fakeOutbox) Retry(_ context.Context, id, by string) error {
	if f.fail == nil {
		f.ordered = append(f.ordered, id+" by "+by)
	}
	return f.fail
}

func serveOutbox(t *testing.T) (*deciding, *fakeOutbox) {
	t.Helper()
	f := &fakeOutbox{}
	return serveTenants(t, func(c *Config) { c.Outbox = f }), f
}

func TestOutboxIsListedForItsTenantAlone(t *testing.T) {
	d, _ := serveOutbox(t)
	w := d.ask(t, "GET", "/outbox?tenant=pay", "", with(paySecret))
	var list OutboxList
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != 200 || list.Tenant != "pay" || len(list.Items) != 1 || list.Items[0].ID != "eff-2" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, c := range []struct {
		path, secret string
		code         int
	}{{"/outbox", "", 401}, {"/outbox", paySecret, 403}, {"/outbox?tenant=pay", shopSecret, 403}} {
		header := with(c.secret)
		if c.secret == "" {
			header = "X-None: 1"
		}
		if w := d.ask(t, "GET", c.path, "", header); w.Code != c.code || strings.Contains(w.Body.String(), "eff-") {
			t.Errorf("%s: %d %s, want %d", c.path, w.Code, w.Body, c.code)
		}
	}
}

func TestOutboxRetryIsOrderedBySomebody(t *testing.T) {
	d, f := serveOutbox(t)
	for _, c := range []struct {
		path, body, secret string
		fail               error
		code               int
		said               string
	}{
		{"/outbox/eff-1/retry", `{"who":"ana"}`, shopSecret, nil, 200, "eff-1"},
		{"/outbox/eff-2/retry?tenant=pay", `{"who":"ben"}`, paySecret, nil, 200, "eff-2"},
		{"/outbox/eff-2/retry", `{"who":"ana"}`, shopSecret, nil, 404, "no dead letter of that id"},
		{"/outbox/eff-9/retry", `{"who":"ana"}`, shopSecret, nil, 404, "no dead letter of that id"},
		{"/outbox/eff-1/retry", `{}`, shopSecret, nil, 400, "say who orders this"},
		{"/outbox/eff-1/retry", `{"who":"ana"}`, paySecret, nil, 403, "not that of this tenant"},
		{"/outbox/eff-1/retry", `{"who":"ana"}`, shopSecret, outbox.ErrShadow, 409, "shadow mode is on"},
		{"/outbox/eff-1/retry", `{"who":"ana"}`, shopSecret, outbox.ErrNotReady, 503, "still being read"},
		{"/outbox/eff-1/retry", `{"who":"ana"}`, shopSecret, fmt.Errorf("%w: eff-1", outbox.ErrNotFound), 404, "eff-1"},
		{"/outbox/eff-1/retry", `{"who":"ana"}`, shopSecret, errors.New("the disk is full"), 503, "the disk is full"},
	} {
		f.fail = c.fail
		if w := d.ask(t, "POST", c.path, c.body, with(c.secret), asJSON); w.Code != c.code || !strings.Contains(w.Body.String(), c.said) {
			t.Errorf("%s %s: %d %s, want %d %s", c.path, c.body, w.Code, w.Body, c.code, c.said)
		}
	}
	if want := []string{"eff-1 by ana", "eff-2 by ben"}; !slices.Equal(f.ordered, want) {
		t.Errorf("ordered %q, want %q", f.ordered, want)
	}
}

func TestOutboxInStatusAndMetrics(t *testing.T) {
	d, f := serveOutbox(t)
	f.status = outbox.Status{
		Pending: 3, Dead: 2, Oldest: time.Unix(0, 0), Channels: map[string]string{"pager": "open", "mail": "closed"}, Problem: "a crash now could repeat a message",
	}
	var s Status
	if err := json.Unmarshal(d.ask(t, "GET", "/status", "").Body.Bytes(), &s); err != nil || s.Outbox == nil || s.Outbox.Pending != 3 || s.Outbox.Channels["pager"] != "open" {
		t.Errorf("%v, %+v", err, s.Outbox)
	}
	metrics := d.ask(t, "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		"countersign_outbox_up 0", "countersign_outbox_pending 3", "countersign_outbox_dead_letters 2", "countersign_outbox_oldest_seconds ",
		`countersign_outbox_channel_up{breaker="open",channel="pager"} 0`, `countersign_outbox_channel_up{breaker="closed",channel="mail"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("%s is missing", want)
		}
	}
}
