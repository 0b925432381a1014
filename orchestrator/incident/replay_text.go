package incident

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// WriteText writes the repetition for a reader: what came out in the first line,
// then every step.
func (r Replayed) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	decided := 0
	for _, s := range r.Steps {
		if s.Decided {
			decided++
		}
	}
	fmt.Fprintf(out, "%s  %s  %s\n", r.ID, clean(r.Service, maxName), r.verdict(decided))
	for _, s := range r.Steps {
		how := "a legal step"
		if s.Decided {
			how = "decided again"
		}
		fmt.Fprintf(out, "%8d  %s  %-18s  %-8s  %s%s\n", s.Index, s.Time.UTC().Format(timeForm), clean(s.Kind, maxName), s.Outcome, how, s.P95.text())
		for _, d := range s.Differences {
			fmt.Fprintf(out, "%8s  %s: recorded %s, now %s\n", "", d.Field, d.Recorded, d.Replayed)
		}
		for _, m := range s.Missing {
			fmt.Fprintf(out, "%8s  missing: %s\n", "", m)
		}
	}
	return out.Flush()
}

func (r Replayed) verdict(decided int) string {
	of := fmt.Sprintf("%d decisions were made again", decided)
	if decided == 1 {
		of = "1 decision was made again"
	}
	switch r.Outcome {
	case Same:
		return "SAME: " + of + ", and everything came out as it is recorded"
	case Unproven:
		return "UNPROVEN: " + of + ", and nothing came out otherwise, but evidence is missing"
	}
	return "DIFFERS: " + of + ", and not all came out as it is recorded"
}

func (l *Latency) text() string {
	if l == nil {
		return ""
	}
	ms := func(v *float64) string {
		if v == nil {
			return "none"
		}
		return strconv.FormatFloat(*v, 'f', -1, 64) + " ms"
	}
	return fmt.Sprintf("; P95 %s from the histogram of %d, recorded %s", ms(l.ReplayedMS), l.Samples, ms(l.RecordedMS))
}
