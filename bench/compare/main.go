// Command compare measures the sidecar beside what people would use in its
// place: the same upstream, the same load, in turn, on this machine. make bench
// runs it; docs/BENCH.md says what the figures mean.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/page"
	"github.com/countersign-dev/countersign/bench/peer"
)

// options are what it is told.
type options struct {
	root, binary, out string
	against           string // another build; empty if none
	only              *regexp.Regexp
	rounds            int
	each              time.Duration
	short             bool
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("compare: ")
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if len(os.Args) == 2 && os.Args[1] == roundWord {
		if err := carryOutRound(ctx, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.StringVar(&o.root, "root", ".", "the `directory` of the repository")
	flags.StringVar(&o.binary, "binary", "bin/countersign", "the sidecar that is measured, a `file`")
	flags.StringVar(&o.against, "against", "", "another build of the sidecar, a `file`: the two beside each other, nginx and HAProxy, and nothing else")
	flags.StringVar(&o.out, "out", "", "the `directory` of the report; bench/results, or bin/bench of a short run and of -against")
	flags.IntVar(&o.rounds, "rounds", 10, "how many `rounds` each scenario has, from 3")
	flags.DurationVar(&o.each, "for", time.Second, "how long each peer is measured in a round")
	flags.BoolVar(&o.short, "short", false, "3 rounds of 0.4s of three scenarios, to see that it works")
	only := flags.String("only", "", "a regular expression: the `scenarios` to measure")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is nothing that it takes: see -help", flags.Arg(0))
	}
	if o.short {
		o.rounds, o.each = 3, 400*time.Millisecond
	}
	o.out = page.Directory(o.out, o.short || o.against != "")
	if o.rounds < 3 || o.each < 100*time.Millisecond {
		return o, errors.New("-rounds must be 3 at least, and -for 100ms: fewer give no interval")
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	return o, nil
}

// run measures and reports. What the figures say is no error; that they cannot be relied on is one.
func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	report, err := measure(ctx, o, dir)
	if err != nil {
		return err
	}
	report.Claims = judge(report)
	if err := write(o.out, report); err != nil {
		return err
	}
	for _, c := range report.Claims {
		fmt.Printf("%s: %s: %s\n", c.Verdict, c.Text, c.Says)
	}
	fmt.Printf("the report is %s\n", filepath.Join(o.out, "RESULTS.md"))
	return sound(report)
}

func measure(ctx context.Context, o options, dir string) (r *Report, err error) {
	r = &Report{Setting: machine.Begin(), Short: o.short, Against: o.against, Rounds: o.rounds, Each: o.each}
	b, closePlace, err := prepare(ctx, o, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closePlace()) }()
	p := b.place.Programs
	r.Versions = machine.Versions(ctx, o.root, machine.Question{Name: "countersign", Line: []string{p.Countersign, "version"}},
		machine.Question{Name: "nginx", Line: []string{p.Nginx, "-v"}}, machine.Question{Name: "haproxy", Line: []string{p.HAProxy, "-v"}},
		machine.Question{Name: "caddy", Line: []string{p.Caddy, "version"}})
	info, err := os.Stat(o.binary)
	if err != nil {
		return nil, err
	}
	r.Binary = info.Size()
	stop, err := r.StayAwake(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	b.scenarios(ctx, o, r)
	if err := b.rest(ctx, o, r); err != nil {
		return nil, err
	}
	r.LeftOut = b.leftOut
	r.End()
	return r, ctx.Err()
}

// prepare builds the programs, and makes the places where they run.
func prepare(ctx context.Context, o options, dir string) (b *bench, closeAll func() error, err error) {
	fmt.Println("building the peers")
	programs, err := peer.Build(ctx, o.root, dir, o.binary)
	if err != nil {
		return nil, nil, err
	}
	if programs.Caddy, err = peer.Caddy(ctx, o.root, !o.short); err != nil {
		return nil, nil, err
	}
	programs.CountersignTwo = o.against
	b = &bench{rounds: o.rounds, each: o.each, warm: o.each / 5, progress: os.Stdout, place: &peer.Bench{Dir: dir, Programs: programs}}
	if os.Geteuid() != 0 {
		return b, func() error { return nil }, nil
	}
	if b.place.Inside, err = peer.NewNamespace(); err != nil {
		return nil, nil, err
	}
	probed, err := peer.NewNamespace()
	if err != nil {
		return nil, nil, errors.Join(err, b.place.Inside.Close())
	}
	b.probed = &peer.Bench{Dir: dir, Programs: programs, Inside: probed}
	return b, func() error { return errors.Join(b.place.Inside.Close(), probed.Close()) }, nil
}

// scenarios measures what is wanted. The rate of some depends on what others have found.
func (b *bench) scenarios(ctx context.Context, o options, r *Report) {
	all := scenarios()
	switch {
	case o.against != "":
		all = buildScenarios()
	case o.short:
		all = shortScenarios()
	}
	for _, s := range all {
		if !o.only.MatchString(s.Name) || ctx.Err() != nil {
			continue
		}
		s.Peers = slices.DeleteFunc(slices.Clone(s.Peers), func(name string) bool { return b.peers[name] == nil })
		if len(s.Peers) < 2 {
			b.leaveOut(s.Name, "too few of those that it compares are there")
			continue
		}
		if s.HalfSaturation {
			of := r.find(saturated)
			if of == nil || of.Broken != "" {
				b.leaveOut(s.Name, "it needs what "+saturated+" finds")
				continue
			}
			var tooSlow []string
			s.Rate, tooSlow = halfOf(of)
			s.Peers = b.without(s, tooSlow)
		}
		r.Scenarios = append(r.Scenarios, b.measure(ctx, s))
	}
}

// without leaves peers out of a scenario.
func (b *bench) without(s Scenario, tooSlow []string) (left []string) {
	slow := map[string]bool{}
	for _, name := range tooSlow {
		slow[name] = true
		b.leaveOut(peer.About[name]+" in "+s.Name, fmt.Sprintf("it does not carry %.0f requests a second with a quarter to spare", s.Rate))
	}
	for _, name := range s.Peers {
		if !slow[name] {
			left = append(left, name)
		}
	}
	return left
}

// rest measures what is no scenario.
func (b *bench) rest(ctx context.Context, o options, r *Report) (err error) {
	if o.against != "" {
		return nil
	}
	times, requests, bytes := 10, remembered, gibibyte
	if o.short {
		times, requests, bytes = 1, remembered/100, gibibyte/16
	}
	if o.only.MatchString("starts") {
		if r.Starts, err = b.starts(ctx, times); err != nil {
			return err
		}
	}
	if o.only.MatchString("memory") {
		r.Memory, err = b.memory(ctx, requests, bytes)
	}
	return err
}

// write writes the report into a directory, over an earlier one.
func write(dir string, r *Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "LATEST.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	charts, err := writeCharts(dir, r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(markdown(r, charts)), 0o644)
}
