package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/api"
)

// watchEvery is how often --watch asks: the findings change every five seconds.
const watchEvery = 2 * time.Second

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show on one screen how the API is doing",
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "admin", Usage: "`URL` or HOST:PORT of the sidecar's admin API",
				Value: config.Default().Admin.Address, EnvVars: []string{"COUNTERSIGN_ADMIN"},
			},
			&cli.BoolFlag{Name: "watch", Usage: "show it again every two seconds until interrupted", EnvVars: []string{"COUNTERSIGN_WATCH"}},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			client, err := api.NewClient(c.String("admin"))
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
			defer stop()
			if c.Bool("watch") {
				return watch(ctx, c, client)
			}
			return printStatus(ctx, c, client)
		},
	}
}

func printStatus(ctx context.Context, c *cli.Context, client *api.Client) error {
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, s)
	}
	_, err = io.WriteString(c.App.Writer, screen(s, paintsOn(c.App.Writer)))
	return err
}

// clearScreen moves to the top of a terminal and empties it.
const clearScreen = "\x1b[H\x1b[2J"

func watch(ctx context.Context, c *cli.Context, client *api.Client) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		if isTerminal(c.App.Writer) && !c.Bool("json") {
			_, _ = io.WriteString(c.App.Writer, clearScreen)
		}
		if err := printStatus(ctx, c, client); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// paintsOn says whether colours belong on w: on a terminal, unless the user
// asked for none (https://no-color.org).
func paintsOn(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && isTerminal(w) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
