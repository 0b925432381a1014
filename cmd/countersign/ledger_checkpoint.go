package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/view"
)

func ledgerCheckpointCommand() *cli.Command {
	return &cli.Command{
		Name:  "checkpoint",
		Usage: "print the ledger's signed checkpoint, to be kept where its machine cannot reach; " + codesHelp,
		Flags: []cli.Flag{
			adminFlag(), secretFileFlag(), dataFlag(), keyFileFlag(), vkeyFlag(), outputFlag(), quietFlag(),
		},
		Action: func(c *cli.Context) error {
			if extra, err := words(c); err != nil || len(extra) > 0 {
				return errors.Join(err, tooMany(c, extra))
			}
			ctx, stop := interruptible(c)
			defer stop()
			kept, err := keptBefore(c)
			if err != nil {
				return err
			}
			signed, err := fetchCheckpoint(ctx, c, kept)
			if err != nil {
				return readError(err)
			}
			return keepCheckpoint(c, signed)
		},
	}
}

func tooMany(c *cli.Context, extra []string) error {
	if len(extra) == 0 {
		return nil
	}
	return usageError{fmt.Sprintf("%s takes no arguments, and %q is one", c.Command.Name, extra[0])}
}

// keptBefore is the checkpoint in the file that is to be overwritten, nil when
// there is none.
func keptBefore(c *cli.Context) (*verify.Checkpoint, error) {
	path := c.String("output")
	info, err := os.Stat(path)
	if path == "" || errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, nil
	}
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	kept, err := verify.ParseCheckpoint(text)
	if err != nil {
		return nil, usageError{fmt.Sprintf("%s exists and is not a checkpoint: it was not overwritten", path)}
	}
	return &kept, nil
}

// fetchCheckpoint reads the checkpoint of the data directory or of the running
// sidecar, which must continue the one that was kept before.
func fetchCheckpoint(ctx context.Context, c *cli.Context, kept *verify.Checkpoint) ([]byte, error) {
	where, err := chosen(c, dataFlagName, adminFlagName)
	if err != nil {
		return nil, err
	}
	if where == dataFlagName {
		signed, now, err := signedAnchorOf(c, c.String(where))
		if err == nil && kept != nil {
			err = replaces(now, *kept, c.String("output"))
		}
		return signed, err
	}
	src, err := openAdmin(ctx, c)
	if err != nil {
		return nil, err
	}
	v, err := openView(ctx, c, src)
	if err == nil && kept != nil {
		if err = sameLog(v.Checkpoint, *kept); err == nil {
			err = v.Continues(ctx, *kept)
		}
	}
	if err != nil {
		return nil, err
	}
	return v.Note, nil
}

// readAnchorOf reads the last acknowledged checkpoint in a data directory.
func readAnchorOf(data string) ([]byte, verify.Checkpoint, error) {
	path := filepath.Join(data, anchorName, verify.CheckpointPath)
	signed, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, verify.Checkpoint{}, usageError{fmt.Sprintf("%s holds no ledger: there is no %s", data, path)}
	}
	if err != nil {
		return nil, verify.Checkpoint{}, err
	}
	c, err := verify.ParseCheckpoint(signed)
	if err != nil {
		return nil, verify.Checkpoint{}, exitError{int(verify.Tampered), fmt.Errorf("%s is malformed: %w", path, err)}
	}
	return signed, c, nil
}

// signedAnchorOf is readAnchorOf of a checkpoint that a key given has signed,
// or when none is given that of the data directory.
func signedAnchorOf(c *cli.Context, data string) ([]byte, verify.Checkpoint, error) {
	signed, now, err := readAnchorOf(data)
	if err != nil {
		return nil, now, err
	}
	keys, err := trustedKeys(c)
	if err != nil {
		return nil, now, err
	}
	if len(keys) == 0 {
		_, err := dataVerifierKey(c, data)
		return signed, now, err
	}
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, now, usageError{fmt.Sprintf("--vkey: %q is not a verifier key", key)}
		}
		if signs(verifier, signed, now) {
			return signed, now, nil
		}
	}
	return nil, now, exitError{int(verify.Tampered), fmt.Errorf(
		"no key that was given has signed the last checkpoint in %s; a change of key can be followed with --admin alone", data)}
}

// signs says whether a key has signed a checkpoint of the log that it belongs
// to.
func signs(key note.Verifier, signed []byte, c verify.Checkpoint) bool {
	_, err := note.Open(signed, note.VerifierList(key))
	return err == nil && key.Name() == c.Origin
}

func sameLog(now, kept verify.Checkpoint) error {
	if kept.Origin == now.Origin {
		return nil
	}
	return usageError{fmt.Sprintf("the checkpoint that was kept is of another log, %s: it was not overwritten", kept.Origin)}
}

// replaces makes sure that a checkpoint may replace one that was kept in a
// file, without the log at hand.
func replaces(now, kept verify.Checkpoint, file string) error {
	if err := sameLog(now, kept); err != nil {
		return err
	}
	switch {
	case kept.Size > now.Size:
		return &view.RollbackError{Old: kept.Size, New: now.Size, Problem: "it has fewer"}
	case kept.Size == now.Size && kept.Root != now.Root:
		return &view.RollbackError{Old: kept.Size, New: now.Size, Problem: "its entries are others"}
	case kept.Size != now.Size && kept.Size > 0:
		return usageError{fmt.Sprintf("%s holds an earlier checkpoint, and that this one continues it cannot be shown without the log: "+
			"it was not overwritten; give another file, or ask the running sidecar with --admin", file)}
	}
	return nil
}

// keepCheckpoint writes the checkpoint, and says what it is for.
func keepCheckpoint(c *cli.Context, signed []byte) error {
	if err := writeOutput(c, signed); err != nil {
		return err
	}
	if c.Bool("quiet") {
		return nil
	}
	now, err := verify.ParseCheckpoint(signed)
	if err != nil {
		return err
	}
	file := c.String("output")
	if file == "" {
		file = "FILE"
	}
	_, err = fmt.Fprintf(c.App.ErrWriter, "This says what the %s of %s are. Keep it where this machine cannot change it;\n"+
		"later, countersign ledger verify LOG --since %s shows whether they are still the same.\n", entryCount(now.Size), printable(now.Origin), printable(file))
	return unprinted(err)
}
