package backtest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// WriteJSON writes the result for a program: an object, indented.
func (r Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteText writes the result for a person, times in UTC.
func (r Result) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	t := text{out}
	t.head(r)
	t.would(r.Would)
	t.missed(r.Recorded)
	t.watched(r.Shadowed)
	t.summary(r)
	return out.Flush()
}

// text prints; its writer keeps the first error.
type text struct{ out *bufio.Writer }

func (t text) line(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format+"\n", args...)
}

// table prints rows, aligned. A row's notes stand below it.
func (t text) table(rows [][]string, notes []string) {
	var aligned strings.Builder
	tw := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = fmt.Fprintln(tw, "  "+strings.Join(row, "\t"))
	}
	_ = tw.Flush() // a Builder takes everything
	for n, line := range strings.Split(strings.TrimSuffix(aligned.String(), "\n"), "\n") {
		t.line("%s", strings.TrimRight(line, " "))
		if n < len(notes) && notes[n] != "" {
			t.line("      %s", notes[n])
		}
	}
}

func (t text) head(r Result) {
	t.line("policy    %s  %s", clean(r.Policy.Version), r.Policy.Digest)
	t.line("recorded  %s to %s UTC, %s", stamp(r.From), stamp(r.To), counted(r.Ticks, "tick", "ticks"))
	for n, digest := range r.Policies {
		label := ""
		if n == 0 {
			label = "in force"
		}
		t.line("%-8s  %s", label, clean(digest))
	}
	if r.Gaps > 0 {
		t.line("missing   %s in %s: nothing is held to have gone on meanwhile", length(r.MissingSeconds), counted(r.Gaps, "gap", "gaps"))
	}
	if r.Damaged > 0 {
		t.line("damaged   %s could not be read; the first: %s", counted(r.Damaged, "record or file", "records or files"), clean(r.FirstDamage))
	}
	if len(r.Unchecked) > 0 {
		t.line("unknown   no check was recorded of %s: nothing can be said of these targets", clean(strings.Join(r.Unchecked, ", ")))
	}
}

func (t text) would(all []Interval) {
	if len(all) == 0 {
		return
	}
	t.line("\nwould have opened")
	rows, notes := [][]string{{"FROM", "TO", "FOR", "SCORE", "GATES", "RECORDED"}}, []string{""}
	for _, i := range all {
		recorded := []string{}
		for _, id := range i.Recorded {
			if id == "" {
				id = "breached, no incident"
			}
			recorded = append(recorded, clean(id))
		}
		if len(recorded) == 0 {
			recorded = []string{"nothing"}
		}
		to := stamp(i.To)
		switch i.End {
		case Paused:
			to += " (recording pauses)"
		case StillOpen:
			to += " (still open)"
		}
		rows = append(rows, []string{
			stamp(i.From), to, length(i.Seconds()), fmt.Sprintf("%.1f", i.WorstScore),
			clean(strings.Join(i.Gates, ", ")), strings.Join(recorded, ", "),
		})
		why := clean(i.Why)
		if !i.Validated {
			why += " (it would not have been validated)"
		}
		notes = append(notes, why)
	}
	t.table(rows, notes)
}

func (t text) missed(all []Recorded) {
	rows := [][]string{{"FROM", "TO", "FOR", "INCIDENT"}}
	for _, rec := range all {
		if rec.Would {
			continue
		}
		id := clean(rec.IncidentID)
		if id == "" {
			id = "breached, no incident"
		}
		rows = append(rows, []string{stamp(rec.From), stamp(rec.To), length(rec.To.Sub(rec.From).Seconds()), id})
	}
	if len(rows) > 1 {
		t.line("\nrecorded, and would not have opened")
		t.table(rows, nil)
	}
}

func (t text) watched(all []Shadowed) {
	if len(all) == 0 {
		return
	}
	t.line("\ngates in mode shadow, which open nothing")
	rows := [][]string{{"GATE", "HELD", "FIRST", "LAST"}}
	for _, s := range all {
		rows = append(rows, []string{clean(s.Gate), counted(s.Ticks, "tick", "ticks"), stamp(s.First), stamp(s.Last)})
	}
	t.table(rows, nil)
}

func (t text) summary(r Result) {
	s := r.Summary
	t.line("\nWould have opened %s: %d while one was recorded, %d new.", counted(s.Would, "incident", "incidents"), s.Both, s.New)
	t.line("Of %s, %d would not have opened.", counted(s.Recorded, "recorded incident", "recorded incidents"), s.Missed)
	t.line("Which were false alarms is not known here: countersign shadow report tells.")
}

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func length(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

// maxShown is how much of a text in a record is shown, in characters.
const maxShown = 400

// clean is text of any origin as a line has it.
func clean(s string) string { return plain.Line(s, maxShown) }
