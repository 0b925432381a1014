/* The stream to the client. */
#ifndef RESPONSE_H
#define RESPONSE_H

#include "field.h"

/* Whether n bytes at the window's beginning begin a final response. */
static __always_inline int final_response(struct work *w, __u32 n)
{
	__u8 a = w->bytes[9];

	if (n < 12 || (w->words[0] & FIRST(7)) != WORD('H', 'T', 'T', 'P', '/', '1', '.', 0))
		return 0;
	return (a >= '2' && a <= '9') || (a == '1' && w->bytes[10] == '0' && w->bytes[11] == '1');
}

/* The first line of a response, of n bytes. */
static __always_inline void status_line(struct connection *c, struct stream *s, struct work *w, __u32 at, __u32 n)
{
	__u64 version = WORD_AT(w, at) & FIRST(7);
	__u8 a = w->bytes[at + 9] - '0', b = w->bytes[at + 10] - '0', d = w->bytes[at + 11] - '0';

	if (n < 12 || version != WORD('H', 'T', 'T', 'P', '/', '1', '.', 0) || a < 1 || a > 9 || b > 9 || d > 9) {
		lose(c, RESYNC, 0);
		return;
	}
	s->status = a * 100 + b * 10 + d;
	s->state = FIELDS;
}

/* The empty line behind a response's fields: RFC 9112 §6.3 has the cases. */
static __always_inline void response_head(struct connection *c, struct stream *s, struct work *w)
{
	__u32 method = waiting(c) ? request_at(c, c->head)->method : OTHER_METHOD;

	if (s->status < 200 && s->status != 101) {
		begin_message(s);
		return;
	}
	if (s->status == 101 || (method == CONNECT && s->status < 300)) {
		if (waiting(c))
			measure(c, SUCCESS, 1, c->first, w->now);
		give_up(c, RESYNC);
		ignore(c);
		return;
	}
	if (method == HEAD || s->status == 204 || s->status == 304) {
		complete_response(c, s, w->now);
		return;
	}
	if (s->flags & EVENTS && waiting(c)) {
		measure(c, outcome_of(s->status), 1, c->first, w->now);
		s->flags |= COUNTED;
	}
	if (s->flags & CHUNKED)
		s->state = CHUNK_SIZE;
	else if (s->flags & BAD_FRAMING || !(s->flags & HAS_LENGTH))
		s->state = UNTIL_CLOSE;
	else if (s->left)
		s->state = BODY;
	else
		complete_response(c, s, w->now);
}

#endif
