/*
 * Positions, vectors and cookies: how far a replica is, per naming context.
 *
 * Exactly one site writes a naming context (NC). Each of its changes gets the next USN inside the
 * write transaction, so USN order is commit order. A database life is (epoch, invocation id); a new
 * life begins at creation and restore. A position (life, usn) says: every change of that life up to
 * usn is applied or superseded here.
 *
 *   NC id: entryUUID of the context's head (organisation: the root entry; site: the ou=<site>
 * entry). POSITION_LOCAL_NC: entries that never leave the site (siteLocal subtrees), counted apart.
 *
 * Pure: no I/O.
 */
#pragma once

#include "dird/entry.h"

struct position {
	struct uuid nc;
	uint32_t epoch;
	struct uuid invocation;
	uint64_t usn; /* 0: nothing yet */
};

/** Positions ordered by NC id, no NC twice. */
struct vector {
	struct position *at;
	unsigned n;
};

extern const struct uuid POSITION_LOCAL_NC; /* all bytes 0xff */

/** Same epoch and invocation? Positions of different lives can not be compared. */
bool position_same_life(const struct position *a, const struct position *b);

/** Is everything up to stamp `s` already contained in `p`? Then `s` is a duplicate. */
bool position_covers(const struct position *p, const struct stamp *s);

const struct position *vector_find(const struct vector *v, const struct uuid *nc);

/** Put or replace one position; memory from the arena. */
int vector_put(struct vector *v, struct arena *a, const struct position *p) WARN_UNUSED;

/**
 * Content sync cookie (RFC 4533 §2.1.2) as text a person can read:
 *   wp1,<content hash hex>,<nc uuid>:<epoch>:<invocation uuid>:<usn>,...
 * content_hash binds a cookie to base, scope, filter and attributes (§3.1); site partners use 0.
 */
void cookie_write(uint64_t content_hash, const struct vector *v, struct buf *out);

/** RC_INVALID for anything cookie_write() does not write. Ownership: in the arena. */
int cookie_read(struct span text, struct arena *a, uint64_t *content_hash_out,
		struct vector *out) WARN_UNUSED;

/** originStamp value "<nc uuid>:<epoch>:<usn>", and back. */
void stamp_write(const struct stamp *s, struct buf *out);
int stamp_read(struct span text, struct stamp *out) WARN_UNUSED;
