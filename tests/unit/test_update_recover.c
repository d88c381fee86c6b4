/* Own contexts put back to an older state, and removed sites (dird/update.h). */
#include "tests/unit/base.h"

#include "dird/update_int.h"

#define SITE "ou=S1,o=Example"

static int setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));

	base_open(b, 0);
	base_site(b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	base_close(*state);
	free(*state);
	return 0;
}

static struct entry entry_of(struct base *b, const char *dn, bool *found)
{
	struct dn d = base_dn(b, dn);
	struct store_txn *t;
	struct entry e;
	unsigned depth;
	uint64_t eid;

	memset(&e, 0, sizeof(e));
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	*found = store_find(t, &d, &eid, &depth) == RC_OK;
	if (*found) {
		assert_int_equal(store_entry(t, eid, &e), RC_OK);
		assert_int_equal(entry_open(arena_span(&b->arena, entry_record(&e)), &e), RC_OK);
	}
	store_read_end(&t);
	return e;
}

static struct store_nc context(struct base *b)
{
	struct store_txn *t;
	struct store_nc nc;
	bool found;
	struct entry e = entry_of(b, SITE, &found);

	assert_true(found);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, &e.head.uuid, &nc), RC_OK);
	store_read_end(&t);
	return nc;
}

static enum update_outcome apply(struct base *b, struct change c)
{
	b->last = c;
	assert_int_equal(base_apply(b), 0);
	base_check(b);
	return b->outcome;
}

static struct position beyond(const struct store_nc *nc, uint64_t by)
{
	struct position p = nc->position;

	p.usn += by;
	return p;
}

static void what_proves_a_loss(void **state)
{
	struct store_nc nc = {.is_own = true,
			      .position = {{{1}}, 5, {{5}}, 100},
			      .npast = 2,
			      .past = {{{{1}}, 4, {{4}}, 80}, {{{1}}, 2, {{0}}, UINT64_MAX}}};
	static const struct {
		uint32_t epoch;
		uint8_t invocation;
		uint64_t usn;
		bool is_lost;
	} rows[] = {
		{5, 5, 100, false}, {5, 5, 101, true}, {4, 4, 80, false}, {4, 4, 81, true},
		{4, 9, 50, true},   {4, 0, 80, false}, {4, 0, 81, true},  {3, 3, 1, true},
		{2, 9, 500, false}, {1, 1, 1, false},  {5, 9, 1, true},   {6, 6, 1, true},
		{0, 0, 0, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct position p = {{{1}}, rows[i].epoch, {{rows[i].invocation}}, rows[i].usn};

		assert_int_equal(update_is_lost(&nc, &p), rows[i].is_lost);
		nc.is_own = false;
		assert_false(update_is_lost(&nc, &p));
		nc.is_own = true;
		p.nc.b[0] = 2;
		assert_false(update_is_lost(&nc, &p));
	}
}

static struct change put_of(struct base *b, const char *dn, uint64_t usn)
{
	struct change c = {.kind = CHANGE_PUT};
	bool found;
	struct entry e = entry_of(b, dn, &found);

	assert_true(found);
	c.uuid = e.head.uuid;
	c.parent_uuid = e.head.parent_uuid;
	c.rdn = e.head.rdn;
	c.stamp = e.head.stamp;
	c.stamp.usn = usn;
	assert_int_equal(entry_decode(&e, true, &b->arena, &c.attrs), RC_OK);
	return c;
}

/* Another entry like the one of that name. */
static struct change another(struct base *b, const char *dn, const char *rdn, uint64_t usn)
{
	struct change c = put_of(b, dn, usn);

	c.uuid.b[0] ^= (uint8_t)usn;
	c.rdn = span_of(rdn);
	return c;
}

static void add(struct base *b, const char *dn)
{
	assert_int_equal(base_add(b, dn, "objectClass: container\n"), 0);
}

static uint64_t children_of(struct base *b, const char *dn)
{
	struct dn d = base_dn(b, dn);
	struct store_txn *t;
	unsigned depth;
	uint64_t eid, n;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_find(t, &d, &eid, &depth), RC_OK);
	n = store_child_count(t, eid, 100);
	store_read_end(&t);
	return n;
}

static bool is_there(struct base *b, const char *dn)
{
	bool found;

	entry_of(b, dn, &found);
	return found;
}

static void in_a_life_of_its_own(struct base *b, const char *dn, const char *value)
{
	struct store_nc nc = context(b);

	b->ctx.unconfirmed = &(struct vector){&nc.position, 1};
	assert_int_equal(base_modify(b, dn, "r", value), 0);
	b->ctx.unconfirmed = NULL;
	assert_true(context(b).position.epoch > nc.position.epoch);
}

static enum update_outcome rolled_back(struct base *b, struct position lost)
{
	return apply(b, (struct change){.kind = CHANGE_ROLLED_BACK, .position = lost});
}

static void recovered(struct base *b, struct position told)
{
	struct change c = {.kind = CHANGE_RECOVERED,
			   .position = context(b).position,
			   .past = &told,
			   .npast = 1};

	if (c.position.usn < told.usn)
		c.position.usn = told.usn;
	do {
		assert_int_equal(apply(b, c), UPDATE_APPLIED);
	} while (context(b).is_recovering);
}

/* Lost: an entry, a change of another, a deletion. Written since: a change of a fourth. */
static void the_lost_comes_back(void **state)
{
	struct base *b = *state;
	struct store_nc nc, now;
	struct change lost_add, lost_change, lost_removal, old_change;
	struct position lost;
	uint64_t at;
	bool found;

	add(b, "cn=changed," SITE);
	add(b, "cn=gone," SITE);
	add(b, "cn=ours," SITE);
	nc = context(b);
	at = nc.position.usn;
	lost = beyond(&nc, 6);
	lost_change = put_of(b, "cn=changed," SITE, at + 3);
	lost_change.rdn = SPAN_LIT("cn=renamed");
	old_change = put_of(b, "cn=ours," SITE, at + 4);
	old_change.rdn = SPAN_LIT("cn=theirs");
	lost_removal = put_of(b, "cn=gone," SITE, at + 5);
	lost_removal.kind = CHANGE_REMOVE;
	lost_add = another(b, "cn=ours," SITE, "cn=added", at + 6);

	/* what does not prove anything changes nothing */
	assert_int_equal(rolled_back(b, nc.position), UPDATE_DUPLICATE);
	assert_int_equal(apply(b, lost_add), UPDATE_FOREIGN_OWN);

	/* a life of its own first, as after a start at which nobody could be asked */
	in_a_life_of_its_own(b, "cn=ours," SITE, "description: since\n");
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: then\n"), 0);
	now = context(b);
	assert_int_equal(now.position.usn, at + 2);
	assert_int_equal(now.npast, 1);
	assert_true(position_same_life(&now.past[0], &nc.position));
	assert_int_equal(now.past[0].usn, at);

	assert_int_equal(rolled_back(b, lost), UPDATE_APPLIED);
	assert_true(context(b).is_recovering);
	assert_int_equal(context(b).common, at);
	assert_true(context(b).position.epoch > now.position.epoch);
	assert_int_equal(rolled_back(b, lost), UPDATE_DUPLICATE); /* it is awaited */
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: now\n"), LR_BUSY);
	assert_int_equal(apply(b, lost_change), UPDATE_APPLIED);
	assert_int_equal(apply(b, old_change), UPDATE_DUPLICATE); /* ours is of a later life */
	assert_int_equal(apply(b, lost_removal), UPDATE_APPLIED);
	assert_int_equal(apply(b, lost_add), UPDATE_APPLIED);
	assert_int_equal(apply(b, lost_add), UPDATE_DUPLICATE);

	recovered(b, lost);
	assert_false(is_there(b, "cn=gone," SITE));
	assert_true(is_there(b, "cn=ours," SITE));
	assert_true(is_there(b, "cn=added," SITE));
	/* what came back or was written since has a stamp behind all that partners know ... */
	now = context(b);
	assert_true(entry_of(b, "cn=renamed," SITE, &found).head.stamp.usn > at + 6);
	assert_true(entry_of(b, "cn=ours," SITE, &found).head.stamp.usn > at + 6);
	assert_int_equal(entry_of(b, "cn=ours," SITE, &found).head.stamp.epoch, now.position.epoch);
	/* ... the rest keeps its own, and nobody can go on from a position of a former life */
	assert_int_equal(entry_of(b, SITE, &found).head.stamp.epoch, nc.position.epoch);
	assert_int_equal(now.floor, now.position.usn);
	assert_false(update_is_lost(&now, &lost));
	lost.usn++;
	assert_true(update_is_lost(&now, &lost));
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: now\n"), 0);
}

/* Of entries that a partner knew, and does not have any more, no tombstone may be left. */
static void unnamed_entries_go(void **state)
{
	struct base *b = *state;
	struct store_nc nc;
	struct change keep = {.kind = CHANGE_KEEP_ONLY};
	struct uuid named[2];
	struct position past;
	struct store_txn *t;
	struct stamp s;
	struct change gone;
	bool found;

	add(b, "cn=gone," SITE);
	gone = put_of(b, "cn=gone," SITE, 1);
	nc = context(b);
	in_a_life_of_its_own(b, SITE, "description: x\n");
	add(b, "cn=since," SITE);
	assert_int_equal(rolled_back(b, beyond(&nc, 9)), UPDATE_APPLIED);
	named[0] = entry_of(b, SITE, &found).head.uuid;
	named[1] = entry_of(b, "cn=Recipients," SITE, &found).head.uuid;
	if (memcmp(&named[0], &named[1], sizeof(named[0])) > 0) {
		named[0] = named[1];
		named[1] = nc.position.nc;
	}
	keep.keep = named;
	keep.nkeep = 2;
	/* a partner that has not come as far does not say that they are gone */
	past = beyond(&nc, 0);
	past.usn -= 1;
	keep.position = past;
	assert_int_equal(apply(b, keep), UPDATE_APPLIED);
	assert_true(is_there(b, "cn=gone," SITE));
	keep.position = beyond(&nc, 9);
	assert_int_equal(apply(b, keep), UPDATE_APPLIED);
	assert_false(is_there(b, "cn=gone," SITE));
	assert_true(is_there(b, "cn=since," SITE));
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_tombstone(t, &gone.uuid, &s), RC_OK);
	store_read_end(&t);
	assert_int_equal(s.epoch, context(b).position.epoch);
	recovered(b, beyond(&nc, 9));
	assert_int_equal(apply(b, keep), UPDATE_FOREIGN_OWN);
}

/* Both sides have used a name, deleted a parent, moved containers into each other. */
static void both_find_a_place(void **state)
{
	struct base *b = *state;
	struct store_nc nc;
	struct change same, orphan, ring;
	uint64_t at;
	bool found;

	add(b, "cn=parent," SITE);
	add(b, "cn=x," SITE);
	add(b, "cn=y," SITE);
	nc = context(b);
	at = nc.position.usn;
	same = another(b, "cn=x," SITE, "cn=name", at + 1);
	orphan = another(b, "cn=x," SITE, "cn=orphan", at + 2);
	orphan.parent_uuid = entry_of(b, "cn=parent," SITE, &found).head.uuid;
	ring = put_of(b, "cn=x," SITE, at + 3); /* x below y ... */
	ring.parent_uuid = entry_of(b, "cn=y," SITE, &found).head.uuid;

	in_a_life_of_its_own(b, SITE, "description: x\n");
	add(b, "cn=name," SITE);
	assert_int_equal(base_delete(b, "cn=parent," SITE), 0);
	assert_int_equal(base_rename(b, "cn=y," SITE, "cn=y", true, "cn=x," SITE),
			 0); /* ... and y below x */
	assert_int_equal(rolled_back(b, beyond(&nc, 3)), UPDATE_APPLIED);
	assert_int_equal(apply(b, same), UPDATE_PARKED);
	assert_int_equal(apply(b, orphan), UPDATE_PARKED);
	assert_int_equal(apply(b, ring), UPDATE_PARKED);
	recovered(b, beyond(&nc, 3));

	assert_true(is_there(b, "cn=name," SITE));
	assert_true(is_there(b, "cn=orphan," SITE));
	assert_true(is_there(b, "cn=x," SITE));
	assert_true(is_there(b, "cn=y,cn=x," SITE));
	assert_int_equal(children_of(b, SITE), 5);
	base_check(b);
}

static void nothing_was_lost(void **state)
{
	struct base *b = *state;
	struct store_nc nc = context(b);
	struct stamp before, after;
	bool found;

	before = entry_of(b, SITE, &found).head.stamp;
	base_begin(b);
	assert_int_equal(update_recover_nc(b->t, &b->ctx, &nc), RC_OK); /* dirctl restore */
	base_commit(b);
	recovered(b, nc.past[0]);
	after = entry_of(b, SITE, &found).head.stamp;
	assert_int_equal(after.usn, before.usn);
	assert_int_equal(after.epoch, before.epoch);
	assert_true(context(b).position.epoch > nc.past[0].epoch);
	assert_int_equal(context(b).floor, 0); /* positions of the former life are good */
	assert_false(context(b).is_recovering);
}

/* What was deleted since the restore stays so, however old its tombstone is. */
static void deletions_outlive_the_recovery(void **state)
{
	struct base *b = *state;
	struct change collect = {.kind = CHANGE_COLLECT, .nkeep = 1, .spares_own = true};
	struct change lost_change;
	struct position lost;
	struct uuid gone;

	add(b, "cn=gone," SITE);
	lost = beyond(&(struct store_nc){.position = context(b).position}, 3);
	lost_change = put_of(b, "cn=gone," SITE, lost.usn);
	gone = lost_change.uuid;
	in_a_life_of_its_own(b, "cn=gone," SITE, "description: since\n");
	assert_int_equal(base_delete(b, "cn=gone," SITE), 0);
	collect.keep = &gone;
	apply(b, collect);
	assert_int_equal(b->last.collected, 0);
	assert_int_equal(context(b).floor, 0);

	assert_int_equal(rolled_back(b, lost), UPDATE_APPLIED);
	assert_int_equal(apply(b, lost_change), UPDATE_DUPLICATE);
	recovered(b, lost);
	assert_false(is_there(b, "cn=gone," SITE));

	collect.spares_own = false; /* all partners were heard of */
	apply(b, collect);
	assert_int_equal(b->last.collected, 1);
}

/* dirctl restore --overrule */
static void the_older_state_can_count(void **state)
{
	struct base *b = *state;
	struct store_nc nc = context(b), now;
	struct change c = {.kind = CHANGE_RECOVERED, .is_overruling = true};
	struct position lost = beyond(&nc, 100);
	bool found;

	base_begin(b);
	assert_int_equal(update_recover_nc(b->t, &b->ctx, &nc), RC_OK);
	base_commit(b);
	c.position = nc.position;
	assert_int_equal(apply(b, c), UPDATE_APPLIED);
	now = context(b);
	assert_false(update_is_lost(&now, &lost));
	assert_int_equal(entry_of(b, SITE, &found).head.stamp.epoch, now.position.epoch);
	assert_int_equal(now.floor, now.position.usn);
}

/* Put back twice, to before and to within a life that somebody knows. */
static void a_chain_of_lives(void **state)
{
	struct base *b = *state;
	struct store_nc first = context(b), second;
	struct position lost = beyond(&first, 20), other;

	in_a_life_of_its_own(b, SITE, "description: a\n");
	second = context(b);
	other = beyond(&second, 5);
	in_a_life_of_its_own(b, SITE, "description: b\n");
	assert_int_equal(context(b).npast, 2);
	/* one partner has the first life, one the second */
	assert_int_equal(rolled_back(b, other), UPDATE_APPLIED);
	assert_int_equal(context(b).common, second.position.usn);
	assert_int_equal(rolled_back(b, lost), UPDATE_APPLIED);
	assert_int_equal(context(b).common, first.position.usn);
	assert_int_equal(rolled_back(b, other), UPDATE_DUPLICATE);
	recovered(b, lost);
	second = context(b);
	assert_false(update_is_lost(&second, &lost));
	assert_true(update_is_lost(&second, &other)); /* it has not given anything */
	assert_int_equal(rolled_back(b, other), UPDATE_APPLIED);
	recovered(b, other);
	second = context(b);
	assert_false(update_is_lost(&second, &other));
}

static void a_stopped_copy_changes_nothing(void **state)
{
	struct base *b = *state;

	b->ctx.stopped = "two copies";
	assert_int_equal(base_modify(b, SITE, "r", "description: x\n"), LR_UNWILLING);
	assert_string_equal(b->why.text, "two copies");
	b->ctx.stopped = NULL;
	assert_int_equal(base_modify(b, SITE, "r", "description: x\n"), 0);
}

/* --- removed sites (R25) --- */

static struct uuid replicated_site(struct base *b, uint8_t id)
{
	struct uuid uuid = {{id, 7}};
	struct change c = put_of(b, SITE, 1), child;

	c.uuid = c.stamp.nc = uuid;
	c.rdn = SPAN_LIT("ou=S2");
	assert_int_equal(apply(b, c), UPDATE_APPLIED);
	child = put_of(b, "cn=Recipients," SITE, 2);
	child.stamp.nc = child.parent_uuid = uuid;
	child.uuid.b[0] ^= id;
	assert_int_equal(apply(b, child), UPDATE_APPLIED);
	child.kind = CHANGE_REMOVE;
	child.uuid.b[1] ^= 1;
	child.stamp.usn = 3;
	assert_int_equal(apply(b, child), UPDATE_APPLIED);
	return uuid;
}

static void remove_site(struct base *b, const struct uuid *site)
{
	char value[64] = "removedSite: ", uuid[UUID_TEXT_BYTES];

	uuid_write(site, uuid);
	strcat(strcat(value, uuid), "\n");
	assert_int_equal(base_modify(b, "o=Example", "a", value), 0);
	base_check(b);
}

static void a_removed_site_is_forgotten(void **state)
{
	struct base *b = *state;
	struct uuid site = replicated_site(b, 1);
	struct change again;
	struct store_txn *t;
	struct store_nc nc;
	struct stamp s;
	bool found;

	again = put_of(b, "cn=Recipients,ou=S2,o=Example", 9);
	remove_site(b, &site);
	entry_of(b, "ou=S2,o=Example", &found);
	assert_false(found);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, &site, &nc), RC_NOTFOUND);
	again.uuid.b[1] ^= 1;
	assert_int_equal(store_tombstone(t, &again.uuid, &s), RC_NOTFOUND);
	store_read_end(&t);
	/* nothing of it is taken any more, nor a position */
	assert_int_equal(apply(b, again), UPDATE_DUPLICATE);
	assert_int_equal(
		apply(b, (struct change){.kind = CHANGE_POSITION, .position = {site, 1, {{1}}, 9}}),
		UPDATE_DUPLICATE);
	/* another site may have the name */
	(void)replicated_site(b, 2);
	entry_of(b, "cn=Recipients,ou=S2,o=Example", &found);
	assert_true(found);
}

static unsigned members(struct base *b, const char *dn)
{
	struct change list = put_of(b, dn, 1);
	unsigned i, n = 0;

	for (i = 0; i < list.attrs.n; i++) {
		if (span_eq_nocase(list.attrs.attrs[i].type, SPAN_LIT("member")))
			n += list.attrs.attrs[i].nvalues;
	}
	return n;
}

static uint64_t entries_left(struct base *b, bool *is_forgetting)
{
	struct store_txn *t;
	uint64_t n;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	*is_forgetting = update_is_forgetting(t);
	n = store_entry_count(t);
	store_read_end(&t);
	return n;
}

/* Nothing is known of it at once; its entries go some at a time, over a restart, too. */
static void a_large_site_goes_in_pieces(void **state)
{
	struct base *b = *state;
	struct uuid site = replicated_site(b, 1);
	struct change folder = put_of(b, "cn=Recipients,ou=S2,o=Example", 3), person;
	const struct uuid parent = folder.uuid;
	uint64_t left, before;
	bool is_forgetting;
	unsigned i;

	for (i = 0; i < 20; i++) {
		person = folder;
		person.uuid.b[5] ^= (uint8_t)(i + 1);
		person.parent_uuid = parent;
		person.rdn = arena_span(&b->arena, span_of(i % 2 != 0 ? "cn=a00" : "cn=b00"));
		((uint8_t *)(uintptr_t)person.rdn.p)[4] += (uint8_t)(i / 2);
		person.stamp.usn = 10 + i;
		assert_int_equal(apply(b, person), UPDATE_APPLIED);
	}
	assert_int_equal(base_add(b, "cn=list," SITE,
				  "objectClass: groupOfNames\nmember: cn=a50,cn=Recipients,"
				  "ou=S2,o=Example\nmember: " SITE "\n"),
			 0);
	b->ctx.piece_rows = 3;
	remove_site(b, &site);
	assert_int_equal(apply(b, person), UPDATE_DUPLICATE);
	assert_int_equal(base_modify(b, "ou=S2,o=Example", "r", "description: x\n"), LR_UNWILLING);
	left = entries_left(b, &is_forgetting);
	assert_true(is_forgetting);
	while (is_forgetting) {
		base_reopen(b, 0);
		before = left;
		assert_int_equal(apply(b, (struct change){.kind = CHANGE_FORGET}), UPDATE_APPLIED);
		left = entries_left(b, &is_forgetting);
		assert_in_range(before - left, 0, 3);
	}
	(void)replicated_site(b, 2);
	assert_int_equal(children_of(b, "cn=Recipients,ou=S2,o=Example"), 0);
	assert_int_equal(members(b, "cn=list," SITE), 1);
}

/* What waited for a name or for an entry of the removed site takes its place. */
static void a_removed_site_makes_room(void **state)
{
	struct base *b = *state;
	struct uuid site = replicated_site(b, 1), heir = {{2, 7}};
	struct change head = put_of(b, "ou=S2,o=Example", 1), same;
	bool found;

	same = put_of(b, "cn=Recipients,ou=S2,o=Example", 5);
	head.uuid = head.stamp.nc = heir;
	assert_int_equal(apply(b, head), UPDATE_PARKED);
	same.stamp = (struct stamp){heir, 1, 2};
	same.parent_uuid = heir;
	same.rdn = SPAN_LIT("cn=Theirs");
	assert_int_equal(apply(b, same), UPDATE_QUARANTINED);
	remove_site(b, &site);
	entry_of(b, "ou=S2,o=Example", &found);
	assert_true(found);
	entry_of(b, "cn=Theirs,ou=S2,o=Example", &found);
	assert_true(found);
}

/* --- the home of the organisation's context --- */

static void the_organisation_stays_at_its_home(void **state)
{
	struct base *b = *state;
	bool found;

	(void)replicated_site(b, 1);
	assert_int_equal(base_modify(b, BASE_ROOT, "r", "masterSite: S2\n"), LR_UNWILLING);
	assert_int_equal(base_modify(b, BASE_ROOT, "r", "masterSite: Nowhere\n"), LR_UNWILLING);
	assert_int_equal(base_modify(b, BASE_ROOT, "r", "masterSite:\n"), LR_UNWILLING);
	entry_of(b, BASE_ROOT, &found);
	assert_true(found);
	assert_int_equal(base_modify(b, BASE_ROOT, "r", "masterSite: s1\n"), 0);
	assert_int_equal(base_modify(b, BASE_ROOT, "r", "description: x\n"), 0);
	base_check(b);
}

#define unit_base_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_base_test(what_proves_a_loss),
		unit_base_test(the_lost_comes_back),
		unit_base_test(unnamed_entries_go),
		unit_base_test(both_find_a_place),
		unit_base_test(nothing_was_lost),
		unit_base_test(deletions_outlive_the_recovery),
		unit_base_test(the_older_state_can_count),
		unit_base_test(a_chain_of_lives),
		unit_base_test(a_stopped_copy_changes_nothing),
		unit_base_test(a_removed_site_is_forgotten),
		unit_base_test(a_large_site_goes_in_pieces),
		unit_base_test(a_removed_site_makes_room),
		unit_base_test(the_organisation_stays_at_its_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
