package main

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/api"
)

func TestWhoOrders(t *testing.T) {
	none := func(string) string { return "" }
	ana := func(name string) string { return map[string]string{"USER": "ana"}[name] }
	if who, err := whoOrders(" Zoë ", ana); who != "Zoë" || err != nil {
		t.Errorf("given: %q, %v", who, err)
	}
	if who, err := whoOrders("", ana); !strings.HasPrefix(who, "ana@") || err != nil {
		t.Errorf("the user: %q, %v", who, err)
	}
	if who, err := whoOrders("", none); (who == "") == (err == nil) || strings.HasPrefix(who, "@") {
		t.Errorf("no user in the environment: %q, %v", who, err)
	}
}

func TestShadowText(t *testing.T) {
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	for want, s := range map[string]api.Shadow{
		"shop is live since 2026-03-14T09:00:00Z: what is decided has its effect":                                             {Tenant: "shop", Since: at, Ready: true},
		"shop is in shadow mode: everything is decided and recorded, nothing is sent or run":                                  {Tenant: "shop", ShadowMode: true, Ready: true},
		"shop is in shadow mode: everything is decided and recorded, nothing is sent or run; the ledger is still being read":  {Tenant: "shop", ShadowMode: true},
		"shop is live: what is decided has its effect; at present there is a problem: the ledger takes no entries: disk full": {Tenant: "shop", Ready: true, Problem: "the ledger takes no entries: disk full"},
	} {
		if got := shadowText(s); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}
