/*
 * Which entry has which proxy address, of entries that the value index does not know yet: a load
 * gathers the rows of its entries (store_bulk.h), but an address that two of them have is refused
 * at the second one.
 */
#pragma once

#include "lib/span.h"
#include "lib/rc.h"

struct addresses;

/** NULL without memory. */
struct addresses *addresses_new(void);
void addresses_free(struct addresses **a);

/** The prepared address is one of entry `eid`. RC_NOMEM. */
int addresses_put(struct addresses *a, struct span address, uint64_t eid) WARN_UNUSED;

/**
 * The next entry that may have the address: hashes are compared, so look whether it has. Start with
 * *at = 0. false: there is none.
 */
bool addresses_next(const struct addresses *a, struct span address, size_t *at, uint64_t *eid_out);
