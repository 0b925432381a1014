// Command detection measures how fast faults are found and how often nothing is
// taken for one.
//
// With -binary it runs real demos, each with a fault, side by side, and counts the
// seconds to the incident and to the message. Then it plays a week of several
// services in simulated time, through the sidecar's own histogram, health and
// policy: first well, where every incident is a false alarm, then two days with
// faults.
//
//	go build -o /tmp/countersign ./cmd/countersign
//	go run ./bench/detection -binary /tmp/countersign
//
// Demos take three to four minutes each, the weeks about ten minutes of two
// processors. It writes detection.md and detection.json, and prints the first.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/page"
)

// options are the flags.
type options struct {
	binary, only, out       string
	rounds, parallel        int
	demoRate                float64
	well, wait              time.Duration
	days, faultDays, trials int
	short                   bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the sidecar's binary; without it no demos are run")
	flag.StringVar(&o.only, "only", "", "the demo's faults to try, as error_rate=0.3, with commas between them; all when empty")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each fault of the demo is tried")
	flag.IntVar(&o.parallel, "parallel", 4, "how many demos run at once")
	flag.Float64Var(&o.demoRate, "rate", 50, "requests a second of each demo's customers")
	flag.DurationVar(&o.well, "well", 130*time.Second, "how long a demo is well before its fault; what is usual takes 100 s to know")
	flag.DurationVar(&o.wait, "wait", 2*time.Minute, "how long a fault may take to be found")
	flag.IntVar(&o.days, "days", 7, "days in simulated time with nothing wrong; 0 for no simulation")
	flag.IntVar(&o.faultDays, "fault-days", 2, "days in simulated time with faults")
	flag.IntVar(&o.trials, "seeds", 1, "how often each simulation is played, each time with other traffic")
	flag.BoolVar(&o.short, "short", false, "one service for one day, and no demos")
	flag.StringVar(&o.out, "out", "", "the directory of the report; bench/results, or bin/bench of a short run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := o.check(flag.Args())
	if err == nil {
		err = o.run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "detection:", err)
		os.Exit(1)
	}
}

// check says what of the flags cannot be.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is nothing that it takes: see -help", rest[0])
	case o.rounds < 1 || o.parallel < 1 || o.trials < 1:
		return errors.New("-rounds, -parallel and -seeds must be at least 1")
	case !(o.demoRate > 0) || o.well < 0 || o.wait <= 0:
		return errors.New("-rate and -wait must be more than 0, and -well not less")
	case o.days < 0 || o.faultDays < 0:
		return errors.New("-days and -fault-days must not be less than 0")
	case o.binary == "" && o.days == 0 && !o.short:
		return errors.New("without -binary and with -days 0 there is nothing to measure")
	}
	for _, query := range o.wanted() {
		if !slices.ContainsFunc(knobs, func(k knob) bool { return k.query == query }) {
			return fmt.Errorf("-only has %q, which is none of the demo's faults that are tried: those are in docs/BENCH.md", query)
		}
	}
	return nil
}

// wanted are the faults of -only; none when it is empty.
func (o options) wanted() []string {
	return strings.FieldsFunc(o.only, func(c rune) bool { return c == ',' })
}

func (o options) run(ctx context.Context) error {
	// A simulation's memory is small and soon garbage.
	debug.SetGCPercent(400)
	rates := []float64{1, 10, 50}
	services := shapes
	if o.short {
		o.binary, o.days, o.faultDays, o.trials, rates, services = "", 1, 1, 1, rates[1:2], shapes[:1]
	}
	r := Report{Setting: machine.Begin(), Short: o.short, RatePerSecond: o.demoRate}
	r.Versions = machine.Versions(ctx, ".", machine.Question{Name: "countersign", Line: []string{o.binary, "version"}})
	var err error
	if o.binary != "" {
		r.Demos, err = o.demos(ctx)
	}
	if o.days > 0 {
		var failed error
		r.Weeks, failed = weeks(ctx, services, rates, o.trials, o.days, o.faultDays)
		err = errors.Join(err, failed)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted before there was a report")
	}
	r.End()
	text := r.markdown()
	fmt.Print(text)
	return errors.Join(err, page.Write(page.Directory(o.out, o.short), "detection", text, r))
}

// demos tries every fault in every round. What failed is missing from the rest.
func (o options) demos(ctx context.Context) ([]Detection, error) {
	places := make(chan struct{}, o.parallel)
	var group sync.WaitGroup
	var mu sync.Mutex
	var all []Detection
	var failed error
	only := o.wanted()
	for round := range o.rounds {
		for _, k := range knobs {
			if len(only) > 0 && !slices.Contains(only, k.query) {
				continue
			}
			places <- struct{}{}
			group.Go(func() {
				defer func() { <-places }()
				if ctx.Err() != nil {
					return
				}
				d, err := trial{o.binary, o.demoRate, o.well, o.wait, k, round}.run(ctx)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s, round %d: %w", k.query, round+1, err))
					return
				}
				all = append(all, d)
			})
		}
	}
	group.Wait()
	slices.SortFunc(all, func(a, b Detection) int { return cmp.Or(cmp.Compare(a.Query, b.Query), cmp.Compare(a.Round, b.Round)) })
	return all, failed
}
