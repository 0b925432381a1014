package main

import (
	"bytes"
	"testing"

	"github.com/urfave/cli/v2"
)

// captured is the context of a command line, and what is written to it.
func captured(t *testing.T, cmd *cli.Command, args ...string) (c *cli.Context, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Action = func(given *cli.Context) error {
		c = given
		return nil
	}
	app := &cli.App{Writer: stdout, ErrWriter: stderr, Commands: []*cli.Command{cmd}, DisableSliceFlagSeparator: true}
	prepare(app.Commands)
	if err := app.Run(append([]string{"countersign", cmd.Name}, args...)); err != nil {
		t.Fatal(err)
	}
	return c, stdout, stderr
}
