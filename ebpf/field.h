/* The fields of a head that say where a message ends. */
#ifndef FIELD_H
#define FIELD_H

#include "message.h"

static __always_inline int blank(__u8 c)
{
	return c == ' ' || c == '\t';
}

/* How many blanks there are at `at`: at most 8. */
__noinline int blanks_at(__u32 at)
{
	struct work *w;

	if (at > LAST_START + LINE || !(w = own_work()))
		return 0;
	TIMES(i, 8) {
		if (!blank(w->bytes[at + i]))
			return i;
	}
	return 8;
}

/* How many there are in the 8 bytes that begin at `at`, from their end on. */
__noinline int blanks_up_to(__u32 at)
{
	struct work *w;

	if (at > LAST_START + LINE || !(w = own_work()))
		return 0;
	TIMES(i, 8) {
		if (!blank(w->bytes[at + 7 - i]))
			return i;
	}
	return 8;
}

/* The value of a field, of which the colon is before `at`, without the blanks
   around it: at most 8 of them. */
struct value {
	__u32 at, n;
};

static __always_inline struct value value_of(__u32 at, __u32 n)
{
	__u32 blanks = blanks_at(at);

	if (blanks > 8 || blanks >= n)
		return (struct value){ at, 0 };
	at += blanks;
	n -= blanks;
	blanks = blanks_up_to(at + n - 8);
	if (blanks > 8)
		blanks = 8;
	return (struct value){ at, n - blanks };
}

/* Content-Length: RFC 9112 §6.3. */
__noinline int content_length(struct stream *s, __u32 at, __u32 n)
{
	struct work *w;
	__u64 length;
	struct value v;

	if (!s || at > LAST_START + 32 || n > LINE || !(w = own_work()))
		return 0;
	v = value_of(at, n);
	SETTLE(v.at);
	if (v.at > LAST_START + 64 || !v.n || v.n > 18)
		goto bad;
	w->number = 0;
	TIMES(i, 18) {
		__u8 c;

		if (beyond(i, v.n))
			break;
		c = w->bytes[v.at + i] - '0';
		if (c > 9)
			goto bad;
		w->number = w->number * 10 + c;
	}
	length = w->number;
	if (s->flags & HAS_LENGTH && s->left != length)
		goto bad;
	s->flags |= HAS_LENGTH;
	s->left = length;
	return 0;
bad:
	s->flags |= BAD_FRAMING;
	return 0;
}

/* Transfer-Encoding: whether the last coding is chunked. It comes before any
   Content-Length. */
__noinline int transfer_encoding(struct stream *s, __u32 at, __u32 n)
{
	struct work *w;
	struct value v;

	if (!s || at > LAST_START + 32 || n > LINE || !(w = own_work()))
		return 0;
	v = value_of(at, n);
	s->flags &= ~CHUNKED;
	s->flags |= BAD_FRAMING;
	if (v.n < 7)
		return 0;
	at = v.at + v.n - 8; /* a byte before it: a colon at least */
	SETTLE(at);
	if (at > LAST_START + LINE)
		return 0;
	if ((WORD_AT(w, at) | LOWER) >> 8 == WORD('c', 'h', 'u', 'n', 'k', 'e', 'd', 0)) {
		__u8 before = w->bytes[at];

		if (v.n == 7 || blank(before) || before == ',') {
			s->flags &= ~BAD_FRAMING;
			s->flags |= CHUNKED;
		}
	}
	return 0;
}

/* Content-Type: text/event-stream, with or without parameters. */
__noinline int content_type(struct stream *s, __u32 at, __u32 n)
{
	struct work *w;
	struct value v;

	if (!s || at > LAST_START + 32 || n > LINE || !(w = own_work()))
		return 0;
	v = value_of(at, n);
	at = v.at;
	SETTLE(at);
	if (at > LAST_START + 64 || v.n < 17)
		return 0;
	if ((WORD_AT(w, at) | LOWER) == WORD('t', 'e', 'x', 't', '/', 'e', 'v', 'e') &&
	    (WORD_AT(w, at + 8) | LOWER) == WORD('n', 't', '-', 's', 't', 'r', 'e', 'a') &&
	    (w->bytes[at + 16] | 0x20) == 'm' &&
	    (v.n == 17 || w->bytes[at + 17] == ';' || blank(w->bytes[at + 17])))
		s->flags |= EVENTS;
	return 0;
}

/* Whether a line of a head that begins so may be one that says something, or the
   last. */
static __always_inline int matters(__u8 first)
{
	first |= 0x20;
	return first == 'c' || first == 't' || first == ('\r' | 0x20) || first == ('\n' | 0x20);
}

/* A line of a head, of n bytes without its end. */
__noinline int field(struct connection *c, __u32 at, __u32 n)
{
	struct work *w;
	struct stream *s;
	__u64 first, second;

	if (!c || at > LAST_START || n > LINE || !(w = own_work()))
		return 0;
	first = WORD_AT(w, at) | LOWER;
	if (first != WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-') && first != WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r'))
		return 0;
	s = stream_of(c, w->stream);
	second = WORD_AT(w, at + 8) | LOWER;
	if (first == WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
		if (n >= 18 && second == WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') && (w->bytes[at + 16] | 0x20) == 'g' &&
		    w->bytes[at + 17] == ':')
			transfer_encoding(s, at + 10, n - 10);
	} else if (n >= 15 && (second & FIRST(7)) == WORD('l', 'e', 'n', 'g', 't', 'h', ':', 0)) {
		content_length(s, at + 15, n - 15);
	} else if (w->stream == TO_CLIENT && n >= 13 && (second & FIRST(5)) == WORD('t', 'y', 'p', 'e', ':', 0, 0, 0)) {
		content_type(s, at + 13, n - 13);
	}
	return 0;
}

/* A chunk's size, before any extension: RFC 9112 §7.1. It is left in number.
   Returns whether there is one. */
__noinline int chunk_size(__u32 at, __u32 n)
{
	struct work *w;
	__u32 digits = 0;

	if (at > LAST_START || !(w = own_work()))
		return 0;
	w->number = 0;
	TIMES(i, 16) {
		__u8 c, value;

		if (beyond(i, n))
			break;
		c = w->bytes[at + i];
		value = c - '0';
		if (value > 9) {
			value = (c | 0x20) - 'a';
			if (value > 5)
				break;
			value += 10;
		}
		w->number = w->number << 4 | value;
		digits = i + 1;
	}
	return digits && digits < 16;
}

#endif
