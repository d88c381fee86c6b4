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
			      .before = {{{1}}, 4, {{4}}, 80}};
	static const struct {
		uint32_t epoch;
		uint8_t invocation;
		uint64_t usn;
		bool is_lost;
	} rows[] = {
		{5, 5, 100, false}, {5, 5, 101, true},  {4, 4, 80, false},
		{4, 4, 81, true},   {4, 9, 500, false}, {3, 3, 500, false},
		{5, 9, 1, true},    {6, 6, 1, true},    {0, 0, 0, false},
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

/* Lost: an entry, a change of another, a deletion. Written since: a change of a fourth. */
static void the_lost_comes_back(void **state)
{
	struct base *b = *state;
	struct store_nc nc, now;
	struct change lost_add, lost_change, lost_removal, old_change;
	uint64_t at;
	bool found;

	assert_int_equal(base_add(b, "cn=changed," SITE, "objectClass: container\n"), 0);
	assert_int_equal(base_add(b, "cn=gone," SITE, "objectClass: container\n"), 0);
	assert_int_equal(base_add(b, "cn=ours," SITE, "objectClass: container\n"), 0);
	nc = context(b);
	at = nc.position.usn;
	lost_change = put_of(b, "cn=changed," SITE, at + 3);
	lost_change.rdn = SPAN_LIT("cn=renamed");
	old_change = put_of(b, "cn=ours," SITE, at + 4);
	old_change.rdn = SPAN_LIT("cn=theirs");
	lost_removal = put_of(b, "cn=gone," SITE, at + 5);
	lost_removal.kind = CHANGE_REMOVE;
	lost_add = put_of(b, "cn=ours," SITE, at + 6);
	lost_add.uuid.b[0] ^= 1;
	lost_add.rdn = SPAN_LIT("cn=added");

	/* what does not prove anything changes nothing */
	assert_int_equal(
		apply(b, (struct change){.kind = CHANGE_ROLLED_BACK, .position = nc.position}),
		UPDATE_DUPLICATE);
	assert_int_equal(apply(b, lost_add), UPDATE_FOREIGN_OWN);

	/* a life of its own first, as after a start at which nobody could be asked */
	b->ctx.unconfirmed = &(struct vector){&nc.position, 1};
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: since\n"), 0);
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: then\n"), 0);
	b->ctx.unconfirmed = NULL;
	assert_int_equal(context(b).position.epoch, nc.position.epoch + 1);
	assert_int_equal(context(b).position.usn, at + 2);
	now = context(b);
	assert_true(position_same_life(&now.before, &nc.position));
	assert_int_equal(now.before.usn, at);

	assert_int_equal(
		apply(b, (struct change){.kind = CHANGE_ROLLED_BACK, .position = beyond(&nc, 6)}),
		UPDATE_APPLIED);
	assert_true(context(b).is_recovering);
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: now\n"), LR_BUSY);
	assert_int_equal(apply(b, lost_change), UPDATE_APPLIED);
	assert_int_equal(apply(b, old_change), UPDATE_DUPLICATE); /* ours is of a later life */
	assert_int_equal(apply(b, lost_removal), UPDATE_APPLIED);
	assert_int_equal(apply(b, lost_add), UPDATE_APPLIED);
	assert_int_equal(apply(b, lost_add), UPDATE_DUPLICATE);

	assert_int_equal(
		apply(b, (struct change){.kind = CHANGE_RECOVERED, .position = beyond(&nc, 6)}),
		UPDATE_APPLIED);
	assert_false(context(b).is_recovering);
	entry_of(b, "cn=gone," SITE, &found);
	assert_false(found);
	entry_of(b, "cn=ours," SITE, &found);
	assert_true(found);
	entry_of(b, "cn=added," SITE, &found);
	assert_true(found);
	/* everything has a stamp of the new life, behind all that partners know */
	assert_true(entry_of(b, "cn=renamed," SITE, &found).head.stamp.usn > at + 6);
	assert_int_equal(entry_of(b, SITE, &found).head.stamp.epoch, nc.position.epoch + 1);
	assert_true(entry_of(b, SITE, &found).head.stamp.usn > at + 6);
	assert_int_equal(context(b).before.usn, at + 6);
	assert_int_equal(base_modify(b, "cn=ours," SITE, "r", "description: now\n"), 0);
}

static void nothing_was_lost(void **state)
{
	struct base *b = *state;
	struct store_nc nc = context(b);
	struct stamp before, after;
	bool found;

	before = entry_of(b, SITE, &found).head.stamp;
	base_begin(b);
	update_recover_nc(&nc); /* dirctl restore */
	store_nc_put(b->t, &nc);
	base_commit(b);
	assert_int_equal(apply(b, (struct change){.kind = CHANGE_RECOVERED, .position = nc.before}),
			 UPDATE_APPLIED);
	after = entry_of(b, SITE, &found).head.stamp;
	assert_int_equal(after.usn, before.usn);
	assert_int_equal(after.epoch, before.epoch);
	assert_int_equal(context(b).position.epoch, nc.position.epoch + 1);
	assert_false(context(b).is_recovering);
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

static void a_removed_site_is_forgotten(void **state)
{
	struct base *b = *state;
	char value[64] = "removedSite: ", uuid[UUID_TEXT_BYTES];
	struct uuid site = replicated_site(b, 1);
	struct change again;
	struct store_txn *t;
	struct store_nc nc;
	struct stamp s;
	bool found;

	again = put_of(b, "cn=Recipients,ou=S2,o=Example", 9);
	uuid_write(&site, uuid);
	strcat(strcat(value, uuid), "\n");
	assert_int_equal(base_modify(b, "o=Example", "a", value), 0);
	base_check(b);
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

#define unit_base_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_base_test(what_proves_a_loss),
		unit_base_test(the_lost_comes_back),
		unit_base_test(nothing_was_lost),
		unit_base_test(a_stopped_copy_changes_nothing),
		unit_base_test(a_removed_site_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
