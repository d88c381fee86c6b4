/*
 * What entries were called, and whether they were hidden, before their latest renames and changes
 * of hiding. Persistent searches (psearch.h) tell of it; the database keeps nothing of the kind.
 *
 * The writer adds steps while it applies changes, the loops look them up behind the commit. The
 * oldest steps are forgotten, so memory stays bounded however far a client is behind. A step of a
 * transaction that was not committed does no harm: it says what the entry still is, and the next
 * step with its usn replaces it.
 */
#pragma once

#include "dird/entry.h"
#include "lib/buf.h"

#define TRAIL_MAX_STEPS 16384
#define TRAIL_MAX_BYTES (2u << 20) /* of all names */

struct trail;

int trail_new(struct trail **out) WARN_UNUSED;
void trail_free(struct trail **t);

/** The change with this usn ends a time in which the entry had this name and was hidden, by itself
 * or by an entry above it, or not. Without memory the step is lost. From any thread. */
void trail_add(struct trail *t, const struct uuid *entry, uint64_t usn, bool was_hidden,
	       struct span dn);

/**
 * What was the entry when the context was at usn `after`? False: it has had no step since, or that
 * was forgotten. Else the name is appended to *dn. From any thread.
 */
bool trail_find(struct trail *t, const struct uuid *entry, uint64_t after, bool *was_hidden,
		struct buf *dn);
