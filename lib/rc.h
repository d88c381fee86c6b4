/*
 * Return codes of every fallible function: 0 or a negative RC_*.
 *
 * Codes of other libraries (errno, LMDB, libuv, OpenSSL, libldap) become one of these in the file
 * that owns the library. LDAP result codes are not return codes; see ldap_result.h.
 */
#pragma once

/*   name            value  text */
#define RC_MAP(X)                                                                                  \
	X(RC_OK, 0, "success")                                                                     \
	X(RC_NOMEM, -1, "out of memory")                                                           \
	X(RC_INVALID, -2, "malformed input")                                                       \
	X(RC_TOOBIG, -3, "larger than its limit")                                                  \
	X(RC_NOTFOUND, -4, "not found")                                                            \
	X(RC_EXISTS, -5, "exists already")                                                         \
	X(RC_MORE, -6, "incomplete, more bytes needed")                                            \
	X(RC_IO, -7, "input/output error")                                                         \
	X(RC_FULL, -8, "no space left")                                                            \
	X(RC_DENIED, -9, "permission denied")                                                      \
	X(RC_BUSY, -10, "busy or locked by another process")                                       \
	X(RC_CLOSED, -11, "connection closed")                                                     \
	X(RC_TIMEOUT, -12, "timed out")                                                            \
	X(RC_UNSUPPORTED, -13, "not supported")                                                    \
	X(RC_CORRUPT, -14, "stored data is damaged")                                               \
	X(RC_CONFLICT, -15, "conflicts with another value")                                        \
	X(RC_REFUSED, -16, "refused by the other side")                                            \
	X(RC_DONE, -17, "no more items")

enum rc {
#define RC_ENUM(name, value, text) name = value,
	RC_MAP(RC_ENUM)
#undef RC_ENUM
};

/** Marks a function whose return code must not be dropped. */
#define WARN_UNUSED __attribute__((warn_unused_result))

/** The text of a return code; never NULL. */
const char *rc_text(int rc);

/** The code that fits an errno value; RC_IO when nothing closer does. */
int rc_from_errno(int err);

/** A broken invariant of our own: name file and line, abort. Never for what a peer can cause. */
#define must(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			rc_must_failed(#cond, __FILE__, __LINE__);                                 \
	} while (0)

/** What must() calls; not for anything else. */
_Noreturn void rc_must_failed(const char *cond, const char *file, int line);
