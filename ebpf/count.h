/* Counting: nothing is lost here without being counted as that. */
#ifndef COUNT_H
#define COUNT_H

#include "connection.h"

/* As in package histogram; a test compares the names. */
enum reason {
	MALFORMED,
	CLIENT_GONE,
	EARLY_RESPONSE,
	HTTP2,
	TLS,
	SEQUENCE_GAP,
	RESYNC,
	PARSE_LIMIT,
	MAP_FULL,
	INTERNAL,
	REASONS,
};

enum outcome { SUCCESS, CLIENT_ERROR, SERVER_ERROR, GATEWAY_ERROR };
enum figure { BOTH, DURATION, TTFB, STREAM };

struct counters {
	__u64 packets; /* that had something to look at */
	__u64 seen;    /* requests */
	__u64 other;   /* requests whose path was one too many */
	__u64 contended;
	__u64 unmeasured[REASONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counted SEC(".maps");

/* What is counted: pages of neighbouring buckets, each one line of a processor's
   cache. A page belongs to the key that is at its place in `owners`, to nobody
   when that is 0. Programs give free pages away and only ever add; user space,
   which has both maps in its memory, takes the counts away again, and the pages
   too when they become few. */
#define BUCKETS 16
#define OWNERS 8 /* beside each other, in one line of the cache */
#define CHOICES 4 /* of such lines, for a key */

struct page {
	__u32 counts[BUCKETS];
};

struct line {
	__u64 keys[OWNERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PAGES);
	__type(key, __u32);
	__type(value, struct page);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PAGES / OWNERS);
	__type(key, __u32);
	__type(value, struct line);
} owners SEC(".maps");

/* To change an array of maps is to wait until every program that runs has ended,
   which is all that this one is for. */
struct nothing {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} nothing SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct nothing);
} pause SEC(".maps") = {
	.values = { &nothing },
};

static __always_inline struct counters *counters(void)
{
	return bpf_map_lookup_elem(&counted, (const void *)&only);
}

__noinline int count_unmeasured(enum reason reason, __u32 n)
{
	struct counters *c = counters();

	if (c && reason < REASONS)
		c->unmeasured[reason] += n;
	return 0;
}

/* A request that was seen and will not be measured. */
__noinline int count_seen_unmeasured(enum reason reason)
{
	struct counters *c = counters();

	if (c && reason < REASONS) {
		c->seen++;
		c->unmeasured[reason]++;
	}
	return 0;
}

#define GOLDEN 0x9e3779b97f4a7c15ULL /* spreads what it multiplies over the upper bits */
#define HIGHEST 3600000000000ULL /* histogram.Highest, one hour */

/* How far rest is above bits: the bits if it has more, else 0. Without a branch,
   of which the verifier would follow each combination. */
static __always_inline __u32 above(__u64 rest, __u32 bits)
{
	__u64 more = ((1ULL << bits) - 1 - rest) >> 63;

	SETTLE(more);
	return more * bits;
}

/* The index that histogram.Bucket gives: HdrHistogram's with 1024 sub-buckets
   an octave. */
__noinline int bucket_of(__u64 ns)
{
	__u64 rest;
	__u32 shift, more;

	if (ns > HIGHEST)
		ns = HIGHEST;
	rest = ns >> 11;
	shift = more = above(rest, 16);
	rest >>= more;
	shift += more = above(rest, 8);
	rest >>= more;
	shift += more = above(rest, 4);
	rest >>= more;
	shift += more = above(rest, 2);
	rest >>= more;
	shift += more = above(rest, 1);
	rest >>= more;
	shift += rest;
	return (shift << 10) + (ns >> shift);
}

/* The page of a key, PAGES if there is no room for it. A key may have two when
   pages were taken back: user space adds them up. */
__noinline int page_of(__u64 key)
{
	__u64 hash = key * GOLDEN;
	struct work *w = own_work();

	if (!w)
		return PAGES;
	hash ^= hash >> 32;
	hash *= GOLDEN;
	TIMES(choice, CHOICES) {
		struct line *l;

		w->place = hash >> 48 & (PAGES / OWNERS - 1);
		l = bpf_map_lookup_elem(&owners, &w->place);
		if (!l)
			return PAGES;
		TIMES(i, OWNERS) {
			__u64 owner = *(volatile __u64 *)&l->keys[i];

			if (owner == key)
				return w->place * OWNERS + i;
			if (owner)
				continue;
			owner = __sync_val_compare_and_swap(&l->keys[i], 0, key);
			if (!owner || owner == key)
				return w->place * OWNERS + i;
		}
		hash = hash << 16 | hash >> 48;
	}
	return PAGES;
}

/* The counter of a bucket, 0 if there is no room for it. What is looked up by
   is in `work`: a processor that may not guess waits for writes to the stack. */
static __always_inline __u32 *counter(struct work *w, __u32 slot, __u32 outcome, enum figure figure, __u32 bucket)
{
	struct page *p;

	w->place = page_of(1ULL << 63 | (__u64)slot << 24 | outcome << 20 | figure << 16 | bucket / BUCKETS);
	p = bpf_map_lookup_elem(&pages, &w->place);
	return p ? p->counts + bucket % BUCKETS : 0;
}

/* A request that ended and was measured, by both its latencies or by none. */
__noinline int count(__u32 slot, __u32 outcome, __u32 stream, __u64 duration, __u64 ttfb)
{
	__u32 whole = (__u16)bucket_of(duration), apart = whole;
	struct work *w = own_work();
	__u32 *n, *m;

	if (!w) {
		count_unmeasured(INTERNAL, 1);
		return 0;
	}
	if (ttfb != duration)
		apart = (__u16)bucket_of(ttfb);
	if (!stream && whole != apart) {
		m = counter(w, slot, outcome, TTFB, apart);
		if (!m) {
			count_unmeasured(MAP_FULL, 1);
			return 0;
		}
		n = counter(w, slot, outcome, DURATION, whole);
		if (!n) {
			count_unmeasured(MAP_FULL, 1);
			return 0;
		}
		__sync_fetch_and_add(m, 1);
		__sync_fetch_and_add(n, 1);
		return 0;
	}
	n = counter(w, slot, outcome, stream ? STREAM : BOTH, apart);
	if (!n) {
		count_unmeasured(MAP_FULL, 1);
		return 0;
	}
	__sync_fetch_and_add(n, 1);
	return 0;
}

#endif
