/* The stream to the server. */
#ifndef REQUEST_H
#define REQUEST_H

#include "field.h"
#include "route.h"

enum { NOT_A_REQUEST, A_REQUEST, MAYBE_TLS };

/* Whether n bytes at the window's beginning look like a request line, or a TLS
   record, that a connection nobody has seen yet can be taken up at. */
static __always_inline int stranger(struct work *w, __u32 n)
{
	__u64 first = w->words[0], second = w->words[1], third = w->words[2];

	if (n >= 3 && w->bytes[0] >= 0x14 && w->bytes[0] <= 0x17 && w->bytes[1] == 3 && w->bytes[2] <= 4)
		return MAYBE_TLS;
	TIMES(i, 18) {
		__u8 b = first;

		first = first >> 8 | second << 56;
		second = second >> 8 | third << 56;
		third >>= 8;
		if (beyond(i + 1, n))
			return NOT_A_REQUEST;
		if (b == ' ') {
			b = first;
			return i >= 3 && (b == '/' || b == '*' || (b | 0x20) == 'h' || w->words[0] == WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' ')) ? A_REQUEST : NOT_A_REQUEST;
		}
		if (b < 'A' || b > 'Z')
			return NOT_A_REQUEST;
	}
	return NOT_A_REQUEST;
}

/* What came is no request: whose bytes are they? */
static __always_inline void not_http(struct connection *c, __u8 first)
{
	if (c->requests) {
		lose(c, RESYNC, 1);
		return;
	}
	count_seen_unmeasured(first >= 0x14 && first <= 0x17 ? TLS : MALFORMED);
	ignore(c);
}

/* How many bytes the method at `at` has, 24 if it does not end before. */
__noinline int method_length(__u32 at)
{
	struct work *w;

	if (at > LAST_START || !(w = own_work()))
		return 0;
	TIMES(i, 24) {
		__u8 b = w->bytes[at + i];

		if (!(classes[b] & (HEX | LETTER | SEPARATOR)))
			return i;
	}
	return 24;
}

/* The first line of a request; whole says that its end is in the n bytes. */
__noinline int request_line(struct connection *c, __u32 at, __u32 n, __u32 whole)
{
	struct work *w;
	struct stream *s;
	__u32 method, end, version;
	__u64 verb;

	if (!c || at > LAST_START || n > LINE || !(w = own_work()))
		return 0;
	s = &c->streams[TO_SERVER];
	verb = WORD_AT(w, at);
	method = method_length(at);
	SETTLE(method);
	end = at + method;
	SETTLE(end);
	if (method < 1 || method > 23 || method + 3 > n || end > LAST_START + 24 || w->bytes[end] != ' ') {
		not_http(c, verb);
		return 0;
	}
	if (verb == WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T')) {
		count_seen_unmeasured(HTTP2);
		give_up(c, HTTP2);
		ignore(c);
		return 0;
	}
	version = at + n - 8;
	SETTLE(version);
	if (whole && (n < method + 11 || version > LAST_START + LINE || (WORD_AT(w, version) & FIRST(7)) != WORD('H', 'T', 'T', 'P', '/', '1', '.', 0))) {
		not_http(c, verb);
		return 0;
	}
	s->method = OTHER_METHOD;
	if ((verb & FIRST(5)) == WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0))
		s->method = HEAD;
	else if (verb == WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' '))
		s->method = CONNECT;
	s->slot = route_of(at, method, n);
	s->state = FIELDS;
	return 0;
}

/* The empty line behind a request's fields. */
static __always_inline void request_head(struct connection *c, struct stream *s, struct work *w)
{
	if (s->flags & BAD_FRAMING || s->method == CONNECT) {
		/* Where the next request begins only its own line can tell. */
		push(c, s, w->now, 1);
		begin_message(s);
		s->state = LOST;
	} else if (s->flags & CHUNKED) {
		push(c, s, w->now, 0);
		s->state = CHUNK_SIZE;
	} else if (s->flags & HAS_LENGTH && s->left) {
		push(c, s, w->now, 0);
		s->state = BODY;
	} else {
		push(c, s, w->now, 1);
		begin_message(s);
	}
}

#endif
