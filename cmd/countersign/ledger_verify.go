package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func ledgerVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify",
		Usage: "verify a bundle, a proof, a served ledger or a store; exit 0 verified, 1 tampered, 2 usage, 3 incomplete, " +
			"4 rollback, 5 invalid, 6 anchor or witnesses absent, 7 not finished",
		ArgsUsage: "BUNDLE | PROOF | URL",
		Flags: []cli.Flag{
			vkeyFlag(), secretFileFlag(),
			&cli.StringSliceFlag{
				Name: "since", Usage: "`FILE` with a checkpoint kept earlier, which the log must continue; may be repeated", EnvVars: []string{"COUNTERSIGN_LEDGER_SINCE"},
			},
			&cli.StringFlag{
				Name: "policy", Usage: "`FILE` naming the witnesses that count, as c2sp.org/tlog-policy has it", EnvVars: []string{"COUNTERSIGN_WITNESS_POLICY"},
			},
			&cli.BoolFlag{
				Name: "require-witness", Usage: "fail unless the policy's quorum of witnesses has cosigned", EnvVars: []string{"COUNTERSIGN_LEDGER_REQUIRE_WITNESS"},
			},
			&cli.DurationFlag{
				Name: "max-open", Usage: "`AGE`, such as 12h, above which an incident without an end is reported, at the ledger's last entry; without it, what the policy on record says",
				EnvVars: []string{"COUNTERSIGN_LEDGER_MAX_OPEN"},
			},
			storeFlag(),
			&cli.StringFlag{
				Name: anchorFlagName, Usage: "`FILE` or directory with the store's anchor, when it is not in the data directory",
				EnvVars: []string{locations[anchorFlagName]},
			},
			jsonFlag(), quietFlag(),
		},
		Action: func(c *cli.Context) error {
			what, err := atMostOne(c, "bundle, proof or URL")
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c)
			defer stop()
			report, err := verifyWhat(ctx, c, what)
			if err != nil {
				return err
			}
			return printReport(c, report, what)
		},
	}
}

// verifyWhat verifies what was named, or the store. The error is one of the
// command line.
func verifyWhat(ctx context.Context, c *cli.Context, what string) (*verify.Report, error) {
	options, err := verifyOptions(c)
	if err != nil {
		return nil, err
	}
	store := c.String(storeFlagName)
	switch {
	case what != "" && onCommandLine(c, storeFlagName):
		return nil, usageError{fmt.Sprintf("both %s and --store are given: verify one after the other", what)}
	case what == "" && store == "":
		return nil, usageError{"name what to verify: a bundle's directory or archive, a proof, a URL such as http://127.0.0.1:9090/ledger, or --store DIR"}
	case what == "":
		return verifyStore(ctx, c, store, options)
	case onCommandLine(c, anchorFlagName):
		return nil, usageError{"--anchor goes with --store; to compare a bundle with a checkpoint that was kept, use --since"}
	}
	if strings.Contains(what, "://") {
		return verifyLog(ctx, c, what, options), nil
	}
	proof, err := readProof(what)
	if err != nil {
		return nil, err
	}
	if proof != nil {
		return verify.Proof(ctx, proof, nil, options), nil
	}
	return verifyLog(ctx, c, what, options), nil
}

// verifyOptions reads the files that the flags name.
func verifyOptions(c *cli.Context) (options verify.Options, err error) {
	if options.Keys, err = trustedKeys(c); err != nil {
		return options, err
	}
	for _, file := range c.StringSlice("since") {
		kept, err := readSmall(file)
		if err != nil {
			return options, usageError{fmt.Sprintf("--since: %v", err)}
		}
		options.Since = append(options.Since, kept)
	}
	if file := c.String("policy"); file != "" {
		text, err := readSmall(file)
		if err != nil {
			return options, usageError{fmt.Sprintf("--policy: %v", err)}
		}
		if options.Policy, err = witness.ParsePolicy(text); err != nil {
			return options, usageError{fmt.Sprintf("--policy: %s: %v", file, err)}
		}
	}
	options.RequireWitness = c.Bool("require-witness")
	limit := c.Duration("max-open")
	if c.IsSet("max-open") && limit <= 0 {
		return options, usageError{fmt.Sprintf("--max-open is %s: it must be longer than nothing, such as 24h", limit)}
	}
	options.Checks = []verify.Check{incident.NewCheck(incident.CheckOptions{MaxOpen: limit})}
	return options, nil
}

// readProof returns what is in a file if that is a proof, nil if it is
// something else that may be verified.
func readProof(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usageError{fileError(path, err).Error()}
	}
	if info.IsDir() {
		if _, err := findStore(path); err == nil {
			return nil, usageError{fmt.Sprintf("%s is a sidecar's data directory: verify it with --store %s", path, path)}
		}
		return nil, nil
	}
	if info.Size() > maxSmall {
		return nil, nil
	}
	text, err := readSmall(path)
	switch {
	case err != nil:
		return nil, usageError{err.Error()}
	case verify.IsProof(text):
		return text, nil
	case !info.Mode().IsRegular():
		return nil, usageError{fmt.Sprintf("what comes from %s is not a proof: anything else has to be in a file", path)}
	}
	if _, err := verify.ParseCheckpoint(text); err == nil {
		return nil, usageError{fmt.Sprintf("%s is a checkpoint, which proves nothing alone: name the log, and the checkpoint with --since %s", path, path)}
	}
	return nil, nil
}

func verifyLog(ctx context.Context, c *cli.Context, where string, options verify.Options) *verify.Report {
	src, closer, err := openSource(ctx, c, where)
	if err != nil {
		return verify.Failed(err)
	}
	defer func() { _ = closer.Close() }()
	p := newProgress(c, "verifying", entryCount)
	defer p.end()
	options.Progress = p.update
	return verify.Log(ctx, src, options)
}

func verifyStore(ctx context.Context, c *cli.Context, data string, options verify.Options) (*verify.Report, error) {
	s, err := openStore(ctx, c, data)
	if coded, ok := errors.AsType[exitError](err); ok {
		return verify.Failed(&verify.SourceError{Code: verify.Code(coded.code), Text: coded.Error()}), nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	anchor, err := s.readAnchor(c.String(anchorFlagName))
	if err != nil {
		return nil, usageError{err.Error()}
	}
	p := newProgress(c, "verifying", entryCount)
	defer p.end()
	options.Progress = p.update
	return s.verify(ctx, anchor, options), nil
}

// printReport prints a report; the error has its exit code.
func printReport(c *cli.Context, report *verify.Report, what string) error {
	if report.Code == verify.Usage && report.Origin == "" && !c.Bool("json") {
		return usageError{report.Problem.String() + hint(what, report.Problem.String())}
	}
	write := func() error { return report.WriteText(c.App.Writer) }
	if c.Bool("json") {
		write = func() error { return printJSON(c, report) }
	}
	if err := write(); err != nil {
		return unprinted(err)
	}
	if report.Code == verify.Verified {
		return nil
	}
	if report.Origin == "" && !c.Bool("json") {
		if h := hint(what, report.Problem.String()); h != "" {
			_, _ = fmt.Fprintf(c.App.ErrWriter, "countersign%s\n", printable(h))
		}
	}
	return exitError{int(report.Code), errReported}
}

// hint says what may be missing, or have been meant, when nothing was found at a
// URL.
func hint(what, problem string) string {
	u, err := url.Parse(what)
	if err != nil || u.Host == "" {
		return ""
	}
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		if strings.Contains(problem, fmt.Sprintf("answers %d ", code)) {
			return ": the ledger of a sidecar that watches other services too needs the secret of its own: name the file with it by --" + secretFileFlagName
		}
	}
	if strings.Trim(u.Path, "/") != "" {
		return ""
	}
	return fmt.Sprintf(": the ledger of a sidecar is at %s/ledger", strings.TrimSuffix(what, "/"))
}
