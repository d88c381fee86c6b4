#include "tests/sim/sim.h"

#include "dird/store_int.h"

enum plant plant;

const char *const plant_names[PLANT_COUNT] = {
	[PLANT_NONE] = "none",
	[PLANT_POSITION_FIRST] = "position-first",
	[PLANT_PRESENT_CUT] = "present-cut",
	[PLANT_PRESENT_IGNORED] = "present-ignored",
	[PLANT_STALE_APPLIED] = "stale-applied",
	[PLANT_LIMBO_DROPPED] = "limbo-dropped",
	[PLANT_TOMBSTONE_FORGOTTEN] = "tombstone-forgotten",
	[PLANT_REMOVE_DROPPED] = "remove-dropped",
	[PLANT_WAKE_LOST] = "wake-lost",
	[PLANT_MESSAGE_LOST] = "message-lost",
	[PLANT_MEMORY_COOKIE] = "memory-cookie",
	[PLANT_FAILED_BATCH_SKIPPED] = "failed-batch-skipped",
	[PLANT_MESSAGE_SWAPPED] = "message-swapped",
	[PLANT_FLOOR_FORGOTTEN] = "floor-forgotten",
	[PLANT_LIVES_MIXED] = "lives-mixed",
	[PLANT_ECHO_TOO_MUCH] = "echo-too-much",
	[PLANT_ACK_EARLY] = "ack-early",
	[PLANT_PROBE_IGNORED] = "probe-ignored",
	[PLANT_COLLECTED_QUIETLY] = "collected-quietly",
	[PLANT_SYNC_LOST] = "sync-lost",
	[PLANT_CLOCK_DECIDES] = "clock-decides",
	[PLANT_JOIN_CLAIMS] = "join-claims",
	[PLANT_NAME_TWICE] = "name-twice",
	[PLANT_RESTORE_UNNOTICED] = "restore-unnoticed",
	[PLANT_SINCE_NOT_STAMPED] = "since-not-stamped",
	[PLANT_HEAD_UNCHECKED] = "head-unchecked",
	[PLANT_FULL_ACKNOWLEDGED] = "full-acknowledged",
	[PLANT_SYNC_RETRIED] = "sync-retried",
	[PLANT_SLOT_KEPT] = "slot-kept",
	[PLANT_REMOVED_TAKEN] = "removed-taken",
	[PLANT_POISON_DROPPED] = "poison-dropped",
	[PLANT_UNKNOWN_DROPPED] = "unknown-dropped",
	[PLANT_MESSAGE_DOUBLED] = "message-doubled",
	[PLANT_OLD_SESSION_READ] = "old-session-read",
	[PLANT_HELD_LOST] = "held-lost",
	[PLANT_HEAD_OF_ANOTHER_LIFE] = "head-of-another-life",
};

/* An older state of an entry takes the place of a newer one. */
static int apply_stale(struct site *s, struct store_txn *t, struct change *c, struct arena *a,
		       enum update_outcome *outcome, struct result *why)
{
	struct change remove = {.kind = CHANGE_REMOVE, .uuid = c->uuid};
	struct store_nc nc, low;
	struct entry e;
	uint64_t eid;
	int rc;

	if (store_nc_find(t, &c->stamp.nc, &nc) != RC_OK || nc.is_own || c->stamp.usn == 0 ||
	    uuid_is_zero(&c->parent_uuid))
		return update_apply(t, &s->ctx, c, a, outcome, why);
	low = nc;
	low.position.usn = 0;
	low.position.epoch = 0;
	store_nc_put(t, &low);
	if (store_by_uuid(t, &c->uuid, &eid) == RC_OK) {
		need(store_entry(t, eid, &e) == RC_OK);
		remove.stamp = e.head.stamp;
		remove.stamp.usn++;
		rc = update_apply(t, &s->ctx, &remove, a, outcome, why);
		if (rc != RC_OK)
			return rc;
	}
	store_tombstone_del(t, &c->uuid);
	*outcome = UPDATE_APPLIED;
	rc = update_apply(t, &s->ctx, c, a, outcome, why);
	need(store_nc_find(t, &c->stamp.nc, &low) == RC_OK);
	low.position = nc.position;
	store_nc_put(t, &low);
	return rc;
}

static int apply_keeping_floor(struct site *s, struct store_txn *t, struct change *c,
			       struct arena *a, enum update_outcome *outcome, struct result *why)
{
	struct store_nc before, nc;
	bool known = store_nc_find(t, &c->position.nc, &before) == RC_OK;
	int rc = update_apply(t, &s->ctx, c, a, outcome, why);

	if (known && store_nc_find(t, &c->position.nc, &nc) == RC_OK) {
		nc.floor = before.floor;
		store_nc_put(t, &nc);
	}
	return rc;
}

static int collect_quietly(struct store_txn *t, struct change *c)
{
	size_t i;

	for (i = 0; i < c->nkeep; i++)
		store_tombstone_del(t, &c->keep[i]);
	return store_error(t);
}

static void mix_lives(struct store_txn *t, struct change *c)
{
	struct store_nc nc;

	if (store_nc_find(t, &c->position.nc, &nc) != RC_OK || nc.position.epoch == 0)
		return;
	c->position.epoch = nc.position.epoch;
	c->position.invocation = nc.position.invocation;
}

/* A move leaves the old name behind. */
static int apply_name_twice(struct site *s, struct store_txn *t, struct change *c, struct arena *a,
			    enum update_outcome *outcome, struct result *why)
{
	struct span name = {NULL, 0};
	uint64_t eid, parent = 0, other;
	struct entry e;
	int rc;

	if (store_by_uuid(t, &c->uuid, &eid) == RC_OK && store_entry(t, eid, &e) == RC_OK) {
		parent = e.head.parent;
		name = arena_span(a, e.head.rdn_normal);
	}
	rc = update_apply(t, &s->ctx, c, a, outcome, why);
	if (rc == RC_OK && parent != 0 && store_child(t, parent, name, &other) == RC_NOTFOUND)
		store_child_put(t, parent, name, eid);
	return rc;
}

/* The database goes back to what it was before its last commit, or the one before that. */
void plant_lose_sync(struct site *s)
{
	if (s->before.n != 0 && s->image.n == 0) {
		s->image = s->before;
		buf_init(&s->before, SIZE_MAX);
	}
}

/* The second sync says that all is well, but what the first one dropped is not on the disk. */
bool plant_retries_sync(struct site *s)
{
	if (plant != PLANT_SYNC_RETRIED)
		return false;
	if (s->before.n == 0)
		disk_read(s, &s->before);
	return true;
}

void plant_keep_before(struct site *s)
{
	if (plant != PLANT_SYNC_LOST || s->number != 0)
		return;
	buf_fini(&s->before);
	disk_read(s, &s->before);
}

/* The new site says that it has what its partner has. */
void plant_join(struct site *s, struct site *partner)
{
	struct store_txn *from, *to;
	uint32_t number = 0;
	struct store_nc nc;

	if (plant != PLANT_JOIN_CLAIMS || partner == NULL)
		return;
	need(store_read_begin(partner->store, &from) == RC_OK);
	need(store_write_begin(s->store, &to) == RC_OK);
	while (store_nc_next(from, &number, &nc) == RC_OK) {
		struct change c = {.kind = CHANGE_POSITION, .position = nc.position};
		enum update_outcome outcome;
		struct result why;

		if (!uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			need(update_apply(to, &s->ctx, &c, &s->arena, &outcome, &why) == RC_OK);
	}
	need(store_write_commit(&to) == RC_OK);
	store_read_end(&from);
}

/* Everything behind the branch point keeps its stamp. */
static int apply_unstamped(struct site *s, struct store_txn *t, struct change *c, struct arena *a,
			   enum update_outcome *outcome, struct result *why)
{
	struct store_nc nc;
	int rc;

	if (store_nc_find(t, &c->position.nc, &nc) != RC_OK || !nc.is_own || nc.is_recovering)
		return update_apply(t, &s->ctx, c, a, outcome, why);
	rc = update_recover_nc(t, &s->ctx, &nc);
	nc.common = nc.npast > 1 ? nc.past[1].usn : 0;
	store_nc_put(t, &nc);
	*outcome = UPDATE_APPLIED;
	return rc;
}

/* The position of a removed site stays, as in vectors that never forget. */
static int apply_keeping_slot(struct site *s, struct store_txn *t, struct change *c,
			      struct arena *a, enum update_outcome *outcome, struct result *why)
{
	const struct uuid *id = &w.contexts[w.leaver->number].id;
	struct store_nc before, after;
	bool known = store_nc_find(t, id, &before) == RC_OK;
	int rc = update_apply(t, &s->ctx, c, a, outcome, why);

	if (rc == RC_OK && known && store_nc_find(t, id, &after) != RC_OK) {
		before.number = 0;
		store_nc_put(t, &before);
	}
	return rc;
}

/* What comes of a removed site is taken as that of a site nobody knew. */
static void take_removed(struct store_txn *t, const struct change *c)
{
	struct store_nc nc = {.position.nc = c->kind == CHANGE_PUT ? c->stamp.nc : c->position.nc};

	if ((c->kind == CHANGE_PUT || c->kind == CHANGE_POSITION) &&
	    uuid_eq(&nc.position.nc, &w.contexts[w.leaver->number].id) &&
	    store_nc_find(t, &nc.position.nc, &nc) == RC_NOTFOUND)
		store_nc_put(t, &nc);
}

/* A life that does not have what is here takes its place all the same. */
static int apply_held(struct site *s, struct store_txn *t, struct change *c, struct arena *a,
		      enum update_outcome *outcome, struct result *why)
{
	struct store_nc nc;
	int rc = update_apply(t, &s->ctx, c, a, outcome, why);

	if (rc != RC_OK || *outcome != UPDATE_HELD)
		return rc;
	need(store_nc_find(t, &c->position.nc, &nc) == RC_OK);
	if (nc.position.epoch > c->position.epoch)
		return rc;
	nc.position = c->position;
	nc.position.usn = 0;
	store_nc_put(t, &nc);
	*outcome = UPDATE_APPLIED;
	return update_apply(t, &s->ctx, c, a, outcome, why);
}

/* Attributes that the schema here does not name are left out. */
static void drop_unknown(const struct site *s, struct change *c)
{
	struct attr_list *l = &c->attrs;
	unsigned i, n = 0;

	for (i = 0; i < l->n; i++) {
		if (schema_attr(s->ctx.schema, l->attrs[i].type) != NULL)
			l->attrs[n++] = l->attrs[i];
	}
	l->n = n;
}

int plant_apply(struct site *s, struct store_txn *t, struct change *c, struct arena *a,
		enum update_outcome *outcome, struct result *why)
{
	uint64_t eid;
	int rc;

	if (plant == PLANT_PRESENT_IGNORED && c->kind == CHANGE_KEEP_ONLY)
		return RC_OK;
	if (plant == PLANT_REMOVE_DROPPED && c->kind == CHANGE_REMOVE)
		return RC_OK;
	if (plant == PLANT_LIMBO_DROPPED && c->kind == CHANGE_PUT &&
	    !uuid_is_zero(&c->parent_uuid) &&
	    store_by_uuid(t, &c->parent_uuid, &eid) == RC_NOTFOUND)
		return RC_OK;
	if (plant == PLANT_NAME_TWICE && c->kind == CHANGE_PUT && chance(20))
		return apply_name_twice(s, t, c, a, outcome, why);
	if (plant == PLANT_STALE_APPLIED && c->kind == CHANGE_PUT)
		return apply_stale(s, t, c, a, outcome, why);
	if (plant == PLANT_CLOCK_DECIDES && c->kind == CHANGE_PUT &&
	    !uuid_is_zero(&c->parent_uuid) && s->wall_offset_us > 365ll * 86400 * 1000000)
		return RC_OK;
	if (plant == PLANT_FLOOR_FORGOTTEN && c->kind == CHANGE_KEEP_ONLY)
		return apply_keeping_floor(s, t, c, a, outcome, why);
	if (plant == PLANT_COLLECTED_QUIETLY && c->kind == CHANGE_COLLECT)
		return collect_quietly(t, c);
	if (plant == PLANT_SINCE_NOT_STAMPED && c->kind == CHANGE_ROLLED_BACK)
		return apply_unstamped(s, t, c, a, outcome, why);
	if (plant == PLANT_HELD_LOST)
		return apply_held(s, t, c, a, outcome, why);
	if (plant == PLANT_POISON_DROPPED && c->poison != NULL)
		return RC_OK;
	if (plant == PLANT_UNKNOWN_DROPPED && c->kind == CHANGE_PUT)
		drop_unknown(s, c);
	if (plant == PLANT_SLOT_KEPT && w.is_removed)
		return apply_keeping_slot(s, t, c, a, outcome, why);
	if (plant == PLANT_REMOVED_TAKEN && w.is_removed)
		take_removed(t, c);
	if (plant == PLANT_LIVES_MIXED && c->kind == CHANGE_POSITION)
		mix_lives(t, c);
	rc = update_apply(t, &s->ctx, c, a, outcome, why);
	if (rc == RC_OK && plant == PLANT_TOMBSTONE_FORGOTTEN && c->kind == CHANGE_REMOVE)
		store_tombstone_del(t, &c->uuid);
	return rc;
}
