/* What the verifier has to be helped with. Without CAP_PERFMON it also follows
   what a processor does while it guesses where a branch goes:
   - a loop that counts its turns has no end then, so that loops are unrolled, or
     turned by bpf_loop();
   - a pointer that was found to be NULL is none, so that nothing is asked about a
     pointer twice;
   - what was put away on the stack may not be written over in part, of which the
     compiler knows nothing: keys and values of maps are in `work`, or alone in eight
     bytes of the stack (Linux 6.1);
   - only a map's values may be indexed by what is not known, and no arguments of
     a global function. Whoever indexes `work` looks it up, and what is in a
     connection is chosen by branches. */
#ifndef VERIFIER_H
#define VERIFIER_H

/* The compiler shall not compute x again where it was checked already: the
   verifier would not know that it is the same. */
#define SETTLE(x) asm volatile("" : "+r"(x))

/* The n turns of a loop, one after the other. */
#define TIMES(i, n) _Pragma("unroll") for (__u32 i = 0; i < (n); i++)

/* i >= n, where the compiler shall not make it the loop's own end. */
static __always_inline int beyond(__u32 i, __u32 n)
{
	SETTLE(n);
	return i >= n;
}

/* One of two values, and not what is at one of two addresses. */
static __always_inline __u32 chosen(int first, __u32 a, __u32 b)
{
	SETTLE(a);
	SETTLE(b);
	return first ? a : b;
}

/* Copies words one by one: the compiler would read all of them first, for which
   the stack has no room. */
#define COPY_WORDS(to, from, n) \
	TIMES(word, n) \
		(to)[word] = *(volatile __u64 *)((from) + word)

#endif
