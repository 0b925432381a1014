package diagnosis

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func answered(name string, c Cause, confidence float64, facts ...string) Opinion {
	return Opinion{Diagnoser: name, Answer: &Answer{Cause: c, Confidence: confidence, Facts: facts, Hypothesis: "so it is", CheckFirst: "that"}}
}

func TestMerge(t *testing.T) {
	for _, tc := range []struct {
		name       string
		opinions   []Opinion
		outcome    Outcome
		confidence float64
		withheld   bool
		apart      string
	}{
		{"nobody", nil, None, 0, true, ""},
		{"two abstain", []Opinion{answered("a", Unknown, 0), {Diagnoser: "b", Problem: "late"}}, None, 0, true, ""},
		{"one", []Opinion{answered("a", Network, 0.9, "F1")}, Single, 0.9, false, ""},
		{"one, the other abstains", []Opinion{answered("a", Unknown, 0.2), answered("b", Network, 0.7, "F1")}, Single, 0.7, false, ""},
		{"one, unsure", []Opinion{answered("a", Network, 0.59, "F1")}, Single, 0.59, true, ""},
		{"the same, by the same facts", []Opinion{answered("a", Network, 0.9, "F1", "F2"), answered("b", Network, 0.7, "F2")}, Consensus, 0.7, false, ""},
		{"the same, one unsure", []Opinion{answered("a", Network, 0.9, "F1"), answered("b", Network, 0.3, "F1")}, Consensus, 0.3, true, ""},
		{"the same, by other facts", []Opinion{answered("a", Network, 0.9, "F1"), answered("b", Network, 0.8, "F2")}, Dissent, 0.8, false, "Both name network"},
		{"two causes", []Opinion{answered("a", Network, 0.9, "F1"), answered("b", Certificate, 0.8, "F1")}, Dissent, 0.8, false, "If it is network"},
		{"two causes, one unsure", []Opinion{answered("a", Network, 0.9, "F1"), answered("b", Certificate, 0.1, "F1")}, Dissent, 0.1, true, "If it is network"},
		{"a third does not count", []Opinion{answered("a", Network, 0.9, "F1"), answered("b", Network, 0.8, "F1"), answered("c", Certificate, 0.1, "F1")}, Consensus, 0.8, false, ""},
	} {
		r := Merge(tc.opinions, MinConfidence)
		if r.Outcome != tc.outcome || r.Confidence != tc.confidence || r.Withheld != tc.withheld || !strings.HasPrefix(r.TellApart, tc.apart) || (tc.apart == "") != (r.TellApart == "") {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
}

// seat is a diagnoser for tests.
type seat struct {
	name string
	do   func(ctx context.Context, e *Evidence) Opinion
}

func (s seat) Name() string { return s.name }

func (s seat) Diagnose(ctx context.Context, e *Evidence) Opinion { return s.do(ctx, e) }

func TestCouncilWaitsNoLongerThanItsBudget(t *testing.T) {
	late := make(chan time.Time)
	release := make(chan struct{})
	ended := make(chan error, 1)
	c := Council{
		Budget: 8 * time.Second,
		Now:    func() time.Time { return time.Unix(1000, 0) },
		After: func(d time.Duration) <-chan time.Time {
			if d != 8*time.Second && d != time.Second/2 {
				t.Errorf("waits for %v", d)
			}
			return late
		},
		Seats: []Diagnoser{
			seat{"quick", func(_ context.Context, e *Evidence) Opinion {
				e.Facts[0].Value = -1 // it may spoil what it is given
				close(late)
				return answered("quick", SlowDependency, 0.9, "F1")
			}},
			seat{"hangs", func(ctx context.Context, _ *Evidence) Opinion {
				<-release
				ended <- ctx.Err()
				return answered("hangs", Network, 1, "F1")
			}},
		},
	}
	e := sample()
	r := c.Run(context.Background(), e)
	close(release)
	if err := <-ended; err == nil {
		t.Error("the one who is late was not told to end")
	}
	if e.Facts[0].Value == -1 {
		t.Error("a diagnoser changes the evidence of others")
	}
	// Whether the quick one is heard races with the end of the budget; the other never is.
	if r.Opinions[1].Answer != nil || r.Opinions[1].Problem != "no answer within 8s" || r.Outcome == Dissent {
		t.Errorf("%+v", r)
	}
	if r.EvidenceDigest != e.Digest() || !strings.HasPrefix(r.EvidenceDigest, "sha256:") || r.IncidentID != e.IncidentID {
		t.Errorf("recorded %+v", r)
	}
}

func TestCouncilOutlivesWhoPanics(t *testing.T) {
	c := Council{Seats: []Diagnoser{Rules{}, seat{"bad", func(context.Context, *Evidence) Opinion { panic("<b>oops</b>") }}}}
	r := c.Run(context.Background(), sample())
	if r.Outcome != Single || r.Opinions[0].Answer.Cause != SlowDependency || r.Opinions[1].Problem != "the diagnoser failed: ‹b›oops‹/b›" {
		t.Errorf("%+v", r)
	}
}

func TestCouncilCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	c := Council{
		After: func(d time.Duration) <-chan time.Time {
			if d == DefaultBudget {
				return nil
			}
			return time.After(0)
		},
		Seats: []Diagnoser{seat{"hangs", func(ctx context.Context, _ *Evidence) Opinion {
			cancel()
			<-ctx.Done()
			select {} // heeds nothing
		}}},
	}
	if r := c.Run(ctx, sample()); r.Outcome != None || r.Opinions[0].Problem != "the diagnosis was called off" {
		t.Errorf("%+v", r)
	}
}

// TestCouncilKeepsWhatWasSent: of one who is late the answer does not count, and what
// was sent is on record.
func TestCouncilKeepsWhatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Council{Seats: []Diagnoser{Rules{}, seat{"model", func(ctx context.Context, _ *Evidence) Opinion {
			<-ctx.Done()
			o := answered("model", Network, 1, "F1")
			o.Model, o.PromptDigest, o.Attempts = "m-1", "sha256:x", 2
			return o
		}}}}
		began := time.Now()
		r := c.Run(t.Context(), sample())
		if o := r.Opinions[1]; o.Answer != nil || o.PromptDigest != "sha256:x" || o.Model != "m-1" || o.Attempts != 2 || o.Problem != "no answer within 8s" {
			t.Errorf("%+v", o)
		}
		if r.Outcome != Single || time.Since(began) != DefaultBudget {
			t.Errorf("%s after %v", r.Outcome, time.Since(began))
		}
	})
}
