/*
 * What one resolver says of a domain, and how it differs from what another says (M20).
 *
 * Pure. Split horizon: the mail server's own resolver decides about routes; a second one, of the
 * world outside, is only compared with it, because mail that other sites send takes its answers.
 */
#pragma once

#include "routed/dnscheck.h"

#define DNSVIEW_TARGET_BYTES 64

struct dnsview {
	enum dnscheck_verdict verdict; /* DNSCHECK_NONE: never asked */
	uint64_t exchanges, addresses; /* digests of dnscheck_result */
	bool partial;                  /* `addresses` is not of all */
	char target[DNSVIEW_TARGET_BYTES];
};

/*   enum                       text, as printed */
#define DNSVIEW_MAP(X)                                                                             \
	X(DNSVIEW_SAME, "none")                                                                    \
	X(DNSVIEW_VERDICT, "verdict") /* one finds it fit for mail, or for another reason unfit */ \
	X(DNSVIEW_EXCHANGES, "exchanges") /* names or preferences */                               \
	X(DNSVIEW_ADDRESSES, "addresses")

enum dnsview_difference {
#define DNSVIEW_ENUM(name, text) name,
	DNSVIEW_MAP(DNSVIEW_ENUM)
#undef DNSVIEW_ENUM
};

/** "none", "verdict", ... Never NULL. */
const char *dnsview_text(enum dnsview_difference d);

/** What a check found. */
void dnsview_take(struct dnsview *v, const struct dnscheck_result *r);

/** The first thing in which the two differ. A view without an answer differs in nothing. */
enum dnsview_difference dnsview_compare(const struct dnsview *a, const struct dnsview *b);
