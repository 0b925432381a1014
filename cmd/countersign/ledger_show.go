package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/view"
)

// followEvery is how often --follow looks for entries.
const followEvery = time.Second

func ledgerShowCommand() *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "print the ledger's entries, each checked against the signed checkpoint: of the running sidecar, or of a bundle or URL; " + codesHelp,
		ArgsUsage: "[LOG]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "kind", Usage: "only entries of this `KIND`", EnvVars: []string{"COUNTERSIGN_LEDGER_KIND"}},
			&cli.Uint64Flag{Name: "from", Usage: "number `N` of the first entry", EnvVars: []string{"COUNTERSIGN_LEDGER_FROM"}},
			&cli.Uint64Flag{Name: "to", Usage: "number `N` of the last entry", EnvVars: []string{"COUNTERSIGN_LEDGER_TO"}},
			&cli.Uint64Flag{Name: "last", Usage: "only the last `N` entries", EnvVars: []string{"COUNTERSIGN_LEDGER_LAST"}},
			&cli.StringFlag{Name: "after", Usage: "only entries of `TIME` or later: 2026-01-02T15:04:05Z, 2026-01-02, or 90m for so long ago", EnvVars: []string{"COUNTERSIGN_LEDGER_AFTER"}},
			&cli.BoolFlag{Name: "follow", Usage: "go on with new entries as they come, until interrupted", EnvVars: []string{"COUNTERSIGN_LEDGER_FOLLOW"}},
			adminFlag(), secretFileFlag(), storeFlag(), vkeyFlag(), jsonFlag(), quietFlag(),
		},
		Action: func(c *cli.Context) error {
			named, err := atMostOne(c, "log")
			if err != nil {
				return err
			}
			s, err := newShowing(c, time.Now())
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c)
			defer stop()
			src, closer, err := openLog(ctx, c, named)
			if err != nil {
				return err
			}
			defer func() { _ = closer.Close() }()
			ticker := time.NewTicker(followEvery)
			defer ticker.Stop()
			err = s.run(ctx, src, func() {
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			})
			if ctx.Err() != nil && c.Bool("follow") {
				return nil
			}
			return readError(err)
		},
	}
}

// showing is the printing of entries.
type showing struct {
	c      *cli.Context
	filter entryFilter
	out    *bufio.Writer

	from, to, last uint64 // to is one more than the last
}

func newShowing(c *cli.Context, now time.Time) (*showing, error) {
	s := &showing{c: c, out: bufio.NewWriter(c.App.Writer), from: c.Uint64("from"), to: math.MaxUint64, last: c.Uint64("last")}
	s.filter.kind = c.String("kind")
	if c.IsSet("to") && c.Uint64("to") < math.MaxUint64 {
		s.to = c.Uint64("to") + 1
	}
	switch {
	case c.Bool("follow") && c.IsSet("to"):
		return nil, usageError{"--follow has no end, and --to gives one"}
	case c.IsSet("last") && (c.IsSet("from") || c.IsSet("to")):
		return nil, usageError{"--last goes with neither --from nor --to"}
	case s.from >= s.to:
		return nil, usageError{fmt.Sprintf("--from %d comes after --to %d", s.from, s.to-1)}
	}
	if after := c.String("after"); after != "" {
		var err error
		if s.filter.after, err = parseTime(after, now); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// parseTime reads what --after takes.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Sprintf("--after: %q is not a time: write 2026-01-02T15:04:05Z, 2026-01-02, or 90m for so long ago", text)}
}

// run prints what there is, and with --follow what comes: it looks again each
// time that wait returns.
func (s *showing) run(ctx context.Context, src verify.Source, wait func()) error {
	v, err := openView(ctx, s.c, src)
	if err != nil {
		return err
	}
	if s.c.IsSet("last") {
		s.from = v.Checkpoint.Size - min(s.last, v.Checkpoint.Size)
	}
	if err := s.print(ctx, v); err != nil || !s.c.Bool("follow") {
		return err
	}
	waiting := false
	for {
		if wait(); ctx.Err() != nil {
			return nil
		}
		next, err := s.update(ctx, src, v)
		if err == nil {
			v, waiting = next, false
			err = s.print(ctx, v)
		}
		if err == nil {
			continue
		}
		if !isPassing(err) || ctx.Err() != nil {
			return err
		}
		if !waiting {
			_, _ = fmt.Fprintf(s.c.App.ErrWriter, "countersign: %s; trying again every second\n", printable(oneLine(err.Error())))
		}
		waiting = true
	}
}

// update is the view of what has come since, also when the log has changed
// its key.
func (s *showing) update(ctx context.Context, src verify.Source, v *view.View) (*view.View, error) {
	next, err := v.Update(ctx)
	if _, ok := errors.AsType[*view.KeyError](err); !ok {
		return next, err
	}
	if next, err = openView(ctx, s.c, src); err != nil {
		return nil, err
	}
	return next, next.Continues(ctx, v.Checkpoint)
}

// print prints the entries from where it was.
func (s *showing) print(ctx context.Context, v *view.View) error {
	for r, err := range v.Entries(ctx, s.from, s.to) {
		if err != nil {
			return errors.Join(err, s.out.Flush())
		}
		line, err := s.line(r)
		if err != nil {
			problem := exitError{int(verify.Invalid), fmt.Errorf("entry %d is not one of a Countersign log: %w", r.Index, err)}
			return errors.Join(problem, s.out.Flush())
		}
		if _, err := s.out.WriteString(line); err != nil {
			return unprinted(err)
		}
		s.from = r.Index + 1
	}
	return unprinted(s.out.Flush())
}

// line is what is shown of an entry, empty when it is not to be shown.
func (s *showing) line(r view.Record) (string, error) {
	asJSON := s.c.Bool("json")
	if asJSON && s.filter == (entryFilter{}) {
		return jsonLine(r.Index, r.Leaf)
	}
	e, err := readEntry(r.Leaf)
	switch {
	case err != nil:
		return "", err
	case !s.filter.takes(e):
		return "", nil
	case asJSON:
		return jsonLine(r.Index, r.Leaf)
	}
	return e.line(r.Index), nil
}
