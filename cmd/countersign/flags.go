package main

import (
	"flag"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/orchestrator/tenant"
)

// settings are the flags that one command accepts for the configuration,
// and those that were given.
type settings struct {
	flags []cli.Flag
	given map[string]string
}

const configVariable = "COUNTERSIGN_CONFIG"

// newSettings offers --config and every setting of the configuration.
func newSettings() *settings {
	s := &settings{given: map[string]string{}}
	s.flags = append(s.flags, &cli.StringFlag{
		Name: "config", Usage: "YAML `FILE` with any of the settings below", EnvVars: []string{configVariable},
	})
	for _, f := range config.Fields() {
		s.flags = append(s.flags, &settingFlag{field: f, given: s.given})
	}
	return s
}

// sources says where config.Load has to look.
func (s *settings) sources(c *cli.Context) config.Sources {
	return config.Sources{File: c.String("config"), Getenv: os.Getenv, Flags: s.given}
}

// settingFlag is a flag for one setting. It only notes what was given: the
// config package reads the value, and the environment, so that it knows
// where each came from.
type settingFlag struct {
	field config.Field
	given map[string]string
}

func (f *settingFlag) Apply(set *flag.FlagSet) error {
	set.Var(&settingValue{f}, f.field.Flag, f.field.Usage)
	return nil
}
func (f *settingFlag) String() string         { return cli.FlagStringer(f) }
func (f *settingFlag) Names() []string        { return []string{f.field.Flag} }
func (f *settingFlag) IsSet() bool            { _, ok := f.given[f.field.Flag]; return ok }
func (f *settingFlag) IsVisible() bool        { return true }
func (f *settingFlag) TakesValue() bool       { return !f.field.IsBool() }
func (f *settingFlag) GetUsage() string       { return f.field.Usage }
func (f *settingFlag) GetValue() string       { return f.given[f.field.Flag] }
func (f *settingFlag) GetDefaultText() string { return f.field.Value(config.Default()) }
func (f *settingFlag) GetEnvVars() []string   { return []string{f.field.Env()} }

// settingValue receives the flag's value from the parser.
type settingValue struct{ flag *settingFlag }

func (v *settingValue) String() string {
	if v.flag == nil {
		return ""
	}
	return v.flag.GetValue()
}

func (v *settingValue) IsBoolFlag() bool { return v.flag.field.IsBool() }

func (v *settingValue) Set(s string) error {
	name := v.flag.field.Flag
	if before, again := v.flag.given[name]; again && v.flag.field.IsList() {
		s = before + "," + s
	}
	v.flag.given[name] = s
	return nil
}

// warnVariables tells of environment variables that look like a misspelt
// variable of a flag.
func warnVariables(app *cli.App, warn func(text string)) {
	for _, text := range config.UnknownVariables(os.Environ(), slices.Concat(variables(app.Commands), policy.Variables(), []string{config.LedgerKeyVariable, tenant.SecretVariable})) {
		warn(text)
	}
}

// variables returns the environment variables of every flag there is.
func variables(commands []*cli.Command) (names []string) {
	for _, cmd := range commands {
		for _, f := range cmd.Flags {
			if d, ok := f.(cli.DocGenerationFlag); ok {
				names = append(names, d.GetEnvVars()...)
			}
		}
		names = append(names, variables(cmd.Subcommands)...)
	}
	return names
}
