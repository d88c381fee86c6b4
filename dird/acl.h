/*
 * Who may see or change what.
 *
 *   administrator  everything
 *   site           (key pin of a site object) reads everything that leaves a site, for replication
 *   token          (a join token) enrols its own site, reads as a user
 *   user           (bound entry) reads public attributes
 *   anonymous      root DSE and subschema; with anonymous-read also what a user reads
 */
#pragma once

#include "dird/filter.h"

enum identity_kind {
	IDENTITY_ANONYMOUS,
	IDENTITY_USER,
	IDENTITY_TOKEN,
	IDENTITY_SITE,
	IDENTITY_ADMIN,
};

struct identity {
	enum identity_kind kind;
	char *dn;         /* heap; NULL when anonymous. For whoAmI, creatorsName and the log */
	struct uuid uuid; /* of the bound entry, or of the site entry */
};

void identity_init(struct identity *id); /* anonymous */
void identity_fini(struct identity *id);
int identity_copy(struct identity *to, const struct identity *from) WARN_UNUSED;

struct acl {
	bool anonymous_read;
};

bool acl_may_search(const struct acl *acl, const struct identity *id);
bool acl_may_read_attr(const struct acl *acl, const struct identity *id,
		       const struct schema_attr *at, struct span description);
bool acl_may_write(const struct acl *acl, const struct identity *id);
bool acl_may_sync(const struct acl *acl, const struct identity *id);
