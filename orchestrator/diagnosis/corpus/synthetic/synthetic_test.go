package synthetic

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/corpus"
)

// The seeds from which the rules were not written.
const heldOut = 100_000

// pairs are incidents of every kind, with seeds from the given one on.
func pairs(t *testing.T, from uint64, seeds int) (opened, validated []corpus.Recording) {
	t.Helper()
	for _, name := range Names() {
		for seed := from; seed < from+uint64(seeds); seed++ {
			p, err := Generate(name, seed)
			if err != nil {
				t.Log(err) // a fault too mild for an incident is none
				continue
			}
			opened, validated = append(opened, p.Opened), append(validated, p.Validated)
		}
	}
	if len(validated) < 9*seeds*len(Names())/10 {
		t.Fatalf("only %d of %d incidents open", len(validated), seeds*len(Names()))
	}
	return opened, validated
}

// judge has the rules explain recordings, and asks for a share of right answers, and
// that no more than another are wrong.
func judge(t *testing.T, when string, recordings []corpus.Recording, right, wrong float64) {
	t.Helper()
	results, err := corpus.Evaluate(context.Background(), recordings, diagnosis.Rules{})
	if err != nil {
		t.Fatal(err)
	}
	s, n := corpus.Summarize(results), float64(len(results))
	t.Logf("%s:\n%s", when, corpus.Table(results))
	if float64(s.Right) < right*n || float64(s.Wrong) > wrong*n {
		t.Errorf("%s: %d of %d are right and %d wrong, want at least %.0f %% and at most %.0f %%", when, s.Right, len(results), s.Wrong, 100*right, 100*wrong)
	}
	// What a confidence says must be so, but for chance: three recordings.
	for _, b := range s.Bands {
		if float64(b.Right)+3 < b.Confidence*float64(b.Given) {
			t.Errorf("%s: confidence %.2f was given %d times and right %d times", when, b.Confidence, b.Given, b.Right)
		}
	}
}

// raced says that the race detector watches. The model is of one goroutine, and takes
// minutes then.
var raced bool

func TestRulesNameTheCause(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("it takes ten seconds, and minutes under the race detector, which has nothing to find in it")
	}
	opened, validated := pairs(t, heldOut, 2)
	judge(t, "opened", opened, 0.9, 0.08)
	judge(t, "validated", validated, 0.9, 0.08)
}

// TestSameSeedSameRecording: a recording can be made again, byte for byte.
func TestSameSeedSameRecording(t *testing.T) {
	a, err := Generate("dead-dependency", 7)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Generate("dead-dependency", 7)
	if err != nil {
		t.Fatal(err)
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		t.Error("two recordings of the same seed differ")
	}
	if c, err := Generate("dead-dependency", 8); err != nil || bytes.Equal(c.Opened.Blobs["window.hdr"], a.Opened.Blobs["window.hdr"]) {
		t.Error("two seeds give the same recording")
	}
}
