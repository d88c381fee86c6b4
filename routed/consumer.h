/*
 * The rules of a content synchronization consumer (RFC 4533), without any I/O.
 *
 * The owner feeds it what a session receives and takes finished batches out. Nothing leaves it
 * before the provider declared a consistent point, and its cookie moves together with the batch, so
 * a session may break at any octet: the next one goes on from the last batch taken.
 *
 *   start ─► refresh ──entries, id sets──► end of refresh ─► persist ──each change──► ...
 *              │                              │ batch            │ batch
 *              └── broken: all of it forgotten┘
 */
#pragma once

#include "routed/syncctl.h"

struct batch_attr {
	struct span type; /* with options, as sent */
	struct span *values;
	unsigned nvalues;
};

struct batch_item {
	bool deleted; /* then only the UUID counts */
	struct syncctl_uuid uuid;
	struct span dn; /* as sent */
	struct batch_attr *attrs;
	unsigned nattrs;
	struct batch_item *next;
};

/** What happened between two consistent points, in order. Everything lies in its arena. */
struct batch {
	struct arena arena;
	bool full; /* the whole content: whatever is not in here is gone */
	struct batch_item *first, *last;
	unsigned n;
	struct batch *next; /* for a queue of the owner */
};

void batch_free(struct batch **b);

struct consumer;

/** What to do after a SearchResultDone. */
enum consumer_next {
	CONSUMER_AGAIN,    /* success: search again later, with the cookie */
	CONSUMER_CONTINUE, /* search again at once: consumer_cookie() holds what the provider gave
			    */
	CONSUMER_RELOAD,   /* the provider does not know our cookie: it is dropped */
	CONSUMER_ROLLBACK, /* the provider is older than our cookie; nothing is applied, alarm */
	CONSUMER_FAILED,   /* another result code */
};

/** max_bytes bounds the memory of one batch. NULL without memory. */
struct consumer *consumer_new(size_t max_bytes);
void consumer_free(struct consumer **c);

/** A session begins: what the last one left unfinished is forgotten. RC_NOMEM. */
int consumer_start(struct consumer *c) WARN_UNUSED;

/** The cookie to send with the next search; borrowed until the next call. */
struct syncctl_cookie consumer_cookie(const struct consumer *c);

/** Drop the cookie: the next session loads everything. */
void consumer_forget(struct consumer *c);

/**
 * A SearchResultEntry with its sync state. `e` gives DN and attributes, which are copied.
 * Returns  RC_OK; RC_INVALID and a static text in *why when the provider breaks the protocol: end
 *          the session. RC_CONFLICT: the provider assumes an entry that we do not have: end the
 *          session, the cookie is dropped. RC_TOOBIG, RC_NOMEM.
 */
int consumer_on_entry(struct consumer *c, const struct syncctl_state *state,
		      const struct batch_item *e, const char **why) WARN_UNUSED;

/** A Sync Info Message; errors as above. */
int consumer_on_info(struct consumer *c, const struct syncctl_info *info,
		     const char **why) WARN_UNUSED;

/** The SearchResultDone; `done` is NULL when it came without the control. Errors as above. */
int consumer_on_done(struct consumer *c, int result, const struct syncctl_done *done,
		     enum consumer_next *next, const char **why) WARN_UNUSED;

/** Did the refresh end, so that changes come one by one? */
bool consumer_is_persist(const struct consumer *c);

/** Entries held at the last consistent point. */
size_t consumer_entries(const struct consumer *c);

/**
 * Take what is complete: *out is NULL when there is nothing. A refresh that changed nothing gives
 * an empty batch. From now on the cookie says that the batch is applied; if that fails, call
 * consumer_forget(). RC_NOMEM.
 */
int consumer_take(struct consumer *c, struct batch **out) WARN_UNUSED;
