package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name:        "config",
		Usage:       "check the configuration, or show the one in effect",
		Subcommands: []*cli.Command{configLintCommand(), configShowCommand()},
	}
}

func configLintCommand() *cli.Command {
	return lintCommand("config", "countersign.yaml", "check a configuration file", lint)
}

// lintCommand is "of lint", which checks one file, such as the example.
func lintCommand(of, example, does string, lint func(*cli.Context, string) error) *cli.Command {
	return &cli.Command{
		Name:      "lint",
		Usage:     does + ": exit 0 when it is sound, 1 with a line for each problem when not",
		ArgsUsage: "FILE",
		Flags:     []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			files, err := words(c)
			if err != nil {
				return err
			}
			if len(files) != 1 {
				return usageError{fmt.Sprintf("%s lint takes one FILE: countersign %s lint %s", of, of, example)}
			}
			return lint(c, files[0])
		},
	}
}

func lint(c *cli.Context, file string) error {
	_, err := config.Load(config.Sources{File: file})
	problems, found := errors.AsType[config.Problems](err)
	if err != nil && !found {
		return err
	}
	switch {
	case c.Bool("json"):
		list := make([]map[string]string, 0, len(problems))
		for _, p := range problems {
			list = append(list, map[string]string{"where": p.Where, "problem": p.Text})
		}
		if err := printJSON(c, list); err != nil {
			return err
		}
	case found:
		_, _ = fmt.Fprint(c.App.ErrWriter, problems.Lines())
	default:
		_, _ = fmt.Fprintf(c.App.Writer, "%s: ok\n", file)
	}
	if found {
		return errReported
	}
	return nil
}

func configShowCommand() *cli.Command {
	set := newSettings()
	return &cli.Command{
		Name:  "show",
		Usage: "print every setting's value and where it came from, given the same flags, environment and file as run",
		Flags: append([]cli.Flag{jsonFlag()}, set.flags...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			loaded, err := config.Load(set.sources(c))
			if err != nil {
				return err
			}
			return show(c, loaded)
		},
	}
}

func show(c *cli.Context, l *config.Loaded) error {
	type entry struct {
		Value string `json:"value"`
		From  string `json:"from"`
	}
	if c.Bool("json") {
		all := map[string]entry{}
		for _, f := range config.Fields() {
			all[f.Key] = entry{f.Value(l.Config), l.Origin(f.Key).String()}
		}
		for _, i := range l.Items() {
			all[i.Key] = entry{i.Value, i.From}
		}
		return printJSON(c, all)
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, f := range config.Fields() {
		value := f.Value(l.Config)
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", f.Key, value, l.Origin(f.Key))
	}
	for _, i := range l.Items() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", i.Key, printable(i.Value), i.From)
	}
	return w.Flush()
}
