/*
 * A hash table from bytes to numbers. Keys are borrowed: they live at least as long as they are in
 * it. Open addressing with linear probing; a deletion closes the gap, so there are no tombstones.
 */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

#define MAP_NONE UINT32_MAX

struct map_slot {
	struct span key; /* p = NULL: free */
	uint32_t hash;
	uint32_t value;
};

struct map {
	struct map_slot *slots;
	uint32_t size; /* a power of two, or 0 */
	uint32_t used;
};

/** Zeroed memory is an empty map. */
void map_fini(struct map *m);

/** The value of a key, or MAP_NONE. */
uint32_t map_get(const struct map *m, struct span key);

/** Set the value of a key (which must not be empty); an existing key also takes over the new bytes.
 * RC_NOMEM, for a new key only. */
int map_put(struct map *m, struct span key, uint32_t value) WARN_UNUSED;

/** Room for this many keys, so that map_put() does not grow step by step. RC_NOMEM. */
int map_reserve(struct map *m, uint32_t keys) WARN_UNUSED;

/** Forget a key, if it is there. */
void map_del(struct map *m, struct span key);

/** Forget all keys, keep the memory. */
void map_clear(struct map *m);
