/*
 * Signed heads: what the site that writes a naming context says of it. They travel unchanged, so a
 * site can prove to another one what a third one has written.
 *
 *   "waypost head 1" NUL | context id | epoch u32 | invocation | usn u64 | beat u64
 *   | wall clock u64 (µs, for people) | digest (digest.h)                     <- signed
 *   | length u16 and public key of the site | length u16 and signature
 *
 * The home signs a head again now and then with a higher beat, so that old ones are known for what
 * they are. Pure but for the signature (sign.h).
 */
#pragma once

#include "dird/digest.h"
#include "dird/position.h"
#include "dird/sign.h"

#define HEAD_MAX_BYTES (128 + SIGN_KEY_MAX_BYTES + SIGN_MAX_BYTES)

/** Between sites: control of the search of a partner that wants heads, and the intermediate message
 * that holds one. */
#define HEAD_OID "2.25.120308962880139523094286593576329080187.3.4"

struct head {
	struct position position;
	uint64_t beat; /* of heads of one position a higher one is newer */
	int64_t wall_us;
	uint8_t digest[DIGEST_BYTES];
	struct span public;    /* key; what head_read() sets points into the head's bytes */
	struct span signature; /* of head_body() */
};

/** Append the part that is signed. */
void head_body(const struct head *h, struct buf *out);
/** Append a whole head. */
void head_write(const struct head *h, struct buf *out);

/** Take a head apart; the signature is not looked at. RC_INVALID for anything that head_write()
 * does not write. */
int head_read(struct span bytes, struct head *out) WARN_UNUSED;

/** Is the signature that of the key in it? */
bool head_is_signed(struct span bytes, const struct head *h);

/** Is `a` newer than `b`, of the same context? */
bool head_is_newer(const struct head *a, const struct head *b);
