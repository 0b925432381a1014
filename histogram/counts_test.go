package histogram

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// edges are values around every power of two, where buckets change their width.
func edges() []int64 {
	values := []int64{0}
	for shift := range 42 {
		v := int64(1) << shift
		values = append(values, v-1, v, v+1, v+v/2, v+v/1024)
	}
	return append(values, Highest-1, Highest)
}

func TestBucketsAreHdrHistograms(t *testing.T) {
	h := hdrhistogram.New(1, Highest, 3)
	random := rand.New(rand.NewPCG(1, 2))
	values := edges()
	for range 10_000 {
		values = append(values, int64(math.Exp(random.Float64()*math.Log(float64(Highest)))))
	}
	var c Counts
	for _, v := range values {
		v = min(v, Highest)
		if err := h.RecordValue(v); err != nil {
			t.Fatal(err)
		}
		c.Add(v, 1)
		low, high := bucketBounds(bucketOf(v))
		if v < low || v > high {
			t.Errorf("%d is in the bucket of %d to %d", v, low, high)
		}
		if high-low > low/1024 {
			t.Errorf("the bucket of %d, %d to %d, is wider than 0.1 %%", v, low, high)
		}
	}
	counts := h.Export().Counts
	for i, want := range counts {
		if i >= numBuckets {
			t.Fatalf("HdrHistogram has %d buckets", len(counts))
		}
		var got uint64
		if l := i / leafSize; l < len(c.leaves) && c.leaves[l] != nil {
			got = c.leaves[l].at(i % leafSize)
		}
		if got != uint64(want) {
			t.Errorf("bucket %d counts %d; HdrHistogram's counts %d", i, got, want)
		}
	}
}

func TestCountsClamps(t *testing.T) {
	var c Counts
	c.Add(-1, 1)
	c.Add(math.MinInt64, 1)
	c.Add(math.MaxInt64, 1)
	c.Add(5, 0)
	if c.Total() != 3 {
		t.Errorf("total %d", c.Total())
	}
	if b, _ := c.Quantile(0); b.Value != 0 {
		t.Errorf("lowest %v", b)
	}
	if m := c.Max(); m.Low > Highest || m.High < Highest {
		t.Errorf("max %v", m)
	}
}

func TestCountsBeyond32Bits(t *testing.T) {
	var c Counts
	c.Add(100, math.MaxUint32)
	c.Add(100, 2)
	c.Add(101, 3)
	const want = math.MaxUint32 + 2
	d := c.Clone()
	d.Merge(&c)
	got := make(map[int64]uint64)
	d.Each(func(low, _ int64, n uint64) { got[low] = n })
	if got[100] != 2*want || got[101] != 6 || d.Total() != 2*(want+3) {
		t.Errorf("doubled to %v, total %d", got, d.Total())
	}
	if b, _ := d.Quantile(0.5); b.Value != 100 {
		t.Errorf("median %v", b)
	}
	if m := d.Max(); m.Value != 101 {
		t.Errorf("max %v", m)
	}
	c.Add(100, 1)
	if d.leaves[0].at(100) != 2*want {
		t.Error("a clone changed with its original")
	}
}

func TestCountsEmpty(t *testing.T) {
	var c Counts
	if _, ok := c.Quantile(0.5); ok || c.Max() != (Bracket{}) || c.Sum() != 0 || c.Total() != 0 {
		t.Error("the zero Counts is not empty")
	}
	c.Merge(new(Counts))
	if c.Clone().Total() != 0 {
		t.Error("a clone of nothing has something")
	}
}

func TestSum(t *testing.T) {
	var c Counts
	var want float64
	random := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		v := int64(random.ExpFloat64() * 1e7)
		want += float64(v)
		c.Add(v, 1)
	}
	if got := c.Sum(); math.Abs(got-want) > want*0.0005 {
		t.Errorf("sum %g, want %g within 0.05 %%", got, want)
	}
}
