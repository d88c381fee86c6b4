/*
 * All views of a database as one snapshot has them: definitions read and made ready for use.
 *
 * A set is made once for each generation of definitions and shared by searches and the writer; it
 * is not changed. Rows of the table of definitions:
 *
 *   state u8, collation version u32, base's entry number u64, next entry to look at u64,
 *   entryUUID of the definition (zero: built in), base, filter, scope, sort: each with its length
 *   u32 in front, ffffffff for what is not given
 */
#pragma once

#include "dird/store_view.h"
#include "dird/view.h"

enum view_state {
	VIEW_BUILDING, /* not all entries were looked at yet */
	VIEW_READY,
	VIEW_DROPPING, /* gone; its rows are being deleted */
	VIEW_INVALID,  /* can not be used: see `why` */
};

struct view_def {
	uint32_t number;
	enum view_state state;
	uint32_t collation; /* collate_version() of its keys */
	uint64_t base;      /* entry number; 0: there is no such entry */
	uint64_t next_eid;  /* VIEW_BUILDING: entries below it were looked at */
	struct uuid entry;
	struct view_text text;
	struct view view; /* VIEW_INVALID: not set */
	const char *why;
};

struct view_set {
	struct store_cache cache; /* first */
	struct arena arena;
	struct view_kinds kinds;
	struct view_def *defs;
	unsigned n;
};

/**
 * The set of this snapshot; give it back with view_set_put(). NULL while no view was ever defined.
 */
int view_set_get(struct store_txn *t, const struct schema *s, struct view_set **out) WARN_UNUSED;
void view_set_put(struct store *s, struct view_set **set);

/** The view an addressBookView entry defines, ready or not; NULL. */
const struct view_def *view_set_of_entry(const struct view_set *set, const struct uuid *entry);

/** Only state and next_eid of a definition, as they are now; RC_NOTFOUND. */
int view_def_progress(struct store_txn *t, uint32_t number, enum view_state *state,
		      uint64_t *next_eid) WARN_UNUSED;

/** Append a definition's row. */
void view_def_write(const struct view_def *d, struct buf *out);
