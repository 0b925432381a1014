/* What a packet's payload is by its first bytes, where it is not known what comes. */
#ifndef GLANCE_H
#define GLANCE_H

#include "stream.h"

/* Whether the payload begins with a request line, or as TLS does. */
__noinline int recognise(struct __sk_buff *ctx, struct work *w)
{
	__u32 n;

	if (!w)
		return NOT_A_REQUEST;
	n = w->length;
	if (n > 32)
		n = 32;
	if (load(ctx, w->payload, 0, n) < 0)
		return NOT_A_REQUEST;
	return stranger(w, n);
}

/* Whether the payload begins with a final response. */
__noinline int answers(struct __sk_buff *ctx, struct work *w)
{
	__u32 n;

	if (!w)
		return 0;
	n = w->length;
	if (n > 32)
		n = 32;
	return load(ctx, w->payload, 0, n) >= 0 && final_response(w, n);
}

/* A response to a request of which not even the head is complete: it was too
   large for the server, or too slow. */
static __always_inline void answered_early(struct __sk_buff *ctx, struct connection *c, struct work *w)
{
	struct stream *s = &c->streams[TO_SERVER];

	if (c->overflow || s->state != FIELDS || s->flags & COUNTED || !answers(ctx, w))
		return;
	count_seen_unmeasured(EARLY_RESPONSE);
	s->flags |= COUNTED;
}

/* While the place is lost, a response in a packet of its own tells of a request
   that nobody saw begin. */
__noinline int overhear(struct __sk_buff *ctx, struct connection *c, struct work *w)
{
	if (!c || !answers(ctx, w))
		return 0;
	if (c->owed)
		c->owed--;
	else
		count_seen_unmeasured(RESYNC);
	return 0;
}

#endif
