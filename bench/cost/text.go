package cost

import (
	"fmt"
	"strings"
)

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	load := "as many requests as are answered"
	if r.Rate > 0 {
		load = fmt.Sprintf("%g requests a second", r.Rate)
	}
	fmt.Fprintf(&b, "%s %s\n%s over %d connections; %d rounds of %gs each way, in turn; %d CPUs, %s\n\n",
		r.Method, r.URL, load, r.Connections, r.Rounds, r.Seconds, r.CPUs, r.System)
	fmt.Fprintf(&b, "%-24s %10s %10s %10s %12s %14s %10s\n", "", "P50", "P95", "P99", "answers/s", "CPU a request", "memory")
	r.Direct.row(&b, "direct")
	r.Sidecar.row(&b, "with the sidecar")
	r.Forwarding.row(&b, "  its measuring off")
	fmt.Fprintf(&b, "\n%-24s %-30s %-30s %s\n", "difference", "P50", "P95", "P99")
	r.Noise.row(&b, "direct against direct")
	r.Added.row(&b, "the sidecar adds")
	r.Measured.row(&b, "  of it, measuring")
	fmt.Fprintf(&b, "\n%s\n", r.Sentence())
	return b.String()
}

func (a Arm) row(b *strings.Builder, name string) {
	cpu, memory := "", ""
	if a.MemoryBytes > 0 {
		cpu, memory = fmt.Sprintf("%.1f µs", a.CPU), mebibytes(a.MemoryBytes)
	}
	line := fmt.Sprintf("%-24s %10s %10s %10s %12.1f %14s %10s", name, ms(a.P50), ms(a.P95), ms(a.P99), a.Throughput, cpu, memory)
	fmt.Fprintln(b, strings.TrimRight(line, " "))
}

func (a Added) row(b *strings.Builder, name string) {
	fmt.Fprintf(b, "%-24s %-30s %-30s %s\n", name, a.P50, a.P95, a.P99)
}

// String is the difference and its interval.
func (i Interval) String() string {
	return fmt.Sprintf("%+.3f ms (%+.3f to %+.3f)", i.Value, i.Low, i.High)
}

func ms(v float64) string { return fmt.Sprintf("%.3f ms", v) }

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// Sentence is the answer in words.
func (r Report) Sentence() string {
	s := fmt.Sprintf("To the request in the middle the sidecar adds %s, to the slowest one in twenty %s. It takes %.0f µs of a processor for each request, and %s of memory.",
		r.Added.P50.words(r.Noise.P50), r.Added.P95.words(r.Noise.P95), r.Sidecar.CPU, mebibytes(r.Sidecar.MemoryBytes))
	if r.Rate > 0 {
		s += fmt.Sprintf(" At this rate that is %.1f %% of one processor.", r.Sidecar.CPU*r.Rate/1e4)
	} else {
		s += fmt.Sprintf(" With API, sidecar and this load on the same %d CPUs, %.0f requests a second are answered instead of %.0f.", r.CPUs, r.Sidecar.Throughput, r.Direct.Throughput)
	}
	if r.Measured.P50.within(Interval{}) || r.Measured.P50.within(r.Noise.P50) {
		return s + " What of it is measuring cannot be told from noise."
	}
	return s + fmt.Sprintf(" Measuring is %.3f ms of it.", r.Measured.P50.Value)
}

// words is a difference as far as it can be told from noise.
func (i Interval) words(noise Interval) string {
	if i.within(noise) {
		return "no more than can be told from noise"
	}
	return ms(i.Value)
}
