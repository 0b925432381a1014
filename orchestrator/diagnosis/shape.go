package diagnosis

import (
	"math"

	"github.com/countersign-dev/countersign/histogram"
)

// counts reads an encoded histogram; nil when there is none or it is empty.
func (t *Traffic) counts() *histogram.Counts {
	if t == nil || len(t.Durations) == 0 {
		return nil
	}
	c, err := histogram.DecodeV2(t.Durations)
	if err != nil || c.Total() == 0 {
		return nil
	}
	return c
}

// at is a quantile in milliseconds; c is not empty.
func at(c *histogram.Counts, q float64) float64 {
	b, _ := c.Quantile(q)
	return ms(b.Value)
}

// slowest is the part of c above a limit in milliseconds.
func slowest(c *histogram.Counts, above float64) *histogram.Counts {
	slow := new(histogram.Counts)
	c.Each(func(low, high int64, n uint64) {
		if ms(low) > above {
			slow.Add(high, n)
		}
	})
	return slow
}

// slowLimit is what is slow: well beyond what nearly all requests usually take. A
// tail that is long already does not hide what is much slower than most.
func slowLimit(usualP95, usualP99 float64) float64 {
	return max(2*usualP95, min(1.2*usualP99, 5*usualP95), usualP95+30)
}

// spread is how wide c is for its size: (P90 − P10) ÷ P50. Waiting for the end
// of something makes it wide, a fixed delay narrow.
func spread(c *histogram.Counts) float64 {
	p50 := at(c, 0.5)
	if p50 <= 0 {
		return 0
	}
	return (at(c, 0.9) - at(c, 0.1)) / p50
}

// The bins in which modes are looked for: eight to an octave of milliseconds.
const (
	binsPerOctave = 4
	octaves       = 26 // of microseconds: 1 µs to a minute
)

// modes is how many groups the latencies fall into: peaks of the histogram over
// logarithmic bins that hold a twentieth of all and stand apart by a valley of
// half their height.
func modes(c *histogram.Counts) int {
	var bins [octaves * binsPerOctave]float64
	total := float64(c.Total())
	c.Each(func(low, high int64, n uint64) {
		us := max(float64(low+high)/2/1000, 1)
		bins[min(int(math.Log2(us)*binsPerOctave), len(bins)-1)] += float64(n) / total
	})
	smooth := bins
	for i := 1; i+1 < len(bins); i++ {
		smooth[i] = bins[i-1]/4 + bins[i]/2 + bins[i+1]/4
	}
	// A group is what lies between two valleys.
	found, mass, peak, valley := 0, 0.0, 0.0, math.Inf(1)
	for i, v := range smooth {
		switch {
		case peak == 0 && v == 0:
			continue
		case v >= peak:
			if valley < peak/2 && mass >= 0.05 {
				found++
				mass = 0
			}
			peak, valley = v, v
		case v < valley:
			valley = v
		case v > 2*valley && valley < peak/2:
			if mass >= 0.05 {
				found++
			}
			mass, peak, valley = 0, v, v
		}
		mass += bins[i]
	}
	if mass >= 0.05 {
		found++
	}
	return max(found, 1)
}
