/* The bytes of a packet that are looked at, and those kept from the last one. */
#ifndef WINDOW_H
#define WINDOW_H

#include "connection.h"

#define BYTES_AT(w, at) ((w)->bytes + (at))
#define WORD_AT(w, at) (*(__u64 *)((w)->bytes + (at)))
/* Where a line may begin in the window, so that LINE bytes and more follow. */
#define LAST_START (WINDOW + LINE)

#define EVERY(byte) (0x0101010101010101ULL * (byte))
#define LOWER 0x2020202020202020ULL /* makes letters lower case, and `\r` a dash */

/* A word as its bytes stand in memory. Everything here is little-endian. */
#define WORD(a, b, c, d, e, f, g, h) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | \
	 (__u64)(e) << 32 | (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define FIRST(n) ((1ULL << 8 * (n)) - 1)

/* The key of what is kept for the stream. It is in `work`, as looked up and not as
   an argument: its fields share a word, see verifier.h. */
static __always_inline struct kept_key *kept_key_of(struct work *w, __u32 what)
{
	w->kept.stream = w->stream;
	w->kept.what = what;
	return &w->kept;
}

static __always_inline struct kept *kept_for(struct work *w, __u32 what)
{
	return bpf_map_lookup_elem(&kept, kept_key_of(w, what));
}

/* Makes room for bytes to be kept, 0 if there is none. */
static __always_inline struct kept *keep(struct work *w, __u32 what)
{
	static const struct kept empty;
	struct kept *k = kept_for(w, what);

	if (k)
		return k;
	bpf_map_update_elem(&kept, &w->kept, &empty, BPF_ANY);
	return bpf_map_lookup_elem(&kept, &w->kept);
}

/* The bytes carried over from the last packet go before those of this one. */
__noinline int take_carried(void)
{
	struct work *w = own_work();
	struct kept *k;

	if (!w)
		return -1;
	k = kept_for(w, CARRIED);
	if (!k)
		return -1;
	COPY_WORDS(w->words, k->words, LINE / 8);
	bpf_map_delete_elem(&kept, &w->kept);
	return 0;
}

/* Keeps the window's bytes from `at` on, fewer than LINE, for the next packet. */
__noinline int carry(__u32 at)
{
	struct work *w;
	struct kept *k;

	w = own_work();
	if (!w)
		return -1;
	k = keep(w, CARRIED);
	SETTLE(at);
	if (!k || at > LAST_START)
		return -1;
	COPY_WORDS(k->words, &WORD_AT(w, at), LINE / 8);
	return 0;
}

/* Copies what came early, without its first `from` bytes, behind the first `at`
   bytes of the window. */
__noinline int take_early(__u32 at, __u32 from)
{
	struct work *w;
	struct kept *k;

	w = own_work();
	if (!w)
		return -1;
	k = kept_for(w, EARLY);
	SETTLE(at);
	if (!k || at > LINE)
		return -1;
	TIMES(i, WINDOW / 8) {
		__u32 offset = from + i * 8;

		SETTLE(offset);
		if (offset > WINDOW)
			break;
		WORD_AT(w, at + i * 8) = *(__u64 *)((__u8 *)k->words + offset);
	}
	return 0;
}

/* Loads 1 to WINDOW bytes of the packet to the window's place `at`. Older
   verifiers learn nothing from a comparison with 0, and need to be shown that
   there is a byte at least. */
__noinline int load(struct __sk_buff *ctx, __u32 from, __u32 at, __u32 n)
{
	__u32 last = n - 1;
	struct work *w;

	SETTLE(last);
	if (last > WINDOW - 1 || at > WINDOW || !(w = own_work()))
		return -1;
	return bpf_skb_load_bytes(ctx, from, BYTES_AT(w, at), last + 1);
}

/* Moves the window to pos. What is carried stays at its beginning for as long
   as it is wanted: a line that began there ends in the first window. */
__noinline int fill(struct __sk_buff *ctx)
{
	struct work *w;
	__u32 at = 0, from, n;

	w = own_work();
	if (!w || w->replay) /* all of it is in the window already */
		return -1;
	if (w->pos < w->carried) {
		at = w->carried;
		from = w->payload;
		n = w->end - w->carried;
		w->window = 0;
	} else {
		from = w->payload + w->pos - w->carried;
		n = w->end - w->pos;
		w->window = w->pos;
	}
	if (at > LINE || !(w = own_work()))
		return -1;
	if (n > WINDOW)
		n = WINDOW;
	if (load(ctx, from, at, n) < 0)
		return -1;
	w->filled = at + n;
	return 0;
}

/* How many bytes stand before the first line end of the n at `at`, n if there
   is none among them; n is LINE at most. */
__noinline int line_length(__u32 at, __u32 n)
{
	struct work *w;
	if (at > LAST_START || n > LINE || !(w = own_work()))
		return 0;
	TIMES(word, LINE / 8) {
		__u32 i = word * 8;
		__u64 v, hits;
		__u32 length;

		if (beyond(i, n))
			break;
		v = WORD_AT(w, at + i) ^ EVERY('\n');
		hits = (v - EVERY(1)) & ~v & EVERY(0x80);
		if (!hits)
			continue;
		/* The lowest hit is exact; one bit for each byte below it. */
		length = i + ((((((hits & -hits) >> 7) - 1) & EVERY(1)) * EVERY(1)) >> 56);
		return length < n ? length : n;
	}
	return n;
}

#endif
