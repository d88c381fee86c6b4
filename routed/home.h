/*
 * The home of a recipient, and the address that leads there (docs/routing.md R10).
 *
 * Pure. What the address list says of a recipient is not believed: only an address that is one and
 * that no mail server can take for anything else is ever given out.
 *
 * Words: a recipient's own address is the proxy at its home site's siteSmtpDomain; without one it
 * is its DN, encapsulated at that domain (encap.h). An address of a shared domain is never one.
 */
#pragma once

#include "routed/model.h"
#include "routed/table.h"

/** What was found in the address list. */
struct home_recipient {
	struct span dn;
	const struct span *values; /* proxyAddresses and mail */
	unsigned nvalues;
};

enum home {
	HOME_OTHER,   /* another site's; `out` got the recipient's own address */
	HOME_HERE,    /* a recipient of this site, or of none */
	HOME_NO_MAIL, /* of another site without a siteSmtpDomain of its own, or the DN is too long
		       */
};

/**
 * Where mail for the recipient goes from `own_site`.
 * Needs    a committed model; `root` is the DN of the organisation.
 * Returns  RC_OK, RC_INVALID (the DN is none), RC_NOMEM.
 */
int home_address(const struct model *m, struct span own_site, struct span root,
		 const struct home_recipient *r, enum home *home, struct buf *out) WARN_UNUSED;

/**
 * Append an address at which this site's mail server delivers to a recipient who lives here: the
 * primary one if that is of a domain of this site, or of one it shares; else another such.
 * Returns  RC_OK; RC_NOTFOUND: the recipient has none; RC_NOMEM.
 */
int home_mailbox(const struct table *t, const struct home_recipient *r,
		 struct buf *out) WARN_UNUSED;
