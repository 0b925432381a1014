package corpus

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

// Result is what a diagnoser made of one recording.
type Result struct {
	Name     string            `json:"name"`
	Expected []diagnosis.Cause `json:"expected"`
	// Named is the cause, Unknown when it abstained.
	Named      diagnosis.Cause `json:"named"`
	Confidence float64         `json:"confidence"`
	Problem    string          `json:"problem,omitempty"`
}

// Right says whether the cause named is one of those expected.
func (r *Result) Right() bool { return slices.Contains(r.Expected, r.Named) }

// Abstained says that no cause was named.
func (r *Result) Abstained() bool { return r.Named == diagnosis.Unknown }

// Evaluate has a diagnoser explain each recording. What it is less sure of than
// [diagnosis.MinConfidence] counts as an abstention, as it is not told.
func Evaluate(ctx context.Context, recordings []Recording, d diagnosis.Diagnoser) ([]Result, error) {
	var all []Result
	for i := range recordings {
		e, err := recordings[i].Evidence()
		if err != nil {
			return nil, err
		}
		r := Result{Name: recordings[i].Name, Expected: recordings[i].Expected, Named: diagnosis.Unknown}
		o := d.Diagnose(ctx, &e)
		if r.Problem = o.Problem; !o.Answer.Abstained() && o.Answer.Confidence >= diagnosis.MinConfidence {
			r.Named, r.Confidence = o.Answer.Cause, o.Answer.Confidence
		}
		all = append(all, r)
	}
	return all, nil
}

// Summary counts results.
type Summary struct {
	Recordings int `json:"recordings"`
	Right      int `json:"right"`
	Abstained  int `json:"abstained"` // where a cause was expected
	Wrong      int `json:"wrong"`
	// Bands are the confidences that were given, the highest first.
	Bands []Band `json:"bands"`
}

// Band is how often a confidence was given, and was right.
type Band struct {
	Confidence float64 `json:"confidence"`
	Given      int     `json:"given"`
	Right      int     `json:"right"`
}

// Summarize counts.
func Summarize(results []Result) Summary {
	s := Summary{Recordings: len(results)}
	for i := range results {
		r := &results[i]
		switch {
		case r.Right():
			s.Right++
		case r.Abstained():
			s.Abstained++
		default:
			s.Wrong++
		}
		if r.Abstained() {
			continue
		}
		b := slices.IndexFunc(s.Bands, func(b Band) bool { return b.Confidence == r.Confidence })
		if b < 0 {
			b = len(s.Bands)
			s.Bands = append(s.Bands, Band{Confidence: r.Confidence})
		}
		s.Bands[b].Given++
		if r.Right() {
			s.Bands[b].Right++
		}
	}
	slices.SortFunc(s.Bands, func(a, b Band) int {
		if a.Confidence > b.Confidence {
			return -1
		}
		return 1
	})
	return s
}

// Table is the confusion table as text: a line for each expected cause with what
// was named instead, then the sums and how right each confidence was.
func Table(results []Result) string {
	type row struct {
		right, abstained, all int
		wrong                 map[diagnosis.Cause]int
	}
	rows := map[diagnosis.Cause]*row{}
	for i := range results {
		r := &results[i]
		expected := r.Expected[0]
		if rows[expected] == nil {
			rows[expected] = &row{wrong: map[diagnosis.Cause]int{}}
		}
		to := rows[expected]
		to.all++
		switch {
		case r.Right():
			to.right++
		case r.Abstained():
			to.abstained++
		default:
			to.wrong[r.Named]++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %5s %6s %10s  %s\n", "expected", "of", "right", "abstained", "named instead")
	for _, c := range diagnosis.Causes() {
		r := rows[c]
		if r == nil {
			continue
		}
		var instead []string
		for _, w := range diagnosis.Causes() {
			if n := r.wrong[w]; n > 0 {
				instead = append(instead, fmt.Sprintf("%s %d", w, n))
			}
		}
		fmt.Fprintf(&b, "%-18s %5d %6d %10d  %s\n", c, r.all, r.right, r.abstained, strings.Join(instead, ", "))
	}
	s := Summarize(results)
	fmt.Fprintf(&b, "\n%d recordings: %d right (%s), %d abstained, %d wrong\n", s.Recordings, s.Right, share(s.Right, s.Recordings), s.Abstained, s.Wrong)
	for _, band := range s.Bands {
		fmt.Fprintf(&b, "confidence %.2f: given %d times, right in %s\n", band.Confidence, band.Given, share(band.Right, band.Given))
	}
	return b.String()
}

func share(n, of int) string {
	if of == 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}
