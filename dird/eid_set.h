/* A growing set of entry numbers; 0 is none. Zeroed is empty. */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

struct eid_set {
	uint64_t *at;
	size_t n, size; /* size: a power of two, or 0 */
};

/** RC_OK; RC_EXISTS: it was there already; RC_NOMEM. */
int eid_set_add(struct eid_set *s, uint64_t eid) WARN_UNUSED;
/** It need not be there. */
void eid_set_del(struct eid_set *s, uint64_t eid);
bool eid_set_has(const struct eid_set *s, uint64_t eid);
void eid_set_fini(struct eid_set *s);
