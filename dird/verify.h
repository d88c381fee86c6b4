/*
 * Is what a partner passes on of another site's context what that site has written? Compared with a
 * signed head (head.h), in the transaction that takes it: all of it is proven, or nothing is kept.
 */
#pragma once

#include "dird/head.h"
#include "dird/result.h"
#include "dird/store.h"

struct verify {
	struct span bytes; /* the head as it came; it is signed by the key in it */
	struct head head;
	bool is_homes; /* it comes from the context's home itself: what differs is damage */
	bool is_held;  /* for verify_end(): the home has lost what is here, the position is held */

	/* out */
	bool is_proven;       /* the context is now what the head says */
	bool home_is_unknown; /* refused, but its keys may still come */

	/* verify's own */
	struct position was;
	uint8_t before[DIGEST_BYTES];
	bool is_known; /* the context agreed with some head before */
};

/** Is the head's key among those of the context's home, as its site entry has them? RC_NOTFOUND:
 * the home is not known. */
int verify_is_pinned(struct store_txn *t, const struct head *h, bool *out) WARN_UNUSED;

/** Why, where the position is held. */
#define VERIFY_HELD_TEXT "the site that writes a context does not have what is here of it"

/** What was ever proven of a context here? */
enum verify_proof {
	VERIFY_NOTHING,
	VERIFY_EARLIER, /* some earlier state */
	VERIFY_PRESENT, /* what is here now */
};
int verify_proof(struct store_txn *t, const struct store_nc *nc,
		 enum verify_proof *out) WARN_UNUSED;

/** Before the changes that lead to the head. RC_REFUSED with *why. */
int verify_begin(struct store_txn *t, struct verify *v, struct result *why) WARN_UNUSED;
/** Behind them. RC_REFUSED with *why: abort the transaction. */
int verify_end(struct store_txn *t, struct verify *v, struct result *why) WARN_UNUSED;
