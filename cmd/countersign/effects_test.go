package main

import (
	"testing"
	"time"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

func TestContactsAreAskedOnlyOfTenantsThatReachThem(t *testing.T) {
	c := config.Config{
		Approval: config.Approval{Listen: ":1"},
		Channels: []notify.Config{{ID: "all"}, {ID: "shop", Tenant: "shop"}, {ID: "shop2", Tenant: "shop"}, {ID: "pay", Tenant: "pay"}},
	}
	for _, tc := range []struct {
		channels []string
		only     string
	}{
		{[]string{"all"}, ""},
		{[]string{"shop"}, "shop"},
		{[]string{"shop", "shop2"}, "shop"},
		{[]string{"shop", "all"}, ""},
		{[]string{"shop", "pay"}, ""},
	} {
		c.Contacts = []notify.Contact{{ID: "ana", Name: "Ana", Channels: tc.channels, Escalation: 2}}
		got := askable(c)
		if len(got) != 1 || got[0].ID != "ana" || got[0].Level != 1 || got[0].Tenant != tc.only {
			t.Errorf("by %q: %+v, want the tenant %q", tc.channels, got, tc.only)
		}
	}
	c.Approval.Listen = ""
	if got := askable(c); len(got) != 0 {
		t.Errorf("without a public listener %+v can be asked", got)
	}
}

func TestOutboxOnTheScreen(t *testing.T) {
	for _, tc := range []struct {
		status *outbox.Status
		want   string // of the only line; empty for none
	}{
		{nil, ""},
		{&outbox.Status{}, ""},
		{&outbox.Status{Channels: map[string]string{"mail": "closed"}}, ""},
		{&outbox.Status{Pending: 1, Dead: 2}, "Outbox     1 message to send, 2 dead letters"},
		{&outbox.Status{Channels: map[string]string{"pager": "open", "mail": "half-open"}}, "Outbox     nothing waits; mail half-open, pager open"},
		{&outbox.Status{Pending: 1, Oldest: time.Unix(1, 0), Problem: "the disk is full"}, "Outbox     the disk is full"},
	} {
		b := &page{}
		outboxLine(b, tc.status)
		switch {
		case tc.want == "" && len(b.lines) == 0:
		case len(b.lines) != 1 || b.lines[0] != tc.want:
			t.Errorf("%+v: %q, want %q", tc.status, b.lines, tc.want)
		}
	}
}
