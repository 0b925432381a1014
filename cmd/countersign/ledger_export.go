package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/bundle"
	"github.com/countersign-dev/countersign/ledger/verify"
)

func ledgerExportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "copy the ledger to a directory, of which only what is new is fetched next time, or to an archive whose name ends in " + bundle.Suffix + "; " + codesHelp,
		ArgsUsage: "OUT",
		Flags:     []cli.Flag{adminFlag(), secretFileFlag(), storeFlag(), jsonFlag(), quietFlag()},
		Action: func(c *cli.Context) error {
			out, err := atMostOne(c, "directory or archive")
			if err != nil {
				return err
			}
			if out == "" {
				return usageError{"name where to export to: a directory, or an archive whose name ends in " + bundle.Suffix}
			}
			ctx, stop := interruptible(c)
			defer stop()
			src, closer, err := openLog(ctx, c, "")
			if err != nil {
				return err
			}
			defer func() { _ = closer.Close() }()
			return export(ctx, c, src, out)
		},
	}
}

func export(ctx context.Context, c *cli.Context, src verify.Source, out string) error {
	write := bundle.Export
	if strings.HasSuffix(out, bundle.Suffix) {
		write = bundle.Archive
	}
	p := newProgress(c, "exporting", entryCount)
	r, err := write(ctx, reached{src}, out, p.update)
	p.end()
	if err != nil {
		return exportError(err)
	}
	if c.Bool("json") {
		return unprinted(printJSON(c, struct {
			Out        string `json:"out"`
			Origin     string `json:"origin"`
			Size       uint64 `json:"size"`
			Root       string `json:"root"`
			NewEntries uint64 `json:"new_entries"`
			Blobs      uint64 `json:"blobs"`
			Files      uint64 `json:"files"`
			Bytes      uint64 `json:"bytes"`
		}{out, r.Origin, r.Size, base64.StdEncoding.EncodeToString(r.Root[:]), r.NewEntries, r.Blobs, r.Files, r.Bytes}))
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: %s of %s verified and exported, %s of them new (%s in %s files)\n",
		printable(out), entryCount(r.Size), printable(r.Origin), count(r.NewEntries), byteCount(r.Bytes), count(r.Files))
	return unprinted(err)
}

// exportError gives an error of exporting its exit code.
func exportError(err error) error {
	if _, ok := errors.AsType[*bundle.RollbackError](err); ok {
		return exitError{int(verify.Rollback), err}
	}
	if failed, ok := errors.AsType[*bundle.VerifyError](err); ok {
		return exitError{int(failed.Report.Code), err}
	}
	if _, ok := errors.AsType[*bundle.TargetError](err); ok {
		return exitError{int(verify.Usage), err}
	}
	if _, ok := errors.AsType[fetchError](err); ok {
		return readError(err)
	}
	return err // of the disk
}
