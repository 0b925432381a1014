package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// words returns what follows a command and is no flag. Flags may also come
// after such words, where the parser leaves them; they are set here. After
// --help the error is one with the exit code 0.
func words(c *cli.Context) ([]string, error) {
	var found []string
	rest := c.Args().Slice()
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		if word == "--" {
			return append(found, rest...), nil
		}
		if len(word) < 2 || word[0] != '-' {
			found = append(found, word)
			continue
		}
		name, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if name == "help" || name == "h" {
			cli.HelpPrinter(c.App.Writer, cli.CommandHelpTemplate, c.Command)
			return nil, exitError{0, errReported}
		}
		flag, err := flagNamed(c, name)
		if err != nil {
			return nil, err
		}
		switch {
		case given:
		case !flag.TakesValue():
			value = "true"
		case len(rest) == 0:
			return nil, flagError(c.Command.Flags, fmt.Errorf("flag needs an argument: -%s", name))
		default:
			value, rest = rest[0], rest[1:]
		}
		for _, name := range flag.Names() {
			if err := c.Set(name, value); err != nil {
				return nil, usageError{fmt.Sprintf("--%s: %q is not a value for it", name, value)}
			}
		}
	}
	return found, nil
}

// flagNamed finds a flag of the command.
func flagNamed(c *cli.Context, name string) (cli.DocGenerationFlag, error) {
	for _, f := range c.Command.Flags {
		for _, n := range f.Names() {
			if flag, ok := f.(cli.DocGenerationFlag); ok && n == name {
				return flag, nil
			}
		}
	}
	return nil, flagError(c.Command.Flags, fmt.Errorf("flag provided but not defined: -%s", name))
}

// atMostOne returns the only word there may be, empty when there is none.
func atMostOne(c *cli.Context, what string) (string, error) {
	all, err := words(c)
	switch {
	case err != nil:
		return "", err
	case len(all) > 1:
		return "", usageError{fmt.Sprintf("%s takes one %s, and %q is a second", c.Command.Name, what, all[1])}
	case len(all) == 1:
		return all[0], nil
	}
	return "", nil
}
