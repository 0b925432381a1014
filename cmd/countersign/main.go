// Countersign is a sidecar that measures an HTTP API without touching it.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/strictyaml"
)

func main() { os.Exit(execute(os.Args, os.Stdout, os.Stderr)) }

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// execute runs one command line and returns the exit code. Whatever goes
// wrong is one line on stderr.
func execute(args []string, stdout, stderr io.Writer) int {
	err := newApp(stdout, stderr).Run(args)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		_, _ = fmt.Fprintf(stderr, "countersign: %s\n", printable(oneLine(err.Error())))
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[cli.ExitCoder](err); ok { // a word after --help
		return exitUsage
	}
	if coded, ok := errors.AsType[exitError](err); ok {
		return coded.code
	}
	return exitFailed
}

// errReported ends a command that has already said what is wrong.
var errReported = errors.New("reported")

// usageError is a command line that cannot be understood.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func newApp(stdout, stderr io.Writer) *cli.App {
	b := buildInfo()
	app := &cli.App{
		Name:      "countersign",
		Usage:     "a sidecar that measures an HTTP API: one status, one score, one P95",
		Version:   b.Version,
		Writer:    stdout,
		ErrWriter: stderr,
		Commands: []*cli.Command{
			runCommand(), demoCommand(), statusCommand(), healthcheckCommand(), incidentCommand(), shadowCommand(),
			notifyCommand(), outboxCommand(), diagnosisCommand(), policyCommand(), ledgerCommand(), probeCommand(), benchCommand(), injectCommand(), webhookCommand(), configCommand(), versionCommand(),
		},
		Action: noCommand,
		// Keys and names of files may have commas in them.
		DisableSliceFlagSeparator: true,
		// Errors are printed and turned into an exit code by execute alone.
		ExitErrHandler: func(*cli.Context, error) {},
	}
	prepare(app.Commands)
	app.OnUsageError = func(c *cli.Context, err error, _ bool) error { return flagError(c.App.VisibleFlags(), err) }
	return app
}

// prepare gives every command the same manners.
func prepare(commands []*cli.Command) {
	for _, cmd := range commands {
		cmd.HideHelpCommand = true
		cmd.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return flagError(cmd.Flags, err) }
		if cmd.Action == nil {
			cmd.Action = noCommand
		}
		prepare(cmd.Subcommands)
	}
}

// noCommand answers a line that names no command, or none that exists.
func noCommand(c *cli.Context) error {
	word := c.Args().First()
	if word == "" {
		return cli.ShowSubcommandHelp(c)
	}
	var names []string
	commands := c.App.Commands
	if c.Command != nil && len(c.Command.Subcommands) > 0 {
		commands = c.Command.Subcommands
	}
	for _, cmd := range commands {
		names = append(names, cmd.Name)
	}
	text := fmt.Sprintf("there is no command %q; the commands are %s", word, strings.Join(names, ", "))
	if near, ok := strictyaml.Nearest(word, names); ok {
		text = fmt.Sprintf("there is no command %q; did you mean %q?", word, near)
	}
	return usageError{text}
}

// flagError says in our words what the flag parser found.
func flagError(flags []cli.Flag, err error) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		name = strings.TrimLeft(name, "-")
		var names []string
		for _, f := range flags {
			names = append(names, f.Names()[0])
		}
		if near, ok := strictyaml.Nearest(name, names); ok {
			return usageError{fmt.Sprintf("there is no flag --%s; did you mean --%s?", name, near)}
		}
		return usageError{fmt.Sprintf("there is no flag --%s; --help lists the flags", name)}
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return usageError{fmt.Sprintf("--%s needs a value", strings.TrimLeft(name, "-"))}
	}
	return usageError{text}
}

// noArguments refuses words after the flags.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usageError{fmt.Sprintf("%s takes no arguments, and %q is one", c.Command.Name, c.Args().First())}
	}
	return nil
}
