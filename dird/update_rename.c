/* Renames and moves of clients (RFC 4511 §4.9). */
#include "dird/update_int.h"
#include "lib/dn.h"

/* How far above `eid` is `base`? 0: it is the entry itself, or not above it. */
static int levels(struct update *u, uint64_t eid, uint64_t base, unsigned *out)
{
	struct entry e;
	unsigned n;
	int rc = RC_OK;

	for (n = 0; rc == RC_OK && eid != base && eid != 0; n++) {
		rc = store_entry(u->t, eid, &e);
		eid = e.head.parent;
	}
	*out = eid == base ? n : 0;
	return rc;
}

/* How many levels lie below an entry. Few entries have children, so those are looked at. */
static int height(struct update *u, uint64_t base, unsigned *out)
{
	uint64_t eid = 0;
	unsigned n;
	int rc;

	*out = store_has_children(u->t, base) ? 1 : 0;
	if (*out == 0)
		return RC_OK;
	while ((rc = store_parent_next(u->t, &eid)) == RC_OK) {
		rc = levels(u, eid, base, &n);
		if (rc != RC_OK)
			return rc;
		if (n != 0 && n + 1 > *out)
			*out = n + 1;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* Every name stays one that dn_parse() takes. */
static int check_depth(struct update *u, const struct update_old *old, unsigned new_depth)
{
	unsigned below;
	int rc;

	if (new_depth <= u->c->dn.n)
		return RC_OK;
	rc = height(u, old->eid, &below);
	if (rc == RC_OK && new_depth + below > DN_MAX_RDNS)
		return result_set(u->why, u->a, LR_UNWILLING, "names would have more than %d RDNs",
				  DN_MAX_RDNS);
	return rc;
}

static int new_parent(struct update *u, const struct update_old *old, struct entry_head *head)
{
	struct entry e;
	unsigned depth;
	uint64_t eid;
	int rc;

	if (!u->c->has_new_superior)
		return RC_OK;
	rc = store_find(u->t, &u->c->new_superior, &eid, &depth);
	if (rc == RC_NOTFOUND)
		return update_no_such_object(u, eid, "the new superior does not exist");
	if (rc == RC_OK)
		rc = store_entry(u->t, eid, &e);
	if (rc != RC_OK)
		return rc;
	if (store_is_within(u->t, eid, old->eid))
		return result_set(u->why, u->a, LR_UNWILLING,
				  "the new superior is the entry itself or below it");
	rc = update_check_parent(u, &e);
	if (rc != RC_OK)
		return rc;
	head->parent = eid;
	head->parent_uuid = e.head.uuid;
	return check_depth(u, old, depth + 1);
}

static int check_free(struct update *u, const struct update_old *old, const struct entry_head *head)
{
	uint64_t other;
	int rc = store_child(u->t, head->parent, head->rdn_normal, &other);

	if (rc == RC_OK && other != old->eid)
		return result_set(u->why, u->a, LR_EXISTS, "the new name is another entry's");
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

static int renamed(struct update *u, const struct update_old *old, struct entry_head *head,
		   struct store_nc *nc)
{
	struct apply_context x = update_apply_context(u);
	struct update_names names;
	struct apply_entry content;
	int rc;

	rc = new_parent(u, old, head);
	if (rc == RC_OK)
		rc = update_rdn(u, &u->c->new_rdn, &head->rdn, &head->rdn_normal);
	if (rc == RC_OK)
		rc = check_free(u, old, head);
	if (rc == RC_OK)
		rc = apply_rename(&x, &old->e, u->c, &content, u->why);
	if (rc == RC_OK)
		rc = update_check_addresses(u, &old->attrs, &content.attrs, old->eid);
	if (rc == RC_OK)
		rc = update_check_context(u, old, head->parent, &content.attrs,
					  LR_AFFECTS_MULTIPLE_DSAS);
	if (rc == RC_OK)
		rc = update_names_note(u, old->eid, true, &names);
	if (rc != RC_OK)
		return rc;
	store_child_del(u->t, old->e.head.parent, old->e.head.rdn_normal, old->eid);
	store_child_put(u->t, head->parent, head->rdn_normal, old->eid);
	rc = update_put_changed(u, old, head, &content, nc, true);
	return rc == RC_OK ? update_names_mend(u, &names, false) : rc;
}

int update_rename(struct update *u)
{
	struct update_old old;
	struct entry_head head;
	struct store_nc nc;
	int rc = update_find(u, &old);

	if (rc == RC_OK)
		rc = update_nc_own(u, &old.e.head.stamp.nc, &nc);
	if (rc != RC_OK)
		return rc;
	if (uuid_eq(&old.e.head.uuid, &old.e.head.stamp.nc))
		return result_set(u->why, u->a, LR_UNWILLING,
				  "the head of a naming context keeps its name");
	head = old.e.head;
	return renamed(u, &old, &head, &nc);
}
