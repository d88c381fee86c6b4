/*
 * What a session has brought, context by context, until it may be written.
 *
 * Of a context that the partner passes on for another site, changes are held back until a signed
 * head (head.h) comes that says what the context is behind them; together they become one
 * transaction, which compares (verify.h). What the partner writes itself is held until its next
 * position, so that a commit leads from one head to the next and can be passed on with it; but
 * where that takes too long it goes as it is. So do full batches of what is relayed of a context of
 * which nothing was ever proven here, up to its first head: its keys come along with it, so holding
 * it back would prove little, and a first load can be large and be cut.
 *
 * Pure: changes and heads in, batches out.
 */
#pragma once

#include "dird/head.h"
#include "dird/repl_batch.h"

/** Whose word a change is. */
enum repl_source {
	REPL_OWN,     /* given back to its home */
	REPL_HOME,    /* the partner writes it */
	REPL_RELAYED, /* the partner passes it on */
};

/** A batch that may be written. */
struct repl_ready {
	struct repl_ready *next;
	struct uuid nc;
	struct repl_batch batch;
	struct buf head; /* empty: it is not compared with anything */
	bool is_homes;   /* verify.is_homes */
	bool is_last;    /* tried once, its home's key was not known */
};

struct repl_held {
	struct repl_context *contexts;
	struct repl_ready *ready, **last_ready;
	struct uuid home;    /* of the partner */
	struct uuid root;    /* the organisation's context ... */
	bool root_is_homes;  /* ... is written by the partner */
	bool needs_heads;    /* relayed changes without one are not taken */
	struct uuid *proven; /* contexts of which a head was proven here */
	unsigned nproven;
	size_t bytes;    /* of all that is held */
	unsigned nready; /* changes in batches that are ready */
};

/** As much of what needs no head is not held any longer. */
#define REPL_HELD_GO_BYTES (512u * 1024)

/** Held without a head, at the most: more ends the session. */
#define REPL_HELD_MAX_BYTES (256u * 1024 * 1024)

void repl_held_init(struct repl_held *h);
void repl_held_fini(struct repl_held *h);

/** Of this context a head was proven here, in this session or another. RC_NOMEM: not noted. */
int repl_held_note_proven(struct repl_held *h, const struct uuid *nc) WARN_UNUSED;

/** Here the context is, and that was not proven: a head for just that will be looked at. */
int repl_held_note_unproven(struct repl_held *h, const struct position *at) WARN_UNUSED;

/**
 * Take all changes out of a batch, which the session has made of messages.
 * RC_TOOBIG: more than REPL_HELD_MAX_BYTES without a head; RC_INVALID: a change is beyond the head
 * behind it; RC_NOMEM.
 */
int repl_held_take(struct repl_held *h, struct repl_batch *from, const struct uuid *own,
		   unsigned nown) WARN_UNUSED;

/** A head came; its signature is good. */
int repl_held_head(struct repl_held *h, struct span bytes, const struct head *head) WARN_UNUSED;

/**
 * A heartbeat has passed. tell() is called for each context of which changes have waited for a head
 * for `max` of them.
 */
void repl_held_beat(struct repl_held *h, unsigned max,
		    void (*tell)(void *ctx, const struct uuid *nc), void *ctx);

/** Whatever needs no head becomes ready: the session ends, or `own_only`, all messages of the
 * moment were taken. */
int repl_held_release(struct repl_held *h, bool own_only) WARN_UNUSED;

/** Is so much ready that reading has to stop? */
bool repl_held_is_full(const struct repl_held *h);

/** Take the first ready batch; NULL: none. */
struct repl_ready *repl_held_next(struct repl_held *h);
/** Give one back, to the front. */
void repl_held_put_back(struct repl_held *h, struct repl_ready *r);
/** Give one back, behind those of other contexts; with it go the later ones of its own. */
void repl_held_defer(struct repl_held *h, struct repl_ready *r);
void repl_ready_free(struct repl_ready **r);
