#include "dird/acl.h"

void identity_init(struct identity *id)
{
	*id = (struct identity){.kind = IDENTITY_ANONYMOUS};
}

void identity_fini(struct identity *id)
{
	mem_free(id->dn);
	identity_init(id);
}

int identity_copy(struct identity *to, const struct identity *from)
{
	char *dn = NULL;

	if (from->dn != NULL) {
		dn = mem_strdup(from->dn);
		if (dn == NULL)
			return RC_NOMEM;
	}
	*to = *from;
	to->dn = dn;
	return RC_OK;
}

bool acl_may_search(const struct acl *acl, const struct identity *id)
{
	switch (id->kind) {
	case IDENTITY_ANONYMOUS:
		return acl->anonymous_read;
	case IDENTITY_USER:
	case IDENTITY_TOKEN:
	case IDENTITY_SITE:
	case IDENTITY_ADMIN:
		return true;
	}
	return false;
}

bool acl_may_read_attr(const struct acl *acl, const struct identity *id,
		       const struct schema_attr *at, struct span description)
{
	(void)description;
	switch (id->kind) {
	case IDENTITY_ADMIN:
	case IDENTITY_SITE:
		return true;
	case IDENTITY_ANONYMOUS:
		return acl->anonymous_read && (at == NULL || !at->is_protected);
	case IDENTITY_USER:
	case IDENTITY_TOKEN:
		return at == NULL || !at->is_protected;
	}
	return false;
}

bool acl_may_write(const struct acl *acl, const struct identity *id)
{
	(void)acl;
	return id->kind == IDENTITY_ADMIN;
}

bool acl_may_sync(const struct acl *acl, const struct identity *id)
{
	(void)acl;
	return id->kind == IDENTITY_ADMIN || id->kind == IDENTITY_SITE;
}
