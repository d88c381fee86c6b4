/*
 * References into a subtree that has moved, when fewer values name entries than lie in the subtree.
 *
 * Then no name of the subtree is made. The keys of the indexes of such values are looked through
 * for names at or below the old one; what a value says now is found by going down from the entry
 * that moved. So a move costs what there is to mend, not what has moved.
 * Shared by update_refs.c and update_below.c; nobody else's.
 */
#pragma once

#include "dird/update_int.h"

struct eid_set;

/** A subtree that has moved. */
struct update_below {
	struct update *u;
	uint64_t top;
	struct span top_normal; /* before */
	struct buf text;
	struct span now;
	int rc; /* of update_below_now() */
};

/** The name of an entry, as text or in normal form; in limbo, what stands for it. */
int update_name(struct update *u, uint64_t eid, bool normal, struct buf *out) WARN_UNUSED;

/** Before it moves: is it cheaper to look through all references than for each name? Costs no more
 * than the cheaper way. */
int update_below_is_better(struct update *u, uint64_t top, bool *out) WARN_UNUSED;

/** Entries with values that name something at or below the old name, and a few others. */
int update_below_find(struct update *u, struct span top_normal, struct eid_set *out) WARN_UNUSED;

/** apply_moves.now() with a struct update_below: the new name, as text, until the next call. */
const struct span *update_below_now(const void *ctx, struct span old_normal);
