package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/orchestrator/backtest"
	"github.com/countersign-dev/countersign/orchestrator/history"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func policyBacktestCommand() *cli.Command {
	return &cli.Command{
		Name: "backtest",
		Usage: "try a policy over what a sidecar has recorded: list what would have opened an incident, beside what did; " +
			"exit 0 done, 1 it cannot be done, 2 usage",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "policy", Usage: "`FILE` with the policy to try, as it is: COUNTERSIGN_POLICY_* variables do not change it", EnvVars: []string{"COUNTERSIGN_BACKTEST_POLICY"}},
			&cli.StringFlag{Name: "from", Usage: "begin at `TIME`: 2026-01-02T15:04:05Z, 2026-01-02 for its first moment in UTC, or 7d or 90m for so long ago; without it, with the first record", EnvVars: []string{"COUNTERSIGN_BACKTEST_FROM"}},
			&cli.StringFlag{Name: "to", Usage: "end before `TIME`, in the same forms; without it, with the last record", EnvVars: []string{"COUNTERSIGN_BACKTEST_TO"}},
			&cli.StringFlag{
				Name: dataFlagName, Usage: "data `DIR` of the sidecar, which may be running",
				Value: config.Default().Ledger.Data, EnvVars: []string{locations[dataFlagName]},
			},
			&cli.StringFlag{Name: "tenant", Usage: "`TENANT` whose records are meant; needed when there are several", EnvVars: []string{"COUNTERSIGN_TENANT"}},
			jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return runBacktest(c, time.Now())
		},
	}
}

func runBacktest(c *cli.Context, now time.Time) error {
	from, to, err := backtestPeriod(c, now)
	if err != nil {
		return err
	}
	p, err := policyToTry(c)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.String(dataFlagName), windowsDir)
	tenant, err := recordedTenant(c, dir)
	if err != nil {
		return err
	}
	// What was before says what is usual for the service.
	result, err := backtest.Run(p, from, history.Read(dir, tenant, from.Add(-history.Lookback), to))
	if err != nil {
		return err
	}
	if result.Ticks == 0 {
		what := fmt.Sprintf("nothing of %s is recorded in this period: --from and --to choose it", tenant)
		if result.Damaged > 0 {
			what += fmt.Sprintf("; %d records or files cannot be read, the first: %s", result.Damaged, result.FirstDamage)
		}
		return errors.New(what)
	}
	if c.Bool("json") {
		return result.WriteJSON(c.App.Writer)
	}
	return result.WriteText(c.App.Writer)
}

// backtestPeriod reads --from and --to.
func backtestPeriod(c *cli.Context, now time.Time) (from, to time.Time, err error) {
	to = now.AddDate(1, 0, 0) // records of a clock that is ahead are records too
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
	if !from.Before(to) {
		err = usageError{fmt.Sprintf("--from %s is not before --to %s", c.String("from"), c.String("to"))}
	}
	return from, to, err
}

// parseMoment reads a time, a date, which is its first moment in UTC, or how
// long ago.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if number, ok := strings.CutSuffix(text, "d"); ok {
		if days, err := strconv.ParseUint(number, 10, 16); err == nil {
			return now.Add(-time.Duration(days) * 24 * time.Hour), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Sprintf("--%s: %q is not a time: write 2026-01-02T15:04:05Z, 2026-01-02, or 7d or 90m for so long ago", flag, text)}
}

// policyToTry reads --policy. What is wrong with the document is said with a
// line each.
func policyToTry(c *cli.Context) (*policy.Policy, error) {
	file := c.String("policy")
	if file == "" {
		return nil, usageError{"--policy FILE names the policy to try; countersign policy show prints one to begin with"}
	}
	p, err := readPolicy(file)
	if problems, ok := errors.AsType[policy.Problems](err); ok {
		_, _ = fmt.Fprint(c.App.ErrWriter, problems.Lines())
		return nil, errReported
	}
	return p, err
}

// recordedTenant is the tenant that --tenant names, or the only one there is.
func recordedTenant(c *cli.Context, dir string) (string, error) {
	all, err := history.Tenants(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(all) == 0:
		return "", fmt.Errorf("%s holds no recorded history: --data names the data directory of a sidecar that has run for a minute", c.String(dataFlagName))
	case err != nil:
		return "", fmt.Errorf("the history cannot be read: %w", err)
	}
	named := c.String("tenant")
	if named == "" && len(all) == 1 {
		return all[0], nil
	}
	for _, tenant := range all {
		if tenant == named {
			return tenant, nil
		}
	}
	if named == "" {
		return "", usageError{fmt.Sprintf("there are records of several tenants: --tenant names one of %s", strings.Join(all, ", "))}
	}
	return "", fmt.Errorf("nothing is recorded of tenant %q, only of %s", named, strings.Join(all, ", "))
}
