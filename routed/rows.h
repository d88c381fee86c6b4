/*
 * The rows of a routing table as plain values, and what differs between two lists of them.
 *
 * Pure. Rows come from a table or from the JSON lines that routectl prints, so that a table of now
 * can be compared with a printout of last year.
 *
 *   old  user EX Site2: [connected mx:hub.example.com]   ┐
 *   new  user EX Site2: [direct mx:site2.example.com]    ┴─► one struct rows_change
 */
#pragma once

#include "routed/table.h"

/** A row. A text with .p = NULL, and a number that is TABLE_NONE: null. */
struct rows_row {
	struct span cls, type, target; /* the key; rows of one key are candidates, in order */
	struct span mode, nexthop, connector, reason;
	const struct span *path;
	unsigned npath;
	uint32_t cost, hops;
};

/** Sorted by key, as tables are. */
struct rows {
	struct rows_row *items;
	size_t n;
};

/** One key whose candidates differ; n = 0: the key is not there. */
struct rows_change {
	const struct rows_row *before, *after;
	size_t nbefore, nafter;
};

/** Order of two rows by class, type, target, as bytes: <0, 0, >0. */
int rows_key_cmp(const struct rows_row *a, const struct rows_row *b);

/** The rows of a table; they borrow its texts. Ownership: in the arena. RC_NOMEM. */
int rows_of_table(const struct table *t, struct arena *a, struct rows *out) WARN_UNUSED;

/**
 * The rows that JSON lines hold, as table_json() writes them; members in any
 * order.
 * Returns  RC_OK; RC_INVALID with the line's number in *line and what is wrong in *why: also for a
 *          line out of order. RC_NOMEM. Ownership: in the arena; texts may borrow `json`.
 */
int rows_of_json(struct span json, struct arena *a, struct rows *out, unsigned long *line,
		 const char **why) WARN_UNUSED;

/** What differs, in order. Ownership: in the arena, borrowing both lists. RC_NOMEM. */
int rows_compare(const struct rows *before, const struct rows *after, struct arena *a,
		 struct rows_change **out, size_t *n) WARN_UNUSED;

/** Append "- user EX Site2: connected, ..." for what was and "+ ..." for what is now. */
void rows_change_write(const struct rows_change *c, struct buf *out);

/** Append one JSON object with its line end: site, class, type, target, before, after. */
void rows_change_json(struct span site, const struct rows_change *c, struct buf *out);
