/* From a request line to a route. The kernel knows paths by a hash, in which
   segments that are plainly identifiers are one and the same; user space is shown
   the first path of each kind and says which route that is. */
#ifndef ROUTE_H
#define ROUTE_H

#include "count.h"
#include "window.h"

/* Slots with this bit are names that user space has not resolved yet. */
#define UNRESOLVED 0x80000000u
#define NAMES (2 * NEW_PATHS)

/* A random number, so that nobody can prepare paths that collide. */
const volatile __u64 seed;

/* The class of a byte: see identifier(). */
const volatile __u8 classes[256];

enum { DECIMAL = 1, HEX = 2, LETTER = 4, SEPARATOR = 8, OTHER = 16, SLASH = 32, END = 64, CAPITAL = 128 };

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u32);
} paths SEC(".maps");

/* Paths that are new. User space reads them in order, up to the first that is
   not whole yet. */
struct name {
	__u64 hash;
	__u32 whole; /* its number and one */
	__u32 length;
	__u64 target[TARGET / 8]; /* the request line up to the path's end */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* user space reads them in its memory */
	__uint(max_entries, NAMES);
	__type(key, __u32);
	__type(value, struct name);
} names SEC(".maps");

volatile __u32 names_given = 0;
volatile __u32 names_read = 0; /* written by user space */

/* What stands for an identifier; no byte does. */
#define ANY 0x100

#define PRIME 0x100000001b3ULL

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	return (hash ^ value) * PRIME;
}

/* Whether histogram.Collapse makes the segment {id}, whatever else there is.
   Where this says no and Collapse yes, a path only takes more room. */
static __always_inline int identifier(volatile struct segment *s)
{
	if (s->length > SEGMENT)
		return 1;
	if (!(s->kinds & DECIMAL) || s->kinds & OTHER)
		return 0;
	if (s->kinds & SEPARATOR) {
		if (s->dashes == 4 && s->separators == 4 && s->length == 36 && !(s->kinds & LETTER))
			return 1; /* a UUID */
		/* user_42, but not v-2 or api_1 */
		return s->separators == 1 && s->separator > 0 && s->digits > 0 &&
		       s->digits == s->length - s->separator - 1 &&
		       (s->first | 0x20) != 'v' && (s->first | 0x20) != 'a';
	}
	if (s->digits == s->length)
		return 1;
	if (!(s->kinds & LETTER) && s->length >= 8)
		return 1; /* hexadecimal */
	if (s->length < 20)
		return 0;
	return s->length >= 40 || (s->digits >= 3 && s->changes * 5 >= s->length) ||
	       s->changes * 10 >= s->length * 3;
}

static __always_inline void begin_segment(volatile struct segment *s, __u64 hash)
{
	*s = (struct segment){};
	s->before = hash;
}

static __always_inline void extend_segment(volatile struct segment *s, __u8 c, __u8 class)
{
	__u8 before = s->last;

	if (!s->length)
		s->first = c;
	s->digits += class & DECIMAL;
	s->last = class & (HEX | LETTER | DECIMAL) ? class : 0;
	if (class & SEPARATOR) {
		if (!s->separators && !s->digits)
			s->separator = s->length;
		s->separators++;
		if (c == '-' && (s->length == 8 || s->length == 13 || s->length == 18 || s->length == 23))
			s->dashes++;
	} else if (s->last && before) {
		/* between digits and letters, and from lower to upper case */
		if ((class ^ before) & DECIMAL || (class & ~before & CAPITAL && !(before & DECIMAL)))
			s->changes++;
	}
	s->kinds |= class;
	s->length++;
}

/* Hashes the next byte of a path. Returns whether it is over. What is known is in
   memory, where the verifier follows no values. */
static long hash_byte(__u64 i, void *unused)
{
	struct work *w = own_work();
	__u32 at;
	__u8 c, class;

	if (!w || w->scanned >= w->path_length)
		return 1;
	at = w->path + w->scanned;
	SETTLE(at);
	if (at > LAST_START + LINE)
		return 1;
	c = w->bytes[at];
	class = classes[c];
	if (class & END)
		return 1;
	w->scanned++;
	if (class & SLASH) {
		if (identifier(&w->segment))
			w->hash = mix(w->segment.before, ANY);
		w->hash = mix(w->hash, c);
		begin_segment(&w->segment, w->hash);
	} else {
		w->hash = mix(w->hash, c);
		extend_segment(&w->segment, c, class);
	}
	return 0;
}

/* The hash of the path that begins at `at`, in the n bytes there; how many of
   them it has is left in scanned. */
static __always_inline __u64 hash_path(struct work *w, __u32 at, __u32 n)
{
	__u64 hash;

	w->path = at;
	w->path_length = n;
	w->scanned = 0;
	w->hash = seed;
	begin_segment(&w->segment, seed);
	bpf_loop(PATH, hash_byte, 0, 0);
	hash = identifier(&w->segment) ? mix(w->segment.before, ANY) : w->hash;
	/* Spread, so that the map's own buckets fill evenly. */
	hash ^= hash >> 32;
	return hash * GOLDEN;
}

/* A number for a path seen first, that user space will resolve; 0, which is the
   route "other", when there are too many at once. */
__noinline int name_path(__u32 at, __u32 length, __u64 hash)
{
	struct work *w;
	__u32 given = names_given;
	struct counters *c;
	struct name *name;

	w = own_work();
	if (!w)
		return 0;
	if (given - names_read >= NEW_PATHS) {
		c = counters();
		if (c)
			c->other++;
		return 0;
	}
	given = __sync_fetch_and_add(&names_given, 1);
	w->slot = given | UNRESOLVED;
	w->place = given % NAMES;
	name = bpf_map_lookup_elem(&names, &w->place);
	SETTLE(at);
	if (!name || at > LAST_START)
		return 0;
	if (length > TARGET)
		length = TARGET;
	/* Nothing of what follows the path is shown: there may be secrets in it. */
	TIMES(turn, TARGET / 8) {
		__u32 i = turn * 8;
		__u64 word = 0;

		if (i < length) {
			word = WORD_AT(w, at + i);
			if (length - i < 8)
				word &= (1ULL << (8 * ((length - i) & 7))) - 1;
		}
		name->target[i / 8] = word;
	}
	name->hash = hash;
	name->length = length;
	__sync_lock_test_and_set(&name->whole, given + 1);
	bpf_map_update_elem(&paths, &hash, &w->slot, BPF_NOEXIST);
	return w->slot;
}

/* The slot of the request whose line begins at `at` with a method of so many
   bytes; the line has n. */
__noinline __u32 route_of(__u32 at, __u32 method, __u32 n)
{
	struct work *w;
	__u64 verb, hash;
	__u32 *slot;

	if (at > LAST_START || !(w = own_work()))
		return 0;
	hash = hash_path(w, at + method + 1, n - method - 1);
	verb = WORD_AT(w, at) & (method < 8 ? (1ULL << (8 * (method & 7))) - 1 : ~0ULL);
	hash = mix(hash, verb);
	slot = bpf_map_lookup_elem(&paths, &hash);
	if (slot)
		return *slot;
	return name_path(at, method + 1 + w->scanned, hash);
}

#endif
