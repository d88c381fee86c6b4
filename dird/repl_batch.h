/*
 * Messages of a replication session to changes for the writer.
 *
 * A session is one connection's search; it knows the phase it is in. A batch collects the changes
 * of its messages in order, each cookie's positions behind the data they cover, and goes to the
 * writer as one request. Pure: bytes in, changes out.
 *
 *   entry, state add or modify      PUT: uuid of the control, originStamp, parentUUID, first RDN
 *   entry, state delete             REMOVE: uuid and originStamp
 *   entry, state present; id set    named: stays at the end of a present phase
 *   end of a present phase          KEEP_ONLY for each context of its cookie
 *   cookie                          POSITION for each context that moved
 *
 * Whatever does not fit (notes 1.3: no guessing) is RC_INVALID with the reason: end the session.
 */
#pragma once

#include "dird/change.h"
#include "dird/msg.h"

struct repl_batch {
	struct arena arena; /* what the changes point at */
	struct change *changes;
	unsigned n, size;
	unsigned entries; /* PUT and REMOVE among them */
};

#define REPL_BATCH_ENTRIES 1000
#define REPL_BATCH_BYTES (8u * 1024 * 1024)

void repl_batch_init(struct repl_batch *b);
void repl_batch_fini(struct repl_batch *b);
/** Large enough to be written before more is read? */
bool repl_batch_is_full(const struct repl_batch *b);

/** Append a change; NULL without memory. */
struct change *repl_batch_add(struct repl_batch *b, enum change_kind kind);

/** Copy a frame into the batch and decode it there. RC_INVALID with *why. */
int repl_batch_read(struct repl_batch *b, struct span frame, struct msg *out,
		    const char **why) WARN_UNUSED;

struct repl_session {
	struct arena arena;
	struct uuid *own; /* contexts written here */
	unsigned nown;
	struct uuid *elsewhere; /* contexts that are taken from their homes' own links alone */
	unsigned nelsewhere;
	unsigned refused;      /* changes of those, dropped */
	struct vector partner; /* as its cookies told, own contexts too */
	unsigned cookies;      /* so many */
	unsigned own_told;     /* times that a position of an own context came */
	bool is_refreshed;
	bool is_ended;            /* by a SearchResultDone ... */
	struct msg_result result; /* ... with this; points into the batch of that message */
	struct uuid *named;       /* during the refresh stage */
	size_t nnamed, named_size;
};

/** `own` is copied. RC_NOMEM. */
int repl_session_init(struct repl_session *s, const struct uuid *own, unsigned nown) WARN_UNUSED;
/** Take nothing of these contexts; the list is copied. RC_NOMEM. */
int repl_session_refuse(struct repl_session *s, const struct uuid *ncs, unsigned n) WARN_UNUSED;
bool repl_session_is_own(const struct repl_session *s, const struct uuid *nc);
void repl_session_fini(struct repl_session *s);

/**
 * Take one message of the session's search, decoded by repl_batch_read() of the same batch.
 * Errors   RC_INVALID with *why, RC_NOMEM: end the session, drop the batch.
 */
int repl_session_feed(struct repl_session *s, const struct msg *m, struct repl_batch *b,
		      const char **why) WARN_UNUSED;
