/* How far a context is here, and what a present phase removes from it. */
#include "dird/update_int.h"

int update_position(struct update *u)
{
	const struct position *p = &u->c->position;
	struct store_nc nc;
	int rc = update_nc_named(u, &p->nc, &nc);

	if (rc != RC_OK)
		return rc;
	if (nc.is_own) {
		*u->outcome = UPDATE_FOREIGN_OWN;
		return RC_OK;
	}
	if ((nc.number == 0 && update_is_removed(u, &p->nc)) ||
	    (nc.number != 0 &&
	     (p->epoch < nc.position.epoch ||
	      (position_same_life(p, &nc.position) && p->usn <= nc.position.usn)))) {
		*u->outcome = UPDATE_DUPLICATE;
		return RC_OK;
	}
	/* What the provider took for a past of this life is one for others, too. */
	if (p->epoch > nc.position.epoch) {
		if (u->c->ends_present)
			nc.before = (struct position){.nc = p->nc};
		else
			nc.before = nc.position;
	}
	nc.position = *p;
	store_nc_put(u->t, &nc);
	return store_error(u->t);
}

static bool is_kept(const struct change *c, const struct uuid *uuid)
{
	size_t lo = 0, hi = c->nkeep, mid;
	int order;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		order = memcmp(c->keep[mid].b, uuid->b, UUID_BYTES);
		if (order == 0)
			return true;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* Remove one entry the list does not name, if the list speaks about it. */
static int drop_unnamed(struct update *u, uint32_t nc, uint64_t eid)
{
	const struct position *p = &u->c->position;
	struct update_old old;
	int rc = update_load(u, eid, &old);

	if (rc != RC_OK)
		return rc;
	if (old.e.head.stamp.epoch >= p->epoch && old.e.head.stamp.usn > p->usn)
		return RC_OK;
	rc = update_erase_placed(u, nc, &old);
	return rc == RC_OK ? update_free_waiting(u, &old.e.head.parent_uuid) : rc;
}

static void drop_quarantined(struct update *u, uint32_t nc, const struct store_change *row)
{
	struct uuid uuid = row->uuid;

	if (row->usn <= u->c->position.usn)
		store_quarantine_del(u->t, nc, &uuid);
}

static int drop_row(struct update *u, uint32_t nc, const struct store_change *row)
{
	if (row->is_tombstone || is_kept(u->c, &row->uuid))
		return RC_OK;
	if (row->is_quarantined) {
		drop_quarantined(u, nc, row);
		return store_error(u->t);
	}
	return drop_unnamed(u, nc, row->eid);
}

int update_keep_only(struct update *u)
{
	const struct position *p = &u->c->position;
	struct store_change row;
	struct store_nc nc;
	uint64_t at = 0;
	int rc = update_nc_named(u, &p->nc, &nc);

	if (rc != RC_OK)
		return rc;
	if (nc.is_own) {
		*u->outcome = UPDATE_FOREIGN_OWN;
		return RC_OK;
	}
	if (nc.number == 0)
		return RC_OK;
	while ((rc = store_change_next(u->t, nc.number, at, UINT64_MAX, &row)) == RC_OK) {
		at = row.usn;
		do {
			rc = drop_row(u, nc.number, &row);
			if (rc == RC_OK)
				rc = store_change_twin(u->t, nc.number, &row);
		} while (rc == RC_OK);
		if (rc != RC_DONE)
			return rc;
	}
	if (rc != RC_DONE)
		return rc;
	/* what is gone left no tombstone here: a consumer behind this needs a present phase, too */
	if (p->usn > nc.floor) {
		nc.floor = p->usn;
		store_nc_put(u->t, &nc);
	}
	return store_error(u->t);
}

/* --- tombstones --- */

/* What the position does not cover yet may still be asked for by a repeated change. */
static int collect_one(struct update *u, const struct uuid *uuid)
{
	struct store_nc nc;
	struct stamp s;
	int rc = store_tombstone(u->t, uuid, &s);

	if (rc == RC_OK)
		rc = store_nc_find(u->t, &s.nc, &nc);
	if (rc != RC_OK)
		return rc == RC_NOTFOUND ? RC_OK : rc;
	if (s.usn > nc.position.usn)
		return RC_OK;
	store_tombstone_del(u->t, uuid);
	if (s.usn > nc.floor) {
		nc.floor = s.usn;
		store_nc_put(u->t, &nc);
	}
	return store_error(u->t);
}

int update_collect(struct update *u)
{
	size_t i;
	int rc = RC_OK;

	for (i = 0; i < u->c->nkeep && rc == RC_OK; i++)
		rc = collect_one(u, &u->c->keep[i]);
	return rc;
}
