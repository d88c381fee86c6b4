/*
 * One change into an open write transaction: find, apply, check, then put entry, indexes, change
 * order and position. The only road into the database.
 *
 * Everything that can be refused is decided before the first put, so a refused change leaves no
 * trace among its batch neighbours. After an error of the store (store_error()) the whole batch is
 * aborted.
 */
#pragma once

#include "dird/change.h"
#include "dird/schema.h"
#include "dird/store.h"

struct eid_hints;

struct update_context {
	const struct schema *schema;

	struct dn root;  /* suffix of the organisation */
	int64_t wall_us; /* time for timestamps; the caller reads the clock once per batch */
	int (*random)(void *p, size_t n); /* for entryUUIDs */
	bool views_later;         /* leave the views alone: update_views_rebuild() follows */
	struct eid_hints *loaded; /* of entries whose rows wait for store_bulk_end(); NULL: none */
	unsigned apart_from;      /* so many values of an attribute are stored apart; 0: 256 */
	unsigned piece_rows;      /* of a removed site that go in one transaction; 0: 256 */
	unsigned max_values;      /* a client may give one attribute but lists of names; 0: any */
	/* Own contexts as they were at start, while no partner has confirmed that nothing later is
	 * known: the first change begins a new life. NULL: confirmed. */
	const struct vector *unconfirmed;
	const char *stopped; /* why own contexts are not to be changed; NULL */
	struct trail *trail; /* of renames, for persistent searches; NULL: nobody asks */
};

/** What became of a replicated change (R6, R8, R16). */
enum update_outcome {
	UPDATE_APPLIED,
	UPDATE_DUPLICATE,   /* stamp covered already */
	UPDATE_FOREIGN_OWN, /* somebody else's change to a context we write: refused and counted */
	UPDATE_PARKED,      /* parent missing: kept in limbo until it comes */
	UPDATE_QUARANTINED, /* can not be applied here: kept aside, passed on, tried again */
	UPDATE_HELD, /* a position of a life that has lost what is here: nothing was done. Its data
			is no loss, but the session has to begin anew */
	UPDATE_OUTCOMES
};

/**
 * Apply one change.
 * Returns  RC_OK with *outcome; RC_REFUSED with *why (LDAP result: 10 with the home's URIs for
 * another site's entry, 16-21, 32 with matchedDN, 53, 64-69 ...), nothing was written; else the
 * store's error.
 */
int update_apply(struct store_txn *t, const struct update_context *ctx, struct change *c,
		 struct arena *a, enum update_outcome *outcome, struct result *why) WARN_UNUSED;

/**
 * Do ahead what update_apply() would do for a new entry without looking at the database: content,
 * schema, rows of the index. For the threads of a load. Memory from the arena, which the change
 * needs from then on. RC_OK also where the entry will be refused.
 */
int update_prepare(const struct update_context *ctx, struct change *c, struct arena *a) WARN_UNUSED;

/**
 * Fill *why with a referral (10) to the servers of the site that writes a context, or 53 where none
 * of them is known here. RC_REFUSED; else the store's error.
 */
int update_refer(struct store_txn *t, struct arena *a, const struct store_nc *nc,
		 struct result *why) WARN_UNUSED;

/** The entry of the site that writes a context; RC_NOTFOUND: it is not known here. */
int update_home(struct store_txn *t, struct arena *a, const struct store_nc *nc,
		uint64_t *site_out) WARN_UNUSED;

/**
 * Begin a life for a context that this site writes (creation, restore): makes it own, epoch + 1, a
 * new invocation id, usn goes on. The head entry may come later.
 */
int update_begin_life(struct store_txn *t, const struct update_context *ctx, const struct uuid *nc,
		      struct position *out) WARN_UNUSED;

/** Is there something left of removed sites, to be taken away by CHANGE_FORGET? */
bool update_is_forgetting(struct store_txn *t);

/* --- views (view_set.h): kept up to date by update_apply(), built by these --- */

/**
 * Compare the definitions there are to be, built in and in addressBookView entries, with those that
 * have rows. New and changed ones are to be built, what nobody wants any more is to be dropped.
 * Done by update_apply() where a change may concern them, and once when a database is opened.
 */
int update_views_sync(struct store_txn *t, const struct update_context *ctx) WARN_UNUSED;

/** Is there something to build or to drop? */
int update_views_pending(struct store_txn *t, const struct update_context *ctx,
			 bool *out) WARN_UNUSED;

/** A slice of that: up to `limit` entries. Nothing to do is no error. */
int update_views_work(struct store_txn *t, const struct update_context *ctx,
		      unsigned limit) WARN_UNUSED;

/** Make all views anew in one go, in write transactions of its own; nobody else writes meanwhile.
 */
int update_views_rebuild(struct store *s, const struct update_context *ctx) WARN_UNUSED;
/**
 * Does `theirs`, which somebody told, prove that our copy of an own context is older than one we
 * had before? Then our state was put back (R11).
 */
bool update_is_lost(const struct store_nc *nc, const struct position *theirs);

/** The same, but is the context recovering already in a way that covers `theirs`, a partner's lives
 * of it? Then what it gives back can be taken. */
bool update_awaits(const struct store_nc *nc, const struct vector *theirs);

/**
 * How far are there rows of a context? A cut session leaves some beyond the position, maybe of a
 * later life; what `known` includes does not count. *last is the highest usn of all of them.
 */
int update_reach(struct store_txn *t, const struct store_nc *nc, const struct vector *known,
		 struct position *out, uint64_t *last_out) WARN_UNUSED;

/** An own context was restored from a backup: partners are asked first. The row is put. */
int update_recover_nc(struct store_txn *t, const struct update_context *ctx,
		      struct store_nc *nc) WARN_UNUSED;

/**
 * Make all indexes and views anew from the entries, in write transactions of its own. progress is
 * called now and then with the entries done since.
 */
int update_reindex(struct store *s, const struct update_context *ctx,
		   void (*progress)(void *arg, unsigned long entries), void *arg) WARN_UNUSED;
