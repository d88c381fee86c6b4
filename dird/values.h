/*
 * Values that are stored apart from their entry's record (storage-format.md), and how one of them
 * is found: by a hash of its normal form, then verified. Pure: the entry brings its reader.
 */
#pragma once

#include "dird/entry.h"
#include "dird/schema.h"

/** May attributes of this type (NULL: not known) have values apart? Those that name entries: lists
 * of people, which are the ones that grow without a limit, and which no view looks at (view.c). */
bool values_may_be_apart(const struct schema_attr *at);

/**
 * Hash of a value's normal form for the type's equality rule. Normal forms that the value index
 * cuts to the same key have one hash, and so have values that name the same entry.
 */
uint64_t values_hash(const struct schema_attr *at, struct span normal);

/**
 * The value whose normal form this is; in the map. `scratch` is cleared.
 * Returns  false: there is none, or memory ran out.
 */
bool values_find(const struct schema *s, const struct schema_attr *at, const struct entry *e,
		 const struct entry_apart *apart, struct span normal, struct buf *scratch,
		 struct entry_place *place, struct span *out);

/** What values that have a hash are compared by. */
enum values_part {
	VALUES_WHOLE,
	VALUES_KEY,  /* what the value index keeps of them */
	VALUES_NAME, /* the name alone: without what may stand behind it (uniqueMemberMatch) */
};

/**
 * The same by a part of their normal forms, of which there may be several: from *place on, which
 * moves to the value that is found; begin with {values_hash(), 0}. `normal` is that part.
 */
bool values_next(const struct schema *s, const struct schema_attr *at, const struct entry *e,
		 const struct entry_apart *apart, enum values_part part, struct span normal,
		 struct buf *scratch, struct entry_place *place, struct span *out);
