/* Do the views hold what their definitions say? Part of check_database(). */
#pragma once

#include "dird/schema.h"
#include "dird/store.h"

/**
 * Compare every view that is ready with the entries, and all counts with the rows.
 * problem: called for each with a sentence. *rows: rows of all views.
 */
int check_views(struct store_txn *t, const struct schema *schema,
		void (*problem)(void *ctx, const char *text), void *ctx,
		uint64_t *rows) WARN_UNUSED;
