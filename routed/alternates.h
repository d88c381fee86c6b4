/*
 * The candidates behind those that a table has: what would carry the mail if they were gone (R5).
 *
 * Pure. Computed for one look-up, when an administrator asks; look-ups of mail servers never need
 * them, as a connector that is switched off is out of the next table.
 */
#pragma once

#include "routed/model.h"
#include "routed/table.h"

#define ALTERNATES_SHOWN_MAX 20

struct alternates {
	struct table *all; /* every candidate; NULL: the target is not in the model (any more) */
	const struct table_row *rows[ALTERNATES_SHOWN_MAX]; /* in the order of cost */
	unsigned n;                                         /* of rows */
	uint32_t total;
};

/**
 * The alternates to what `used` found in the table t of a site. What holds direct routes back there
 * holds them back in the alternates, too.
 * Returns  RC_OK, free with alternates_fini(); RC_TOOBIG, RC_NOMEM.
 */
int alternates_find(const struct model *m, const struct table *t, const struct table_result *used,
		    struct alternates *out) WARN_UNUSED;
void alternates_fini(struct alternates *alternates);

/** Append lines for people, nothing if there are none; or a JSON member with the comma before it.
 */
void alternates_write(const struct alternates *alternates, struct buf *out);
void alternates_json(const struct alternates *alternates, struct buf *out);
