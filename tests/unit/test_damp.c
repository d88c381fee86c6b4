#include "tests/unit/unit.h"

#include "routed/damp.h"

#define MINUTE 60000u
#define HOUR (60 * MINUTE)

static const struct damp_config defaults = {.penalty = 1000,
					    .half_life_ms = 15 * MINUTE,
					    .suppress = 3000,
					    .reuse = 750,
					    .max_ms = 60 * MINUTE};

static void test_penalty_halves(void **state)
{
	struct damp d = {0};

	(void)state;
	damp_flip(&d, &defaults, 5000);
	assert_float_equal(damp_penalty(&d, &defaults, 5000), 1000, 0.01);
	assert_float_equal(damp_penalty(&d, &defaults, 5000 + 15 * MINUTE), 500, 0.01);
	assert_float_equal(damp_penalty(&d, &defaults, 5000 + 45 * MINUTE), 125, 0.01);
	damp_flip(&d, &defaults, 5000 + 15 * MINUTE);
	assert_float_equal(damp_penalty(&d, &defaults, 5000 + 15 * MINUTE), 1500, 0.01);
	assert_false(d.suppressed);
	assert_true(damp_wait_ms(&d, &defaults, 5000) == DAMP_NEVER);
}

static void test_suppress_and_reuse(void **state)
{
	struct damp d = {0};
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_false(d.suppressed);
		damp_flip(&d, &defaults, HOUR);
	}
	assert_true(d.suppressed); /* 3,000 */
	/* Two half-lives from 3,000 to 750. */
	assert_int_equal(damp_wait_ms(&d, &defaults, HOUR), 30 * MINUTE);
	assert_false(damp_release(&d, &defaults, HOUR + 30 * MINUTE - 1));
	assert_true(d.suppressed);
	assert_true(damp_release(&d, &defaults, HOUR + 30 * MINUTE));
	assert_false(d.suppressed);
	assert_false(damp_release(&d, &defaults, HOUR + 31 * MINUTE));
}

/* However often it flipped, an hour of peace is enough. */
static void test_longest(void **state)
{
	struct damp d = {0};
	uint64_t now = 0;
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++)
		damp_flip(&d, &defaults, now += 10000);
	assert_true(d.suppressed);
	assert_in_range(damp_wait_ms(&d, &defaults, now), 60 * MINUTE - 1, 60 * MINUTE + 1);
	assert_true(damp_release(&d, &defaults, now + 60 * MINUTE + 1));
}

/* M21: a link that flaps every 10 s shows at most 4 changes in an hour. */
static void test_flapping_link(void **state)
{
	struct damp d = {0};
	unsigned shown = 0;
	bool up = false, visible = false;
	uint64_t now;

	(void)state;
	for (now = HOUR; now < 2 * HOUR; now += 10000) {
		up = !up;
		damp_flip(&d, &defaults, now);
		damp_release(&d, &defaults, now);
		if ((up && !d.suppressed) != visible) {
			visible = !visible;
			shown++;
		}
	}
	assert_in_range(shown, 1, 4);
}

/* A bound that the penalty cannot reach: nothing is ever suppressed for no time at all. */
static void test_odd_settings(void **state)
{
	struct damp_config c = defaults;
	struct damp d = {0};
	unsigned i;

	(void)state;
	c.max_ms = 0;
	for (i = 0; i < 10; i++)
		damp_flip(&d, &c, 1000);
	assert_false(d.suppressed);
	assert_float_equal(damp_penalty(&d, &c, 1000), 750, 0.01);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_penalty_halves), cmocka_unit_test(test_suppress_and_reuse),
		cmocka_unit_test(test_longest),        cmocka_unit_test(test_flapping_link),
		cmocka_unit_test(test_odd_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
