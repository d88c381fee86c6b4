/*
 * A join token as one line: what a new site must know about an existing one, and the secret with
 * which it may enrol once.
 *
 *   base64url( "waypost-token 1\n" key "=" value "\n" ... )
 */
#pragma once

#include "lib/arena.h"
#include "lib/buf.h"

struct token {
	const char *root;    /* DN of the organisation */
	const char *hub;     /* name of the existing site */
	const char *uri;     /* ldaps:// of its dird */
	const char *pin;     /* of its key, "sha256:..." */
	const char *dn;      /* of the token's entry, to bind with */
	const char *secret;  /* its password */
	const char *site;    /* name the new site must have */
	const char *expires; /* generalizedTime */
};

/** Append the line, without its end. Values have no line ends (RC_INVALID). */
int token_write(const struct token *t, struct buf *out) WARN_UNUSED;

/** RC_INVALID for anything token_write() does not write. Ownership: in the arena. */
int token_read(struct span text, struct arena *a, struct token *out) WARN_UNUSED;
