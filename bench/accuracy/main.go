// Command accuracy compares the P95 that tools report with the true one. It is a
// module of its own for the sake of the other tools' libraries.
//
// Each tool is fed with the same drawn durations, of which the true P95 is known
// exactly. With -binary nginx, HAProxy and the sidecar also stand, one after the
// other, before a server with known delays.
//
//	make bench-accuracy
//
// It writes accuracy.md and accuracy.json, prints the first, and exits with 1 when the sidecar's bracket did not contain
// the true P95 in one of the runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/page"
)

func main() {
	runs := flag.Int("runs", 20, "how often each distribution is drawn at each scale")
	binary := flag.String("binary", "", "the sidecar's binary; without it no real programs are tried")
	requests := flag.Int("requests", 8000, "how many requests each real program gets of each distribution")
	out := flag.String("out", "", "the directory of the report; bench/results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	held, err := compare(ctx, *runs, *requests, *binary, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(2)
	}
	if !held {
		os.Exit(1)
	}
}

// compare makes the report, and says whether every bracket held.
func compare(ctx context.Context, runs, requests int, binary, out string) (held bool, err error) {
	if flag.NArg() > 0 {
		return false, fmt.Errorf("%q is nothing that it takes: see -help", flag.Arg(0))
	}
	if runs < 1 || requests < 1 {
		return false, errors.New("-runs and -requests must be at least 1")
	}
	r := Report{Setting: machine.Begin(), Runs: runs}
	r.Versions = machine.Versions(ctx, ".", machine.Question{Name: "countersign", Line: []string{binary, "version"}})
	if r.Fed, err = feed(runs); err != nil {
		return false, err
	}
	if binary != "" {
		// Programs run in directories of their own.
		if binary, err = filepath.Abs(binary); err != nil {
			return false, err
		}
		stop, err := r.StayAwake(ctx)
		if err != nil {
			return false, err
		}
		defer stop()
		if r.Programs, err = try(ctx, binary, requests); err != nil {
			return false, err
		}
	}
	r.End()
	text := r.markdown()
	fmt.Print(text)
	return r.held(), page.Write(page.Directory(out, false), "accuracy", text, r)
}
