/* How requests and responses become measurements. The caller has the
   connection to itself. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "count.h"
#include "window.h"

static __always_inline __u32 waiting(struct connection *c)
{
	return c->tail - c->head;
}

static __always_inline __u32 outcome_of(__u32 status)
{
	return status >= 500 ? SERVER_ERROR : status >= 400 ? CLIENT_ERROR : SUCCESS;
}

static __always_inline void begin_message(struct stream *s)
{
	s->state = START;
	s->left = 0;
	s->flags &= ENDED;
	s->carried = 0;
}

/* The bytes that come now say nothing any more: until a request line does. */
static __always_inline void stop_reading(struct connection *c)
{
	TIMES(i, 2) {
		c->streams[i].state = LOST;
		c->streams[i].flags &= ENDED;
		c->streams[i].carried = 0;
		c->streams[i].early_end = c->streams[i].early;
	}
}

/* The connection carries something that is no HTTP/1.1, or no more. */
static __always_inline void ignore(struct connection *c)
{
	c->ignored = 1;
	stop_reading(c);
}

/* Every request that waits is unmeasured. */
static __always_inline void abandon(struct connection *c, enum reason reason)
{
	count_unmeasured(reason, waiting(c));
	c->head = c->tail;
	c->overflow = 0;
}

__noinline int give_up(struct connection *c, enum reason reason)
{
	if (c)
		abandon(c, reason);
	return 0;
}

/* How many of the requests that wait have nothing of their final response yet. */
static __always_inline __u32 unanswered(struct connection *c)
{
	struct stream *s = &c->streams[TO_CLIENT];
	__u32 n = waiting(c) + c->overflow;

	if (!n || s->flags & COUNTED || s->state == LOST || (s->state == START && !s->carried) ||
	    (s->state == FIELDS && s->status < 200))
		return n;
	return n - 1;
}

/* The place in the connection is lost: what waits is unmeasured, and so is the
   request whose head was being read, if partial. */
__noinline int lose(struct connection *c, enum reason reason, int partial)
{
	if (!c)
		return 0;
	c->owed = unanswered(c);
	if ((c->streams[TO_SERVER].state == FIELDS && !(c->streams[TO_SERVER].flags & COUNTED)) || partial) {
		count_seen_unmeasured(reason);
		c->owed++;
	}
	abandon(c, reason);
	stop_reading(c);
	return 0;
}

/* A request head was read; complete says that there is no body. */
static __always_inline void push(struct connection *c, struct stream *s, __u64 now, int complete)
{
	struct counters *n = counters();
	struct request *r;

	c->requests++;
	if (s->flags & COUNTED) /* it was answered before its head was complete */
		return;
	if (n)
		n->seen++;
	if (c->streams[TO_CLIENT].flags & ENDED) {
		/* The server had closed before it came. */
		count_unmeasured(CLIENT_GONE, 1);
		s->flags |= COUNTED;
		return;
	}
	if (c->overflow || waiting(c) >= QUEUE) {
		c->overflow++;
		count_unmeasured(PARSE_LIMIT, 1);
		s->flags |= COUNTED;
		return;
	}
	r = request_at(c, c->tail);
	r->start = complete ? now : 0;
	r->slot = s->slot;
	r->method = s->method;
	c->tail++;
}

/* The body of the newest request came whole. */
static __always_inline void complete_request(struct connection *c, struct stream *s, __u64 now)
{
	if (!(s->flags & COUNTED) && waiting(c))
		request_at(c, c->tail - 1)->start = now;
	begin_message(s);
}

/* Counts the request at the head of the queue as having ended so. A response
   that began before the request was complete has no time to its first byte. */
__noinline int measure(struct connection *c, __u32 outcome, __u32 stream, __u64 first, __u64 end)
{
	struct request *r;
	__u64 start;

	if (!c)
		return 0;
	r = request_at(c, c->head);
	start = r->start;
	if (!start)
		start = end;
	count(r->slot, outcome, stream, end > start ? end - start : 0, first > start ? first - start : 0);
	c->head++;
	return 0;
}

/* The response in progress ended at `end`. */
static __always_inline void complete_response(struct connection *c, struct stream *s, __u64 end)
{
	if (s->flags & COUNTED) {
		/* it was a stream */
	} else if (!waiting(c)) {
		if (c->overflow)
			c->overflow--;
	} else if (!request_at(c, c->head)->start) {
		count_unmeasured(EARLY_RESPONSE, 1);
		c->head++;
	} else {
		measure(c, outcome_of(s->status), 0, c->first, end);
	}
	begin_message(s);
}

/* The server ended the connection: what waits will not be answered. */
__noinline int break_off(struct connection *c, __u64 now)
{
	struct stream *s;
	__u64 first;

	if (!c)
		return 0;
	s = &c->streams[TO_CLIENT];
	first = s->state == START || s->state == LOST || s->flags & COUNTED ? now : c->first;
	if (c->streams[TO_SERVER].flags & ENDED) { /* the client did first */
		give_up(c, CLIENT_GONE);
		return 0;
	}
	TIMES(i, QUEUE) {
		if (!waiting(c))
			break;
		measure(c, GATEWAY_ERROR, 0, first, now);
		first = now;
	}
	c->overflow = 0;
	return 0;
}

#endif
