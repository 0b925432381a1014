package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func policyCommand() *cli.Command {
	return &cli.Command{
		Name:        "policy",
		Usage:       "show the policy that decides, check another one, or try it over the past",
		Subcommands: []*cli.Command{policyShowCommand(), policyLintCommand(), policyBacktestCommand()},
	}
}

// policyFlag names the policy's file as run does.
func policyFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "policy", Usage: "YAML `FILE` with the policy; the built-in one without", EnvVars: []string{"COUNTERSIGN_POLICY"},
	}
}

func policyShowCommand() *cli.Command {
	return &cli.Command{
		Name:  "show",
		Usage: "print the whole policy that run would decide by, with a comment at every key, and its digest",
		Flags: []cli.Flag{policyFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			p, err := config.Config{Policy: config.Policy{File: c.String("policy")}}.LoadPolicy(os.Getenv)
			if err != nil {
				return err
			}
			return showPolicy(c, p)
		},
	}
}

func showPolicy(c *cli.Context, p *policy.Policy) error {
	if c.Bool("json") {
		return printJSON(c, struct {
			Version string          `json:"version"`
			Digest  string          `json:"digest"`
			Policy  json.RawMessage `json:"policy"`
		}{p.Version, p.Digest(), p.Canonical()})
	}
	_, err := fmt.Fprintf(c.App.Writer, "# Digest %s\n\n%s", p.Digest(), p.YAML())
	return err
}

func policyLintCommand() *cli.Command {
	return lintCommand("policy", "policy.yaml", "check a policy file", lintPolicy)
}

func lintPolicy(c *cli.Context, file string) error {
	p, err := readPolicy(file)
	problems, unsound := errors.AsType[policy.Problems](err)
	if err != nil && !unsound {
		return err
	}
	switch {
	case c.Bool("json"):
		if err := printJSON(c, lintReport(p, problems)); err != nil {
			return err
		}
	case unsound:
		_, _ = fmt.Fprint(c.App.ErrWriter, problems.Lines())
	default:
		_, _ = fmt.Fprintf(c.App.Writer, "%s: sound: version %q, %s\n", file, p.Version, p.Digest())
	}
	if unsound {
		return errReported
	}
	return nil
}

// lintReport has no version and digest when there is no sound policy.
func lintReport(p *policy.Policy, problems policy.Problems) any {
	type problem struct {
		Where   string `json:"where"`
		Problem string `json:"problem"`
	}
	report := struct {
		Sound    bool      `json:"sound"`
		Version  string    `json:"version,omitempty"`
		Digest   string    `json:"digest,omitempty"`
		Problems []problem `json:"problems"`
	}{Sound: p != nil, Problems: []problem{}}
	if p != nil {
		report.Version, report.Digest = p.Version, p.Digest()
	}
	for _, one := range problems {
		report.Problems = append(report.Problems, problem{one.Where, one.Text})
	}
	return report
}

// readPolicy reads a policy file alone, without the environment.
func readPolicy(file string) (*policy.Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			err = fmt.Errorf("%s: %w", p.Path, p.Err)
		}
		return nil, fmt.Errorf("cannot read the policy: %w", err)
	}
	return policy.Parse(file, data)
}
