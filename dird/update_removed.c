/*
 * Sites that were removed from the organisation: the root entry names their entryUUIDs, in
 * removedSite. Their contexts go, with everything that was known of them, and nothing of them is
 * taken again; a site that is made under the same name is another one (R25).
 */
#include "dird/update_int.h"

static int forget_row(struct update *u, uint32_t nc, const struct store_change *row)
{
	struct update_old old;
	int rc;

	if (row->is_tombstone) {
		store_tombstone_del(u->t, &row->uuid);
		return store_error(u->t);
	}
	if (row->is_quarantined) {
		store_quarantine_del(u->t, nc, &row->uuid);
		return store_error(u->t);
	}
	rc = update_load(u, row->eid, &old);
	return rc == RC_OK ? update_erase_placed(u, nc, &old) : rc;
}

static int forget(struct update *u, const struct store_nc *nc)
{
	struct update one = *u;
	struct store_change row;
	struct arena a;
	int rc;

	arena_init(&a);
	one.a = &a; /* of one row */
	while ((rc = store_change_next(u->t, nc->number, 0, UINT64_MAX, &row)) == RC_OK ||
	       (rc == RC_DONE && store_change_stub(u->t, nc->number, &row) == RC_OK)) {
		rc = forget_row(&one, nc->number, &row);
		arena_fini(&a);
		if (rc != RC_OK)
			return rc;
	}
	if (rc != RC_DONE)
		return rc;
	store_nc_del(u->t, nc);
	return store_error(u->t);
}

/* Entries of other contexts may have waited for a name that is free now, or for an entry to go. */
static int make_room(struct update *u)
{
	int rc = update_free_all(u);

	return rc == RC_OK ? update_retry(u) : rc;
}

/* The n-th value of removedSite; RC_DONE. */
static int removed_site(struct update *u, unsigned n, struct uuid *out)
{
	static const struct span type = {(const uint8_t *)"removedSite", 11};
	struct span values, v;
	struct entry_attr at;
	struct entry e;
	unsigned i = 0;
	uint64_t root;
	int rc = store_root(u->t, &root);

	if (rc == RC_OK)
		rc = store_entry(u->t, root, &e);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_DONE : rc;
	if (!entry_find(&e, entry_type_hash(type), type, &i, &at))
		return RC_DONE;
	for (values = at.values; tlv_expect(&values, TLV_OCTETS, &v) == RC_OK;) {
		if (n-- == 0)
			return uuid_parse(v, out) == RC_OK ? RC_OK : RC_CORRUPT;
	}
	return RC_DONE;
}

bool update_is_removed(struct update *u, const struct uuid *nc)
{
	struct uuid id;
	unsigned n = 0;

	while (removed_site(u, n++, &id) == RC_OK) {
		if (uuid_eq(&id, nc))
			return true;
	}
	return false;
}

int update_forget_removed(struct update *u)
{
	struct store_nc nc;
	struct uuid id;
	unsigned n = 0;
	uint64_t root;
	int rc;

	if (store_root(u->t, &root) != RC_OK || u->c->eid_out != root)
		return RC_OK;
	while ((rc = removed_site(u, n++, &id)) == RC_OK) {
		rc = store_nc_find(u->t, &id, &nc);
		if (rc == RC_OK && !nc.is_own && nc.head != root) {
			rc = forget(u, &nc);
			if (rc == RC_OK)
				rc = make_room(u);
		}
		if (rc != RC_OK && rc != RC_NOTFOUND)
			return rc;
	}
	return rc == RC_DONE || rc == RC_CORRUPT ? RC_OK : rc;
}
