package histogram

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestRank(t *testing.T) {
	tests := []struct {
		q    float64
		n    uint64
		want uint64
	}{
		{0.95, 1, 1},
		{0.95, 19, 19},
		{0.95, 20, 19},
		{0.95, 21, 20},
		{0.95, 100, 95},
		{0.95, 1_000_000, 950_000},
		{0.95, 10_000_000_000_000_000_000, 9_500_000_000_000_000_000},
		{0.95, math.MaxUint64, 17_524_406_870_024_074_035},
		{0.99, 100, 99},
		{0.99, 101, 100},
		{0.999, 1000, 999},
		{0.07, 100, 7},
		{0.29, 100, 29},
		{0.57, 100, 57},
		{0.1, 10, 1},
		{0.3, 10, 3},
		{0.7, 10, 7},
		{0.5, 1, 1},
		{0.5, 2, 1},
		{0.5, 3, 2},
		{0, 10, 1},
		{-1, 10, 1},
		{1, 10, 10},
		{2, 10, 10},
		{math.Inf(1), 10, 10},
		{1e-300, 10, 1},
		{math.SmallestNonzeroFloat64, math.MaxUint64, 1},
		{math.Nextafter(1, 0), 10, 10},
	}
	for _, tt := range tests {
		if got := rank(tt.q, tt.n); got != tt.want {
			t.Errorf("rank(%v, %d) = %d, want %d", tt.q, tt.n, got, tt.want)
		}
	}
}

// The rank is compared with one computed in fractions.
func TestRankAgainstFractions(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		q := random.Float64()
		if random.IntN(2) == 0 {
			q = math.Round(q*10_000) / 10_000
		}
		n := random.Uint64() >> random.IntN(64)
		if n == 0 {
			continue
		}
		exact, _ := new(big.Rat).SetString(strconv.FormatFloat(q, 'f', -1, 64))
		exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).SetUint64(n)))
		want := new(big.Int).Add(exact.Num(), new(big.Int).Sub(exact.Denom(), big.NewInt(1)))
		want.Div(want, exact.Denom())
		if got := rank(q, n); got != max(want.Uint64(), 1) {
			t.Fatalf("rank(%v, %d) = %d, want %d", q, n, got, want)
		}
	}
}

func TestQuantileNotANumber(t *testing.T) {
	var c Counts
	c.Add(1, 1)
	if _, ok := c.Quantile(math.NaN()); ok {
		t.Error("a quantile of NaN was answered")
	}
}

var distributions = []struct {
	name string
	draw func(*rand.Rand) int64
}{
	{"uniform", func(r *rand.Rand) int64 { return r.Int64N(int64(time.Second)) }},
	{"exponential", func(r *rand.Rand) int64 { return int64(r.ExpFloat64() * 5e6) }},
	{"log-normal", func(r *rand.Rand) int64 { return int64(math.Exp(r.NormFloat64()*1.5 + 14)) }},
	{"two humps", func(r *rand.Rand) int64 {
		if r.IntN(20) == 0 {
			return int64(2e9 + r.NormFloat64()*1e8)
		}
		return int64(1e6 + r.Float64()*1e5)
	}},
	{"Pareto", func(r *rand.Rand) int64 { return int64(min(1e5/math.Pow(1-r.Float64(), 1.2), 3e12)) }},
	{"few values", func(r *rand.Rand) int64 { return []int64{1, 1000, 2047, 2048, 1e9}[r.IntN(5)] }},
	{"constant", func(*rand.Rand) int64 { return 123_456_789 }},
}

// wantBrackets checks what is reported against the sorted values themselves.
func wantBrackets(t *testing.T, name string, c *Counts, values []int64) {
	t.Helper()
	if c.Total() != uint64(len(values)) {
		t.Fatalf("%s: %d values counted of %d", name, c.Total(), len(values))
	}
	sorted := slices.Sorted(slices.Values(values))
	inside := func(what string, b Bracket, rank int) {
		t.Helper()
		if v := sorted[rank-1]; v < b.Low || v > b.High {
			t.Errorf("%s: %s is in [%d, %d], but the value at rank %d of %d is %d", name, what, b.Low, b.High, rank, len(sorted), v)
		}
		if b.High-b.Low > b.Low/1000 || b.Value < b.Low || b.Value > b.High {
			t.Errorf("%s: %s is bracketed by %v", name, what, b)
		}
	}
	for _, hundredths := range []int{50, 95, 99} {
		b, ok := c.Quantile(float64(hundredths) / 100)
		if !ok {
			t.Fatalf("%s: no p%d", name, hundredths)
		}
		inside(fmt.Sprintf("p%d", hundredths), b, (len(sorted)*hundredths+99)/100)
	}
	inside("max", c.Max(), len(sorted))
}

// 100,000 requests on four routes, recorded over 100 seconds of a window of
// 60: what a snapshot says, overall and by route, over the window and over its
// last five seconds, is compared with the sorted list of what is still in them.
func TestBracketsContainTheTrueValue(t *testing.T) {
	for _, d := range distributions {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			m := newMeasured(t, Config{})
			random := rand.New(rand.NewPCG(7, 8))
			type sample struct {
				route          Route
				duration, ttfb int64
			}
			var seconds [100][]sample
			for i := range seconds {
				for range 1000 {
					route := m.route("GET", fmt.Sprintf("/route-%c", 'a'+random.IntN(4)))
					duration := d.draw(random)
					ttfb := duration
					if random.IntN(2) == 0 {
						ttfb = random.Int64N(duration + 1)
					}
					m.lane.Start(route, m.now)
					m.lane.Finish(Success, m.now+ttfb, m.now+duration)
					seconds[i] = append(seconds[i], sample{route, duration, ttfb})
				}
				m.tick()
			}
			check := func(name string, s *Snapshot, n int) {
				var durations, ttfb []int64
				byRoute := make(map[Route][]int64)
				for _, second := range seconds[len(seconds)-n:] {
					for _, sample := range second {
						durations = append(durations, sample.duration)
						ttfb = append(ttfb, sample.ttfb)
						byRoute[sample.route] = append(byRoute[sample.route], sample.duration)
					}
				}
				wantBrackets(t, name, s.Overall.Durations, durations)
				wantBrackets(t, name+" TTFB", s.Overall.TTFB, ttfb)
				if len(s.Routes) != 4 {
					t.Fatalf("%s: %d routes", name, len(s.Routes))
				}
				for _, r := range s.Routes {
					wantBrackets(t, name+" "+r.Name, r.Durations, byRoute[r.Route])
				}
			}
			check("window", m.r.Snapshot(), 60)
			check("last 5 s", m.r.SnapshotLast(5*time.Second), 5)
			check("last second", m.r.SnapshotLast(0), 1)
		})
	}
}
