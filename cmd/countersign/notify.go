package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

const despiteShadowFlagName = "despite-shadow"

func notifyCommand() *cli.Command {
	return &cli.Command{
		Name:        "notify",
		Usage:       "try the channels by which people are told",
		Subcommands: []*cli.Command{notifyTestCommand()},
	}
}

func notifyTestCommand() *cli.Command {
	set := newSettings()
	return &cli.Command{
		Name: "test",
		Usage: "send a test message over each configured channel, or over those that are named, from this machine, and say what failed and how to mend it; " +
			"nothing is sent in shadow mode, unless --" + despiteShadowFlagName + " is given; exit 0 all were sent, 1 not all, 2 usage",
		ArgsUsage: "[CHANNEL…]",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: despiteShadowFlagName, Usage: "send the test in shadow mode too, and where no sidecar runs that is live", EnvVars: []string{"COUNTERSIGN_DESPITE_SHADOW"}},
			jsonFlag(),
		}, set.flags...),
		Action: func(c *cli.Context) error {
			names, err := words(c)
			if err != nil {
				return err
			}
			loaded, err := config.Load(set.sources(c))
			if err != nil {
				return err
			}
			chosen, err := chosenChannels(loaded.Channels, names)
			if err != nil {
				return err
			}
			return tryChannels(c, loaded.Config, chosen)
		},
	}
}

// chosenChannels are those that are named, or all.
func chosenChannels(all []notify.Config, names []string) ([]notify.Config, error) {
	if len(all) == 0 {
		return nil, usageError{"no channel is configured: list them under channels in the file that --config names"}
	}
	var ids []string
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	for _, name := range names {
		if !slices.Contains(ids, name) {
			return nil, usageError{fmt.Sprintf("there is no channel %q; the channels are %s", name, strings.Join(ids, ", "))}
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(c notify.Config) bool { return !slices.Contains(names, c.ID) }), nil
}

func tryChannels(c *cli.Context, loaded config.Config, chosen []notify.Config) error {
	ctx, stop := interruptible(c)
	defer stop()
	id := "test-" + strings.ToLower(rand.Text())
	held := map[string]string{} // why nothing of a tenant is sent
	var messages []notify.Message
	for _, ch := range chosen {
		m := notify.TestMessage(id, cmp.Or(ch.Tenant, loaded.Service.Tenant), loaded.ServiceName(), time.Now(), notify.Mark{})
		if _, asked := held[m.Tenant]; !asked && !c.Bool(despiteShadowFlagName) {
			held[m.Tenant] = heldBack(ctx, loaded, m.Tenant)
		}
		messages = append(messages, m)
	}
	log, _ := newLog(loaded, c.App.ErrWriter)
	gate := egress.New(egress.Options{Shadow: func(tenant string) bool { return held[tenant] != "" }, Log: log})
	channels, err := openChannels(chosen, gate)
	if err != nil {
		return err
	}
	trials := notify.Try(ctx, channels, messages)
	for i := range trials {
		if trials[i].Held {
			trials[i].Mend = fmt.Sprintf("%s; to send the test all the same, add --%s", held[messages[i].Tenant], despiteShadowFlagName)
		}
	}
	if err := printTrials(c, trials); err != nil {
		return err
	}
	if slices.ContainsFunc(trials, func(t notify.Trial) bool { return !t.Sent }) {
		return errReported
	}
	return nil
}

// heldBack says why nothing of a tenant may be sent, or "" when it is live. As
// the sidecar has it, what is not known to be live is in shadow mode.
func heldBack(ctx context.Context, loaded config.Config, tenant string) string {
	if tenant != loaded.Service.Tenant {
		return fmt.Sprintf("whether the tenant %q is live is not known here, and unless it is shadow mode is on", tenant)
	}
	client, err := api.NewClient(loaded.Admin.Address)
	if err != nil {
		return err.Error()
	}
	s, err := client.Status(ctx)
	switch {
	case err != nil:
		return "whether a sidecar is live is not known, and unless one is shadow mode is on: " + err.Error()
	case s.Decisions == nil || s.Decisions.ShadowMode:
		return "the sidecar at " + loaded.Admin.Address + " is in shadow mode, in which nothing is sent"
	}
	return ""
}

// printTrials prints what came of each channel and then, of those that were held
// back, why and what to do.
func printTrials(c *cli.Context, trials []notify.Trial) error {
	if c.Bool("json") {
		return printJSON(c, trials)
	}
	var lines, why []string
	for _, t := range trials {
		lines = append(lines, t.String())
		if t.Held && !slices.Contains(why, t.Mend) {
			why = append(why, t.Mend)
		}
	}
	for _, line := range append(lines, why...) {
		if _, err := fmt.Fprintln(c.App.Writer, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
