package histogram

import (
	"encoding/binary"
	"math/bits"
)

// tally counts the records of the second that is not sealed yet.
type tally struct {
	routes     []*routeTally // by Route, nil where nothing was counted
	touched    []Route       // the routes counted since the last seal
	unmeasured [NumReasons]uint64
	free       []*tallyLeaf
}

type routeTally struct {
	touched  bool
	outcomes [NumOutcomes]uint64
	streams  uint64

	// Requests whose duration and TTFB share a bucket, as they do when an
	// answer arrives at once, are counted in both only.
	both, durations, ttfb buckets
}

// buckets are counts that forget nothing until they are drained, and know
// where they are not zero.
type buckets [numBuckets / leafSize]*tallyLeaf

const lineSize = 16 // counts a cache line

type tallyLeaf struct {
	lines uint8 // bit i: some of counts[i×lineSize:][:lineSize] are not zero
	n     [leafSize]uint32
}

// count adds what was recorded. Overhead is left to the caller.
func (t *tally) count(log []record, overhead *Counts) {
	for _, e := range log {
		switch e.kind() {
		case kindFinished:
			rt := t.route(e.route())
			rt.outcomes[e.outcome()]++
			if duration, ttfb := e.bucket(), e.ttfb(); duration == ttfb {
				t.add(&rt.both, duration, 1)
			} else {
				t.add(&rt.durations, duration, 1)
				t.add(&rt.ttfb, ttfb, 1)
			}
		case kindStream:
			rt := t.route(e.route())
			rt.outcomes[e.outcome()]++
			rt.streams++
			t.add(&rt.ttfb, e.ttfb(), 1)
		case kindUnmeasured:
			t.unmeasured[e.reason()]++
		case kindOverhead:
			overhead.add(e.bucket(), 1)
		}
	}
}

func (t *tally) route(i Route) *routeTally {
	rt := t.routes[i]
	if rt == nil {
		rt = new(routeTally)
		t.routes[i] = rt
	}
	if !rt.touched {
		rt.touched = true
		t.touched = append(t.touched, i)
	}
	return rt
}

func (t *tally) add(b *buckets, bucket int, n uint32) {
	leaf := b[bucket/leafSize]
	if leaf == nil {
		leaf = t.leaf()
		b[bucket/leafSize] = leaf
	}
	leaf.n[bucket%leafSize] += n
	leaf.lines |= 1 << (bucket % leafSize / lineSize)
}

func (t *tally) leaf() *tallyLeaf {
	if last := len(t.free) - 1; last >= 0 {
		leaf := t.free[last]
		t.free = t.free[:last]
		return leaf
	}
	return new(tallyLeaf)
}

// drain appends a slot's encoding of everything counted and forgets it.
func (t *tally) drain(dst []byte) []byte {
	for _, i := range t.touched {
		rt := t.routes[i]
		dst = binary.AppendUvarint(dst, uint64(i))
		for _, n := range rt.outcomes {
			dst = binary.AppendUvarint(dst, n)
		}
		dst = binary.AppendUvarint(dst, rt.streams)
		dst = t.drainBuckets(dst, &rt.both)
		dst = t.drainBuckets(dst, &rt.durations)
		dst = t.drainBuckets(dst, &rt.ttfb)
		rt.touched, rt.outcomes, rt.streams = false, [NumOutcomes]uint64{}, 0
	}
	t.touched = t.touched[:0]
	t.unmeasured = [NumReasons]uint64{}
	return dst
}

// drainBuckets appends every bucket that was hit, and a zero at the end.
func (t *tally) drainBuckets(dst []byte, b *buckets) []byte {
	next := -1
	for i, leaf := range b {
		if leaf == nil {
			continue
		}
		for lines := leaf.lines; lines != 0; lines &= lines - 1 {
			first := bits.TrailingZeros8(lines) * lineSize
			for j, n := range leaf.n[first:][:lineSize] {
				if n != 0 {
					bucket := i*leafSize + first + j
					dst = appendBucket(dst, bucket-next, n)
					next = bucket
				}
			}
			clear(leaf.n[first:][:lineSize])
		}
		leaf.lines = 0
		b[i] = nil
		t.free = append(t.free, leaf)
	}
	return append(dst, 0)
}
