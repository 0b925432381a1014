package histogram

import "sync/atomic"

const ringSize = 32

// Lane records the requests of one connection, one after another. It is used
// by one goroutine at a time; what is in flight on it is visible to snapshots.
//
// A Lane has a ring of words. Start publishes the request in flight in one of
// them and the end of the request overwrites it there, so recording takes two
// plain stores and no locked instruction. When the ring is full the Lane moves
// it to its shard's log; Seal does the same for every Lane each second.
type Lane struct {
	shard *shard

	// Owned by the goroutine that uses the Lane.
	open   record // route and lap of the request in flight, as kindInFlight; 0: none
	start  int64
	next   uint32 // where in the ring the request is, or the next one will be
	lap    record // lapBit every other time around
	closed bool

	// Owned by the holder of shard.mu. tail counts the words moved to the log.
	tail  uint32
	walk  uint32 // the last walk that visited the Lane
	index int    // in shard.lanes

	ring [ringSize]atomic.Uint64
}

// Lane makes a Lane for a new connection. It must be closed. Safe for
// concurrent use.
func (r *Recorder) Lane() *Lane {
	s := r.shards[r.nextShard.Add(1)%uint32(len(r.shards))]
	l := &Lane{shard: s}
	s.add(l)
	return l
}

// Start says that the head of a request was received at now: it is in flight
// from then on. A request still open is discarded as Internal.
func (l *Lane) Start(route Route, now int64) {
	if l.open != 0 || l.next == ringSize {
		l.startAnew(route, now)
		return
	}
	l.start = now
	l.open = inFlight(route) | l.lap
	l.put(l.open | since(now))
}

// startAnew is Start when a request is open or the ring is full.
func (l *Lane) startAnew(route Route, now int64) {
	l.Discard(Internal)
	if l.next == ringSize {
		l.shard.flush(l)
		l.next = 0
		l.lap ^= lapBit
	}
	l.Start(route, now)
}

// Receiving says that the body of the request is still on its way. Until
// Restamp the request is in flight but has no age: a client that is slow to
// send does not make the API look slow.
func (l *Lane) Receiving() {
	if l.open != 0 {
		l.put(l.open.as(kindReceiving))
	}
}

// Restamp says that the body of the request was fully received at now, where
// its latency begins.
func (l *Lane) Restamp(now int64) {
	if l.open != 0 {
		l.start = now
		l.put(l.open | since(now))
	}
}

// Finish ends a request whose first response byte was received at firstByte
// and whose last at end. Without a Start it does nothing.
func (l *Lane) Finish(o Outcome, firstByte, end int64) {
	if l.open == 0 {
		return
	}
	duration := bucketOf(end - l.start)
	ttfb := duration
	if firstByte != end {
		ttfb = bucketOf(firstByte - l.start)
	}
	l.end(l.open.as(kindFinished) | measured(o, duration, ttfb))
}

// FinishStream ends a request that became a stream, such as server-sent events
// or an upgraded connection, when its head was received at firstByte. It has
// no duration and is no longer in flight.
func (l *Lane) FinishStream(o Outcome, firstByte int64) {
	if l.open != 0 {
		l.end(l.open.as(kindStream) | measured(o, 0, bucketOf(firstByte-l.start)))
	}
}

// Discard ends a request that was seen and will not be measured. Without a
// Start it does nothing.
func (l *Lane) Discard(reason Reason) {
	if l.open != 0 {
		l.end(l.lap | unmeasured(reason))
	}
}

// Unparsed counts a request that was seen and had no Start.
func (l *Lane) Unparsed(reason Reason) { l.shard.log1(unmeasured(reason)) }

// Overhead counts the sensor's own added time for one request, in nanoseconds.
func (l *Lane) Overhead(ns int64) { l.shard.log1(overhead(ns)) }

// Close ends the Lane. An open request is discarded as ClientGone. Nothing may
// be recorded afterwards; closing again does nothing.
func (l *Lane) Close() {
	if l.closed {
		return
	}
	l.closed = true
	l.Discard(ClientGone)
	l.shard.remove(l)
}

// put publishes e as what is to be known of the open request.
func (l *Lane) put(e record) {
	publish(&l.ring[l.next%ringSize], uint64(e))
}

// end publishes how the open request ended.
func (l *Lane) end(e record) {
	l.put(e)
	l.next++
	l.open = 0
}

// oldest is the word at the tail of the ring, 0 when it is still the one of
// the lap before. The caller holds shard.mu.
func (l *Lane) oldest() record {
	e := record(l.ring[l.tail%ringSize].Load())
	if (e^record(l.tail/ringSize)<<lapShift)&lapBit != 0 {
		return 0
	}
	return e
}
