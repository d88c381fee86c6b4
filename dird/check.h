/*
 * Does the database agree with itself? Entries against index, tree, uuid, change order and limbo,
 * in both directions. Used by `dirctl check` and after every step of the property tests.
 */
#pragma once

#include "dird/schema.h"
#include "dird/store.h"

struct check {
	/** Called for each problem with a sentence that names it. */
	void (*problem)(void *ctx, const char *text);
	void *ctx;

	/* out */
	uint64_t entries, index_rows, view_rows, tombstones, limbo, quarantined, contexts, problems;
};

/** RC_OK when everything was looked at, even if problems were found; else the store's error. */
int check_database(struct store_txn *t, const struct schema *schema, struct check *c) WARN_UNUSED;
