package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/stats"
)

// Report is what came out.
type Report struct {
	machine.Setting
	Short bool `json:"short"` // shows that everything works, and nothing else
	// RatePerSecond is of the demos' customers.
	RatePerSecond float64     `json:"rate_per_second"`
	Demos         []Detection `json:"demos"`
	Weeks         []Week      `json:"weeks"`
}

// markdown is the report for people.
func (r Report) markdown() string {
	var b strings.Builder
	b.WriteString(r.Head("Detection", r.Short))
	if len(r.Demos) > 0 {
		r.demoTable(&b)
	}
	if len(r.Weeks) > 0 {
		r.falseTable(&b)
		r.foundTable(&b)
	}
	return b.String()
}

func (r Report) demoTable(b *strings.Builder) {
	fmt.Fprintf(b, "Seconds from a fault of the demo, which has %v requests a second, median (least to most):\n\n", r.RatePerSecond)
	b.WriteString("| Fault | rounds | incident | first message | message with a link |\n|---|---:|---:|---:|---:|\n")
	early := 0
	for _, k := range knobs {
		var all []Detection
		for _, d := range r.Demos {
			switch {
			case d.Query == k.query && d.Early:
				early++
			case d.Query == k.query:
				all = append(all, d)
			}
		}
		if len(all) > 0 {
			fmt.Fprintf(b, "| %s (`%s`) | %d |", k.name, k.query, len(all))
			for _, of := range []func(Detection) *float64{
				func(d Detection) *float64 { return d.Incident }, func(d Detection) *float64 { return d.Message }, func(d Detection) *float64 { return d.Link },
			} {
				fmt.Fprintf(b, " %s |", spread(all, of))
			}
			b.WriteString("\n")
		}
	}
	if early > 0 {
		fmt.Fprintf(b, "\nNot among them are %d of %d rounds, as an incident had opened before the fault: a false alarm, for which a machine that is too busy may be the reason.\n", early, len(r.Demos))
	}
}

// spread is a column of several rounds.
func spread(all []Detection, of func(Detection) *float64) string {
	var values []float64
	for _, d := range all {
		if v := of(d); v != nil {
			values = append(values, *v)
		}
	}
	if len(values) == 0 {
		return "never"
	}
	text := fmt.Sprintf("%.1f (%.1f to %.1f)", stats.Median(values), slices.Min(values), slices.Max(values))
	if missing := len(all) - len(values); missing > 0 {
		text += fmt.Sprintf(", %d never", missing)
	}
	return text
}

func (r Report) falseTable(b *strings.Builder) {
	b.WriteString("\nFalse alarms in simulated time, with nothing wrong:\n\n")
	b.WriteString("| Latencies | requests/s | days | requests | incidents | of which somebody would be asked to act | a week |\n|---|---:|---:|---:|---:|---:|---:|\n")
	var days, opened, asked float64
	for _, w := range r.Weeks {
		held := 0
		for _, a := range w.False {
			if a.Validated {
				held++
			}
		}
		days, opened, asked = days+w.Days, opened+float64(len(w.False)), asked+float64(held)
		fmt.Fprintf(b, "| %s | %v | %.1f | %d | %d | %d | %.1f |\n",
			w.Latencies, w.RatePerSecond, w.Days, w.Requests, len(w.False), held, 7*float64(len(w.False))/w.Days)
	}
	fmt.Fprintf(b, "\nOver all: %.2f false alarms a week, %.2f of them held long enough to ask somebody.\n", 7*opened/days, 7*asked/days)
	for _, w := range r.Weeks {
		for _, a := range w.False {
			near := cmp.Or(a.Near, "nothing in particular")
			fmt.Fprintf(b, "- %s, %v/s, %s, %.0f s, near: %s; %s\n", w.Latencies, w.RatePerSecond, a.At.Format("Mon 15:04:05"), a.Seconds, near, a.Why)
		}
	}
}

func (r Report) foundTable(b *strings.Builder) {
	b.WriteString("\nFaults found in the same traffic, and the seconds it took, median (most):\n\n| Fault |")
	var rates []float64
	for _, w := range r.Weeks {
		if !slices.Contains(rates, w.RatePerSecond) {
			rates = append(rates, w.RatePerSecond)
		}
	}
	for _, rate := range rates {
		fmt.Fprintf(b, " %v requests/s |", rate)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(rates)) + "\n")
	for i, k := range kinds {
		fmt.Fprintf(b, "| %s |", k.name)
		for _, rate := range rates {
			var seconds []float64
			faults := 0
			for _, w := range r.Weeks {
				if w.RatePerSecond == rate {
					faults += w.Found[i].Faults
					seconds = append(seconds, w.Found[i].Seconds...)
				}
			}
			fmt.Fprintf(b, " %d of %d", len(seconds), faults)
			if len(seconds) > 0 {
				fmt.Fprintf(b, ", %.0f (%.0f)", stats.Median(seconds), slices.Max(seconds))
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
}
