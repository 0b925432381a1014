package histogram

import "encoding/binary"

// slot is one sealed second, packed: about two bytes for every bucket that was
// hit. For each route with samples: the route, its outcomes and streams, then
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

// addTo adds times × the slot to sums; times is 1, or −1 to take it back.
func (s *slot) addTo(sums *sums, times int64) {
	for i, n := range s.unmeasured {
		sums.unmeasured[i] += n * uint64(times)
	}
	rest := unpacker(s.packed)
	for len(rest) > 0 {
		to := sums.route(Route(rest.next()))
		for i := range to.outcomes {
			to.outcomes[i] += rest.next() * uint64(times)
		}
		to.streams += rest.next() * uint64(times)
		rest.buckets(times, &to.durations, &to.ttfb)
		rest.buckets(times, &to.durations, nil)
		rest.buckets(times, &to.ttfb, nil)
	}
}

// unpacker is the part of a slot not read yet. Slots are written by this
// package only, so it does not expect errors.
type unpacker []byte

func (u *unpacker) next() uint64 {
	b := *u
	if v := b[0]; v < 0x80 {
		*u = b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(b)
	*u = b[n:]
	return v
}

// buckets reads one list of buckets into one or two Counts.
func (u *unpacker) buckets(times int64, to, also *Counts) {
	bucket := -1
	for {
		distance := u.next()
		if distance == 0 {
			return
		}
		bucket += int(distance)
		n := u.next() * uint64(times)
		to.add(bucket, n)
		if also != nil {
			also.add(bucket, n)
		}
	}
}

// sums are slots added up.
type sums struct {
	routes     []*routeSums // by Route, nil where nothing was counted
	unmeasured [NumReasons]uint64
}

type routeSums struct {
	durations, ttfb Counts
	outcomes        [NumOutcomes]uint64
	streams         uint64
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

// trim frees the memory of counts that came and went.
func (s *sums) trim() {
	for i, r := range s.routes {
		switch {
		case r == nil:
		case r.requests() == 0:
			s.routes[i] = nil
		default:
			r.durations.trim()
			r.ttfb.trim()
		}
	}
}
