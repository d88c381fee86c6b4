/*
 * A home that was put back to an older state of its own context (a restored backup or snapshot).
 * docs/replication.md, "Backup, restore, and databases put back", has the rule and why it loses
 * nothing.
 *
 * What partners know and this database does not begins behind the last usn that the lives of both
 * share. What was written here behind it is stamped anew, in a life that nobody knows, so it is
 * newer than anything a partner may have; for the rest stamps decide.
 */
#include "dird/update_int.h"

#define STEP_ROWS 2000 /* stamped in one transaction */

/* --- what was found out --- */

static struct vector told_lives(const struct update *u, struct position *room)
{
	struct vector v = {room, 1};
	unsigned i;

	room[0] = u->c->position;
	for (i = 0; i < u->c->npast && i < POSITION_PAST_MAX; i++)
		room[v.n++] = u->c->past[i];
	return v;
}

bool update_is_lost(const struct store_nc *nc, const struct position *theirs)
{
	struct position room[1 + POSITION_PAST_MAX];
	struct vector ours = store_nc_lives(nc, room);

	return nc->is_own && uuid_eq(&nc->position.nc, &theirs->nc) && theirs->epoch != 0 &&
	       !lives_include(&ours, theirs);
}

bool update_awaits(const struct store_nc *nc, const struct vector *theirs)
{
	struct position room[1 + POSITION_PAST_MAX];
	struct vector ours = store_nc_lives(nc, room);

	return nc->is_recovering && theirs->at->epoch < nc->position.epoch &&
	       lives_shared(&ours, theirs) >= nc->common;
}

/* --- stamps of this life --- */

static struct stamp next_stamp(struct store_nc *nc)
{
	nc->position.usn++;
	return (struct stamp){nc->position.nc, nc->position.epoch, nc->position.usn};
}

static int restamp_entry(struct update *u, struct store_nc *nc, uint64_t eid)
{
	struct update_old old;
	struct entry_head head;
	int rc = update_load(u, eid, &old);

	if (rc != RC_OK)
		return rc;
	head = old.e.head;
	store_order_del(u->t, nc->number, head.stamp.usn, &head.uuid);
	head.stamp = next_stamp(nc);
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
	s = next_stamp(nc);
	store_tombstone_put(u->t, nc->number, &s, &uuid, dn, u->ctx->wall_us);
	return store_error(u->t);
}

static int restamp(struct update *u, struct store_nc *nc, const struct store_change *row)
{
	struct update one = *u;
	struct uuid uuid = row->uuid;
	struct arena a;
	int rc = RC_OK;

	arena_init(&a);
	one.a = &a; /* of one entry */
	if (row->is_quarantined)
		store_quarantine_del(u->t, nc->number, &uuid);
	else if (row->is_tombstone)
		rc = restamp_tombstone(&one, nc, row);
	else
		rc = restamp_entry(&one, nc, row->eid);
	arena_fini(&a);
	return rc == RC_OK ? store_error(u->t) : rc;
}

static int epoch_of(struct update *u, const struct store_change *row, uint32_t *out)
{
	struct entry e;
	int rc = RC_OK;

	*out = row->epoch;
	if (!row->is_tombstone && !row->is_quarantined) {
		rc = store_entry(u->t, row->eid, &e);
		if (rc == RC_OK)
			*out = e.head.stamp.epoch;
	}
	return rc;
}

struct rows {
	uint64_t after, upto;
	uint64_t known; /* rows behind it only of this epoch; 0: of any */
	uint32_t epoch;
	unsigned most; /* 0: all */
};

/* RC_MORE: not yet all of them. */
static int restamp_rows(struct update *u, struct store_nc *nc, const struct rows *r)
{
	uint64_t at = r->after;
	struct store_change row;
	unsigned n = 0;
	uint32_t epoch;
	int rc;

	while ((rc = store_change_next(u->t, nc->number, at, r->upto, &row)) == RC_OK) {
		if (r->most != 0 && n >= r->most)
			return RC_MORE;
		at = row.usn;
		do {
			rc = epoch_of(u, &row, &epoch);
			if (rc == RC_OK && (row.usn <= r->known || epoch == r->epoch || !r->epoch))
				rc = restamp(u, nc, &row);
			if (rc == RC_OK)
				rc = store_change_twin(u->t, nc->number, &row);
			n++;
		} while (rc == RC_OK);
		if (rc != RC_DONE)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* --- the beginning --- */

int update_recover_nc(struct store_txn *t, const struct update_context *ctx, struct store_nc *nc)
{
	nc->common = nc->position.usn;
	nc->is_recovering = true;
	return update_nc_renew(t, ctx, nc);
}

/* Is the life of this recovery known to nobody? It is not when a backup was made in it. */
static bool is_untold(const struct store_nc *nc, const struct vector *theirs)
{
	unsigned i;

	for (i = 0; i < theirs->n; i++) {
		if (position_same_life(&theirs->at[i], &nc->position))
			return false;
	}
	return nc->is_recovering;
}

/* A life above theirs, and what was written here behind the past that both share is of it. */
static int begin_behind(struct update *u, struct store_nc *nc, const struct vector *theirs)
{
	struct position room[1 + POSITION_PAST_MAX];
	struct vector ours = store_nc_lives(nc, room);
	bool again = is_untold(nc, theirs);
	uint64_t shared = lives_shared(&ours, theirs);
	struct rows rows = {.after = shared,
			    .upto = nc->position.usn,
			    .known = again ? 0 : nc->position.usn,
			    .epoch = nc->position.epoch};
	int rc;

	if (!again)
		nc->common = nc->position.usn;
	nc->is_recovering = true;
	rc = update_nc_begin(u->t, u->ctx, nc, theirs->at->epoch, !again);
	if (rc == RC_OK)
		rc = restamp_rows(u, nc, &rows);
	if (shared < nc->common)
		nc->common = shared;
	return rc;
}

/* Two copies have written in the same life: all is compared, and no usn tells what is known. */
static int begin_comparing(struct update *u, struct store_nc *nc)
{
	int rc = update_recover_nc(u->t, u->ctx, nc);

	nc->common = 0;
	if (nc->npast != 0)
		nc->past[0].usn = 0;
	return rc;
}

int update_rolled_back(struct update *u)
{
	struct position room[1 + POSITION_PAST_MAX];
	struct vector theirs = told_lives(u, room);
	struct store_nc nc;
	int rc = store_nc_find(u->t, &theirs.at->nc, &nc);

	if (rc != RC_OK && rc != RC_NOTFOUND)
		return rc;
	if (rc == RC_NOTFOUND || !nc.is_own ||
	    (!u->c->is_overruling &&
	     (!update_is_lost(&nc, theirs.at) || update_awaits(&nc, &theirs)))) {
		*u->outcome = UPDATE_DUPLICATE;
		return RC_OK;
	}
	rc = u->c->is_overruling ? begin_comparing(u, &nc) : begin_behind(u, &nc, &theirs);
	if (rc != RC_OK)
		return rc;
	store_nc_put(u->t, &nc);
	return store_error(u->t);
}

/* --- what a partner does not have any more --- */

static int remove_row(struct update *u, struct store_nc *nc, const struct store_change *row)
{
	struct update_old old;
	struct stamp s;
	struct span dn;
	int rc = update_load(u, row->eid, &old);

	if (rc != RC_OK || uuid_is_zero(&old.e.head.parent_uuid))
		return rc;
	rc = update_old_name(u, &old, &dn);
	if (rc == RC_OK)
		rc = update_erase_placed(u, nc->number, &old);
	if (rc != RC_OK)
		return rc;
	s = next_stamp(nc);
	store_tombstone_put(u->t, nc->number, &s, &old.e.head.uuid, dn, u->ctx->wall_us);
	return update_free_waiting(u, &old.e.head.parent_uuid);
}

int update_keep_only_own(struct update *u, struct store_nc *nc)
{
	struct position mine[1 + POSITION_PAST_MAX], room[1 + POSITION_PAST_MAX];
	struct vector ours = store_nc_lives(nc, mine), theirs = told_lives(u, room);
	uint64_t known = lives_shared(&ours, &theirs), at = 0;
	struct store_change row;
	int rc;

	if (known > nc->common)
		known = nc->common;
	while ((rc = store_change_next(u->t, nc->number, at, known, &row)) == RC_OK) {
		at = row.usn;
		do {
			if (!row.is_tombstone && !row.is_quarantined &&
			    !update_is_kept(u->c, &row.uuid))
				rc = remove_row(u, nc, &row);
			if (rc == RC_OK)
				rc = store_change_twin(u->t, nc->number, &row);
		} while (rc == RC_OK);
		if (rc != RC_DONE)
			return rc;
	}
	store_nc_put(u->t, nc);
	return rc == RC_DONE ? store_error(u->t) : rc;
}

/* --- the end --- */

/* Are all lives that were told of in here? */
static bool is_past(struct update *u, const struct store_nc *nc)
{
	unsigned i;

	for (i = 0; i < u->c->npast; i++) {
		if (update_is_lost(nc, &u->c->past[i]))
			return false;
	}
	return true;
}

/* From here on nobody's position of a former life tells what he has: what was restored has other
 * stamps. So everybody is told everything, once: no position of theirs reaches the floor. */
static void end_lives(struct update *u, struct store_nc *nc)
{
	struct position done =
		position_done_with(&nc->position.nc, nc->position.epoch - u->c->is_overruling);
	bool is_new = !is_past(u, nc) || u->c->is_overruling;
	unsigned i;

	for (i = 0; i < u->c->npast; i++)
		lives_add(nc->past, &nc->npast, POSITION_PAST_MAX, &u->c->past[i]);
	if (u->c->is_overruling)
		lives_add(nc->past, &nc->npast, POSITION_PAST_MAX, &done);
	if (is_new) {
		nc->position.usn++;
		nc->floor = nc->position.usn;
	}
	nc->is_recovering = false;
	nc->common = 0;
}

int update_recovered(struct update *u)
{
	struct rows rows = {.most = STEP_ROWS};
	struct store_nc nc;
	int rc = store_nc_find(u->t, &u->c->position.nc, &nc);

	if (rc != RC_OK || !nc.is_recovering) {
		*u->outcome = UPDATE_DUPLICATE;
		return rc == RC_NOTFOUND ? RC_OK : rc;
	}
	rows.after = u->c->is_overruling ? 0 : nc.common;
	rows.upto = u->c->position.usn;
	if (nc.position.usn < rows.upto)
		nc.position.usn = rows.upto;
	rc = restamp_rows(u, &nc, &rows);
	if (rc == RC_OK)
		rc = update_place_all(u, &nc);
	if (rc == RC_OK)
		end_lives(u, &nc);
	if (rc != RC_OK && rc != RC_MORE)
		return rc;
	store_nc_put(u->t, &nc);
	return store_error(u->t);
}
