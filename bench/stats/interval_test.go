package stats

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestRatio(t *testing.T) {
	a, b := []float64{2, 4, 6, 8, 10}, []float64{1, 2, 3, 4, 5}
	got, err := Ratio(a, b)
	if err != nil || got != (Interval{2, 2, 2}) {
		t.Errorf("pairs of one ratio give %+v, %v", got, err)
	}
	again, err := Ratio([]float64{3, 1, 2, 5, 4}, []float64{1, 2, 3, 4, 5})
	if err != nil || again.Value != 1 || again.Low >= 1 || again.High <= 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if same, err := Ratio([]float64{3, 1, 2, 5, 4}, []float64{1, 2, 3, 4, 5}); err != nil || same != again {
		t.Errorf("the same figures give %+v and %+v", again, same)
	}
	// Where draws may have a median of 0 there is no upper bound.
	open, err := Ratio([]float64{1, 1, 1, 1, 1}, []float64{-1, 0, 1, 1, 1})
	if err != nil || open.Value != 1 || !math.IsInf(open.High, 1) {
		t.Errorf("%+v, %v", open, err)
	}
}

func TestDifference(t *testing.T) {
	got, err := Difference([]float64{5, 1, 9}, []float64{3, -1, 7})
	if err != nil || got != (Interval{2, 2, 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	// Of pairs, not of medians: those are 2 and 2 here.
	got, err = Difference([]float64{1, 2, 3}, []float64{0, 3, 2})
	if err != nil || got.Value != 1 || got.Low != -1 || got.High != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNoInterval(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want string
	}{
		{[]float64{1, 2, 3}, []float64{1, 2}, "the same rounds"},
		{[]float64{1, 2}, []float64{1, 2}, "at least 3"},
		{[]float64{1, 2, math.NaN()}, []float64{1, 2, 3}, "without a figure"},
		{[]float64{1, 2, 3}, []float64{1, 2, math.Inf(1)}, "without a figure"},
		{[]float64{1, 2, 3}, []float64{0, 0, 3}, "above 0"},
	} {
		if _, err := Ratio(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v to %v: %v, want %q", c.a, c.b, err, c.want)
		}
	}
}

// TestCoverage makes experiments whose true ratio is known, as rounds on a busy machine are: half of the disturbance is
// common to a round, and one round in ten is disturbed badly. The 95 % interval has to have the truth nearly as often.
func TestCoverage(t *testing.T) {
	const experiments, rounds, truth = 200, 10, 1.2
	random := rand.New(rand.NewPCG(1, 2))
	inside := 0
	for range experiments {
		var a, b []float64
		for range rounds {
			common := math.Exp(0.05 * random.NormFloat64())
			if random.IntN(10) == 0 {
				common *= 3
			}
			a = append(a, truth*common*math.Exp(0.05*random.NormFloat64()))
			b = append(b, common*math.Exp(0.05*random.NormFloat64()))
		}
		i, err := Ratio(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if i.Low <= truth && truth <= i.High {
			inside++
		}
		if i.Low < truth/2 || i.High > truth*2 {
			t.Errorf("%+v is much too wide", i)
		}
	}
	if inside < experiments*90/100 || inside == experiments {
		t.Errorf("%d of %d intervals have the truth", inside, experiments)
	}
	t.Logf("%d of %d", inside, experiments)
}

func BenchmarkRatio(b *testing.B) {
	x, y := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []float64{2, 1, 4, 3, 6, 5, 8, 7, 10, 9}
	for b.Loop() {
		_, _ = Ratio(x, y)
	}
}
