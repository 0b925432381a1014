package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/view"
)

func ledgerCommand() *cli.Command {
	return &cli.Command{
		Name:  "ledger",
		Usage: "verify, export and read the ledger",
		Subcommands: withCodes([]*cli.Command{
			ledgerVerifyCommand(), ledgerExportCommand(), ledgerProveCommand(), ledgerShowCommand(),
			ledgerKeyCommand(), ledgerCheckpointCommand(), serveCopyCommand(),
		}),
	}
}

// interruptible is a context that ends with the command, or at a signal to
// end. A second one ends the process.
func interruptible(c *cli.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(c.Context, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Flags that say where a log is, and their variables.
const (
	adminFlagName  = "admin"
	storeFlagName  = "store"
	dataFlagName   = "data"
	anchorFlagName = "anchor"
)

var locations = map[string]string{
	adminFlagName: "COUNTERSIGN_ADMIN", storeFlagName: "COUNTERSIGN_LEDGER_STORE",
	secretFileFlagName: "COUNTERSIGN_SECRET_FILE",
	dataFlagName:       "COUNTERSIGN_DATA", anchorFlagName: "COUNTERSIGN_ANCHOR",
}

func adminFlag() cli.Flag {
	return &cli.StringFlag{
		Name: adminFlagName, Usage: "`URL` or HOST:PORT of the sidecar's admin API, whose ledger is meant",
		Value: config.Default().Admin.Address, EnvVars: []string{locations[adminFlagName]},
	}
}

func storeFlag() cli.Flag {
	return &cli.StringFlag{
		Name: storeFlagName, Usage: "data `DIR` of a sidecar that does not run: its store is copied and read in a process of its own",
		EnvVars: []string{locations[storeFlagName]},
	}
}

func dataFlag() cli.Flag {
	return &cli.StringFlag{Name: dataFlagName, Usage: "data `DIR` of the sidecar", EnvVars: []string{locations[dataFlagName]}}
}

func vkeyFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name: "vkey", Usage: "trust the log's verifier `KEY`, or those in @FILE; may be repeated. Without it the log's own key is used",
		EnvVars: []string{"COUNTERSIGN_LEDGER_VKEY"},
	}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE` instead of the standard output", EnvVars: []string{"COUNTERSIGN_LEDGER_OUTPUT"},
	}
}

// trustedKeys reads --vkey.
func trustedKeys(c *cli.Context) ([]string, error) {
	var keys []string
	for _, given := range c.StringSlice("vkey") {
		file, isFile := strings.CutPrefix(given, "@")
		if !isFile {
			keys = append(keys, strings.TrimSpace(given))
			continue
		}
		text, err := readSmall(file)
		if err != nil {
			return nil, usageError{fmt.Sprintf("--vkey: %v", err)}
		}
		lines := strings.Fields(string(text))
		if len(lines) == 0 {
			return nil, usageError{fmt.Sprintf("--vkey: %s is empty: it must hold a verifier key a line", file)}
		}
		keys = append(keys, lines...)
	}
	return keys, nil
}

// openView opens the log that a command reads entries of. When it is signed by
// a key that it got later than those known, the whole of it is verified first.
func openView(ctx context.Context, c *cli.Context, src verify.Source) (*view.View, error) {
	keys, err := trustedKeys(c)
	if err != nil {
		return nil, err
	}
	v, err := view.Open(ctx, reached{src}, keys)
	if _, ok := errors.AsType[*view.KeyError](err); !ok {
		return v, readError(err)
	}
	p := newProgress(c, "following the log's changes of key", entryCount)
	report := verify.Log(ctx, src, verify.Options{Keys: keys, Progress: p.update})
	p.end()
	if report.Key == "" || !report.Signed {
		return nil, notVerified(report)
	}
	v, err = view.Open(ctx, reached{src}, []string{report.Key})
	return v, readError(err)
}
