package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/api"
)

func shadowCommand() *cli.Command {
	return &cli.Command{
		Name:  "shadow",
		Usage: "show whether a sidecar only observes, switch it, and report what it would have done",
		Subcommands: []*cli.Command{
			shadowStatusCommand(),
			shadowSwitchCommand("on", "return to shadow mode: go on deciding and recording, and send or run nothing", (*api.TenantClient).ShadowOn),
			shadowSwitchCommand("off", "go live: what is decided has its effect from now on; recorded with who ordered it", (*api.TenantClient).ShadowOff),
			shadowReportCommand(),
		},
	}
}

// shadowFlags are those of every command about shadow mode, and more.
func shadowFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "tenant", Usage: "the `TENANT` that is meant, when it is not the sidecar's own", EnvVars: []string{"COUNTERSIGN_TENANT"}},
		&cli.StringFlag{
			Name: adminFlagName, Usage: "`URL` or HOST:PORT of the sidecar's admin API",
			Value: config.Default().Admin.Address, EnvVars: []string{locations[adminFlagName]},
		},
		secretFileFlag(),
		&cli.StringFlag{
			Name: dataFlagName, Usage: "data `DIR` of the sidecar on this machine, whose file secret opens it: countersign-data unless it was started with another", EnvVars: []string{locations[dataFlagName]},
		},
		jsonFlag(),
	}, more...)
}

func shadowStatusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "say whether shadow mode is on; it needs the secret, such as --data countersign-data gives",
		Flags: shadowFlags(),
		Action: func(c *cli.Context) error {
			return withTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				s, err := t.Shadow(ctx)
				if err != nil {
					return err
				}
				return printShadow(c, s, shadowText(s))
			})
		},
	}
}

func shadowSwitchCommand(name, usage string, order func(*api.TenantClient, context.Context, string, string) (api.Shadow, error)) *cli.Command {
	return &cli.Command{
		Name:  name,
		Usage: usage,
		Flags: shadowFlags(
			&cli.StringFlag{Name: "who", Usage: "`NAME` of the person who orders it, which is recorded; the user and host when left out", EnvVars: []string{"COUNTERSIGN_WHO"}},
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` that is recorded with it", EnvVars: []string{"COUNTERSIGN_REASON"}},
		),
		Action: func(c *cli.Context) error {
			who, err := whoOrders(c.String("who"), os.Getenv)
			if err != nil {
				return err
			}
			return withTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				s, err := order(t, ctx, who, c.String("reason"))
				if err != nil {
					return err
				}
				text := shadowText(s)
				if !s.Changed {
					text = "nothing was changed: " + text
				}
				return printShadow(c, s, text)
			})
		},
	}
}

// whoOrders is the name given, else the user's, with the host's. Somebody is
// always named.
func whoOrders(given string, getenv func(string) string) (string, error) {
	if given = strings.TrimSpace(given); given != "" {
		return given, nil
	}
	name := getenv("USER")
	if u, err := user.Current(); name == "" && err == nil {
		name = u.Username
	}
	if name == "" {
		return "", usageError{"--who NAME says who orders this; it is recorded, and the system does not know it"}
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return name, nil
	}
	return name + "@" + host, nil
}

func printShadow(c *cli.Context, s api.Shadow, text string) error {
	if c.Bool("json") {
		return printJSON(c, s)
	}
	_, err := fmt.Fprintln(c.App.Writer, printable(text))
	return err
}

// shadowText says in a line or two how it is.
func shadowText(s api.Shadow) string {
	since := ""
	if !s.Since.IsZero() {
		since = " since " + s.Since.UTC().Format(time.RFC3339)
	}
	text := fmt.Sprintf("%s is live%s: what is decided has its effect", s.Tenant, since)
	if s.ShadowMode {
		text = fmt.Sprintf("%s is in shadow mode%s: everything is decided and recorded, nothing is sent or run", s.Tenant, since)
	}
	switch {
	case s.Problem != "":
		text += "; at present there is a problem: " + s.Problem
	case !s.Ready:
		text += "; the ledger is still being read"
	}
	return text
}

func shadowReportCommand() *cli.Command {
	return &cli.Command{
		Name:  "report",
		Usage: "write the report for those who decide on going live: what was observed, and what would have been sent and run",
		Flags: shadowFlags(
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the report: md, html (one page that prints well) or json", Value: "md", EnvVars: []string{"COUNTERSIGN_REPORT_FORMAT"}},
			&cli.StringFlag{Name: "from", Usage: "begin at `TIME`: 2026-01-02T15:04:05Z, 2026-01-02 for its first moment in UTC, or 30d for so long ago; without it, with the first entry", EnvVars: []string{"COUNTERSIGN_REPORT_FROM"}},
			&cli.StringFlag{Name: "to", Usage: "end before `TIME`, in the same forms; without it, now", EnvVars: []string{"COUNTERSIGN_REPORT_TO"}},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of the standard output", EnvVars: []string{"COUNTERSIGN_REPORT_OUTPUT"}},
		),
		Action: func(c *cli.Context) error {
			format, err := reportFormat(c)
			if err != nil {
				return err
			}
			from, to, err := reportPeriod(c, time.Now())
			if err != nil {
				return err
			}
			return withTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				text, err := t.Report(ctx, format, from, to)
				if err != nil {
					return err
				}
				return writeOutput(c, text)
			})
		},
	}
}

func reportFormat(c *cli.Context) (string, error) {
	format := c.String("format")
	switch {
	case c.Bool("json") && c.IsSet("format") && format != "json":
		return "", usageError{fmt.Sprintf("both --json and --format %s are given: which one is meant?", format)}
	case c.Bool("json"):
		return "json", nil
	case format != "md" && format != "html" && format != "json":
		return "", usageError{fmt.Sprintf("--format: %q is none: it must be md, html or json", format)}
	}
	return format, nil
}

// reportPeriod reads --from and --to; a time that is not given is zero.
func reportPeriod(c *cli.Context, now time.Time) (from, to time.Time, err error) {
	if text := c.String("from"); text != "" {
		if from, err = parseMoment("from", text, now); err != nil {
			return from, to, err
		}
	}
	if text := c.String("to"); text != "" {
		if to, err = parseMoment("to", text, now); err != nil {
			return from, to, err
		}
	}
	if !to.IsZero() && !from.Before(to) {
		err = usageError{fmt.Sprintf("--from %s is not before --to %s", c.String("from"), c.String("to"))}
	}
	return from, to, err
}
