package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/stats"
)

// module is where the packages are.
const module = "github.com/countersign-dev/countersign/"

// suites are the benchmarks that are run, by package: for each run, what go test
// takes as -bench.
var suites = []struct {
	pkg  string
	runs []string
}{
	{"histogram", []string{
		"^BenchmarkRecord$/^(counted|running|clock-only)$", "^BenchmarkRecordSpread$", "^BenchmarkRoute$/^(collapsed|templated)$/^id$", "^BenchmarkQuantile$/^counts$",
	}},
	{"proxy", []string{"^BenchmarkExchange$"}},
	{"bench/check/exchange", []string{"^BenchmarkExchange$"}},
	{"orchestrator/policy", []string{"^BenchmarkDecide$"}},
}

// exact are the benchmarks whose allocations must not change.
var exact = []string{
	"histogram.Record/counted", "histogram.Record/running", "histogram.RecordSpread",
	"histogram.Route/collapsed/id", "histogram.Route/templated/id", "histogram.Quantile/counts",
	"proxy.Exchange/measured", "proxy.Exchange/unmeasured", "proxy.Exchange/chunked",
	"orchestrator/policy.Decide",
}

// ratios are of two benchmarks that were run in turn, what matters by what it is
// measured against.
var ratios = []struct{ name, of, by string }{
	{"recording a request by reading the clock twice", "histogram.Record/running", "histogram.Record/clock-only"},
	{"an exchange measured by one unmeasured", "proxy.Exchange/measured", "proxy.Exchange/unmeasured"},
	{"an exchange by one through plain fasthttp", "bench/check/exchange.Exchange/countersign", "bench/check/exchange.Exchange/fasthttp"},
	{"an exchange by a direct one", "bench/check/exchange.Exchange/countersign", "bench/check/exchange.Exchange/direct"},
}

// Rounds are short and many: what disturbs one is soon over.
const (
	rounds    = 8
	benchTime = "50ms"
)

// repetitions is how often all rounds are run when a ratio is beyond what the
// baseline allows: what was disturbed is less then, and what is slower is not.
const repetitions = 3

// outcome is what a benchmark came to in each round.
type outcome struct {
	ns     []float64
	allocs []float64
}

// benchmarks runs the suites in turn, several times. The least of
// a benchmark's times is what it takes when nothing disturbs it: what else happens on
// the machine only adds.
func benchmarks(ctx context.Context, dir, _ string, base, now *Baseline) error {
	programs := make([]string, len(suites))
	for i, s := range suites {
		programs[i] = filepath.Join(dir, strings.ReplaceAll(s.pkg, "/", "-")+".test")
		build := exec.CommandContext(ctx, machine.Go(), "test", "-c", "-o", programs[i], module+s.pkg)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("the benchmarks of %s do not build: %w: %s", s.pkg, err, out)
		}
	}
	all := map[string]*outcome{}
	for range repetitions {
		for range rounds {
			if err := round(ctx, dir, programs, all); err != nil {
				return err
			}
		}
		if err := now.keep(all); err != nil {
			return err
		}
		if !slices.ContainsFunc(compare(*base, *now).rows, func(r row) bool { return r.was.Kind == Ratio && r.verdict == worse }) {
			break
		}
	}
	return nil
}

// round runs every benchmark once, on one processor: how fast two threads wake each
// other says more about the machine than about the code.
func round(ctx context.Context, dir string, programs []string, all map[string]*outcome) error {
	for i, s := range suites {
		for _, pattern := range s.runs {
			run := exec.CommandContext(ctx, programs[i], "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchTime, "-test.benchmem", "-test.cpu", "1")
			run.Dir = dir
			out, err := run.CombinedOutput()
			if err != nil {
				return fmt.Errorf("the benchmarks of %s failed: %w: %s", s.pkg, err, out)
			}
			read(string(out), s.pkg, all)
		}
	}
	return nil
}

// keep takes the figures out of what was measured.
func (b *Baseline) keep(all map[string]*outcome) error {
	for _, name := range exact {
		o := all[name]
		if o == nil || len(o.allocs) == 0 {
			return fmt.Errorf("there is no benchmark %s that reports allocations", name)
		}
		b.Figures[name] = Figure{Allocations, stats.Median(o.allocs)}
	}
	for _, r := range ratios {
		of, by := all[r.of], all[r.by]
		if of == nil || by == nil || len(of.ns) == 0 || len(by.ns) == 0 {
			return fmt.Errorf("there are no two benchmarks %s and %s to compare", r.of, r.by)
		}
		b.Figures[r.name] = Figure{Ratio, slices.Min(of.ns) / slices.Min(by.ns)}
	}
	return nil
}

// read takes in the lines of a benchmark's output, which on one processor have no
// number of them behind the name:
//
//	BenchmarkName/case   12345   67.8 ns/op   0 B/op   0 allocs/op
func read(output, pkg string, all map[string]*outcome) {
	for lines := bufio.NewScanner(strings.NewReader(output)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := pkg + "." + strings.TrimPrefix(fields[0], "Benchmark")
		o := all[name]
		if o == nil {
			o = &outcome{}
			all[name] = o
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				continue
			}
			switch fields[i+1] {
			case "ns/op":
				o.ns = append(o.ns, v)
			case "allocs/op":
				o.allocs = append(o.allocs, v)
			}
		}
	}
}
