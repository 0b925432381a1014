package main

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

func (s *stage) deadLetter(ts *testscript.TestScript, args []string) {
	secret, err := tenant.ReadSecret(tenant.StoredSecret(ts.MkAbs(args[0])))
	ts.Check(err)
	client, err := api.NewClient(ts.Getenv("COUNTERSIGN_ADMIN"))
	ts.Check(err)
	until(ts, func() (string, bool) {
		items, err := client.Tenant("", secret).Outbox(context.Background())
		ts.Check(err)
		for _, i := range items {
			if i.Condition == outbox.Given {
				ts.Setenv(args[1], i.ID)
				return "", true
			}
		}
		return "no dead letter", false
	})
}
