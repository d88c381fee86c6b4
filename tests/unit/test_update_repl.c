/* Replicated changes (dird/update.h): single cases, and a property test between two databases. */
#include "tests/unit/base.h"

#include "dird/store_digest.h"

struct pair {
	struct base from, to;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	base_open(&p->from, 0);
	base_open_views(&p->from);
	base_site(&p->from);
	base_open(&p->to, 0);
	base_open_views(&p->to);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	base_close(&p->from);
	base_close(&p->to);
	free(p);
	return 0;
}

/* --- carrying changes over --- */

static struct span keep(struct base *b, struct span s)
{
	return arena_span(&b->arena, s);
}

static void put_of(struct pair *p, struct store_txn *t, uint64_t eid)
{
	struct change *c = &p->to.last;
	struct entry e;
	struct span record;

	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	record = keep(&p->to, entry_record(&e));
	assert_int_equal(entry_open(record, &e), RC_OK);
	store_attach(t, eid, &e);
	*c = (struct change){.kind = CHANGE_PUT,
			     .uuid = e.head.uuid,
			     .parent_uuid = e.head.parent_uuid,
			     .rdn = e.head.rdn,
			     .stamp = e.head.stamp};
	assert_int_equal(entry_decode(&e, true, &p->to.arena, &c->attrs), RC_OK);
}

/* Up to `limit` rows of one context behind what `to` holds; then the position. False: no more. */
static bool carry(struct pair *p, uint32_t number, unsigned limit, bool abort_it)
{
	struct store_nc nc, there;
	struct store_change row;
	struct store_txn *t;
	struct position reached;
	uint64_t at = 0;
	uint32_t before = number - 1;
	unsigned n;
	int rc = RC_OK;

	assert_int_equal(store_read_begin(p->from.store, &t), RC_OK);
	assert_int_equal(store_nc_next(t, &before, &nc), RC_OK);
	assert_int_equal(nc.number, number);
	base_begin(&p->to);
	if (store_nc_find(p->to.t, &nc.position.nc, &there) == RC_OK)
		at = there.position.usn;
	reached = nc.position;
	for (n = 0; n < limit; n++) {
		rc = store_change_next(t, number, at, nc.position.usn, &row);
		if (rc != RC_OK)
			break;
		at = row.usn;
		if (row.is_tombstone)
			p->to.last = (struct change){.kind = CHANGE_REMOVE,
						     .uuid = row.uuid,
						     .stamp = {nc.position.nc, row.epoch, row.usn},
						     .old_dn = keep(&p->to, row.old_dn)};
		else
			put_of(p, t, row.eid);
		if (base_apply(&p->to) != 0)
			fail_msg("refused: %s", p->to.why.text);
	}
	reached.usn = rc == RC_DONE ? nc.position.usn : at;
	p->to.last = (struct change){.kind = CHANGE_POSITION, .position = reached};
	assert_int_equal(base_apply(&p->to), 0);
	store_read_end(&t);
	if (abort_it)
		store_write_abort(&p->to.t);
	else
		base_commit(&p->to);
	return rc != RC_DONE || abort_it;
}

static void carry_all(struct pair *p)
{
	uint32_t number = 0;
	struct store_txn *t;
	struct store_nc nc;
	uint32_t numbers[8];
	unsigned i, n = 0;

	assert_int_equal(store_read_begin(p->from.store, &t), RC_OK);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		if (!uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			numbers[n++] = number;
	}
	store_read_end(&t);
	for (i = 0; i < n; i++) {
		while (carry(p, numbers[i], 1000, false))
			;
	}
}

/* Lines without moved_usn, which a replica only knows roughly. */
static void compare_digests(struct pair *p)
{
	uint8_t from[DIGEST_BYTES], to[DIGEST_BYTES];
	struct store_txn *t, *other;
	struct store_nc nc;
	uint32_t number = 0;

	assert_int_equal(store_read_begin(p->from.store, &t), RC_OK);
	assert_int_equal(store_read_begin(p->to.store, &other), RC_OK);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		assert_int_equal(store_digest(t, &nc.position.nc, from), RC_OK);
		assert_int_equal(store_digest(other, &nc.position.nc, to), RC_OK);
		assert_memory_equal(from, to, sizeof(from));
	}
	store_read_end(&other);
	store_read_end(&t);
}

static void compare(struct pair *p)
{
	struct span a, b, la, lb;
	struct buf from, to;
	struct store_txn *t;
	struct store_stat stat;

	base_dump(&p->from, &from);
	base_dump(&p->to, &to);
	a = buf_span(&from);
	b = buf_span(&to);
	while (a.n != 0 || b.n != 0) {
		span_cut(&a, '\n', &la);
		span_cut(&b, '\n', &lb);
		if (!span_eq(la, lb))
			fail_msg("\n%.*s\n%.*s", SPAN_ARG(la), SPAN_ARG(lb));
	}
	buf_fini(&from);
	buf_fini(&to);
	assert_int_equal(store_read_begin(p->to.store, &t), RC_OK);
	assert_int_equal(store_stat(t, &stat), RC_OK);
	assert_int_equal(stat.limbo, 0);
	store_read_end(&t);
	compare_digests(p);
}

/* --- single cases --- */

#define SITE "ou=S1,o=Example"

static struct change change_of(struct pair *p, const char *dn)
{
	struct dn d = base_dn(&p->from, dn);
	struct store_txn *t;
	unsigned depth;
	uint64_t eid;

	assert_int_equal(store_read_begin(p->from.store, &t), RC_OK);
	assert_int_equal(store_find(t, &d, &eid, &depth), RC_OK);
	put_of(p, t, eid);
	store_read_end(&t);
	return p->to.last;
}

static struct position position_of(struct pair *p, const struct uuid *id)
{
	struct store_txn *t;
	struct store_nc nc;

	assert_int_equal(store_read_begin(p->from.store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, id, &nc), RC_OK);
	store_read_end(&t);
	return nc.position;
}

static int apply(struct pair *p, struct change c, enum update_outcome want)
{
	int rc;

	p->to.last = c;
	rc = base_apply(&p->to);
	if (rc == 0)
		assert_int_equal(p->to.outcome, want);
	base_check(&p->to);
	return rc;
}

static bool is_there(struct base *b, const char *dn)
{
	struct dn d = base_dn(b, dn);
	struct store_txn *t;
	unsigned depth;
	uint64_t eid;
	int rc;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	rc = store_find(t, &d, &eid, &depth);
	store_read_end(&t);
	return rc == RC_OK;
}

static int add_container(struct base *b, const char *dn)
{
	return base_add(b, dn, "objectClass: container\n");
}

static void parent_after_children(void **state)
{
	struct pair *p = *state;

	assert_int_equal(add_container(&p->from, "cn=c,cn=Recipients," SITE), 0);
	assert_int_equal(apply(p, change_of(p, "cn=c,cn=Recipients," SITE), UPDATE_PARKED), 0);
	assert_int_equal(apply(p, change_of(p, SITE), UPDATE_PARKED), 0);
	assert_int_equal(apply(p, change_of(p, "cn=Recipients," SITE), UPDATE_APPLIED), 0);
	assert_false(is_there(&p->to, SITE));
	assert_int_equal(apply(p, change_of(p, "o=Example"), UPDATE_APPLIED), 0);
	assert_true(is_there(&p->to, "cn=c,cn=Recipients," SITE));
	assert_int_equal(apply(p, change_of(p, "cn=Recipients," SITE), UPDATE_DUPLICATE), 0);
	compare(p);
}

static void names_are_swapped(void **state)
{
	struct pair *p = *state;

	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	assert_int_equal(add_container(&p->from, "cn=b," SITE), 0);
	carry_all(p);
	assert_int_equal(base_rename(&p->from, "cn=a," SITE, "cn=t", true, NULL), 0);
	assert_int_equal(base_rename(&p->from, "cn=b," SITE, "cn=a", true, NULL), 0);
	assert_int_equal(base_rename(&p->from, "cn=t," SITE, "cn=b", true, NULL), 0);
	/* state-based: the one that is cn=a now comes first, while the old cn=a is still there */
	assert_int_equal(apply(p, change_of(p, "cn=a," SITE), UPDATE_APPLIED), 0);
	assert_true(is_there(&p->to, "cn=a," SITE));
	assert_int_equal(apply(p, change_of(p, "cn=b," SITE), UPDATE_APPLIED), 0);
	carry_all(p);
	compare(p);
}

/* A subtree goes below what was its own grandchild; the grandchild is told last. */
static void ring_of_moves(void **state)
{
	struct pair *p = *state;

	assert_int_equal(add_container(&p->from, "cn=x," SITE), 0);
	assert_int_equal(add_container(&p->from, "cn=a,cn=x," SITE), 0);
	assert_int_equal(add_container(&p->from, "cn=p,cn=a,cn=x," SITE), 0);
	carry_all(p);
	assert_int_equal(base_rename(&p->from, "cn=a,cn=x," SITE, "cn=a", true, SITE), 0);
	assert_int_equal(base_rename(&p->from, "cn=x," SITE, "cn=x", true, "cn=p,cn=a," SITE), 0);
	assert_int_equal(base_modify(&p->from, "cn=a," SITE, "r", "description: moved\n"), 0);
	assert_int_equal(apply(p, change_of(p, "cn=x,cn=p,cn=a," SITE), UPDATE_PARKED), 0);
	assert_int_equal(apply(p, change_of(p, "cn=a," SITE), UPDATE_APPLIED), 0);
	assert_true(is_there(&p->to, "cn=x,cn=p,cn=a," SITE));
	carry_all(p);
	compare(p);
}

static struct change remove_of(struct pair *p, const char *dn)
{
	struct change c = change_of(p, dn);

	c.kind = CHANGE_REMOVE;
	c.stamp.usn += 1000;
	return c;
}

static void parent_goes_first(void **state)
{
	struct pair *p = *state;
	struct change child;

	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	assert_int_equal(add_container(&p->from, "cn=c,cn=a," SITE), 0);
	carry_all(p);
	child = remove_of(p, "cn=c,cn=a," SITE);
	child.stamp.usn++;
	assert_int_equal(apply(p, remove_of(p, "cn=a," SITE), UPDATE_APPLIED), 0);
	assert_false(is_there(&p->to, "cn=c,cn=a," SITE));
	assert_int_equal(apply(p, child, UPDATE_APPLIED), 0);
	/* nothing brings the dead back */
	assert_int_equal(apply(p, change_of(p, "cn=a," SITE), UPDATE_DUPLICATE), 0);
	assert_int_equal(apply(p, change_of(p, "cn=c,cn=a," SITE), UPDATE_DUPLICATE), 0);
}

static void own_context_is_ours(void **state)
{
	struct pair *p = *state;
	struct change c = change_of(p, "cn=Recipients," SITE), position;
	struct position life;
	struct buf before, after;

	carry_all(p);
	base_begin(&p->to);
	assert_int_equal(update_begin_life(p->to.t, &p->to.ctx, &c.stamp.nc, &life), RC_OK);
	base_commit(&p->to);
	base_dump(&p->to, &before);
	c.stamp.usn += 1000;
	assert_int_equal(apply(p, c, UPDATE_FOREIGN_OWN), 0);
	c.kind = CHANGE_REMOVE;
	assert_int_equal(apply(p, c, UPDATE_FOREIGN_OWN), 0);
	position = (struct change){.kind = CHANGE_POSITION, .position = life};
	position.position.usn += 1000;
	assert_int_equal(apply(p, position, UPDATE_FOREIGN_OWN), 0);
	position.kind = CHANGE_KEEP_ONLY;
	assert_int_equal(apply(p, position, UPDATE_FOREIGN_OWN), 0);
	base_dump(&p->to, &after);
	unit_assert_span(buf_span(&after), buf_span(&before));
	buf_fini(&before);
	buf_fini(&after);
}

/* A site may change its own context only, whatever it calls it. */
static void contexts_do_not_mix(void **state)
{
	struct pair *p = *state;
	struct change c;

	carry_all(p);
	c = change_of(p, "cn=Recipients," SITE);
	c.stamp.nc.b[0] ^= 1;
	c.stamp.usn += 1000;
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0); /* another's entry */
	c.uuid.b[0] ^= 1;
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0); /* below another's entry */
	c.uuid.b[0] ^= 2;
	c.parent_uuid = (struct uuid){{0}};
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0); /* a second root */
	c.stamp.nc = POSITION_LOCAL_NC;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 53);
	compare(p);
}

/* --- quarantine (R16) --- */

static uint64_t quarantined(struct pair *p, struct store_quarantined *out)
{
	struct uuid at = {{0}};
	struct store_txn *t;
	uint32_t nc = 0;
	uint64_t n;

	assert_int_equal(store_read_begin(p->to.store, &t), RC_OK);
	n = store_quarantine_count(t);
	if (n != 0 && out != NULL) {
		assert_int_equal(store_quarantine_next(t, &nc, &at, out), RC_OK);
		assert_int_equal(entry_open(keep(&p->to, entry_record(&out->e)), &out->e), RC_OK);
		out->reason = keep(&p->to, out->reason);
	}
	store_read_end(&t);
	return n;
}

static void poison_is_set_aside(void **state)
{
	struct pair *p = *state;
	struct store_quarantined q;
	struct change c;

	carry_all(p);
	c = change_of(p, "cn=Recipients," SITE);
	c.stamp.usn += 1000;
	c.rdn = SPAN_LIT("no name at all");
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	assert_non_null(p->to.last.quarantined);
	assert_int_equal(quarantined(p, &q), 1);
	unit_assert_span(q.e.head.rdn, c.rdn);
	assert_true(span_starts(q.reason, SPAN_LIT("RDN: ")));
	assert_int_equal(q.e.head.stamp.usn, c.stamp.usn);
	assert_int_equal(q.e.nattrs, c.attrs.n);
	assert_true(is_there(&p->to, "cn=Recipients," SITE)); /* as it was before */
	assert_int_equal(apply(p, c, UPDATE_DUPLICATE), 0);
	c.stamp.usn--;
	assert_int_equal(apply(p, c, UPDATE_DUPLICATE), 0);
	assert_int_equal(quarantined(p, NULL), 1);
	/* a later change takes its place, good or bad */
	c.stamp.usn += 2;
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	assert_int_equal(quarantined(p, &q), 1);
	assert_int_equal(q.e.head.stamp.usn, c.stamp.usn);
	c.stamp.usn++;
	c.rdn = SPAN_LIT("cn=Recipients");
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, NULL), 0);
}

/* What a position covers may be forgotten, once the floor says so (R9). */
static void tombstones_are_collected(void **state)
{
	struct pair *p = *state;
	struct change collect = {.kind = CHANGE_COLLECT}, c;
	struct position done;
	struct store_txn *t;
	struct store_nc nc;
	struct stamp s;
	struct uuid gone[2];

	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	assert_int_equal(add_container(&p->from, "cn=b," SITE), 0);
	carry_all(p);
	c = remove_of(p, "cn=a," SITE);
	gone[0] = c.uuid;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	done = position_done_with(&c.stamp.nc, 8);
	p->to.last = (struct change){.kind = CHANGE_POSITION,
				     .position = {c.stamp.nc, 9, {{9}}, c.stamp.usn},
				     .past = &done,
				     .npast = 1};
	assert_int_equal(base_apply(&p->to), 0);
	c = remove_of(p, "cn=b," SITE);
	c.stamp.epoch = 9;
	c.stamp.usn += 5;
	gone[1] = c.uuid; /* not covered yet */
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	collect.keep = gone;
	collect.nkeep = 2;
	assert_int_equal(apply(p, collect, UPDATE_APPLIED), 0);
	assert_int_equal(store_read_begin(p->to.store, &t), RC_OK);
	assert_int_equal(store_tombstone(t, &gone[0], &s), RC_NOTFOUND);
	assert_int_equal(store_tombstone(t, &gone[1], &s), RC_OK);
	assert_int_equal(store_nc_find(t, &c.stamp.nc, &nc), RC_OK);
	assert_int_equal(nc.floor, nc.position.usn);
	store_read_end(&t);
	/* and the dead do not come back */
	assert_int_equal(apply(p, change_of(p, "cn=a," SITE), UPDATE_DUPLICATE), 0);
	assert_int_equal(apply(p, change_of(p, "cn=b," SITE), UPDATE_DUPLICATE), 0);
}

static void removal_ends_quarantine(void **state)
{
	struct pair *p = *state;
	struct change c;

	carry_all(p);
	c = change_of(p, "cn=Recipients," SITE);
	c.stamp.usn += 1000;
	c.rdn = SPAN_LIT("no name at all");
	c.uuid.b[0] ^= 1;
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	c.kind = CHANGE_REMOVE;
	c.stamp.usn++;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, NULL), 0);
	c.kind = CHANGE_PUT;
	c.uuid.b[0] ^= 2;
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	c.kind = CHANGE_KEEP_ONLY; /* a present phase that does not name it */
	c.position = position_of(p, &c.stamp.nc);
	c.position.usn = c.stamp.usn;
	p->to.last = c;
	assert_int_equal(base_apply(&p->to), 0);
	c.kind = CHANGE_POSITION;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, NULL), 0);
}

/* An entry of one context sits where another context says that its own is. */
static void quarantine_ends_when_the_place_is_free(void **state)
{
	struct pair *p = *state;
	struct change c, gone;
	struct uuid id;

	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	carry_all(p);
	c = change_of(p, "cn=a," SITE);
	gone = remove_of(p, "cn=a," SITE);
	id = c.uuid;
	c.stamp.nc = id; /* the head of a site of its own ... */
	c.parent_uuid = change_of(p, "o=Example").uuid;
	c.rdn = SPAN_LIT("ou=S9");
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	assert_false(is_there(&p->to, "ou=S9,o=Example"));
	/* ... comes to its place by itself when the other entry goes */
	assert_int_equal(apply(p, gone, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, NULL), 0);
	assert_true(is_there(&p->to, "ou=S9,o=Example"));
}

/* The same where the other entry goes because a present phase does not name it. */
static void quarantine_ends_with_a_present_phase(void **state)
{
	struct pair *p = *state;
	struct change c, keep = {.kind = CHANGE_KEEP_ONLY};
	struct uuid nc;

	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	carry_all(p);
	c = change_of(p, "cn=a," SITE);
	nc = c.stamp.nc;
	c.stamp.nc = c.uuid;
	c.parent_uuid = change_of(p, "o=Example").uuid;
	c.rdn = SPAN_LIT("ou=S9");
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	keep.position = position_of(p, &nc);
	assert_int_equal(apply(p, keep, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, NULL), 0);
	assert_true(is_there(&p->to, "ou=S9,o=Example"));
}

/* What waits for that entry to go has a name that grows beyond all limits when it is normalised
 * (U+FDFA: to 18 characters): the entry goes all the same. */
static void what_waits_does_not_hinder(void **state)
{
	struct pair *p = *state;
	char name[3 + 3 * 2500];
	struct change c, gone;
	unsigned i;

	memcpy(name, "cn=", 3);
	for (i = 3; i < sizeof(name); i += 3)
		memcpy(name + i, "\xef\xb7\xba", 3);
	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	carry_all(p);
	c = change_of(p, "cn=a," SITE);
	gone = remove_of(p, "cn=a," SITE);
	c.stamp.nc = c.uuid;
	c.parent_uuid = change_of(p, "o=Example").uuid;
	c.rdn = span_make(name, sizeof(name));
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	assert_int_equal(apply(p, gone, UPDATE_APPLIED), 0);
	assert_false(is_there(&p->to, "cn=a," SITE));
	assert_int_equal(quarantined(p, NULL), 1);
}

static void quarantine_is_retried(void **state)
{
	struct pair *p = *state;
	struct change c, retry = {.kind = CHANGE_RETRY};
	struct store_quarantined before, after;
	struct position done;

	carry_all(p);
	c = change_of(p, "cn=Recipients," SITE);
	c.stamp.usn += 1000;
	c.poison = "as the writer found it";
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	/* the position has gone over it */
	done = position_done_with(&c.stamp.nc, 8);
	p->to.last = (struct change){.kind = CHANGE_POSITION,
				     .position = {c.stamp.nc, 9, {{9}}, c.stamp.usn},
				     .past = &done,
				     .npast = 1};
	assert_int_equal(base_apply(&p->to), 0);
	assert_int_equal(apply(p, retry, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, NULL), 0);
	assert_true(is_there(&p->to, "cn=Recipients," SITE));
	/* what still does not fit stays, and has waited since it came */
	c.poison = NULL;
	c.rdn = SPAN_LIT("no name at all");
	c.uuid.b[0] ^= 1;
	c.stamp.epoch = 9;
	c.stamp.usn++;
	assert_int_equal(apply(p, c, UPDATE_QUARANTINED), 0);
	assert_int_equal(quarantined(p, &before), 1);
	p->to.ctx.wall_us += 1000000;
	assert_int_equal(apply(p, retry, UPDATE_APPLIED), 0);
	assert_int_equal(quarantined(p, &after), 1);
	assert_int_equal(after.since_us, before.since_us);
}

/* Unknown attributes are kept (requirement R26), computed ones are not stored. */
static void unknown_attributes(void **state)
{
	struct pair *p = *state;
	struct change c;
	struct buf dump;

	carry_all(p);
	c = change_of(p, "cn=Recipients," SITE);
	c.stamp.usn += 1000;
	c.attrs = base_attrs(&p->to, "objectClass: fromTheFuture\ncn: Recipients\nfuture: x\n"
				     "originStamp: y\nparentUUID: z\n");
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	base_dump(&p->to, &dump);
	assert_non_null(strstr(buf_cstr(&dump), "future=x"));
	assert_null(strstr(buf_cstr(&dump), "originStamp"));
	buf_fini(&dump);
}

static void positions_only_grow(void **state)
{
	struct pair *p = *state;
	struct change c = {.kind = CHANGE_POSITION}, site = change_of(p, SITE);
	struct position past;

	carry_all(p);
	c.position = past = position_of(p, &site.stamp.nc);
	c.position.usn = 50;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	c.position.usn = 49;
	assert_int_equal(apply(p, c, UPDATE_DUPLICATE), 0);
	c.position.epoch = 0;
	c.position.usn = 90;
	assert_int_equal(apply(p, c, UPDATE_DUPLICATE), 0);
	/* a life that has lost what is here is not taken, one that has it is */
	c.position.epoch = 2;
	c.position.usn = 10;
	c.past = &past;
	past.usn = 49;
	assert_int_equal(apply(p, c, UPDATE_HELD), 0);
	c.npast = 1;
	assert_int_equal(apply(p, c, UPDATE_HELD), 0);
	past.usn = 50;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
}

/* A cut session has brought a row of a life that the present one does not know. */
static void rows_beyond_are_held(void **state)
{
	struct pair *p = *state;
	struct change c, put;
	struct position past[2];

	carry_all(p);
	put = change_of(p, "cn=Recipients," SITE);
	put.uuid.b[0] ^= 1;
	put.rdn = SPAN_LIT("cn=lost");
	put.stamp.epoch = 5;
	put.stamp.usn += 10;
	assert_int_equal(apply(p, put, UPDATE_APPLIED), 0);
	past[0] = (struct position){.nc = put.stamp.nc, .epoch = 5, .usn = put.stamp.usn - 1};
	past[1] = position_of(p, &put.stamp.nc);
	c = (struct change){.kind = CHANGE_POSITION,
			    .position = {put.stamp.nc, 7, {{7}}, 100},
			    .past = past,
			    .npast = 2};
	assert_int_equal(apply(p, c, UPDATE_HELD), 0);
	c.kind = CHANGE_KEEP_ONLY;
	assert_int_equal(apply(p, c, UPDATE_HELD), 0);
	assert_true(is_there(&p->to, "cn=lost," SITE));
	c.kind = CHANGE_POSITION;
	past[0].usn++;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
}

static void keep_only(void **state)
{
	struct pair *p = *state;
	struct change c = {.kind = CHANGE_KEEP_ONLY};
	struct uuid kept[3], site;
	struct store_txn *t;
	struct store_nc nc;

	assert_int_equal(add_container(&p->from, "cn=a," SITE), 0);
	assert_int_equal(add_container(&p->from, "cn=b,cn=a," SITE), 0);
	carry_all(p);
	kept[0] = site = change_of(p, SITE).uuid;
	kept[1] = change_of(p, "cn=Recipients," SITE).uuid;
	kept[2] = change_of(p, "cn=b,cn=a," SITE).uuid; /* its parent is gone, it will move */
	for (int i = 0; i < 3; i++) {
		for (int k = i + 1; k < 3; k++) {
			if (memcmp(&kept[i], &kept[k], UUID_BYTES) > 0) {
				struct uuid swap = kept[i];

				kept[i] = kept[k];
				kept[k] = swap;
			}
		}
	}
	c.keep = kept;
	c.nkeep = 3;
	assert_int_equal(store_read_begin(p->to.store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, &site, &nc), RC_OK);
	store_read_end(&t);
	c.position = nc.position;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	assert_false(is_there(&p->to, "cn=a," SITE));
	assert_false(is_there(&p->to, "cn=b,cn=a," SITE));
	assert_true(is_there(&p->to, "cn=Recipients," SITE));
	assert_int_equal(store_read_begin(p->to.store, &t), RC_OK);
	assert_int_equal(store_nc_find(t, &nc.position.nc, &nc), RC_OK);
	assert_int_equal(nc.floor, nc.position.usn); /* removed without a tombstone */
	store_read_end(&t);
}

/* What a join has taken along gives way to the real thing, also when that is old. */
static void stubs_of_a_join(void **state)
{
	struct pair *p = *state;
	struct change c = change_of(p, "o=Example");

	c.stamp.usn = c.stamp.epoch = 0;
	assert_int_equal(apply(p, c, UPDATE_APPLIED), 0);
	assert_int_equal(apply(p, c, UPDATE_DUPLICATE), 0);
	assert_true(is_there(&p->to, "o=Example"));
	carry_all(p);
	compare(p);
}

/* Two sites of one name: the second waits until the first is gone. */
static void a_name_becomes_free(void **state)
{
	struct pair *p = *state;
	struct change first, second;

	carry_all(p);
	first = change_of(p, SITE);
	second = first;
	second.uuid.b[0] ^= 1;
	second.stamp.nc = second.uuid;
	assert_int_equal(apply(p, second, UPDATE_PARKED), 0);
	first.kind = CHANGE_REMOVE;
	first.stamp.usn += 1000;
	assert_int_equal(apply(p, first, UPDATE_APPLIED), 0);
	assert_true(is_there(&p->to, SITE));
	assert_int_equal(apply(p, second, UPDATE_DUPLICATE), 0);
}

/* --- property: any history, any batches, with crashes and repetitions --- */

static void random_name(char *out, size_t n, unsigned depth)
{
	unsigned i;
	size_t used = 0;

	for (i = 0; i < depth; i++)
		used += (size_t)snprintf(out + used, n - used, "cn=N%u,", base_random() % 5);
	snprintf(out + used, n - used, "cn=Recipients," SITE);
}

static void random_step(struct base *b)
{
	char dn[300], superior[300], rdn[20];

	random_name(dn, sizeof(dn), 1 + base_random() % 3);
	random_name(superior, sizeof(superior), base_random() % 3);
	snprintf(rdn, sizeof(rdn), "cn=N%u", base_random() % 5);
	switch (base_random() % 5) {
	case 0:
	case 1:
		(void)base_add(b, dn, "objectClass: container\n");
		break;
	case 2:
		(void)base_modify(b, dn, "r",
				  base_random() % 2 ? "description: x\n" : "description: y\n");
		break;
	case 3:
		(void)base_delete(b, dn);
		break;
	default:
		(void)base_rename(b, dn, rdn, true, superior);
	}
}

static void forget(struct base *b)
{
	arena_fini(&b->arena);
	b->ctx.root = base_dn(b, BASE_ROOT);
}

static void any_history(void **state)
{
	struct pair *p = *state;
	uint32_t number;
	unsigned round, i;

	base_seed = 4711;
	carry_all(p);
	for (round = 0; round < 400; round++) {
		base_begin(&p->from);
		for (i = base_random() % 30; i != 0; i--)
			random_step(&p->from);
		base_commit(&p->from);
		number = 1 + base_random() % 2;
		(void)carry(p, number, 1 + base_random() % 6, base_random() % 4 == 0);
		base_check(&p->to);
		if (round % 20 == 0) {
			carry_all(p);
			compare(p);
		}
		forget(&p->from);
		forget(&p->to);
	}
	carry_all(p);
	compare(p);
	base_check(&p->from);
}

#define unit_pair_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_pair_test(parent_after_children),
		unit_pair_test(names_are_swapped),
		unit_pair_test(ring_of_moves),
		unit_pair_test(parent_goes_first),
		unit_pair_test(own_context_is_ours),
		unit_pair_test(contexts_do_not_mix),
		unit_pair_test(poison_is_set_aside),
		unit_pair_test(removal_ends_quarantine),
		unit_pair_test(tombstones_are_collected),
		unit_pair_test(quarantine_ends_when_the_place_is_free),
		unit_pair_test(quarantine_ends_with_a_present_phase),
		unit_pair_test(what_waits_does_not_hinder),
		unit_pair_test(quarantine_is_retried),
		unit_pair_test(unknown_attributes),
		unit_pair_test(positions_only_grow),
		unit_pair_test(rows_beyond_are_held),
		unit_pair_test(keep_only),
		unit_pair_test(stubs_of_a_join),
		unit_pair_test(a_name_becomes_free),
		unit_pair_test(any_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
