package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

func outboxCommand() *cli.Command {
	return &cli.Command{
		Name:        "outbox",
		Usage:       "show what a sidecar has to say and has not said yet, and send again what it gave up",
		Subcommands: []*cli.Command{outboxListCommand(), outboxRetryCommand()},
	}
}

func outboxListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the messages that wait, and the dead letters with their reasons; it needs the secret, such as --data countersign-data gives",
		Flags: shadowFlags(),
		Action: func(c *cli.Context) error {
			return withTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				items, err := t.Outbox(ctx)
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return printJSON(c, items)
				}
				return printOutbox(c.App.Writer, items)
			})
		},
	}
}

func outboxRetryCommand() *cli.Command {
	return &cli.Command{
		Name:      "retry",
		Usage:     "order a dead letter to be sent again, with the idempotency key it had; recorded with who ordered it",
		ArgsUsage: "ID",
		Flags: shadowFlags(
			&cli.StringFlag{Name: "who", Usage: "`NAME` of the person who orders it, which is recorded; the user and host when left out", EnvVars: []string{"COUNTERSIGN_WHO"}},
		),
		Action: func(c *cli.Context) error {
			id, err := atMostOne(c, "id")
			if err != nil {
				return err
			}
			if id == "" {
				return usageError{"retry needs the id of a dead letter: countersign outbox list has them"}
			}
			who, err := whoOrders(c.String("who"), os.Getenv)
			if err != nil {
				return err
			}
			return askTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				if err := t.Retry(ctx, id, who); err != nil {
					return err
				}
				if c.Bool("json") {
					return printJSON(c, map[string]string{"id": id, "who": who})
				}
				_, err := fmt.Fprintf(c.App.Writer, "%s is sent again\n", printable(id))
				return err
			})
		},
	}
}

// printOutbox has a line for each message and one for what it says.
func printOutbox(w io.Writer, items []outbox.Item) error {
	if len(items) == 0 {
		_, err := fmt.Fprintln(w, "nothing waits, and there are no dead letters")
		return err
	}
	for _, i := range items {
		to := i.Contact
		if to == "" {
			to = "everybody"
		}
		line := fmt.Sprintf("%s  %s  %s to %s, due %s, %s", i.ID, i.Condition, i.Event, to, i.Due.UTC().Format(time.RFC3339), counted(i.Attempts, "attempt"))
		if !i.Next.IsZero() {
			line += ", next " + i.Next.UTC().Format(time.RFC3339)
		}
		if i.Reason != "" {
			line += ": " + i.Reason
		}
		if _, err := fmt.Fprintf(w, "%s\n    %s\n", printable(line), printable(i.Text)); err != nil {
			return err
		}
	}
	return nil
}
