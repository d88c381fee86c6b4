/*
 * Sorted views: for each one the entries it holds in the order of their sort keys, with counts, so
 * that the n-th entry, the rank of a key and the number of entries cost a few hundred steps at any
 * size.
 *
 * Rows of level 0 are the view's entries: (key, entry number) -> mask, a bit for each kind of entry
 * (view.h). Of 128 rows one, chosen by its entry number, has a row on level 1, too, of 128 of those
 * one on level 2, and so on to level 3. A row above level 0 holds, for each kind, how many rows of
 * level 0 lie from its key on up to the next key of its own level; what lies before the first key
 * is counted in a row with an empty key.
 *
 *   level 1   ""(2)            c(3)
 *   level 0   a  b             c  d  e
 *
 * So what is stored follows from the set of rows alone, in whatever order they came: nothing is
 * balanced, a rebuilt view has the same bytes, and a check can count anew. A put or delete changes
 * one row on each level. Readers see one snapshot of all levels.
 *
 * A second table holds what the views are (view_set.h).
 */
#pragma once

#include "dird/store_int.h"

#define STORE_VIEW_KEY_MAX 480 /* bytes of a sort key */
#define STORE_VIEW_KINDS 24    /* bits of a mask that are counted */
#define STORE_VIEW_LEVELS 3    /* above level 0 */

/** Where a row is: sort key and, behind it, entry number. */
struct store_view_place {
	uint8_t key[STORE_VIEW_KEY_MAX + 8];
	size_t n;
};

/* --- reading --- */

/** Entries of this kind. 0 for a view that does not exist. */
uint64_t store_view_count(struct store_txn *t, uint32_t view, unsigned kind);

/** How many entries of this kind have a key below `key` (a sort key, or the beginning of one). */
int store_view_rank(struct store_txn *t, uint32_t view, unsigned kind, struct span key,
		    uint64_t *out) WARN_UNUSED;

/** The n-th entry of this kind, from 0. RC_DONE: there are not so many. */
int store_view_at(struct store_txn *t, uint32_t view, unsigned kind, uint64_t n,
		  struct store_view_place *out) WARN_UNUSED;

/** The mask of an entry's row; RC_NOTFOUND. */
int store_view_mask(struct store_txn *t, uint32_t view, struct span key, uint64_t eid,
		    uint32_t *out) WARN_UNUSED;

struct store_view_iter;

/** The entries of a kind in order, or in reverse order, from the n-th of that order on. */
int store_view_walk(struct store_txn *t, uint32_t view, unsigned kind, bool is_reverse, uint64_t n,
		    struct store_view_iter **out) WARN_UNUSED;
/** RC_OK and the next entry number; RC_DONE. */
int store_view_next(struct store_view_iter *i, uint64_t *eid_out) WARN_UNUSED;
/** Keep the place without the transaction, then go on behind it in another one. */
void store_view_pause(struct store_view_iter *i);
void store_view_resume(struct store_view_iter *i, struct store_txn *t);
/** Not paused? */
bool store_view_is_running(const struct store_view_iter *i);
void store_view_iter_free(struct store_view_iter **i);

/* --- writing; errors stick --- */

/** An empty view; the number must be new. */
void store_view_create(struct store_txn *t, uint32_t view);
/** Add a row, or give the one that is there another mask. */
void store_view_put(struct store_txn *t, uint32_t view, struct span key, uint64_t eid,
		    uint32_t mask);
/** The row must be there. */
void store_view_del(struct store_txn *t, uint32_t view, struct span key, uint64_t eid);
/** Delete up to `limit` rows of a whole view. RC_MORE: some are left. */
int store_view_drop(struct store_txn *t, uint32_t view, unsigned limit) WARN_UNUSED;

/** One row of store_view_fill(): its place is the sort key with the entry number behind it. */
struct store_view_row {
	struct span place; /* valid until the next one is asked for */
	uint32_t mask;
};
void store_view_place_set(struct store_view_place *p, struct span key, uint64_t eid);

/** RC_OK and the next row; RC_DONE. */
typedef int store_view_source(void *ctx, struct store_view_row *out);

/**
 * Make a view of rows in ascending order of their places, in one go; its number must be above those
 * of all views that have rows.
 */
int store_view_fill(struct store_txn *t, uint32_t view, store_view_source *next,
		    void *ctx) WARN_UNUSED;

/* --- what the views are: rows by number, their content is view_set.c's --- */

/** The view with the least number above *number; RC_DONE. */
int store_viewdef_next(struct store_txn *t, uint32_t *number, struct span *out) WARN_UNUSED;
int store_viewdef_get(struct store_txn *t, uint32_t number, struct span *out) WARN_UNUSED;
void store_viewdef_put(struct store_txn *t, uint32_t number, struct span row);
void store_viewdef_del(struct store_txn *t, uint32_t number);
/** A number that no view has had. */
uint32_t store_viewdef_new(struct store_txn *t);
/** Delete all views and what they are. */
void store_view_clear(struct store_txn *t);

/** Changes with every change of a definition; the number itself means nothing. */
uint64_t store_view_generation(struct store_txn *t);
void store_view_set_generation(struct store_txn *t, uint64_t generation);

/* --- what is made of the definitions, kept with the store --- */

/** Shared between threads, counted; free() is called by whoever gives the last one back. */
struct store_cache {
	uint64_t generation;
	unsigned refs;
	void (*free)(struct store_cache *c);
};

/** What was kept for this generation, a reference for the caller; NULL. */
struct store_cache *store_cache_get(struct store_txn *t, uint64_t generation);
/** Keep it instead of what was kept; the caller has a reference, too. */
void store_cache_set(struct store_txn *t, struct store_cache *c);
void store_cache_put(struct store *s, struct store_cache *c);

/** The store that a transaction is of. */
struct store *store_of(struct store_txn *t);

/** Delete everything in the indexes of values and of parts of values. */
void store_index_clear(struct store_txn *t);

/** The entry with the least number that is not below *eid; RC_DONE. */
int store_entry_from(struct store_txn *t, uint64_t *eid, struct entry *out) WARN_UNUSED;

/** The greatest entry number; 0: there are no entries. */
uint64_t store_last_eid(struct store_txn *t);

/* --- checking --- */

/**
 * Count a view's rows anew. RC_OK with *rows, and *wrong = rows above level 0 that say something
 * else, are missing, or should not be there.
 */
int store_view_verify(struct store_txn *t, uint32_t view, uint64_t *rows,
		      uint64_t *wrong) WARN_UNUSED;
