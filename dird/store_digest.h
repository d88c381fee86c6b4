/*
 * The digest of each naming context that leaves the site, as of a transaction. What counts is the
 * last state of each live entry: a change that waits in quarantine counts as it came, in the place
 * of what readers still see of the entry.
 */
#pragma once

#include "dird/digest.h"
#include "dird/store_int.h"

/** An entry comes or goes; an error sticks. */
void store_digest_add(struct store_txn *t, const struct entry *e);
void store_digest_sub(struct store_txn *t, const struct entry *e);

/** The same of the entry without the values of its long attributes, and of some of those values. */
void store_digest_change_own(struct store_txn *t, const struct entry *e, bool is_added);
void store_digest_change_value(struct store_txn *t, const struct entry *e, struct span type,
			       struct span value, bool is_added);

/** The digest, and the state behind it (DIGEST_STATE_BYTES). */
int store_digest(struct store_txn *t, const struct uuid *nc,
		 uint8_t out[static DIGEST_BYTES]) WARN_UNUSED;
int store_digest_state(struct store_txn *t, const struct uuid *nc, uint8_t *out) WARN_UNUSED;

/** The newest head that the context here was seen to agree with, in the map; RC_NOTFOUND. */
int store_head(struct store_txn *t, const struct uuid *nc, struct span *out) WARN_UNUSED;
void store_head_put(struct store_txn *t, const struct uuid *nc, struct span head);

/** The context goes, its head, too. */
void store_digest_del(struct store_txn *t, const struct uuid *nc);

/** Before the commit: put what has changed. */
void store_digest_settle(struct store_txn *t);
/** At the end of the transaction. */
void store_digest_close(struct store_txn *t);
