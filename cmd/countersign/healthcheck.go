package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/api"
)

func healthcheckCommand() *cli.Command {
	return &cli.Command{
		Name:  "healthcheck",
		Usage: "ask a running sidecar whether it is alive and ready, for Docker and Kubernetes: exit 0 when it is, 1 when not",
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "admin", Usage: "`URL` or HOST:PORT of the sidecar's admin API",
				Value: config.Default().Admin.Address, EnvVars: []string{"COUNTERSIGN_ADMIN"},
			},
			&cli.DurationFlag{Name: "timeout", Usage: "time for all answers, up to 5s", Value: 2 * time.Second, EnvVars: []string{"COUNTERSIGN_HEALTHCHECK_TIMEOUT"}},
			&cli.BoolFlag{Name: "live", Usage: "ask only whether it is alive: a sidecar that waits for its API is, and must not be restarted for that", EnvVars: []string{"COUNTERSIGN_HEALTHCHECK_LIVE"}},
			&cli.BoolFlag{Name: "ready", Usage: "ask only whether it is ready", EnvVars: []string{"COUNTERSIGN_HEALTHCHECK_READY"}},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if limit := c.Duration("timeout"); limit <= 0 || limit > 5*time.Second {
				return usageError{fmt.Sprintf("--timeout is %v: it must be longer than 0 and 5s at most", limit)}
			}
			client, err := api.NewClient(c.String("admin"))
			if err != nil {
				return usageError{err.Error()}
			}
			return checkHealth(c, client)
		},
	}
}

// checkHealth asks what was asked for, and both when nothing was.
func checkHealth(c *cli.Context, client *api.Client) error {
	ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	live, ready, said := c.Bool("live"), c.Bool("ready"), "alive and ready"
	switch {
	case live && !ready:
		said = "alive"
	case ready && !live:
		said = "ready"
	default:
		live, ready = true, true
	}
	if live {
		if err := client.Alive(ctx); err != nil {
			return err
		}
	}
	if ready {
		if err := client.Ready(ctx); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(c.App.Writer, said)
	return err
}
