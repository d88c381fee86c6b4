/*
 * Enrolment: how a new site becomes known at an existing one, with one extended operation.
 *
 * The joining site has made its own folder, key and site entry; it binds over ldaps with a join
 * token and hands over its site entry (head of its naming context) and where it can be reached. The
 * existing site takes the entry, makes a link to the new site and connects its first Internet Mail
 * Service with it, and burns the token: all in one transaction. Then both pull from each other; the
 * head that was handed over is provisional until the site's own first session brings it.
 *
 *   EnrolRequest ::= SEQUENCE {
 *        version         INTEGER (1),
 *        siteHead        SEQUENCE { dn LDAPDN, attributes PartialAttributeList },
 *        epoch           INTEGER,
 *        invocation      OCTET STRING (SIZE(16)),
 *        usn             INTEGER,      -- position of the context now
 *        replicationURI  OCTET STRING }
 *
 * The attributes hold entryUUID, objectClass, ou, siteKey, siteSmtpDomain; operational ones travel
 * with them. The response has no value; a refusal is an LDAP result with a text.
 */
#pragma once

#include "dird/op.h"

#define ENROL_OID "2.25.120308962880139523094286593576329080187.3.1"

struct enrol_request {
	struct span dn;           /* of the site entry */
	struct attr_list attrs;   /* with entryUUID */
	struct position position; /* nc: entryUUID, found in attrs */
	struct span replication_uri;
};

/** Read a request value. Ownership: lists in the arena, the rest borrowed. RC_INVALID with *why. */
int enrol_request_read(struct span value, struct arena *a, struct enrol_request *out,
		       const char **why) WARN_UNUSED;
/** Append a request value; attrs must hold entryUUID. */
void enrol_request_write(struct buf *out, const struct enrol_request *r);

/** The extended operation. */
void op_enrol(struct op *op);
