package main

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/notify"
)

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
		Usage: "send a test message over each configured channel, or over those that are named, from this machine, in shadow mode too, and say what failed and how to mend it; " +
			"exit 0 all were sent, 1 not all, 2 usage",
		ArgsUsage: "[CHANNEL…]",
		Flags:     append([]cli.Flag{jsonFlag()}, set.flags...),
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
	log, _ := newLog(loaded, c.App.ErrWriter)
	// A person orders this, and only a test is sent.
	gate := egress.New(egress.Options{Shadow: func(string) bool { return false }, Log: log})
	channels, err := openChannels(chosen, gate)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	id := "test-" + strings.ToLower(rand.Text())
	trials := notify.Try(ctx, channels, notify.TestMessage(id, loaded.Service.Tenant, loaded.ServiceName(), time.Now(), notify.Mark{}))
	if c.Bool("json") {
		err = printJSON(c, trials)
	} else {
		for _, t := range trials {
			if _, err = fmt.Fprintln(c.App.Writer, printable(t.String())); err != nil {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(trials, func(t notify.Trial) bool { return !t.Sent }) {
		return errReported
	}
	return nil
}
