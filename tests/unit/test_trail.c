/* What entries were called before (dird/trail.h). */
#include "tests/unit/unit.h"

#include "dird/trail.h"

static struct uuid entry(unsigned n)
{
	struct uuid u = {{0}};

	memcpy(u.b, &n, sizeof(n));
	return u;
}

static void add(struct trail *t, unsigned n, uint64_t usn, bool was_hidden, const char *dn)
{
	struct uuid u = entry(n);

	trail_add(t, &u, usn, was_hidden, span_of(dn));
}

static void assert_was(struct trail *t, unsigned n, uint64_t after, const char *dn, bool was_hidden)
{
	struct uuid u = entry(n);
	bool hidden = !was_hidden;
	struct buf b;

	buf_init(&b, 64);
	assert_int_equal(trail_find(t, &u, after, &hidden, &b), dn != NULL);
	if (dn != NULL) {
		assert_true(span_eq(buf_span(&b), span_of(dn)));
		assert_int_equal(hidden, was_hidden);
	}
	buf_fini(&b);
}

static void oldest_since(void **state)
{
	struct trail *t;

	(void)state;
	assert_int_equal(trail_new(&t), RC_OK);
	assert_was(t, 1, 0, NULL, false);
	add(t, 1, 10, false, "cn=a");
	add(t, 2, 11, true, "cn=x");
	add(t, 1, 20, true, "cn=b");
	assert_was(t, 1, 0, "cn=a", false);
	assert_was(t, 1, 9, "cn=a", false);
	assert_was(t, 1, 10, "cn=b", true);
	assert_was(t, 1, 20, NULL, false);
	assert_was(t, 2, 0, "cn=x", true);
	trail_free(&t);
}

/* The map has grown, or a transaction was refused behind its first change. */
static void undone(void **state)
{
	struct trail *t;

	(void)state;
	assert_int_equal(trail_new(&t), RC_OK);
	add(t, 1, 10, false, "cn=a");
	add(t, 1, 11, false, "cn=never");
	add(t, 1, 10, false, "cn=a");
	assert_was(t, 1, 9, "cn=a", false);
	assert_was(t, 1, 10, NULL, false);
	trail_free(&t);
}

static void bounded(void **state)
{
	static char large[TRAIL_MAX_BYTES / 4 + 2];
	struct trail *t;
	unsigned i;

	(void)state;
	assert_int_equal(trail_new(&t), RC_OK);
	for (i = 1; i <= TRAIL_MAX_STEPS; i++)
		add(t, i, i, false, "cn=a");
	assert_was(t, 1, 0, "cn=a", false);
	add(t, i, i, false, "cn=b");
	assert_was(t, 1, 0, NULL, false);
	assert_was(t, 2, 0, "cn=a", false);
	assert_was(t, i, 0, "cn=b", false);
	memset(large, 'x', sizeof(large) - 1);
	for (i = 1; i <= 4; i++)
		add(t, i, 100000 + i, false, large);
	assert_was(t, i - 4, 100000, NULL, false);
	assert_was(t, TRAIL_MAX_STEPS + 1, 0, NULL, false);
	trail_free(&t);
}

static void without_memory(void **state)
{
	struct trail *t;

	(void)state;
	assert_int_equal(trail_new(&t), RC_OK);
	mem_fail_at(1);
	add(t, 1, 10, false, "cn=a");
	mem_fail_at(0);
	assert_was(t, 1, 0, NULL, false);
	trail_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(oldest_since),
		cmocka_unit_test(undone),
		cmocka_unit_test(bounded),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
