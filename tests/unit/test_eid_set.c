/* Sets of entry numbers (dird/eid_set.h). */
#include "tests/unit/unit.h"

#include "dird/eid_set.h"

static void members(void **state)
{
	struct eid_set s = {.at = NULL};
	uint64_t i;

	(void)state;
	assert_false(eid_set_has(&s, 1));
	for (i = 1; i <= 10000; i++)
		assert_int_equal(eid_set_add(&s, i * 7), RC_OK);
	for (i = 1; i <= 10000; i++) {
		assert_int_equal(eid_set_add(&s, i * 7), RC_EXISTS);
		assert_true(eid_set_has(&s, i * 7));
		assert_false(eid_set_has(&s, i * 7 + 1));
	}
	assert_int_equal(s.n, 10000);
	eid_set_fini(&s);
	assert_false(eid_set_has(&s, 7));
}

/* Numbers that fall on the same slot are told apart. */
static void collisions(void **state)
{
	struct eid_set s = {.at = NULL};
	uint64_t i;

	(void)state;
	for (i = 1; i <= 200; i++)
		assert_int_equal(eid_set_add(&s, i << 40), RC_OK);
	for (i = 1; i <= 200; i++)
		assert_true(eid_set_has(&s, i << 40));
	assert_false(eid_set_has(&s, 201ull << 40));
	eid_set_fini(&s);
}

/* Deleting in any order leaves all others where they are found. */
static void deletions(void **state)
{
	struct eid_set s = {.at = NULL};
	uint64_t i, k;

	(void)state;
	eid_set_del(&s, 1);
	for (i = 1; i <= 500; i++)
		assert_int_equal(eid_set_add(&s, i % 2 != 0 ? i << 40 : i), RC_OK);
	for (i = 1; i <= 500; i += 3) {
		eid_set_del(&s, i % 2 != 0 ? i << 40 : i);
		eid_set_del(&s, 1000);
		for (k = 1; k <= 500; k++)
			assert_int_equal(eid_set_has(&s, k % 2 != 0 ? k << 40 : k),
					 k > i || k % 3 != 1);
	}
	assert_int_equal(s.n, 333);
	eid_set_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),
		cmocka_unit_test(collisions),
		cmocka_unit_test(deletions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
