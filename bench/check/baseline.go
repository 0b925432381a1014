package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/bench/machine"
)

// Baseline is every figure, and where it was measured.
type Baseline struct {
	Go        string            `json:"go"`
	Arch      string            `json:"arch"`
	Processor string            `json:"processor"`
	Figures   map[string]Figure `json:"figures"`

	// left are the figures that could not be measured here, and why.
	left map[string]string
}

// Figure is one that must not get worse, which is greater.
type Figure struct {
	Kind  Kind    `json:"kind"`
	Value float64 `json:"value"`
}

// Kind says what a figure is and how exactly it comes out again.
type Kind string

// The kinds.
const (
	Allocations  Kind = "allocs/op"
	Ratio        Kind = "ratio"
	Instructions Kind = "instructions"
	Bytes        Kind = "bytes"
	Resident     Kind = "resident KiB"
)

// tolerances are the shares by which a figure may be greater than its baseline.
// Allocations must be the same, so that the baseline never lags behind. Ratios
// are of times on a machine that others use too; the instructions of a map's
// iteration depend on a seed; resident memory on the moment, the kernel and the
// file system.
var tolerances = map[Kind]float64{Allocations: 0, Ratio: 1, Instructions: 0.05, Bytes: 0.02, Resident: 0.3}

// limits are promises that hold whatever the baseline says.
var limits = map[string]float64{binaryFigure: 30e6, restFigure: 30 << 10}

// comparable says why a figure of a kind means nothing beside the baseline's,
// empty when it does.
func (k Kind) comparable(base, now Baseline) (why string) {
	switch {
	case k != Allocations && base.Arch != now.Arch:
		return "the baseline is of " + base.Arch
	case (k == Ratio || k == Instructions) && base.Processor != now.Processor:
		// The library's routines are chosen by what the processor can do.
		return "the baseline is of a processor " + base.Processor
	}
	return ""
}

// here is an empty one of this machine.
func here() Baseline {
	return Baseline{Go: runtime.Version(), Arch: runtime.GOARCH, Processor: machine.Describe().CPU, Figures: map[string]Figure{}, left: map[string]string{}}
}

func readBaseline(file string) (Baseline, error) {
	var b Baseline
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("there is no baseline %s: write it with -update", file)
	}
	if err != nil {
		return b, fmt.Errorf("the baseline cannot be read: %w", err)
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("the baseline %s cannot be read: %w", file, err)
	}
	for name, f := range b.Figures {
		if _, known := tolerances[f.Kind]; !known {
			return b, fmt.Errorf("the baseline %s has %s of the unknown kind %q", file, name, f.Kind)
		}
	}
	return b, nil
}

// write refuses to leave figures out that a baseline should have.
func (b Baseline) write(file string) error {
	for _, name := range slices.Sorted(maps.Keys(b.left)) {
		return fmt.Errorf("the baseline would lack %s: %s", name, b.left[name])
	}
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("the baseline cannot be written: %w", err)
	}
	return nil
}

// verdict is what became of a figure.
type verdict string

const (
	same   verdict = ""
	worse  verdict = "WORSE"
	better verdict = "better"
	added  verdict = "not in the baseline"
	gone   verdict = "not measured"
)

// row compares one figure.
type row struct {
	name      string
	was, is   Figure
	verdict   verdict
	note      string
	tolerance float64
}

// comparison is all of them.
type comparison struct {
	rows []row
	note string
}

// compare judges each figure of now by base.
func compare(base, now Baseline) comparison {
	var c comparison
	if base.Go != now.Go {
		c.note = fmt.Sprintf("The baseline is of %s and this is %s: instructions and allocations may differ for that reason alone.\n", base.Go, now.Go)
	}
	names := map[string]bool{}
	for name := range base.Figures {
		names[name] = true
	}
	for name := range now.Figures {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, known := base.Figures[name]
		is, measured := now.Figures[name]
		r := row{name: name, was: was, is: is, tolerance: tolerances[was.Kind]}
		switch {
		case !known:
			r.verdict, r.note = added, "write the baseline anew with -update"
		case !measured && now.left[name] != "":
			r.note = "left out: " + now.left[name]
		case !measured:
			r.verdict, r.note = gone, "it has no benchmark any more: write the baseline anew with -update"
		case was.Kind.comparable(base, now) != "":
			r.note = "left out: " + was.Kind.comparable(base, now)
		default:
			r.judge()
		}
		c.rows = append(c.rows, r)
	}
	return c
}

// judge compares a figure that is in both.
func (r *row) judge() {
	switch allowed := r.was.Value * (1 + r.tolerance); {
	case limits[r.name] > 0 && r.is.Value > limits[r.name]:
		r.verdict, r.note = worse, fmt.Sprintf("the limit is %s", number(limits[r.name]))
	case r.is.Value > allowed:
		r.verdict = worse
	case r.was.Kind == Allocations && r.is.Value < r.was.Value:
		r.verdict, r.note = worse, "fewer, which is better: keep it so with -update"
	case r.is.Value < r.was.Value*(1-r.tolerance):
		r.verdict, r.note = better, "keep it so with -update"
	}
}

// worse says whether something must be done.
func (c comparison) worse() bool {
	return slices.ContainsFunc(c.rows, func(r row) bool { return r.verdict != same && r.verdict != better })
}

// text lists the figures, and then what is worse, once more, in a sentence each.
func (c comparison) text() string {
	var all, moved strings.Builder
	for _, r := range c.rows {
		change := "="
		if r.was.Value > 0 && r.is.Kind != "" {
			change = fmt.Sprintf("%+.1f %%", (r.is.Value/r.was.Value-1)*100)
		}
		fmt.Fprintf(&all, "%-12s %-52s %12s → %-12s %9s  %s\n", kindOf(r), r.name, shown(r.was), shown(r.is), change, strings.TrimSpace(string(r.verdict)+" "+r.note))
		switch r.verdict {
		case worse:
			fmt.Fprintf(&moved, "%s: %s %s, was %s", r.name, number(r.is.Value), r.is.Kind, number(r.was.Value))
			if r.tolerance > 0 {
				fmt.Fprintf(&moved, " (%s is more than the %.0f %% allowed)", change, r.tolerance*100)
			}
			fmt.Fprintf(&moved, "%s\n", prefixed("; ", r.note))
		case added, gone:
			fmt.Fprintf(&moved, "%s: %s%s\n", r.name, r.verdict, prefixed("; ", r.note))
		}
	}
	all.WriteString(c.note)
	if moved.Len() > 0 {
		all.WriteString("\nbench-check: not as in the baseline:\n" + moved.String())
	} else {
		all.WriteString("bench-check: nothing is worse than in the baseline\n")
	}
	return all.String()
}

func kindOf(r row) Kind {
	if r.was.Kind != "" {
		return r.was.Kind
	}
	return r.is.Kind
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func shown(f Figure) string {
	if f.Kind == "" {
		return "–"
	}
	return number(f.Value)
}

func number(v float64) string {
	if v == float64(int64(v)) {
		return fmt.Sprintf("%d", int64(v))
	}
	return fmt.Sprintf("%.2f", v)
}
