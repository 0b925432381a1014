package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/bench/cost"
	"github.com/countersign-dev/countersign/bench/load"
)

// permission is the flag that lets an API be loaded which is not near.
const permission = "i-may-load-this-host"

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure what the sidecar would cost in front of your API: it is asked directly and through a sidecar, in turn",
		ArgsUsage: "URL",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "rate", Usage: "requests a second, up to 1000000, or saturate: as many as are answered", Value: "200", EnvVars: []string{"COUNTERSIGN_BENCH_RATE"}},
			&cli.IntFlag{Name: "connections", Usage: "1 to 10000", Value: 32, EnvVars: []string{"COUNTERSIGN_BENCH_CONNECTIONS"}},
			&cli.IntFlag{Name: "rounds", Usage: "3 to 1000", Value: 10, EnvVars: []string{"COUNTERSIGN_BENCH_ROUNDS"}},
			&cli.DurationFlag{Name: "for", Usage: "time for each of the four ways in each round, 100ms to 10m", Value: 2 * time.Second, EnvVars: []string{"COUNTERSIGN_BENCH_FOR"}},
			&cli.StringFlag{Name: "method", Usage: "what is sent thousands of times: be sure that it may be", Value: "GET", EnvVars: []string{"COUNTERSIGN_BENCH_METHOD"}},
			&cli.StringSliceFlag{Name: "header", Usage: "\"Name: value\", repeatable", EnvVars: []string{"COUNTERSIGN_BENCH_HEADER"}},
			&cli.StringFlag{Name: "body", Usage: "`FILE` whose bytes are the body of each request", EnvVars: []string{"COUNTERSIGN_BENCH_BODY"}},
			&cli.BoolFlag{Name: permission, Usage: "you may, although it is neither this machine nor on a private network"},
			jsonFlag(),
		},
		Action: runBench,
	}
}

func runBench(c *cli.Context) error {
	url, err := atMostOne(c, "URL")
	if err != nil {
		return err
	}
	if url == "" {
		return usageError{"bench needs the URL of your API: countersign bench http://127.0.0.1:8000/path"}
	}
	plan, err := benchPlan(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if plan.Target, err = cost.Resolve(ctx, net.DefaultResolver, url, c.Bool(permission)); err != nil {
		if _, public := errors.AsType[cost.PublicError](err); public {
			return usageError{fmt.Sprintf("%v: if you may send it this load, say so with --%s", err, permission)}
		}
		return usageError{err.Error()}
	}
	plan.Progress = benchProgress(c.App.ErrWriter, plan)
	report, err := cost.Measure(ctx, plan)
	if plan.Progress != nil {
		_, _ = fmt.Fprintln(c.App.ErrWriter)
	}
	if err != nil {
		return benchError(ctx, err)
	}
	report.CPUs, report.System, report.Version = runtime.NumCPU(), benchSystem(), buildInfo().Version
	if c.Bool("json") {
		return printJSON(c, report)
	}
	_, err = io.WriteString(c.App.Writer, report.String())
	return err
}

// benchPlan reads what the flags say.
func benchPlan(c *cli.Context) (cost.Plan, error) {
	p := cost.Plan{
		Connections: c.Int("connections"), Rounds: c.Int("rounds"), For: c.Duration("for"),
		Request: load.Request{Method: c.String("method"), Header: c.StringSlice("header")},
	}
	if rate := c.String("rate"); rate != "saturate" {
		n, err := strconv.ParseFloat(rate, 64)
		if err != nil || !(n > 0 && n <= 1e6) {
			return p, usageError{fmt.Sprintf("--rate is %q: give requests a second, up to 1000000, or saturate", rate)}
		}
		p.Rate = n
	}
	if p.Connections < 1 || p.Connections > 10000 {
		return p, usageError{fmt.Sprintf("--connections is %d: it must lie between 1 and 10000", p.Connections)}
	}
	if p.Rounds < 3 || p.Rounds > 1000 {
		return p, usageError{fmt.Sprintf("--rounds is %d: it must lie between 3 and 1000", p.Rounds)}
	}
	if p.For < 100*time.Millisecond || p.For > 10*time.Minute {
		return p, usageError{fmt.Sprintf("--for is %v: it must lie between 100ms and 10m", p.For)}
	}
	var err error
	if file := c.String("body"); file != "" {
		if p.Request.Body, err = os.ReadFile(file); err != nil {
			return p, fmt.Errorf("cannot read the body: %w", err)
		}
	}
	if p.Program, err = os.Executable(); err != nil {
		return p, fmt.Errorf("cannot find this program, to start it once more: %w", err)
	}
	return p, nil
}

// benchProgress says on a terminal how far it is.
func benchProgress(w io.Writer, p cost.Plan) func(int) {
	if !isTerminal(w) {
		return nil
	}
	return func(round int) { _, _ = fmt.Fprintf(w, "\rround %d of %d", round, p.Rounds) }
}

func benchError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted before there was a result")
	}
	return err
}

func benchSystem() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}
