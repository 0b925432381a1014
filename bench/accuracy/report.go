package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/stats"
)

// Report is what came out. Shares are of the true P95: 0.01 is 1 %.
type Report struct {
	machine.Setting
	// Runs is how many runs each figure of Fed is over.
	Runs int    `json:"runs"`
	Fed  []Case `json:"fed"`
	// Programs is empty when they were not asked for.
	Programs []Trial `json:"programs,omitempty"`
}

// Case is a distribution at a scale, over all its runs.
type Case struct {
	Distribution string    `json:"distribution"`
	TypicalMS    float64   `json:"typical_ms"`
	TruthMS      []float64 `json:"truth_ms"`
	Tools        []Off     `json:"tools"`

	offs [][]float64
}

// Off is how far a tool was off.
type Off struct {
	Tool   string  `json:"tool"`
	Median float64 `json:"median"`
	Worst  float64 `json:"worst"`
	// Bracketed is of how many runs the tool gave a bracket, Held in how many of
	// these it contained the true value.
	Bracketed int `json:"bracketed"`
	Held      int `json:"held"`
}

func newCase(distribution string, typical time.Duration) Case {
	c := Case{Distribution: distribution, TypicalMS: typical.Seconds() * 1e3, offs: make([][]float64, len(tools))}
	for _, n := range tools {
		c.Tools = append(c.Tools, Off{Tool: n.name})
	}
	return c
}

// add takes in what the i-th tool reported of a run.
func (c *Case) add(i int, e estimate, truth int64) {
	c.offs[i] = append(c.offs[i], e.offBy(truth))
	if e.bracketed() {
		c.Tools[i].Bracketed++
		if e.holds(truth) {
			c.Tools[i].Held++
		}
	}
}

// done is the case with its figures.
func (c Case) done() Case {
	for i, offs := range c.offs {
		c.Tools[i].Median, c.Tools[i].Worst = stats.Median(offs), slices.Max(offs)
	}
	return c
}

// missed is in how many fed runs our bracket did not contain the true P95.
func (r Report) missed() int {
	n := 0
	for _, c := range r.Fed {
		for _, o := range c.Tools {
			if o.Tool == ours {
				n += r.Runs - o.Held
			}
		}
	}
	return n
}

// held says whether our bracket contained the true P95 in every run and trial.
func (r Report) held() bool {
	for _, t := range r.Programs {
		if t.Program == ours && !t.Between {
			return false
		}
	}
	return r.missed() == 0
}

// closer lists the cases in which another tool's worst run was nearer to the truth
// than our worst.
func (r Report) closer() []string {
	var out []string
	for _, c := range r.Fed {
		var own float64
		for _, o := range c.Tools {
			if o.Tool == ours {
				own = o.Worst
			}
		}
		for _, o := range c.Tools {
			if o.Tool != ours && o.Worst < own {
				out = append(out, fmt.Sprintf("%s, %s around %v ms: %s against %s", o.Tool, c.Distribution, c.TypicalMS, percent(o.Worst), percent(own)))
			}
		}
	}
	return out
}

// markdown is the report for people.
func (r Report) markdown() string {
	var b strings.Builder
	b.WriteString(r.Head("Accuracy of P95", false))
	fmt.Fprintf(&b, "Share by which the reported P95 is off, median / worst of %d runs:\n\n| Latencies |", r.Runs)
	for _, n := range tools {
		fmt.Fprintf(&b, " %s |", n.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(tools)) + "\n")
	for _, c := range r.Fed {
		fmt.Fprintf(&b, "| %s, around %v ms |", c.Distribution, c.TypicalMS)
		for _, o := range c.Tools {
			fmt.Fprintf(&b, " %s / %s |", percent(o.Median), percent(o.Worst))
		}
		b.WriteString("\n")
	}
	all := r.Runs * len(r.Fed)
	fmt.Fprintf(&b, "\nThe bracket contained the true P95 in %d of %d runs.\n", all-r.missed(), all)
	if closer := r.closer(); len(closer) > 0 {
		b.WriteString("\nAnother tool's worst run was closer than ours:\n\n")
		for _, line := range closer {
			b.WriteString("- " + line + "\n")
		}
	} else {
		b.WriteString("\nNo other tool's worst run was closer than ours.\n")
	}
	if len(r.Programs) > 0 {
		b.WriteString("\n" + trialTable(r.Programs))
	}
	return b.String()
}

func percent(share float64) string {
	if share >= 0.1 {
		return fmt.Sprintf("%.0f %%", share*100)
	}
	return fmt.Sprintf("%.2g %%", share*100)
}
