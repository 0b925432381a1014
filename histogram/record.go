package histogram

// record is one thing that happened on a Lane, in a single word so that it can
// be published by one store:
//
//	bit 63      the lap of the ring it was written in
//	bits 60–62  kind
//	bits 50–59  route
//	bits 0–49   in flight: the start, nanoseconds modulo 2⁵⁰
//	            finished, stream: outcome (48–49), TTFB's bucket (16–31), duration's bucket (0–15)
//	            unmeasured: reason; overhead: bucket
type record uint64

type kind uint8

const (
	kindNone      kind = iota
	kindReceiving      // in flight, the request body still on its way
	kindInFlight
	kindFinished
	kindStream
	kindUnmeasured
	kindOverhead
)

const (
	lapShift     = 63
	lapBit       = 1 << lapShift
	kindShift    = 60
	routeShift   = 50
	routeBits    = 10
	timeBits     = 50 // 13 days, so that an age is right up to half of that
	outcomeShift = 48
	ttfbShift    = 16
)

func inFlight(route Route) record {
	return record(kindInFlight)<<kindShift | record(route)<<routeShift
}

// as is a record in flight, before it has a start, become another kind.
func (e record) as(k kind) record { return e ^ record(kindInFlight^k)<<kindShift }

func since(start int64) record { return record(start) & (1<<timeBits - 1) }

func measured(o Outcome, duration, ttfb int) record {
	return record(o&3)<<outcomeShift | record(ttfb)<<ttfbShift | record(duration)
}

func unmeasured(reason Reason) record {
	return record(kindUnmeasured)<<kindShift | record(min(reason, Internal))
}

func overhead(ns int64) record {
	return record(kindOverhead)<<kindShift | record(bucketOf(ns))
}

func (e record) kind() kind       { return kind(e >> kindShift & 7) }
func (e record) route() Route     { return Route(e >> routeShift & (1<<routeBits - 1)) }
func (e record) outcome() Outcome { return Outcome(e >> outcomeShift & 3) }
func (e record) ttfb() int        { return int(e >> ttfbShift & 0xffff) }
func (e record) bucket() int      { return int(e & 0xffff) }
func (e record) reason() Reason   { return Reason(e & 0xff) }

// ended reports whether nothing more will happen to e: it can be counted.
func (e record) ended() bool { return e&(7<<kindShift) >= record(kindFinished)<<kindShift }

// age is how long e has been in flight at now, at least 0.
func (e record) age(now int64) int64 {
	const rest = 64 - timeBits
	return max(int64(uint64(now)-uint64(e))<<rest>>rest, 0)
}
