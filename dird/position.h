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

/**
 * Positions ordered by NC id. Of one NC there may be several, its lives, newest first: behind the
 * present position how far each former life is contained in the present one. Nothing that a former
 * life had above that is.
 */
struct vector {
	struct position *at;
	unsigned n;
};

#define POSITION_PAST_MAX 32 /* former lives that are remembered */

/*
 * A life's epoch is drawn (update_nc_begin()): lives that begin from the same state have different
 * ones, so that a stamp, which has only the epoch, tells its life. A position with a zero
 * invocation stands for any life of its epoch.
 */

extern const struct uuid POSITION_LOCAL_NC; /* all bytes 0xff */

/** Same epoch and invocation? Positions of different lives can not be compared. */
bool position_same_life(const struct position *a, const struct position *b);

/** By epoch and usn; of one context. */
int stamp_cmp(const struct stamp *a, const struct stamp *b);

/** Is everything up to stamp `s` already contained in `p`? Then `s` is a duplicate. */
bool position_covers(const struct position *p, const struct stamp *s);

/** The present position of a context; NULL. */
const struct position *vector_find(const struct vector *v, const struct uuid *nc);

/** All lives of a context, in v. */
struct vector vector_lives(const struct vector *v, const struct uuid *nc);

/** Put one position in the place of all lives of its context; memory from the arena. */
int vector_put(struct vector *v, struct arena *a, const struct position *p) WARN_UNUSED;
/** Put the lives of one context, in their order, in the place of those it has. */
int vector_put_lives(struct vector *v, struct arena *a, const struct vector *lives) WARN_UNUSED;

/* --- lives: positions of one context --- */

/** A former life, as a position: every life up to its epoch, however far, is done with. */
struct position position_done_with(const struct uuid *nc, uint32_t epoch);

/** Does a replica with these lives have everything up to p, as far as its home has kept it? */
bool lives_include(const struct vector *lives, const struct position *p);

/** How far two replicas of a context have the same past: the order of each up to this usn holds
 * nothing that the other one does not know. 0: none of it. */
uint64_t lives_shared(const struct vector *a, const struct vector *b);

/** Put p among n former lives, newest first, or raise that life to p. When there are `max` the
 * oldest one goes: whoever is still in it is taken for somebody who knows more, and is asked. */
void lives_add(struct position *at, unsigned *n, unsigned max, const struct position *p);

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
