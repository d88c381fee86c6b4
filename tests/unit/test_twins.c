/* Which instances of a site may have sessions (dird/twins.h). */
#include "tests/unit/unit.h"

#include "dird/twins.h"

static const struct uuid site = {{1}}, other = {{2}};

static enum twins_verdict seen(struct twins *t, const struct uuid *s, uint8_t instance, bool chosen)
{
	struct uuid id = {{instance}};
	enum twins_verdict v;

	assert_int_equal(twins_seen(t, s, &id, chosen, &v), RC_OK);
	return v;
}

static bool is_current(struct twins *t, uint8_t instance)
{
	struct uuid id = {{instance}};

	return twins_is_current(t, &site, &id);
}

static void restarts_are_no_twins(void **state)
{
	struct twins *t;
	uint8_t i;

	(void)state;
	assert_int_equal(twins_new(&t), RC_OK);
	assert_true(is_current(t, 1));
	assert_int_equal(seen(t, &site, 1, false), TWINS_NONE);
	assert_int_equal(seen(t, &site, 1, false), TWINS_NONE);
	for (i = 2; i < 40; i++) {
		assert_int_equal(seen(t, &site, i, false), TWINS_NEW);
		assert_true(is_current(t, i));
		assert_false(is_current(t, (uint8_t)(i - 1)));
	}
	assert_int_equal(seen(t, &other, 1, false), TWINS_NONE);
	twins_free(&t);
}

static void both_are_refused_until_one_is_chosen(void **state)
{
	struct twins *t;

	(void)state;
	assert_int_equal(twins_new(&t), RC_OK);
	assert_int_equal(seen(t, &site, 1, false), TWINS_NONE);
	assert_int_equal(seen(t, &site, 2, false), TWINS_NEW);
	assert_int_equal(seen(t, &site, 1, false), TWINS_BOTH);
	assert_int_equal(seen(t, &site, 2, false), TWINS_BOTH);
	assert_false(is_current(t, 1) || is_current(t, 2));
	assert_int_equal(seen(t, &site, 3, false), TWINS_BOTH); /* a restart decides nothing */
	assert_int_equal(seen(t, &site, 1, true), TWINS_NEW);
	assert_int_equal(seen(t, &site, 1, true), TWINS_NONE);
	assert_int_equal(seen(t, &site, 2, false), TWINS_RETIRED);
	assert_int_equal(seen(t, &site, 1, true), TWINS_NONE);
	assert_true(is_current(t, 1));
	assert_int_equal(seen(t, &site, 4, false), TWINS_NEW); /* the chosen one, started again */
	assert_int_equal(seen(t, &site, 1, false), TWINS_BOTH);
	twins_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restarts_are_no_twins),
		cmocka_unit_test(both_are_refused_until_one_is_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
