/*
 * The signed heads (head.h) that this process has: of its own contexts as they are asked for, and
 * the newest of each other one, from whomever it came. From any thread.
 */
#pragma once

#include "dird/head.h"

struct heads;
struct server;
struct store_nc;
struct store_txn;

/** `start`: one more with each start of the process, so that beats grow. */
int heads_new(struct server *s, uint32_t start, struct heads **out) WARN_UNUSED;
void heads_free(struct heads **h);

/**
 * Append the newest head that says what the snapshot holds of a context. Signs where the context is
 * written here. RC_NOTFOUND: there is none.
 */
int heads_find(struct heads *h, struct store_txn *t, const struct store_nc *nc,
	       struct buf *out) WARN_UNUSED;

/** Changes whenever heads_find() may find another head for the same content. */
uint64_t heads_version(struct heads *h, const struct uuid *nc);

/** A head came that is signed by a key of its context's home. True: it is newer than all before. */
bool heads_heard(struct heads *h, struct span bytes, const struct head *head);

/** Is exactly this head the newest one? Then it need not be looked at again. */
bool heads_knows(struct heads *h, struct span bytes, const struct head *head);

/** Own heads are signed again when they are asked for next. */
void heads_beat(struct heads *h);

/** What is known of the home of a foreign context. */
struct heads_news {
	bool is_known; /* a head has come since the start */
	uint64_t usn;
	uint32_t epoch;
	uint64_t age_ms; /* since the last new one, or since the start */
};
/** Note whether that is too long; true: that has changed. */
bool heads_set_stale(struct heads *h, const struct uuid *nc, bool is_stale);
void heads_news(struct heads *h, const struct uuid *nc, struct heads_news *out);
