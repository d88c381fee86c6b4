/*
 * Sites that were removed from the organisation: the root entry names their entryUUIDs, in
 * removedSite. From that change on nothing is known of their contexts, and nothing of them is taken
 * again; a site that is made under the same name is another one (R25). What they had written goes
 * in pieces, so that nobody waits for the end of it: leaves first, so that what is still there has
 * its names, and whoever named an entry is mended when it goes.
 */
#include "dird/update_int.h"

#define PIECE_ROWS 256

/* --- what is leaving goes --- */

static bool is_of(struct update *u, uint64_t eid, const struct uuid *nc)
{
	struct entry e;

	return store_entry(u->t, eid, &e) == RC_OK && uuid_eq(&e.head.stamp.nc, nc);
}

static int erase_leaf_below(struct update *u, const struct store_leaving *l, uint64_t eid)
{
	struct update_old old;
	uint64_t child;
	int rc;

	while ((rc = store_child_first(u->t, eid, &child)) == RC_OK && is_of(u, child, &l->id))
		eid = child;
	if (rc == RC_OK || rc == RC_NOTFOUND)
		rc = update_load(u, eid, &old);
	return rc == RC_OK ? update_erase_placed(u, l->number, &old) : rc;
}

static int forget_row(struct update *u, const struct store_leaving *l,
		      const struct store_change *row)
{
	if (row->is_tombstone) {
		store_tombstone_del(u->t, &row->uuid);
		return store_error(u->t);
	}
	if (row->is_quarantined) {
		store_quarantine_del(u->t, l->number, &row->uuid);
		return store_error(u->t);
	}
	return erase_leaf_below(u, l, row->eid);
}

static int first_row(struct update *u, uint32_t nc, struct store_change *out)
{
	int rc = store_change_next(u->t, nc, 0, UINT64_MAX, out);

	return rc == RC_DONE ? store_change_stub(u->t, nc, out) : rc;
}

/* RC_DONE: there are no more. */
static int forget_rows(struct update *u, const struct store_leaving *l)
{
	unsigned left = u->ctx->piece_rows != 0 ? u->ctx->piece_rows : PIECE_ROWS;
	struct update one = *u;
	struct store_change row;
	struct arena a;
	int rc = RC_OK;

	arena_init(&a);
	one.a = &a; /* of one row */
	for (; rc == RC_OK && left != 0; left--) {
		rc = first_row(&one, l->number, &row);
		if (rc == RC_OK)
			rc = forget_row(&one, l, &row);
		arena_fini(&a);
	}
	return rc;
}

/* Entries of other contexts may have waited for a name that is free now, or for an entry to go. */
static int make_room(struct update *u)
{
	int rc = update_free_all(u);

	return rc == RC_OK ? update_retry(u) : rc;
}

int update_forget(struct update *u)
{
	struct store_leaving l = {.number = 0};
	int rc = store_leaving_next(u->t, &l);

	if (rc != RC_OK)
		return rc == RC_DONE ? RC_OK : rc;
	rc = forget_rows(u, &l);
	if (rc != RC_DONE)
		return rc;
	store_leaving_del(u->t, &l);
	return make_room(u);
}

bool update_is_forgetting(struct store_txn *t)
{
	struct store_leaving l = {.number = 0};

	return store_leaving_next(t, &l) == RC_OK;
}

/* --- which are removed --- */

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

int update_may_come(struct update *u, const struct uuid *nc, bool *out)
{
	struct store_leaving l;
	struct uuid id;
	unsigned n = 0;
	int rc = RC_OK;

	while ((*out = removed_site(u, n++, &id) != RC_OK) == false) {
		if (uuid_eq(&id, nc))
			return RC_OK;
	}
	/* the removal was lost with the state of the organisation's home: the site is one again */
	while (rc == RC_OK && (rc = store_leaving_find(u->t, nc, &l)) == RC_OK)
		rc = update_forget(u);
	return rc == RC_NOTFOUND ? RC_OK : rc;
}

/* Nobody is that site any more, while its head waits for its turn. */
static int take_keys(struct update *u, uint64_t head)
{
	struct apply_entry without;
	struct update_old old;
	unsigned i;
	int rc = update_load(u, head, &old);

	if (rc != RC_OK)
		return rc;
	without = (struct apply_entry){
		.attrs.attrs = arena_zalloc(u->a, old.attrs.n, sizeof(*old.attrs.attrs)),
		.runs = arena_zalloc(u->a, old.attrs.n, sizeof(*without.runs))};
	if (without.attrs.attrs == NULL || without.runs == NULL)
		return RC_NOMEM;
	for (i = 0; i < old.attrs.n; i++) {
		const struct attr *at = &old.attrs.attrs[i];

		if (span_eq_nocase(at->type, SPAN_LIT("siteKey")))
			continue;
		without.runs[without.attrs.n] = schema_run(u->ctx->schema, at->type);
		without.attrs.attrs[without.attrs.n++] = *at;
	}
	return update_write(u, head, &old.e.head, &without, &old);
}

static int leave(struct update *u, const struct store_nc *nc)
{
	int rc = nc->head != 0 ? take_keys(u, nc->head) : RC_OK;

	if (rc != RC_OK)
		return rc;
	store_nc_leave(u->t, nc);
	return update_forget(u);
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
		if (rc == RC_OK && !nc.is_own && nc.head != root)
			rc = leave(u, &nc);
		if (rc != RC_OK && rc != RC_NOTFOUND)
			return rc;
	}
	return rc == RC_DONE || rc == RC_CORRUPT ? RC_OK : rc;
}
