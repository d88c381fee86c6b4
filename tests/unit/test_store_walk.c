/* Walks over a scope (dird/store.h): order, pauses, and what changes meanwhile; names of what is
 * met. */
#include "tests/unit/base.h"

#include <limits.h>

static int setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));

	base_open(b, 1 << 20);
	base_site(b);
	*state = b;
	return 0;
}

static void add(struct base *b, const char *dn)
{
	assert_int_equal(base_add(b, dn, "objectClass: container\n"), 0);
}

static void walks(void **state)
{
	static const char *const names[] = {"cn=a,ou=S1,o=Example", "cn=b,ou=S1,o=Example",
					    "cn=aa,cn=a,ou=S1,o=Example",
					    "cn=ab,cn=a,ou=S1,o=Example"};
	static const struct {
		const char *base;
		enum store_scope scope;
		unsigned want;
	} rows[] = {
		{"o=Example", STORE_SUB, 7},
		{"o=Example", STORE_CHILDREN, 6},
		{"o=Example", STORE_ONE, 1},
		{"o=Example", STORE_BASE, 1},
		{"ou=S1,o=Example", STORE_ONE, 3},
		{"cn=a,ou=S1,o=Example", STORE_SUB, 3},
		{"cn=a,ou=S1,o=Example", STORE_ONE, 2},
		{"cn=b,ou=S1,o=Example", STORE_CHILDREN, 0},
		{"cn=b,ou=S1,o=Example", STORE_SUB, 1},
	};
	struct base *b = *state;
	struct store_iter *i;
	uint64_t base, eid;
	unsigned k, n, depth;
	struct dn dn;

	for (k = 0; k < UNIT_COUNT(names); k++)
		add(b, names[k]);
	base_begin(b);
	for (k = 0; k < UNIT_COUNT(rows); k++) {
		dn = base_dn(b, rows[k].base);
		assert_int_equal(store_find(b->t, &dn, &base, &depth), RC_OK);
		assert_int_equal(store_walk(b->t, base, rows[k].scope, &i), RC_OK);
		for (n = 0; store_iter_next(i, &eid) == RC_OK; n++) {
			assert_true(store_is_within(b->t, eid, base));
			assert_int_equal(store_iter_pause(i), RC_OK); /* after each one */
			assert_int_equal(store_iter_resume(i, b->t), RC_OK);
		}
		assert_int_equal(n, rows[k].want);
		store_iter_free(&i);
	}
}

/* The tree changes while a walk waits: what stays is seen once, what goes is no error. */
static void walk_goes_on_after_changes(void **state)
{
	struct base *b = *state;
	struct store_iter *i;
	struct store_txn *t;
	uint64_t root, eid;
	unsigned n;
	char dn[80];

	for (n = 0; n < 50; n++) {
		snprintf(dn, sizeof(dn), "cn=%02u,cn=Recipients,ou=S1,o=Example", n);
		assert_int_equal(base_add(b, dn, "objectClass: container\n"), 0);
	}
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &i), RC_OK);
	for (n = 0; store_iter_next(i, &eid) == RC_OK; n++) {
		if (n != 20)
			continue;
		assert_int_equal(store_iter_pause(i), RC_OK);
		store_read_end(&t);
		/* the entry it stands on (17), one before and one behind it, and a new one */
		assert_int_equal(base_delete(b, "cn=17,cn=Recipients,ou=S1,o=Example"), 0);
		assert_int_equal(base_delete(b, "cn=03,cn=Recipients,ou=S1,o=Example"), 0);
		assert_int_equal(base_delete(b, "cn=30,cn=Recipients,ou=S1,o=Example"), 0);
		assert_int_equal(base_add(b, "cn=40a,cn=Recipients,ou=S1,o=Example",
					  "objectClass: container\n"),
				 0);
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
		assert_int_equal(store_iter_resume(i, t), RC_OK);
	}
	assert_int_equal(n, 53);
	store_iter_free(&i);
	store_read_end(&t);
}

#define MANY 120

static const char *name(unsigned n)
{
	static char dn[80];

	snprintf(dn, sizeof(dn), "cn=%03u,cn=Recipients,ou=S1,o=Example", n);
	return dn;
}

/* Some of many have children. */
static void add_many(struct base *b)
{
	char below[120];
	unsigned n, k;

	for (n = 0; n < MANY; n++)
		add(b, name(n));
	for (n = 7; n < MANY; n += 24) {
		for (k = 0; k < 3; k++) {
			snprintf(below, sizeof(below), "cn=%u,%s", k, name(n));
			add(b, below);
		}
	}
}

/* All numbers of a subtree; a pause after each `every` of them. */
static unsigned walk(struct store_txn *t, unsigned every, uint64_t *out, unsigned room)
{
	struct store_iter *i;
	struct entry given, want;
	unsigned n = 0;
	uint64_t root;

	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &i), RC_OK);
	while (n < room && store_iter_next(i, &out[n]) == RC_OK) {
		assert_int_equal(store_iter_entry(i, out[n], &given), RC_OK);
		assert_int_equal(store_entry(t, out[n], &want), RC_OK);
		assert_ptr_equal(entry_record(&given).p, entry_record(&want).p);
		if (++n % every != 0)
			continue;
		assert_int_equal(store_iter_pause(i), RC_OK);
		assert_int_equal(store_iter_resume(i, t), RC_OK);
	}
	store_iter_free(&i);
	return n;
}

static void pauses_change_nothing(void **state)
{
	struct base *b = *state;
	uint64_t straight[2 * MANY], paused[2 * MANY];
	struct store_txn *t;
	unsigned n, every;

	add_many(b);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	n = walk(t, UINT_MAX, straight, 2 * MANY);
	assert_int_equal(n, MANY + 5 * 3 + 3);
	for (every = 1; every < MANY; every++) {
		assert_int_equal(walk(t, every, paused, 2 * MANY), n);
		assert_memory_equal(straight, paused, n * sizeof(*straight));
	}
	store_read_end(&t);
	base_begin(b);
	assert_int_equal(walk(b->t, UINT_MAX, paused, 2 * MANY), n);
	assert_memory_equal(straight, paused, n * sizeof(*straight));
}

/* What goes, or goes elsewhere, while a walk waits, is not given although it was read ahead. */
static void what_was_read_ahead_is_forgotten(void **state)
{
	struct base *b = *state;
	struct store_iter *i;
	struct store_txn *t;
	uint64_t root, eid, gone;
	unsigned n, depth;
	struct dn dn;

	for (n = 0; n < MANY; n++)
		add(b, name(n));
	dn = base_dn(b, name(62));
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_find(t, &dn, &gone, &depth), RC_OK);
	assert_int_equal(store_root(t, &root), RC_OK);
	assert_int_equal(store_walk(t, root, STORE_SUB, &i), RC_OK);
	for (n = 0; store_iter_next(i, &eid) == RC_OK; n++) {
		assert_true(eid != gone);
		if (n != 62) /* two above, and 000 to 059 */
			continue;
		assert_int_equal(store_iter_pause(i), RC_OK);
		store_read_end(&t);
		assert_int_equal(base_delete(b, name(59)), 0);
		assert_int_equal(base_delete(b, name(62)), 0);
		add(b, "cn=061a,cn=Recipients,ou=S1,o=Example");
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
		assert_int_equal(store_iter_resume(i, t), RC_OK);
	}
	assert_int_equal(n, MANY + 3);
	store_iter_free(&i);
	store_read_end(&t);
}

/* Each number once, wherever it pauses; and not those that are given away meanwhile. */
static void every_entry_by_number(void **state)
{
	struct base *b = *state;
	uint64_t eid, last = 0, new_eid;
	struct entry given, want;
	struct store_iter *i;
	struct store_txn *t;
	unsigned n;

	add_many(b);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	new_eid = store_next_eid(t);
	assert_int_equal(store_every(t, &i), RC_OK);
	for (n = 0; store_iter_next(i, &eid) == RC_OK; n++) {
		assert_true(eid > last && eid < new_eid);
		last = eid;
		assert_int_equal(store_iter_entry(i, eid, &given), RC_OK);
		assert_int_equal(store_entry(t, eid, &want), RC_OK);
		assert_ptr_equal(entry_record(&given).p, entry_record(&want).p);
		if (n % 7 != 0)
			continue;
		assert_int_equal(store_iter_pause(i), RC_OK);
		store_read_end(&t);
		if (n == 70) { /* one behind the place, and a new one */
			assert_int_equal(base_delete(b, name(110)), 0);
			add(b, "cn=new,cn=Recipients,ou=S1,o=Example");
		}
		assert_int_equal(store_read_begin(b->store, &t), RC_OK);
		assert_int_equal(store_iter_resume(i, t), RC_OK);
	}
	assert_int_equal(n, MANY + 5 * 3 + 3 - 1);
	store_iter_free(&i);
	store_read_end(&t);
}

static void expect_place(struct store_txn *t, uint64_t eid, uint64_t base, bool is_within,
			 const char *want)
{
	struct entry e;
	struct buf dn;

	buf_init(&dn, DN_MAX_BYTES);
	assert_int_equal(store_dn(t, eid, &dn), RC_OK);
	unit_assert_span(buf_span(&dn), span_of(want));
	assert_int_equal(store_entry(t, eid, &e), RC_OK);
	assert_int_equal(store_is_within(t, eid, base), is_within);
	assert_int_equal(store_entry_is_within(t, eid, &e, base), is_within);
	buf_fini(&dn);
}

/* What is remembered of a parent is of one moment: of the transaction's, also in a write. */
static void names_belong_to_their_snapshot(void **state)
{
	struct base *b = *state;
	struct store_txn *before, *after;
	uint64_t a, eid;
	unsigned depth;
	struct dn dn;

	add(b, "cn=a,ou=S1,o=Example");
	add(b, "cn=b,ou=S1,o=Example");
	add(b, "cn=x,cn=a,ou=S1,o=Example");
	add(b, "cn=y,cn=x,cn=a,ou=S1,o=Example");
	assert_int_equal(store_read_begin(b->store, &before), RC_OK);
	dn = base_dn(b, "cn=a,ou=S1,o=Example");
	assert_int_equal(store_find(before, &dn, &a, &depth), RC_OK);
	dn = base_dn(b, "cn=y,cn=x,cn=a,ou=S1,o=Example");
	assert_int_equal(store_find(before, &dn, &eid, &depth), RC_OK);
	expect_place(before, eid, a, true, "cn=y,cn=x,cn=a,ou=S1,o=Example");
	assert_int_equal(
		base_rename(b, "cn=x,cn=a,ou=S1,o=Example", "cn=X2", true, "cn=b,ou=S1,o=Example"),
		0);
	expect_place(before, eid, a, true, "cn=y,cn=x,cn=a,ou=S1,o=Example");
	assert_int_equal(store_read_begin(b->store, &after), RC_OK);
	expect_place(after, eid, a, false, "cn=y,cn=X2,cn=b,ou=S1,o=Example");
	store_read_end(&before);
	store_read_end(&after);
	assert_int_equal(store_read_begin(b->store, &after), RC_OK); /* both were used before */
	assert_int_equal(store_read_begin(b->store, &before), RC_OK);
	expect_place(after, eid, a, false, "cn=y,cn=X2,cn=b,ou=S1,o=Example");
	expect_place(before, eid, a, false, "cn=y,cn=X2,cn=b,ou=S1,o=Example");
	store_read_end(&before);
	store_read_end(&after);
}

#define unit_base_test(f) cmocka_unit_test_setup_teardown(f, setup, base_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_base_test(walks),
		unit_base_test(walk_goes_on_after_changes),
		unit_base_test(pauses_change_nothing),
		unit_base_test(what_was_read_ahead_is_forgotten),
		unit_base_test(every_entry_by_number),
		unit_base_test(names_belong_to_their_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
