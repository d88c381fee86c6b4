/*
 * Which new entry may have a key, of entries whose rows wait for store_bulk_end(): a load gathers
 * the rows of its entries, but a name, an entryUUID or a proxy address that two of them have is
 * refused at the second one. Hashes are kept, not keys: the caller looks at the entry.
 */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

struct eid_hints;

/** NULL without memory. */
struct eid_hints *eid_hints_new(void);
void eid_hints_free(struct eid_hints **h);

/** The key is one of entry `eid`. RC_NOMEM. */
int eid_hints_put(struct eid_hints *h, struct span key, uint64_t eid) WARN_UNUSED;

/**
 * The next entry that may have the key. It may be that it does not even exist: what was put by a
 * transaction that was undone stays. Start with *at = 0. false: there is none.
 */
bool eid_hints_next(const struct eid_hints *h, struct span key, size_t *at, uint64_t *eid_out);
