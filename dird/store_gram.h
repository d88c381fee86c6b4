/*
 * Between store_gram.c and the iterators: candidates of an index range that asks for a part.
 * Private to store*.c.
 */
#pragma once

#include "dird/gram.h"
#include "dird/store_mdb.h"

/** Where a walk over one range's blocks is. All zero: at its begin. Holds nothing of a snapshot. */
struct gram_place {
	uint64_t block; /* the one in `set`, else the next to read */
	bool has_set;
	struct gram_set set;
	unsigned next; /* entry of the set */
	struct gram_wanted wanted;
};

/** Cursors of STORE_GRAM, one for each of the first parts of a range, for they go along side by
 * side. Opened when they are needed. */
#define GRAM_CURSORS 4
struct gram_cursors {
	MDB_cursor *of[GRAM_CURSORS];
};
void gram_cursors_close(struct gram_cursors *c);

/** The next entry number, ascending; RC_DONE. */
int store_gram_next(struct store_txn *t, struct gram_cursors *c, const struct index_range *r,
		    struct gram_place *p, uint64_t *eid_out) WARN_UNUSED;

/** The first entry number behind `after` that waits for its merge and that one of the ranges
 * wants; RC_DONE. */
int store_fresh_next(struct store_txn *t, const struct index_range *ranges, unsigned n,
		     uint64_t after, uint64_t *eid_out) WARN_UNUSED;

/** As store_range_count(), estimated from the first blocks; 0 only if there is none. */
uint64_t store_gram_count(struct store_txn *t, const struct index_range *r, uint64_t limit);

/** Before a commit: what the transaction has brought goes to the fresh rows, or into blocks. */
void store_gram_settle(struct store_txn *t);
