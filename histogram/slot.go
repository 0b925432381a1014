package histogram

import "encoding/binary"

// slot is one sealed second, packed: little more than a byte for every bucket
// that was hit. For each route with samples: the route, its outcomes and streams, then
// the buckets of requests whose duration and TTFB agree, of the other durations,
// and of the other TTFBs, as tally.drain wrote them.
type slot struct {
	packed     []byte
	unmeasured [NumReasons]uint64
}

// fill replaces the slot's content, keeping its memory when that fits well.
func (s *slot) fill(packed []byte, unmeasured [NumReasons]uint64) {
	s.unmeasured = unmeasured
	if c := cap(s.packed); c < len(packed) || c > 2*len(packed)+256 {
		s.packed = make([]byte, 0, len(packed))
	}
	s.packed = append(s.packed[:0], packed...)
}

// addTo adds times × the slot to each of sums; times is 1, or −1 to take it
// back.
func (s *slot) addTo(times int64, sums ...*sums) {
	for _, to := range sums {
		for i, n := range s.unmeasured {
			to.unmeasured[i] += n * uint64(times)
		}
	}
	rest := unpacker(s.packed)
	var both, durations, ttfb []*Counts
	for len(rest) > 0 {
		route := Route(rest.next())
		var outcomes [NumOutcomes]uint64
		for i := range outcomes {
			outcomes[i] = rest.next() * uint64(times)
		}
		streams := rest.next() * uint64(times)
		both, durations, ttfb = both[:0], durations[:0], ttfb[:0]
		for _, sum := range sums {
			to := sum.route(route)
			for i, n := range outcomes {
				to.outcomes[i] += n
			}
			to.streams += streams
			both, durations, ttfb = append(both, &to.both), append(durations, &to.durations), append(ttfb, &to.ttfb)
		}
		rest.buckets(times, both)
		rest.buckets(times, durations)
		rest.buckets(times, ttfb)
	}
}

// unpacker is the part of a slot not read yet. Slots are written by this
// package only, so it does not expect errors.
type unpacker []byte

func (u *unpacker) next() (v uint64) {
	v, *u = u.split()
	return v
}

// split is the next number, and what follows it.
func (u unpacker) split() (v uint64, rest unpacker) {
	if u[0] < 0x80 {
		return uint64(u[0]), u[1:]
	}
	return u.splitLong()
}

func (u unpacker) splitLong() (v uint64, rest unpacker) {
	v, n := binary.Uvarint(u)
	return v, u[n:]
}

// A bucket that was hit is packed as how far it is from the one before, shifted
// by fewBits, with the count less one beneath; the highest number there is means
// that as many and more follow.
const (
	fewBits = 2
	few     = 1<<fewBits - 1
)

// appendBucket packs a bucket with n counts, at a distance of 1 or more.
func appendBucket(dst []byte, distance int, n uint32) []byte {
	beneath := min(n-1, few)
	dst = binary.AppendUvarint(dst, uint64(distance)<<fewBits|uint64(beneath))
	if beneath == few {
		dst = binary.AppendUvarint(dst, uint64(n-1-few))
	}
	return dst
}

// buckets reads one list of buckets into each of the Counts, a leaf at a time.
func (u *unpacker) buckets(times int64, to []*Counts) {
	var read [leafSize]hit
	hits := read[:0]
	bucket, leaf := -1, 0
	for rest := *u; ; {
		var v, more uint64
		v, rest = rest.split()
		bucket += int(v >> fewBits)
		if v == 0 || bucket/leafSize != leaf {
			for _, c := range to {
				c.addHits(leaf, hits)
			}
			hits, leaf = read[:0], bucket/leafSize
		}
		if v == 0 {
			*u = rest
			return
		}
		n := v&few + 1
		if n > few {
			more, rest = rest.split()
			n += more
		}
		hits = append(hits, hit{bucket % leafSize, n * uint64(times)})
	}
}

// sums are slots added up.
type sums struct {
	routes     []*routeSums // by Route, nil where nothing was counted
	unmeasured [NumReasons]uint64
}

// routeSums has, as a tally does, requests whose duration and TTFB share a
// bucket in both only: there are few others where answers arrive at once.
type routeSums struct {
	both, durations, ttfb Counts
	outcomes              [NumOutcomes]uint64
	streams               uint64
}

func (s *sums) route(i Route) *routeSums {
	if int(i) >= len(s.routes) {
		s.routes = append(s.routes, make([]*routeSums, int(i)+1-len(s.routes))...)
	}
	if s.routes[i] == nil {
		s.routes[i] = new(routeSums)
	}
	return s.routes[i]
}

func (r *routeSums) requests() uint64 {
	var n uint64
	for _, c := range r.outcomes {
		n += c
	}
	return n
}

// clone is a copy for series.
func (r *routeSums) clone() *routeSums {
	c := *r
	c.durations, c.ttfb = *r.durations.Clone(), *r.ttfb.Clone()
	return &c
}

// trim frees the memory of counts that came and went.
func (s *sums) trim() {
	for i, r := range s.routes {
		switch {
		case r == nil:
		case r.requests() == 0:
			s.routes[i] = nil
		default:
			r.both.trim()
			r.durations.trim()
			r.ttfb.trim()
		}
	}
}
