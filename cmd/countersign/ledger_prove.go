package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/view"
)

func ledgerProveCommand() *cli.Command {
	return &cli.Command{
		Name:      "prove",
		Usage:     "write a proof that the ledger has an entry, which ledger verify checks with the verifier key alone; " + codesHelp,
		ArgsUsage: "[LOG]",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "index", Usage: "number `N` of the entry; the first is 0", EnvVars: []string{"COUNTERSIGN_LEDGER_INDEX"}},
			adminFlag(), secretFileFlag(), storeFlag(), vkeyFlag(), outputFlag(), quietFlag(),
		},
		Action: func(c *cli.Context) error {
			named, err := atMostOne(c, "log")
			if err != nil {
				return err
			}
			if !c.IsSet("index") {
				return usageError{"say which entry to prove: --index N"}
			}
			ctx, stop := interruptible(c)
			defer stop()
			src, closer, err := openLog(ctx, c, named)
			if err != nil {
				return err
			}
			defer func() { _ = closer.Close() }()
			v, err := openView(ctx, c, src)
			if err != nil {
				return err
			}
			proof, err := prove(ctx, v, c.Uint64("index"))
			if err != nil {
				return readError(err)
			}
			return writeOutput(c, proof)
		},
	}
}

// prove makes a proof and checks it as its reader will. It rests on the last
// checkpoint that witnesses have cosigned if the entry is in it.
func prove(ctx context.Context, v *view.View, index uint64) ([]byte, error) {
	w, err := v.Witnessed(ctx)
	if err != nil {
		return nil, err
	}
	if w != nil && index < w.Checkpoint.Size {
		v = w
	}
	proof, err := v.Proof(ctx, index)
	if errors.Is(err, view.ErrNoEntry) {
		return nil, usageError{err.Error()}
	}
	if err != nil {
		return nil, err
	}
	report := verify.Proof(ctx, proof, nil, verify.Options{Keys: []string{v.Key}})
	if report.Code != verify.Verified {
		return nil, exitError{int(report.Code), fmt.Errorf("the proof of entry %d does not verify: %s", index, report.Problem)}
	}
	return proof, nil
}
