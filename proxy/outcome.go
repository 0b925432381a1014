package proxy

import (
	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/histogram/clock"
)

// now reads the clock if anything is measured.
func (x *exchange) now() int64 {
	if x.c.lane == nil {
		return 0
	}
	return clock.Now()
}

// stream tells the recorder that what follows is no answer with an end.
func (x *exchange) stream() {
	if x.upload != nil {
		x.upload.mute()
	}
	if x.c.lane != nil {
		x.c.lane.FinishStream(x.outcome(), x.firstByte)
	}
	x.measured = true
}

// outcome is what the response counts as; it is asked once an exchange.
func (x *exchange) outcome() histogram.Outcome {
	switch s := x.resp.status; {
	case s >= 500:
		x.c.proxy.statuses.count(s)
		return histogram.ServerError
	case s >= 400:
		x.c.proxy.statuses.count(s)
		return histogram.ClientError
	}
	return histogram.Success
}

// succeed records an exchange whose response was passed on whole.
func (x *exchange) succeed() (again bool) {
	c := x.c
	early := x.upload != nil && !x.upload.complete.Load()
	if c.lane != nil && !x.measured {
		if early {
			c.lane.Discard(histogram.EarlyResponse)
		} else {
			c.lane.Finish(x.outcome(), x.firstByte, x.end)
			if x.sampled && x.reused && x.whole {
				c.lane.Overhead(x.sent - x.start + x.now() - x.end)
			}
		}
	}
	c.linger = c.closing && x.upload != nil
	return !c.closing && c.ended == faultNone
}

// fail records an exchange that took another course, and tells the client so
// if it has not been told anything yet.
func (x *exchange) fail(f fault) (again bool) {
	c := x.c
	c.count(f)
	x.recordFault(f)
	if f == faultClientGone {
		return false
	}
	if c.replied {
		if x.resp.body.kind == framedByClose && !x.copy.chunked || x.resp.body.kind == framedByChunks && !x.copy.chunked {
			c.abort()
		}
		return false
	}
	c.totalMs = 0 // if it is over, that is what there is to tell
	keep := x.whole && x.req.options.persistent(x.req.http11) && !c.proxy.draining.Load()
	c.bufs.out = appendFault(c.bufs.out[:0], f, x.headOnly, !keep)
	ok := c.write(c.bufs.out) == nil
	c.linger = ok && !keep
	return ok && keep
}

func (x *exchange) recordFault(f fault) {
	lane := x.c.lane
	if lane == nil || x.measured {
		return
	}
	switch f {
	case faultClientGone:
		lane.Discard(histogram.ClientGone)
	case faultBadRequest, faultBodyTooLarge, faultRequestTimeout:
		lane.Discard(histogram.Malformed)
	case faultInternal:
		lane.Discard(histogram.Internal)
	default:
		now := x.now()
		if x.upload != nil && !x.upload.complete.Load() {
			lane.Restamp(now) // the time went into receiving the request
		}
		if x.firstByte == 0 {
			x.firstByte = now
		}
		lane.Finish(histogram.GatewayError, x.firstByte, now)
	}
}
