package health

// Trend says where the score is going.
type Trend string

// The trends.
const (
	Improving Trend = "improving"
	Stable    Trend = "stable"
	Degrading Trend = "degrading"
)

// trendOf fits a line by least squares to equally spaced scores, oldest first,
// and calls a slope of at least limit points a step a trend. One score has none.
func trendOf(scores []float64, limit float64) Trend {
	switch s := slope(scores); {
	case s >= limit:
		return Improving
	case s <= -limit:
		return Degrading
	}
	return Stable
}

// slope is Σ(x-x̄)·y / Σ(x-x̄)² for x = 0..n-1; Σ(x-x̄)² is n(n²-1)/12.
func slope(y []float64) float64 {
	n := float64(len(y))
	if n < 2 {
		return 0
	}
	var sum float64
	for i, v := range y {
		sum += float64((float64(i) - (n-1)/2) * v)
	}
	return sum * 12 / (n * (float64(n*n) - 1))
}
