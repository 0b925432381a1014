/* A stream: lines and bodies in the order of their sequence numbers. */
#ifndef STREAM_H
#define STREAM_H

#include "request.h"
#include "response.h"

/* A line of n bytes at `at`, without its end; whole says that it is all there. */
__noinline int line(struct connection *c, __u32 at, __u32 n, __u32 whole)
{
	struct stream *s;
	struct work *w;
	__u32 last;

	if (!c || at > LAST_START || n > LINE || !(w = own_work()))
		return 0;
	s = stream_of(c, w->stream);
	last = at + n - 1;
	SETTLE(last);
	if (whole && n && last <= LAST_START + LINE && w->bytes[last] == '\r')
		n--;
	switch (s->state) {
	case START:
		if (!n) /* RFC 9112 §2.2 */
			break;
		if (w->stream == TO_SERVER)
			request_line(c, at, n, whole);
		else
			status_line(c, s, w, at, n);
		break;
	case FIELDS:
		if (n)
			field(c, at, n);
		else if (w->stream == TO_SERVER)
			request_head(c, s, w);
		else
			response_head(c, s, w);
		break;
	case CHUNK_SIZE:
		if (!chunk_size(at, n)) {
			lose(c, RESYNC, 0);
		} else if (w->number) {
			s->left = w->number + 2;
			s->state = CHUNK_DATA;
		} else {
			s->state = TRAILERS;
		}
		break;
	case TRAILERS:
		if (n)
			break;
		if (w->stream == TO_SERVER)
			complete_request(c, s, w->now);
		else
			complete_response(c, s, w->now);
		break;
	}
	return 0;
}

/* Takes the next line, or piece of a body. Returns whether that was all. */
static __always_inline int step(struct __sk_buff *ctx, struct connection *c)
{
	struct work *w;
	struct stream *s;
	__u32 at, have, n;

	w = own_work();
	if (!w || w->pos >= w->end)
		return 1;
	s = stream_of(c, w->stream);
	n = w->end - w->pos;
	if (s->state == LOST || s->state == UNTIL_CLOSE || (s->state == START && w->stream == TO_CLIENT && !waiting(c) && !c->overflow)) {
		/* In the last case a server speaks unasked, such as of a timeout. */
		w->pos = w->end;
		return 1;
	}
	if (s->state == BODY || s->state == CHUNK_DATA) {
		if (n > s->left)
			n = s->left;
		w->pos += n;
		s->left -= n;
		if (s->left)
			return 1;
		if (s->state == CHUNK_DATA)
			s->state = CHUNK_SIZE;
		else if (w->stream == TO_SERVER)
			complete_request(c, s, w->now);
		else
			complete_response(c, s, w->now);
		return 0;
	}
	if (w->window + w->filled < w->end && w->pos + LINE > w->window + w->filled && fill(ctx) < 0) {
		lose(c, SEQUENCE_GAP, s->state == START && w->stream == TO_SERVER);
		return 1;
	}
	at = w->pos - w->window;
	SETTLE(at);
	have = w->filled - at;
	if (at > LAST_START) {
		lose(c, INTERNAL, 0);
		return 1;
	}
	if (have > LINE)
		have = LINE;
	if (s->state == START && w->pos >= w->carried && !(s->flags & SKIP_LINE)) {
		__u8 first = w->bytes[at];

		if (w->stream == TO_CLIENT) {
			c->first = w->now;
		} else if (!(classes[first] & (HEX | LETTER | SEPARATOR)) && first != '\r' && first != '\n') {
			not_http(c, first);
			return 1;
		}
	}
	n = line_length(at, have);
	SETTLE(n);
	if (n > LINE)
		return 1;
	if (n < have) {
		w->pos += n + 1;
		if (s->flags & SKIP_LINE)
			s->flags &= ~SKIP_LINE;
		else if (s->state != FIELDS || matters(w->bytes[at]))
			line(c, at, n, 1);
		return 0;
	}
	w->pos += n;
	if (s->flags & SKIP_LINE)
		return 0;
	if (n == LINE) {
		line(c, at, n, 0);
		if (s->state != LOST)
			s->flags |= SKIP_LINE;
		return 0;
	}
	if (carry(at) < 0) {
		lose(c, MAP_FULL, s->state == START && w->stream == TO_SERVER);
		return 1;
	}
	s->carried = n;
	return 1;
}

struct reading {
	struct __sk_buff *ctx;
	struct connection *c;
};

static long turn(__u64 i, void *reading)
{
	struct reading *r = reading;

	return step(r->ctx, r->c) != 0;
}

/* Reads the payload, of which the stream wants every byte. */
__noinline int drain(struct __sk_buff *ctx, struct connection *c, struct work *w)
{
	struct reading r = { ctx, c };
	struct stream *s;

	if (!c || !w)
		return 0;
	s = stream_of(c, w->stream);
	s->next = w->seq + w->length;
	w->carried = s->carried;
	if (w->carried > LINE)
		return 0;
	if (w->carried && take_carried() < 0) {
		lose(c, MAP_FULL, s->state == START && w->stream == TO_SERVER);
		return 0;
	}
	s->carried = 0;
	w->pos = w->window = w->filled = 0;
	w->end = w->carried + w->length;
	if (w->replay) {
		if (w->payload > s->early_kept || take_early(w->carried, w->payload) < 0) {
			lose(c, SEQUENCE_GAP, s->state == START && w->stream == TO_SERVER);
			return 0;
		}
		w->filled = w->carried + s->early_kept - w->payload;
		if (w->filled > w->end)
			w->filled = w->end;
	}
	if (bpf_loop(STEPS, turn, &r, 0) >= STEPS && w->pos < w->end)
		lose(c, PARSE_LIMIT, 0);
	return 0;
}

/* Drops what the stream has had already. Returns whether anything is left. */
static __always_inline int trim(struct stream *s, struct work *w)
{
	__u32 old = s->next - w->seq;

	if ((__s32)old <= 0)
		return w->length > 0;
	if (old >= w->length)
		return 0;
	w->seq += old;
	w->payload += old;
	w->length -= old;
	return 1;
}

/* The body goes on for n bytes at least, and comes no nearer than that. */
static __always_inline int within_body(struct stream *s, __u32 n)
{
	return (s->state == BODY || s->state == CHUNK_DATA) && n <= s->left;
}

/* So it does, and the message is not over then: whoever has not seen these bytes
   knows no less of when it ends. */
static __always_inline int inside_body(struct stream *s, __u32 n)
{
	return (s->state == BODY && n < s->left) || (s->state == CHUNK_DATA && n <= s->left);
}

/* Takes n bytes of a body that need not be looked at. */
static __always_inline void pass_body(struct connection *c, struct stream *s, __u32 stream, __u32 n, __u64 now)
{
	s->left -= n;
	s->next += n;
	if (s->left)
		return;
	if (s->state == CHUNK_DATA)
		s->state = CHUNK_SIZE;
	else if (stream == TO_SERVER)
		complete_request(c, s, now);
	else
		complete_response(c, s, now);
}

/* What came early may be next in turn. */
static __always_inline void replay(struct __sk_buff *ctx, struct connection *c, struct stream *s, struct work *w)
{
	__u32 seq = s->early, end = s->early_end, known = s->next - seq;

	if (seq == end || (__s32)known < 0)
		return;
	s->early_end = seq;
	if ((__s32)(end - s->next) <= 0)
		return;
	if (within_body(s, end - s->next)) {
		pass_body(c, s, w->stream, end - s->next, w->now);
		return;
	}
	w->replay = 1;
	w->seq = s->next;
	w->length = end - s->next;
	w->payload = known;
	drain(ctx, c, w);
}

/* The peer acknowledges bytes of the stream that were not seen, up to ack: they
   will not come. */
__noinline int missed(struct connection *c, __u32 stream, __u32 ack)
{
	struct stream *s;
	__u32 n;

	if (!c)
		return 0;
	s = stream_of(c, stream);
	n = ack - s->next;
	if (s->state == LOST || (__s32)n <= 0 || (n == 1 && s->ending))
		return 0;
	/* The last bytes of what came early may be the body's. */
	if (inside_body(s, n) || (within_body(s, n) && s->early != s->early_end && s->early_end == ack)) {
		pass_body(c, s, stream, n, s->early_at);
		if ((__s32)(s->early_end - ack) <= 0)
			s->early_end = s->early;
		return 0;
	}
	lose(c, SEQUENCE_GAP, stream == TO_SERVER && s->state == START);
	return 0;
}

/* Keeps a segment that came before the bytes in front of it. */
__noinline int set_aside(struct __sk_buff *ctx, struct connection *c)
{
	struct work *w;
	struct stream *s;
	struct kept *k;
	__u32 n, kept;

	if (!c || !(w = own_work()))
		return -1;
	s = stream_of(c, w->stream);
	n = w->length;
	if (s->early != s->early_end) {
		__u32 gap = w->seq - s->early_end;

		if ((__s32)gap < 0)
			return 0; /* again, or part of it */
		if (gap && !within_body(s, w->seq + n - s->next))
			return -1;
		/* only what follows without a gap can be read later */
		if (gap || s->early_kept != s->early_end - s->early)
			n = 0;
		s->early_end = w->seq + w->length;
	} else {
		s->early = w->seq;
		s->early_end = w->seq + n;
		s->early_kept = 0;
	}
	s->early_at = w->now;
	kept = *(volatile __u16 *)&s->early_kept;
	if (kept > WINDOW)
		return -1;
	if (n > WINDOW - kept)
		n = WINDOW - kept;
	if (n < 1)
		return 0;
	k = keep(w, EARLY);
	if (!k)
		return -1;
	COPY_WORDS(w->words, k->words, WINDOW / 8);
	if (load(ctx, w->payload, kept, n) < 0)
		return -1;
	COPY_WORDS(k->words, w->words, WINDOW / 8);
	s->early_kept = kept + n;
	return 0;
}

#endif
