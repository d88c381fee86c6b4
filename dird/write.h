/*
 * The single writer: a thread that takes whatever has queued, applies each request on its own in
 * one LMDB transaction, commits once, and answers all.
 *
 * A request is answered after its commit is durable (or after its refusal). Its changes are atomic:
 * all or none. When the map is full the batch is repeated after it has grown; when a sync fails the
 * process stops acknowledging and exits (requirements F4, F6, F7).
 */
#pragma once

#include "dird/loop.h"
#include "dird/update.h"
#include "lib/clock.h"

/** Exit status when a sync has failed: nothing more is acknowledged (EX_IOERR of sysexits.h). */
#define WRITE_EXIT_IO 74

struct writer;

struct write_req {
	struct change *changes;
	unsigned nchanges;
	struct arena *arena; /* owns the changes; used for results too, until done() */
	struct loop *home;   /* done() runs on this loop's thread */
	void (*done)(struct write_req *req);
	void *ctx;
	/**
	 * Called on the writer's thread inside the transaction before the changes, may be NULL:
	 * conditions that must hold in the same transaction (assertion control, one use of a
	 * token). RC_REFUSED with *why.
	 */
	int (*check)(struct write_req *req, struct store_txn *t, struct result *why);
	/**
	 * Called there after the changes, may be NULL: what they made (post-read control). May
	 * refuse, too, if `is_alone`.
	 */
	int (*after)(struct write_req *req, struct store_txn *t, struct result *why);
	/**
	 * Further requests that stand or fall with this one, applied behind it in their order, each
	 * with its own check and after; their done() does not run. NULL: none.
	 */
	struct write_req *part;
	bool is_alone; /* a transaction of its own; requests of several changes
			  or parts have it anyway */
	bool is_trial; /* check everything, then undo it (no-op control); needs is_alone */

	bool is_internal; /* goes on while clients are held */

	/* out */
	int rc; /* RC_OK: durable; RC_REFUSED: see result; else an internal error */
	struct result result;
	struct write_req *refused;        /* RC_REFUSED: this one or one of its parts */
	unsigned counts[UPDATE_OUTCOMES]; /* by enum update_outcome */

	unsigned npoisoned;     /* the writer's: changes found to make it fail */
	struct write_req *next; /* the queue's */
};

int writer_start(struct store *s, const struct schema *schema, struct dn root,
		 const struct clock *clock, struct writer **out) WARN_UNUSED;

/** What entries were before their latest changes (trail.h). */
struct trail *writer_trail(struct writer *w);

/** Values that a client may give to one attribute; 0: no limit (and at first). Before requests. */
void writer_limit_values(struct writer *w, unsigned max);

/** From any thread. The request stays the writer's until done() runs; it always runs once. */
void writer_submit(struct writer *w, struct write_req *req);

/**
 * Clients' requests wait (from the start, before any was submitted) until writer_release(). With
 * `unconfirmed`, which lives as long as the writer, an own context that is still there then begins
 * a new life with its first change (update_context).
 */
void writer_hold(struct writer *w);
void writer_release(struct writer *w, const struct vector *unconfirmed);

/** Refuse changes of own contexts from now on with this static text (53); NULL: take them again. */
void writer_stop_origin(struct writer *w, const char *text);

/**
 * fn(ctx) runs on `loop` soon after each commit; several commits may be told by one call. While
 * listens(ctx), which the writer's thread asks behind the commit, is false, nothing is told and
 * nobody woken.
 */
int writer_on_commit(struct writer *w, struct loop *loop, void (*fn)(void *ctx),
		     bool (*listens)(void *ctx), void *ctx) WARN_UNUSED;

/** Finish what has queued, then end the thread. The loops of requests and watchers must still run.
 */
void writer_stop(struct writer **w);

/** Commits so far, from any thread: changes whenever the database has changed. */
uint64_t writer_commits(const struct writer *w);

struct writer_stats {
	uint64_t commits, changes, refused, batch_max;
	uint64_t conflicts; /* replicated entries with an address that another one has, too */
};
void writer_stats(const struct writer *w, struct writer_stats *out);
