/* The digests of naming contexts, computed from the entries, for check.c. */
#pragma once

#include "dird/entry.h"

struct check_digest;
struct store_txn;

int check_digest_new(struct store_txn *t, struct check_digest **out) WARN_UNUSED;
void check_digest_free(struct check_digest **c);

/** A live entry; and a change in quarantine, which counts in its place. */
int check_digest_add(struct check_digest *c, const struct entry *e) WARN_UNUSED;
int check_digest_add_quarantined(struct check_digest *c, const struct entry *e) WARN_UNUSED;

/** When all were added: is the stored digest of the context the one of its entries? */
int check_digest_is_right(struct check_digest *c, const struct uuid *nc, bool *out) WARN_UNUSED;
