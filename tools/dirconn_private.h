/* What the files of dirconn share. */
#pragma once

#include "tools/dirconn.h"

#include <ldap.h>

struct dirconn {
	LDAP *ld;
	struct dirconn_options options;
	struct arena arena; /* strings of the session */
	const char *uri;
	const char *where; /* the same for a person: the path of a local socket, else the URI */
	const char *root;
	const char *site;
	bool expects_existing;
	const struct ldif_attr *pins; /* siteKey values, one of which the server's key must have */
	struct dirconn *other;        /* where the last referral led */
};

/**
 * Connect to a URI with the bind DN and password of the options, for a referral. The server proves
 * who it is by a certificate that --ca trusts, or without --ca by a key among `pins`, before the
 * password is sent. Says what fails.
 */
int dirconn_open_other(struct dirconn *c, const char *uri, const struct ldif_attr *pins,
		       struct dirconn **out) WARN_UNUSED;

/** Our code for an LDAP result code. */
int dirconn_rc(int ldap_result);

/** Say that `doing` (e.g. "changing") failed for `dn` with this result, and what to do about it. */
void dirconn_complain(struct dirconn *c, const char *doing, const char *dn, int ldap_result,
		      const char *diagnostic);

/** Carry out `change` at one of the servers that a referral names. */
int dirconn_refer(struct dirconn *c, char *const *uris,
		  const struct ldif_record *change) WARN_UNUSED;
