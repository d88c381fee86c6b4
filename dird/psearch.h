/*
 * Persistent search with entry change notification (draft-ietf-ldapext-psearch-03).
 *
 * A search that does not end: behind its ordinary answers it reads the change order after every
 * commit, as content synchronization does, and sends what its client asks for. Nothing is kept but
 * the place reached in each context and, of ordinary readers, which entries they were sent. What an
 * entry was before comes from the writer's memory (trail.h). Runs on the thread of its connection's
 * loop.
 */
#pragma once

#include "dird/op_search.h"

#define PSEARCH_MAX 500         /* of the whole server */
#define PSEARCH_MAX_SENT 200000 /* entries that one search of an ordinary reader has sent */

/** Types of changes, as bits. */
enum psearch_change {
	PSEARCH_ADD = 1,
	PSEARCH_DELETE = 2,
	PSEARCH_MODIFY = 4,
	PSEARCH_MODDN = 8,
	PSEARCH_ALL = 15
};

struct op_psearch {
	unsigned types;
	bool changes_only;
	bool with_notes; /* entry change notification controls */
};

/** Read PersistentSearch. RC_INVALID. */
int psearch_read(struct span value, struct op_psearch *out) WARN_UNUSED;
/** Append the value of an entry change notification. `was`: previousDN; empty: none. */
void psearch_note(enum psearch_change type, struct span was, struct buf *out);

/**
 * May this operation be a persistent search? Answers it if not: 50, 51, 53. Else it counts as one
 * until its search is freed.
 */
bool psearch_admit(struct op *op, struct search *s);
/** Before the first entry is looked at: what is written from now on will be told. */
int psearch_begin(struct op *op, struct search *s, struct store_txn *t) WARN_UNUSED;
/** The client was sent this entry: an ordinary reader is told of deletions of such ones only, as
 * nobody knows of a deleted entry whether he might have seen it. RC_TOOBIG. */
int psearch_sent(struct op *op, const struct entry *e) WARN_UNUSED;
/** The ordinary answers are all sent. */
void psearch_persist(struct op *op);
/** With the search. */
void psearch_free(struct psearch **p);

/** Something was committed: this thread's persistent searches look at it. */
void psearch_wake(void);
