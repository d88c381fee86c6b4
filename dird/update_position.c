/* How far a context is here, and what a present phase removes from it. */
#include "dird/update_int.h"

int update_reach(struct store_txn *t, const struct store_nc *nc, const struct vector *known,
		 struct position *out, uint64_t *last_out)
{
	struct position p;
	uint64_t at = nc->position.usn;
	struct store_change row;
	struct entry e;
	int rc;

	*out = nc->position;
	while ((rc = store_change_next(t, nc->number, at, UINT64_MAX, &row)) == RC_OK) {
		at = row.usn;
		if (row.is_quarantined)
			continue;
		if (!row.is_tombstone) {
			rc = store_entry(t, row.eid, &e);
			if (rc != RC_OK)
				return rc;
			row.epoch = e.head.stamp.epoch;
		}
		p = (struct position){.nc = out->nc, .epoch = row.epoch, .usn = at};
		if (lives_include(known, &p))
			continue;
		if (row.epoch > out->epoch)
			*out = (struct position){.nc = out->nc, .epoch = row.epoch};
		if (row.epoch == out->epoch)
			out->usn = at;
	}
	*last_out = at;
	return rc == RC_DONE ? RC_OK : rc;
}

/*
 * A life that does not contain what is here has lost it: the home was put back, and has not heard
 * of it yet. Until it has, this site stays where it is, so that it can give it back.
 */
static int would_lose(struct update *u, const struct store_nc *nc, bool *out)
{
	struct position reach, room[1 + POSITION_PAST_MAX];
	struct vector next = {room, 1};
	uint64_t last;
	unsigned i;
	int rc;

	*out = false;
	if (nc->number == 0 || position_same_life(&u->c->position, &nc->position))
		return RC_OK;
	room[0] = u->c->position;
	for (i = 0; i < u->c->npast && i < POSITION_PAST_MAX; i++)
		room[next.n++] = u->c->past[i];
	room[0].usn = UINT64_MAX - 1; /* rows of the new life are no loss, however far they are */
	rc = update_reach(u->t, nc, &next, &reach, &last);
	*out = rc == RC_OK && ((nc->position.epoch != 0 && !lives_include(&next, &nc->position)) ||
			       reach.epoch != nc->position.epoch || reach.usn != nc->position.usn);
	return rc;
}

int update_position(struct update *u)
{
	const struct position *p = &u->c->position;
	struct store_nc nc;
	bool loses, may_come = true;
	int rc = update_nc_named(u, &p->nc, &nc);

	if (rc == RC_OK && nc.number == 0)
		rc = update_may_come(u, &p->nc, &may_come);
	if (rc != RC_OK)
		return rc;
	if (nc.is_own) {
		*u->outcome = UPDATE_FOREIGN_OWN;
		return RC_OK;
	}
	if (!may_come || (nc.number != 0 &&
			  (p->epoch < nc.position.epoch ||
			   (position_same_life(p, &nc.position) && p->usn <= nc.position.usn)))) {
		*u->outcome = UPDATE_DUPLICATE;
		return RC_OK;
	}
	rc = would_lose(u, &nc, &loses);
	if (rc != RC_OK || loses) {
		*u->outcome = UPDATE_HELD;
		return rc;
	}
	nc.position = *p;
	nc.npast = u->c->npast < POSITION_PAST_MAX ? u->c->npast : POSITION_PAST_MAX;
	if (nc.npast != 0)
		memcpy(nc.past, u->c->past, nc.npast * sizeof(*nc.past));
	store_nc_put(u->t, &nc);
	return store_error(u->t);
}

bool update_is_kept(const struct change *c, const struct uuid *uuid)
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
	if (rc == RC_OK)
		rc = update_free_waiting(u, &old.e.head.parent_uuid);
	return rc == RC_OK ? update_retry_awaiting(u, &old.e.head.uuid) : rc;
}

static void drop_quarantined(struct update *u, uint32_t nc, const struct store_change *row)
{
	struct uuid uuid = row->uuid;

	if (row->usn <= u->c->position.usn)
		store_quarantine_del(u->t, nc, &uuid);
}

static int drop_row(struct update *u, uint32_t nc, const struct store_change *row)
{
	if (row->is_tombstone || update_is_kept(u->c, &row->uuid))
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
	bool loses;
	int rc = update_nc_named(u, &p->nc, &nc);

	if (rc != RC_OK)
		return rc;
	if (nc.is_own && nc.is_recovering)
		return update_keep_only_own(u, &nc);
	if (nc.is_own) {
		*u->outcome = UPDATE_FOREIGN_OWN;
		return RC_OK;
	}
	if (nc.number == 0)
		return RC_OK;
	rc = would_lose(u, &nc, &loses);
	if (rc != RC_OK || loses) {
		*u->outcome = UPDATE_HELD;
		return rc;
	}
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
	if (s.usn > nc.position.usn || (u->c->spares_own && store_nc_is_home(&nc)))
		return RC_OK;
	store_tombstone_del(u->t, uuid);
	u->c->collected++;
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
