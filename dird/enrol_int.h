/* One enrolment on its way, shared by the enrol*.c files. */
#pragma once

#include "dird/conn.h"
#include "dird/enrol.h"

struct enrol {
	struct op *op;
	struct enrol_request r;
	struct span site, domain;
	struct attr *keys;
	struct dn_rdn rdn; /* of the site entry */
	struct uuid root;
	struct change changes[4];
	unsigned nchanges;
	struct write_req req;
};

/** Does one of the values of an attribute equal `value`, ASCII letters folded? */
bool enrol_entry_has(const struct entry *e, const char *type, struct span value);

/** What the request must hold; fills site, domain, keys and rdn. RC_REFUSED with *why. */
int enrol_check_head(struct enrol *e, struct result *why) WARN_UNUSED;
/** write_req.check: the token is good, and nobody else has name, domain or key. */
int enrol_check(struct write_req *req, struct store_txn *t, struct result *why) WARN_UNUSED;

/** Fill e->changes from a snapshot. */
int enrol_make_changes(struct enrol *e) WARN_UNUSED;
