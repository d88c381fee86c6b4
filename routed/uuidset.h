/* A set of entryUUIDs. */
#pragma once

#include "routed/syncctl.h"

struct uuidset_slot {
	struct syncctl_uuid uuid;
	bool used;
};

struct uuidset {
	struct uuidset_slot *slots; /* open addressing, a power of two */
	size_t size;
	size_t n;
};

/** Free everything; the set is empty and usable again. Zeroed memory is an empty set, too. */
void uuidset_clear(struct uuidset *m);

/** Add a UUID; one that is there already is fine. RC_NOMEM. */
int uuidset_put(struct uuidset *m, const struct syncctl_uuid *uuid) WARN_UNUSED;

bool uuidset_has(const struct uuidset *m, const struct syncctl_uuid *uuid);

/** Forget a UUID; an unknown one is fine. */
void uuidset_del(struct uuidset *m, const struct syncctl_uuid *uuid);

/** Walk over all: start with *at = 0; NULL at the end. The set must not change meanwhile. */
const struct syncctl_uuid *uuidset_next(const struct uuidset *m, size_t *at);
