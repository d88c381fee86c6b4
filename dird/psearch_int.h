/* What psearch.c (life) and psearch_tell.c (what is told) share. Nobody else's. */
#pragma once

#include "dird/conn.h"
#include "dird/psearch.h"

/* How far one context is. */
struct psearch_place {
	uint32_t number;
	uint64_t sent;    /* rows up to it were looked at */
	uint64_t settled; /* the same, when a snapshot had nothing left */
};

/* Entries below one that was hidden, or is no longer, which have no changes of their own. */
struct psearch_below {
	struct store_iter *iter; /* NULL: nothing of the kind is under way */
	bool is_shown;
	uint64_t top;
	struct buf top_was; /* its name before, for those who see it no longer */
};

struct psearch {
	struct op *op; /* once it is linked */
	struct psearch *next, *prev;
	bool is_linked, is_busy;
	struct psearch_place *places;
	unsigned nplaces;
	uint64_t newest;     /* entries with this number or a higher one are new since `settled` */
	struct eid_set sent; /* beginnings of entryUUIDs; of ordinary readers only */
	struct psearch_below below;
	struct buf base_normal;
	bool base_is_gone;
};

/** The place in a context, made where it is missing. NULL: no memory. */
struct psearch_place *psearch_place(struct psearch *p, uint32_t nc);

/** Tell what a row of the change order means to this client. */
int psearch_tell(struct op *op, struct store_txn *t, const struct store_change *row,
		 const struct psearch_place *at, struct op_view *view) WARN_UNUSED;
/** Go on with what lies below an entry; RC_DONE: nothing is left. Each entry takes one of *budget.
 */
int psearch_tell_below(struct op *op, struct store_txn *t, struct op_view *view,
		       unsigned *budget) WARN_UNUSED;
