package stats

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, math.NaN()},
		{[]float64{7}, 0.9, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{4, 1, 3, 2}, 0, 1},
		{[]float64{4, 1, 3, 2}, 1, 4},
		{[]float64{4, 1, 3, 2}, 2, 4},
		{[]float64{10, 20, 30, 40, 50}, 0.9, 46}, // R: quantile(seq(10,50,10), .9)
		{[]float64{1, inf, inf, inf}, 0.5, inf},
		{[]float64{1, 2}, math.NaN(), math.NaN()},
	} {
		if got := Quantile(c.values, c.q); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("Quantile(%v, %v) is %v, want %v", c.values, c.q, got, c.want)
		}
	}
	values := []float64{3, 1, 2}
	if Median(values) != 2 || values[0] != 3 {
		t.Errorf("the values were sorted: %v", values)
	}
}
