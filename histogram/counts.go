package histogram

import (
	"math/bits"
	"time"
)

// The layout is HdrHistogram's at 3 significant figures with 1 as the lowest
// discernible value, index for index: 1024 sub-buckets an octave, so that a
// bucket is never wider than 1/1024 of its values. Values below 2048 are exact.
const (
	subBits  = 10
	perBlock = 1 << subBits

	// Highest is the largest value told apart, one hour in nanoseconds.
	// Larger ones are counted as this one.
	Highest = int64(time.Hour)

	numBlocks  = 33 // bits.Len64(Highest) - subBits + 1
	numBuckets = numBlocks * perBlock
)

// bucketOf is the index of the bucket that holds v.
func bucketOf(v int64) int {
	if uint64(v) > uint64(Highest) { // or below 0
		v = min(max(v, 0), Highest)
	}
	shift := bits.Len64(uint64(v)|perBlock) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// bucketBounds is the lowest and highest value of bucket i.
func bucketBounds(i int) (low, high int64) {
	shift := max(i>>subBits-1, 0)
	low = int64(i-shift<<subBits) << shift
	return low, low + 1<<shift - 1
}

const leafSize = 128 // buckets allocated together

// leaf is the counts of leafSize buckets. Few histograms ever have a count
// that needs more than 32 bits; those get the upper halves too.
type leaf struct {
	low  [leafSize]uint32
	high *[leafSize]uint32
}

func (l *leaf) at(i int) uint64 {
	n := uint64(l.low[i])
	if l.high != nil {
		n |= uint64(l.high[i]) << 32
	}
	return n
}

func (l *leaf) add(i int, n uint64) {
	if few := uint64(l.low[i]) + n; l.high == nil && few>>32 == 0 {
		l.low[i] = uint32(few)
		return
	}
	l.addMany(i, n)
}

// addMany is apart so that add is small enough to be inlined.
//
//go:noinline
func (l *leaf) addMany(i int, n uint64) {
	n += l.at(i)
	l.low[i] = uint32(n)
	if l.high != nil || n>>32 != 0 {
		if l.high == nil {
			l.high = new([leafSize]uint32)
		}
		l.high[i] = uint32(n >> 32)
	}
}

func (l *leaf) empty() bool {
	return l.low == [leafSize]uint32{} && (l.high == nil || *l.high == [leafSize]uint32{})
}

func (l *leaf) clone() *leaf {
	copied := *l
	if l.high != nil {
		high := *l.high
		copied.high = &high
	}
	return &copied
}

// Counts is a histogram of nanoseconds, 0 to one hour, with the buckets of
// HdrHistogram at 3 significant figures. Memory is allocated where there are
// counts. The zero value is empty and ready for use. Not safe for concurrent
// use while it is being changed.
type Counts struct {
	leaves []*leaf // by bucket / leafSize, nil where there are no counts
	total  uint64
}

// Add counts n occurrences of ns nanoseconds. Negative values count as 0 and
// values above Highest as Highest.
func (c *Counts) Add(ns int64, n uint64) {
	if n != 0 {
		c.add(bucketOf(ns), n)
	}
}

// add counts n in a bucket. Two's complement makes adding −n take n back.
func (c *Counts) add(bucket int, n uint64) {
	c.leaf(bucket/leafSize).add(bucket%leafSize, n)
	c.total += n
}

// hit is n more in a bucket of a leaf.
type hit struct {
	at int
	n  uint64
}

// addHits adds what is to be added to one leaf.
func (c *Counts) addHits(leaf int, hits []hit) {
	if len(hits) == 0 {
		return
	}
	l := c.leaf(leaf)
	for _, h := range hits {
		l.add(h.at, h.n)
		c.total += h.n
	}
}

func (c *Counts) leaf(i int) *leaf {
	c.reserve(i + 1)
	if c.leaves[i] == nil {
		c.leaves[i] = new(leaf)
	}
	return c.leaves[i]
}

// reserve makes room for n leaves.
func (c *Counts) reserve(n int) {
	if n > len(c.leaves) {
		c.leaves = append(c.leaves, make([]*leaf, n-len(c.leaves))...)
	}
}

// trim frees the memory of counts that were all taken back.
func (c *Counts) trim() {
	for i, l := range c.leaves {
		if l != nil && l.empty() {
			c.leaves[i] = nil
		}
	}
}

// Total is how many values were counted.
func (c *Counts) Total() uint64 { return c.total }

// Merge adds every count of o.
func (c *Counts) Merge(o *Counts) {
	c.reserve(len(o.leaves))
	for i, from := range o.leaves {
		if from == nil || from.empty() {
			continue
		}
		to := c.leaves[i]
		if to == nil {
			c.leaves[i] = from.clone()
			continue
		}
		for j := range leafSize {
			if n := from.at(j); n != 0 {
				to.add(j, n)
			}
		}
	}
	c.total += o.total
}

// Clone is a copy that shares nothing with c.
func (c *Counts) Clone() *Counts {
	d := new(Counts)
	d.Merge(c)
	return d
}

// Each calls f for every bucket that has counts, lowest first: n values were
// in [low, high] nanoseconds.
func (c *Counts) Each(f func(low, high int64, n uint64)) {
	for i, l := range c.leaves {
		if l == nil {
			continue
		}
		for j := range leafSize {
			if n := l.at(j); n != 0 {
				low, high := bucketBounds(i*leafSize + j)
				f(low, high, n)
			}
		}
	}
}

// Sum is the sum of the values in nanoseconds, each taken at the middle of
// its bucket: within 0.05 % of the true sum, and exact while all are below
// 2048 ns.
func (c *Counts) Sum() float64 {
	var sum float64
	c.Each(func(low, high int64, n uint64) {
		sum += (float64(low) + float64(high)) / 2 * float64(n)
	})
	return sum
}
