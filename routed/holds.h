/*
 * The domains whose direct routes are held back for the moment, and why: an input of compute.
 *
 * Pure. health fills one on the loop before a computation; the computation then reads it alone.
 */
#pragma once

#include "lib/arena.h"
#include "routed/map.h"
#include "routed/table.h"

struct holds {
	struct arena arena;        /* the domains */
	struct map domains;        /* folded -> enum table_reason; TABLE_OK: not held */
	enum table_reason unknown; /* of a domain that is not in it */
};

/** An empty one. */
void holds_init(struct holds *h, enum table_reason unknown);
void holds_fini(struct holds *h);

/** Set what holds the domain (folded, not empty); it is copied. RC_NOMEM. */
int holds_set(struct holds *h, struct span domain, enum table_reason reason) WARN_UNUSED;

/** What holds the domain; TABLE_OK: nothing. */
enum table_reason holds_reason(const struct holds *h, struct span domain);
