// Command check compares what is cheap to measure and comes out the same each time
// with the committed baseline: allocations, ratios of times measured beside each
// other, instructions, the binary's size and its memory at rest.
//
//	go run ./bench/check -binary bin/countersign            compare
//	go run ./bench/check -binary bin/countersign -update    write the baseline anew
//
// It exits with 1 when a figure is worse than its tolerance allows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	binary := flag.String("binary", "", "the sidecar's binary, as it is released")
	file := flag.String("baseline", "bench/baseline.json", "the baseline")
	update := flag.Bool("update", false, "write the baseline anew")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	worse, err := check(ctx, *binary, *file, *update)
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(2)
	}
	if worse {
		os.Exit(1)
	}
}

func check(ctx context.Context, binary, file string, update bool) (worse bool, err error) {
	if flag.NArg() > 0 {
		return false, fmt.Errorf("%q is nothing that it takes: see -help", flag.Arg(0))
	}
	if binary == "" {
		return false, errors.New("-binary is required: make build makes bin/countersign")
	}
	base := here()
	if !update {
		if base, err = readBaseline(file); err != nil {
			return false, err
		}
	}
	now, err := measure(ctx, binary, base)
	if err != nil {
		return false, err
	}
	if update {
		if err := now.write(file); err != nil {
			return false, err
		}
		fmt.Printf("%s has %d figures\n", file, len(now.Figures))
		return false, nil
	}
	result := compare(base, now)
	fmt.Print(result.text())
	return result.worse(), nil
}

// measure measures everything there is, what is beyond the baseline more than once.
func measure(ctx context.Context, binary string, base Baseline) (Baseline, error) {
	now := here()
	dir, err := os.MkdirTemp("", "bench-check-")
	if err != nil {
		return now, fmt.Errorf("no directory to measure in: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, part := range []func(ctx context.Context, dir, binary string, base, now *Baseline) error{benchmarks, instructions, size, atRest} {
		if err := part(ctx, dir, binary, &base, &now); err != nil {
			return now, err
		}
	}
	return now, nil
}
