package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func baselineOf(figures map[string]Figure) Baseline {
	b := here()
	b.Figures = figures
	return b
}

func TestCompareNamesWhatMoved(t *testing.T) {
	for name, c := range map[string]struct {
		was, is float64
		kind    Kind
		worse   bool
		says    string
	}{
		"as before":                    {2, 2, Allocations, false, "nothing is worse"},
		"one allocation more":          {0, 1, Allocations, true, "figure: 1 allocs/op, was 0"},
		"one allocation fewer":         {2, 1, Allocations, true, "fewer, which is better: keep it so with -update"},
		"a ratio within its tolerance": {2, 3.5, Ratio, false, "nothing is worse"},
		"a ratio beyond it":            {2, 5, Ratio, true, "figure: 5 ratio, was 2 (+150.0 % is more than the 100 % allowed)"},
		"instructions that are fewer":  {1000, 900, Instructions, false, "better keep it so with -update"},
		"a few instructions more":      {1000, 1020, Instructions, false, "nothing is worse"},
		"many more":                    {1000, 1060, Instructions, true, "+6.0 % is more than the 5 % allowed"},
	} {
		got := compare(baselineOf(map[string]Figure{"figure": {c.kind, c.was}}), baselineOf(map[string]Figure{"figure": {c.kind, c.is}}))
		if got.worse() != c.worse || !strings.Contains(got.text(), c.says) {
			t.Errorf("%s: worse %v, want %v and %q in\n%s", name, got.worse(), c.worse, c.says, got.text())
		}
	}
}

func TestCompareMissesNothing(t *testing.T) {
	figures := map[string]Figure{"a": {Ratio, 1}}
	none := baselineOf(map[string]Figure{})
	if got := compare(baselineOf(figures), none); !got.worse() || !strings.Contains(got.text(), "a: not measured") {
		t.Errorf("a figure that is gone: %s", got.text())
	}
	none.left["a"] = "valgrind is not installed"
	if got := compare(baselineOf(figures), none); got.worse() || !strings.Contains(got.text(), "left out: valgrind is not installed") {
		t.Errorf("a figure that is left out: %s", got.text())
	}
	if got := compare(baselineOf(map[string]Figure{}), baselineOf(figures)); !got.worse() || !strings.Contains(got.text(), "a: not in the baseline") {
		t.Errorf("a figure that is new: %s", got.text())
	}
	other := baselineOf(map[string]Figure{"a": {Ratio, 0.1}, "b": {Allocations, 0}})
	other.Arch = "another"
	now := baselineOf(map[string]Figure{"a": {Ratio, 1}, "b": {Allocations, 1}})
	got := compare(other, now)
	if text := got.text(); !got.worse() || strings.Contains(text, "a: 1 ratio") || !strings.Contains(text, "b: 1 allocs/op") {
		t.Errorf("the baseline of another architecture:\n%s", text)
	}
	other = baselineOf(map[string]Figure{"a": {Ratio, 0.1}, "b": {Instructions, 1}, "c": {Bytes, 1}})
	other.Processor = "another"
	got = compare(other, baselineOf(map[string]Figure{"a": {Ratio, 1}, "b": {Instructions, 9}, "c": {Bytes, 9}}))
	if text := got.text(); strings.Contains(text, "a: 1 ratio") || strings.Contains(text, "b: 9") || !strings.Contains(text, "c: 9 bytes") {
		t.Errorf("the baseline of another processor:\n%s", text)
	}
	// The promise holds even where the baseline has been allowed to creep.
	big := baselineOf(map[string]Figure{binaryFigure: {Bytes, 31e6}})
	if got := compare(big, big); !got.worse() || !strings.Contains(got.text(), "the limit is 30000000") {
		t.Errorf("a binary beyond its limit: %s", got.text())
	}
}

func TestBenchmarkOutputIsRead(t *testing.T) {
	const output = `goos: linux
BenchmarkRecord/counted   	 1000	        40.5 ns/op	       0 B/op	       0 allocs/op
BenchmarkRecord/clock-only	 1000	        20 ns/op	        12 B/op	       3 allocs/op
BenchmarkRecord/counted   	 1000	        60 ns/op	       0 B/op	       0 allocs/op
BenchmarkRecord/clock-only	 1000	        20 ns/op	        12 B/op	       3 allocs/op
PASS
`
	all := map[string]*outcome{}
	read(output, "histogram", all)
	counted, clock := all["histogram.Record/counted"], all["histogram.Record/clock-only"]
	if counted == nil || clock == nil || len(all) != 2 {
		t.Fatalf("read %v", all)
	}
	if len(counted.ns) != 2 || counted.ns[0] != 40.5 || counted.ns[1] != 60 || clock.allocs[1] != 3 {
		t.Errorf("read %+v and %+v", counted, clock)
	}
	if err := (&Baseline{Figures: map[string]Figure{}}).keep(all); err == nil || !strings.Contains(err.Error(), "there is no benchmark") {
		t.Errorf("benchmarks that are gone are not noticed: %v", err)
	}
	all = map[string]*outcome{}
	for _, name := range exact {
		all[name] = &outcome{ns: []float64{1}, allocs: []float64{7, 7, 7}}
	}
	for _, r := range ratios {
		all[r.of], all[r.by] = &outcome{ns: []float64{90, 30, 60}, allocs: []float64{7}}, &outcome{ns: []float64{20, 80, 10}, allocs: []float64{7}}
	}
	b := baselineOf(map[string]Figure{})
	all["proxy.Exchange/unmeasured"] = &outcome{ns: []float64{15}, allocs: []float64{7}}
	if err := b.keep(all); err != nil {
		t.Fatal(err)
	}
	if got := b.Figures["an exchange measured by one unmeasured"]; got != (Figure{Ratio, 2}) || b.Figures[exact[0]] != (Figure{Allocations, 7}) {
		t.Errorf("kept %v and %v", got, b.Figures[exact[0]])
	}
}

// What is written is read again; a baseline that lacks something is not written.
func TestBaselineFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "baseline.json")
	if _, err := readBaseline(file); err == nil || !strings.Contains(err.Error(), "-update") {
		t.Errorf("no baseline: %v", err)
	}
	b := baselineOf(map[string]Figure{"a": {Ratio, 1.25}})
	if err := b.write(file); err != nil {
		t.Fatal(err)
	}
	again, err := readBaseline(file)
	if err != nil || again.Figures["a"] != b.Figures["a"] || again.Go != b.Go {
		t.Errorf("read %+v, %v", again, err)
	}
	b.left["c"] = "valgrind is not installed"
	if err := b.write(file); err == nil {
		t.Error("a baseline without all figures was written")
	}
	if err := os.WriteFile(file, []byte(`{"figures":{"a":{"kind":"guess","value":1}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readBaseline(file); err == nil || !strings.Contains(err.Error(), `unknown kind "guess"`) {
		t.Errorf("an unknown kind: %v", err)
	}
}

// The committed baseline is one that this program writes.
func TestCommittedBaseline(t *testing.T) {
	b, err := readBaseline(filepath.Join("..", "baseline.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range exact {
		if b.Figures[name].Kind != Allocations {
			t.Errorf("the baseline has no allocations of %s", name)
		}
	}
	for _, r := range ratios {
		if f := b.Figures[r.name]; f.Kind != Ratio || f.Value <= 0 {
			t.Errorf("the baseline has no ratio of %s", r.name)
		}
	}
	for name, limit := range limits {
		if f := b.Figures[name]; f.Value <= 0 || f.Value > limit {
			t.Errorf("%s is %v in the baseline, and the limit %v", name, f.Value, limit)
		}
	}
}

// What the runtime does beside a few repetitions may be more than they are, and less.
func TestRepetitionsGrow(t *testing.T) {
	for _, c := range []struct{ times, seen, want int64 }{
		{100, -60_000, 2000}, {100, 0, 2000}, {100, 1, 2000}, {2000, 500_000, 40_000}, {40_000, 10_000_000, 160_000}, {100, enough/2 - 1, 200},
	} {
		if got := next(c.times, c.seen); got != c.want {
			t.Errorf("after %d instructions of %d times: %d times, want %d", c.seen, c.times, got, c.want)
		}
	}
}

func TestResidentOf(t *testing.T) {
	if v, err := residentOf("Name:\tx\nVmHWM:\t  9999 kB\nVmRSS:\t   16436 kB\n"); err != nil || v != 16436 {
		t.Errorf("%v, %v", v, err)
	}
	if _, err := residentOf("Name:\tx\n"); err == nil {
		t.Error("a status without memory has some")
	}
}
