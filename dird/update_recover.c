/*
 * A home that was put back to an older state of its own context (a restored backup or snapshot).
 * It begins a new life, takes back from its partners what it had told them of the former one, and
 * then gives everything a stamp of the new life, so that what nobody brought back ends everywhere.
 * What it has written itself since then is newer than anything of the former life, and stays.
 */
#include "dird/update_int.h"

static bool is_after(const struct position *a, const struct position *b)
{
	return a->epoch != b->epoch ? a->epoch > b->epoch : a->usn > b->usn;
}

bool update_is_lost(const struct store_nc *nc, const struct position *theirs)
{
	if (!nc->is_own || !uuid_eq(&nc->position.nc, &theirs->nc) || theirs->epoch == 0)
		return false;
	if (position_same_life(theirs, &nc->position))
		return theirs->usn > nc->position.usn;
	if (position_same_life(theirs, &nc->before))
		return theirs->usn > nc->before.usn;
	return theirs->epoch >= nc->position.epoch;
}

/* A new life that goes on where this one and that of `lost` still were the same. */
static int begin_after(struct update *u, struct store_nc *nc, const struct position *lost)
{
	struct position common = *lost;
	int rc;

	if (position_same_life(lost, &nc->before))
		return RC_OK;
	common.usn = position_same_life(lost, &nc->position) ? nc->position.usn : 0;
	if (lost->epoch > nc->position.epoch)
		nc->position.epoch = lost->epoch;
	rc = update_nc_renew(u->t, u->ctx, nc);
	nc->before = common;
	return rc;
}

int update_rolled_back(struct update *u)
{
	const struct position *lost = &u->c->position;
	struct store_nc nc;
	int rc = store_nc_find(u->t, &lost->nc, &nc);

	if (rc == RC_OK && u->c->is_overruling && nc.is_own) {
		update_recover_nc(&nc);
		nc.before.usn = 0; /* two have written: all is compared */
		store_nc_put(u->t, &nc);
		return store_error(u->t);
	}
	if (rc == RC_NOTFOUND || (rc == RC_OK && !update_is_lost(&nc, lost))) {
		*u->outcome = UPDATE_DUPLICATE;
		return RC_OK;
	}
	if (rc == RC_OK)
		rc = begin_after(u, &nc, lost);
	if (rc != RC_OK)
		return rc;
	nc.is_recovering = true;
	store_nc_put(u->t, &nc);
	return store_error(u->t);
}

void update_recover_nc(struct store_nc *nc)
{
	nc->before = nc->position;
	nc->is_recovering = true;
}

/* --- a stamp of this life for everything --- */

static int restamp_entry(struct update *u, struct store_nc *nc, uint64_t eid)
{
	struct update_old old;
	struct entry_head head;
	int rc = update_load(u, eid, &old);

	if (rc != RC_OK)
		return rc;
	head = old.e.head;
	store_order_del(u->t, nc->number, head.stamp.usn, &head.uuid);
	nc->position.usn++;
	head.stamp = (struct stamp){nc->position.nc, nc->position.epoch, nc->position.usn};
	rc = update_write_head(u, &old, &head);
	store_order_put(u->t, nc->number, head.stamp.usn, &head.uuid, eid);
	return rc == RC_OK ? store_error(u->t) : rc;
}

static int restamp_tombstone(struct update *u, struct store_nc *nc, const struct store_change *row)
{
	struct span dn = arena_span(u->a, row->old_dn);
	struct uuid uuid = row->uuid;
	struct stamp s;

	if (dn.p == NULL)
		return RC_NOMEM;
	nc->position.usn++;
	s = (struct stamp){nc->position.nc, nc->position.epoch, nc->position.usn};
	store_tombstone_put(u->t, nc->number, &s, &uuid, dn, u->ctx->wall_us);
	return store_error(u->t);
}

static int restamp_all(struct update *u, struct store_nc *nc)
{
	uint64_t last = nc->position.usn, at = 0;
	struct update one = *u;
	struct store_change row;
	struct arena a;
	int rc;

	arena_init(&a);
	one.a = &a; /* of one entry */
	while ((rc = store_change_next(u->t, nc->number, at, last, &row)) == RC_OK) {
		if (row.is_quarantined)
			store_quarantine_del(u->t, nc->number, &row.uuid);
		else if (row.is_tombstone)
			rc = restamp_tombstone(&one, nc, &row);
		else
			rc = restamp_entry(&one, nc, row.eid);
		arena_fini(&a);
		if (rc != RC_OK)
			return rc;
		at = row.usn - 1; /* another entry may have the same */
	}
	return rc == RC_DONE ? RC_OK : rc;
}

int update_recovered(struct update *u)
{
	const struct position *upto = &u->c->position;
	bool was_lost;
	struct store_nc nc;
	int rc = store_nc_find(u->t, &upto->nc, &nc);

	if (rc != RC_OK || !nc.is_recovering) {
		*u->outcome = UPDATE_DUPLICATE;
		return rc == RC_NOTFOUND ? RC_OK : rc;
	}
	was_lost = position_same_life(upto, &nc.before) && is_after(upto, &nc.before);
	if (position_same_life(&nc.position, &nc.before)) { /* restored by hand */
		struct position before = nc.before;

		rc = update_nc_renew(u->t, u->ctx, &nc);
		nc.before = before;
	}
	if (was_lost)
		nc.before.usn = upto->usn;
	/* Who is there is told what is above, so all of this life is above, had back or not. */
	if (was_lost && nc.position.usn < upto->usn)
		nc.position.usn = upto->usn;
	if (rc == RC_OK && (was_lost || u->c->is_overruling))
		rc = restamp_all(u, &nc);
	if (u->c->is_overruling) /* what partners have of it is no past of this life */
		memset(&nc.before, 0, sizeof(nc.before));
	nc.is_recovering = false;
	store_nc_put(u->t, &nc);
	return rc == RC_OK ? store_error(u->t) : rc;
}
