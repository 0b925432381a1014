/* One processor at a time has a connection. */
#ifndef HOLD_H
#define HOLD_H

#include "connection.h"

/* How often a processor tries to get a connection that another one has: for about
   a millisecond. Each holds it for a microsecond, unless the host of a virtual
   machine takes the processor away just then. */
#define PATIENCE 40 /* cubed: verifiers of old take each loop for an endless one */

__noinline int attempt(struct connection *c)
{
	if (!c)
		return 0;
	TIMES(i, PATIENCE) {
		if (!__sync_val_compare_and_swap(&c->busy, 0, 1))
			return 1;
	}
	return 0;
}

__noinline int persist(struct connection *c)
{
	TIMES(i, PATIENCE) {
		if (attempt(c))
			return 1;
	}
	return 0;
}

/* Takes the connection for one packet: the two streams' packets come on several
   processors. */
__noinline int acquire(struct connection *c)
{
	TIMES(i, PATIENCE) {
		if (persist(c))
			return 1;
	}
	return 0;
}

static __always_inline void release(struct connection *c)
{
	__sync_lock_test_and_set(&c->busy, 0);
}

#endif
