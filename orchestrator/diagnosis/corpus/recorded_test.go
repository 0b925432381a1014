package corpus

import (
	"context"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

// TestRecordedIncidents: of what was recorded with real servers the rules name the
// right cause in nine of ten at least. Where they do not they abstain: what they are
// sure of is right.
func TestRecordedIncidents(t *testing.T) {
	recordings, err := Read("../testdata/recordings")
	if err != nil {
		t.Fatal(err)
	}
	results, err := Evaluate(context.Background(), recordings, diagnosis.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", Table(results))
	s := Summarize(results)
	if s.Recordings < 60 || float64(s.Right) < 0.9*float64(s.Recordings) || float64(s.Wrong) > 0.02*float64(s.Recordings) {
		t.Errorf("of %d recordings %d are right and %d wrong", s.Recordings, s.Right, s.Wrong)
	}
	for _, r := range results {
		if !r.Right() && r.Confidence >= 0.85 {
			t.Errorf("%s: %s is named with confidence %.2f, and it was %s", r.Name, r.Named, r.Confidence, r.Expected)
		}
	}
}
