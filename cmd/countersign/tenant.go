package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/orchestrator/api"
)

// withTenant is askTenant for a command without arguments.
func withTenant(c *cli.Context, f func(context.Context, *api.TenantClient) error) error {
	if err := noArguments(c); err != nil {
		return err
	}
	return askTenant(c, f)
}

// askTenant has f ask the running sidecar for the tenant that is meant.
func askTenant(c *cli.Context, f func(context.Context, *api.TenantClient) error) error {
	client, err := api.NewClient(c.String(adminFlagName))
	if err != nil {
		return usageError{err.Error()}
	}
	secret, err := tenantSecret(c)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	return f(ctx, client.Tenant(c.String("tenant"), secret))
}
