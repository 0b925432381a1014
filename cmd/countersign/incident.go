package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/view"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func incidentCommand() *cli.Command {
	return &cli.Command{
		Name:  "incident",
		Usage: "list, show, replay and mark incidents, and ask for an action",
		Subcommands: withCodes([]*cli.Command{
			incidentListCommand(), incidentShowCommand(), incidentReplayCommand(), incidentMarkCommand(), incidentAskCommand(),
		}),
	}
}

// incidentFlags are those of the commands that read incidents from a ledger.
func incidentFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tenant", Usage: "only the incidents of this `TENANT`", EnvVars: []string{"COUNTERSIGN_TENANT"}},
		adminFlag(), secretFileFlag(), storeFlag(), vkeyFlag(), jsonFlag(), quietFlag(),
	}
}

func incidentListCommand() *cli.Command {
	return &cli.Command{
		Name: "list",
		Usage: "list the incidents in the ledger of the running sidecar, or in a bundle or URL, newest first; " +
			codesHelp,
		ArgsUsage: "[LOG]",
		Flags:     incidentFlags(),
		Action: func(c *cli.Context) error {
			named, err := atMostOne(c, "log")
			if err != nil {
				return err
			}
			return withLog(c, named, func(ctx context.Context, r *incidentReader) error {
				list, err := incident.List(c.String("tenant"), r.entries(ctx))
				if err != nil {
					return readError(err)
				}
				if c.Bool("json") {
					return unprinted(printJSON(c, list))
				}
				return unprinted(writeIncidents(c.App.Writer, list))
			})
		},
	}
}

func incidentShowCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "show one incident as the ledger has it, the newest unless another is named: what happened, the evidence, what was said; " + codesHelp,
		ArgsUsage: "[ID] [LOG]",
		Flags:     incidentFlags(),
		Action: func(c *cli.Context) error {
			return withCase(c, func(_ *incidentReader, found incident.Case) error {
				if c.Bool("json") {
					return unprinted(printJSON(c, found))
				}
				return unprinted(found.WriteText(c.App.Writer))
			})
		},
	}
}

func incidentReplayCommand() *cli.Command {
	return &cli.Command{
		Name: "replay",
		Usage: "decide one incident, the newest unless another is named, again from the evidence in the ledger, and compare; exit 0 all the same, 1 not the same, " +
			"evidence missing or the log tampered with, 2 usage, 3 the log is incomplete or cannot be reached, 7 not finished",
		ArgsUsage: "[ID] [LOG]",
		Flags:     incidentFlags(),
		Action: func(c *cli.Context) error {
			return withCase(c, func(r *incidentReader, found incident.Case) error {
				replayed := incident.Replay(found, r.blob)
				if err := r.ctx.Err(); err != nil {
					return exitError{int(verify.Internal), errors.New("interrupted")}
				}
				write := func() error { return replayed.WriteText(c.App.Writer) }
				if c.Bool("json") {
					write = func() error { return printJSON(c, replayed) }
				}
				if err := write(); err != nil {
					return unprinted(err)
				}
				if replayed.Outcome != incident.Same {
					return exitError{exitFailed, errReported}
				}
				return nil
			})
		},
	}
}

// incidentReader reads entries and blobs of a log.
type incidentReader struct {
	ctx  context.Context
	src  verify.Source
	view *view.View
}

// withLog has f read the log that is meant.
func withLog(c *cli.Context, named string, f func(context.Context, *incidentReader) error) error {
	ctx, stop := interruptible(c)
	defer stop()
	src, closer, err := openLog(ctx, c, named)
	if err != nil {
		return readError(err)
	}
	defer func() { _ = closer.Close() }()
	v, err := openView(ctx, c, src)
	if err != nil {
		return err
	}
	return f(ctx, &incidentReader{ctx: ctx, src: src, view: v})
}

// withCase has f look at the incident that the command line names, or at the
// newest.
func withCase(c *cli.Context, f func(*incidentReader, incident.Case) error) error {
	id, named, err := incidentAndLog(c)
	if err != nil {
		return err
	}
	return withLog(c, named, func(ctx context.Context, r *incidentReader) error {
		tenant := c.String("tenant")
		if id == "" {
			list, err := incident.List(tenant, r.entries(ctx))
			if err != nil {
				return readError(err)
			}
			if len(list) == 0 {
				return usageError{"the ledger has no incident yet"}
			}
			id, tenant = list[0].ID, list[0].Tenant
		}
		found, err := incident.Collect(tenant, id, r.entries(ctx))
		if errors.Is(err, incident.ErrNoIncident) {
			return usageError{err.Error() + ": countersign incident list has those there are"}
		}
		if err != nil {
			return readError(err)
		}
		return f(r, found)
	})
}

// incidentAndLog are the words of the command line, each of which may be left out.
func incidentAndLog(c *cli.Context) (id, log string, err error) {
	all, err := words(c)
	if err != nil {
		return "", "", err
	}
	if len(all) > 0 && incident.IsID(all[0]) {
		id, all = all[0], all[1:]
	}
	switch {
	case len(all) > 1:
		return "", "", usageError{fmt.Sprintf("%s takes an incident and a log, and %q is one more", c.Command.Name, all[1])}
	case len(all) == 0:
		return id, "", nil
	case id == "" && strings.HasPrefix(all[0], "inc-"):
		return "", "", usageError{fmt.Sprintf("%s: %q is not the id of an incident, such as inc-0a1b2c-1767323045: countersign incident list has them", c.Command.Name, all[0])}
	}
	return id, all[0], nil
}

// entries are the incidents' entries of the log, each compared with the tree.
func (r *incidentReader) entries(ctx context.Context) iter.Seq2[incident.Indexed, error] {
	return func(yield func(incident.Indexed, error) bool) {
		for record, err := range r.view.Entries(ctx, 0, math.MaxUint64) {
			if err != nil {
				yield(incident.Indexed{}, err)
				return
			}
			e, ours, err := incident.ParseEntry(record.Leaf)
			switch {
			case err != nil:
				yield(incident.Indexed{}, exitError{int(verify.Invalid), fmt.Errorf("entry %d cannot be read: %w", record.Index, err)})
				return
			case ours && !yield(incident.Indexed{Index: record.Index, Entry: e}, nil):
				return
			}
		}
	}
}

// blob reads a piece of evidence.
func (r *incidentReader) blob(sum [32]byte) ([]byte, error) {
	return r.src.Get(r.ctx, verify.BlobPath(sum), verify.MaxBlob)
}

// writeIncidents writes incidents as a table.
func writeIncidents(w io.Writer, list []incident.Summary) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "INCIDENT\tSTAGE\tBEGAN\tLASTED\tTENANT\tMODE\tMARKED\tREASON")
	for _, s := range list {
		lasted, mode, marked := "open", "live", "-"
		if !s.EndedAt.IsZero() {
			lasted = s.EndedAt.Sub(s.StartedAt).Round(time.Second).String()
		}
		if s.Shadow {
			mode = "shadow"
		}
		if s.Verdict != "" {
			marked = strings.ReplaceAll(s.Verdict, "_", " ")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Stage, s.StartedAt.UTC().Format(time.DateTime+"Z"),
			lasted, printable(oneLine(s.Tenant)), mode, marked, printable(oneLine(s.Reason)))
	}
	return table.Flush()
}
