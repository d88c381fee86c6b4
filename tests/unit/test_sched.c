#include "routed/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_nothing_waits(void **state)
{
	struct sched s;

	(void)state;
	sched_init(&s, 200, 2000);
	assert_true(sched_wait_ms(&s, 12345) == SCHED_NEVER);
}

static void test_quiet_time_after_the_last_change(void **state)
{
	struct sched s;

	(void)state;
	sched_init(&s, 200, 2000);
	sched_touch(&s, 1000);
	assert_int_equal(sched_wait_ms(&s, 1000), 200);
	sched_touch(&s, 1150);
	assert_int_equal(sched_wait_ms(&s, 1150), 200);
	assert_int_equal(sched_wait_ms(&s, 1349), 1);
	assert_int_equal(sched_wait_ms(&s, 1350), 0);
	assert_int_equal(sched_wait_ms(&s, 9999), 0);
	sched_done(&s);
	assert_true(sched_wait_ms(&s, 9999) == SCHED_NEVER);
}

/* docs/routing.md R17: steady changes may not put a recompute off for ever. */
static void test_ceiling_after_the_first_change(void **state)
{
	struct sched s;
	uint64_t t;

	(void)state;
	sched_init(&s, 200, 2000);
	for (t = 5000; t < 7000; t += 100) {
		sched_touch(&s, t);
		assert_int_not_equal(sched_wait_ms(&s, t), 0);
	}
	sched_touch(&s, 7000);
	assert_int_equal(sched_wait_ms(&s, 7000), 0);
	sched_done(&s);
	sched_touch(&s, 7001);
	assert_int_equal(sched_wait_ms(&s, 7001), 200);
}

static void test_no_quiet_time(void **state)
{
	struct sched s;

	(void)state;
	sched_init(&s, 0, 0);
	sched_touch(&s, 77);
	assert_int_equal(sched_wait_ms(&s, 77), 0);
	sched_init(&s, 300, 100);
	sched_touch(&s, 77);
	assert_int_equal(sched_wait_ms(&s, 77), 300);
}

static void test_backoff_bounds(void **state)
{
	static const unsigned bounds[] = {1000,  2000,  4000,  8000, 16000,
					  32000, 60000, 60000, 60000};
	struct backoff low, high;
	unsigned i;

	(void)state;
	backoff_init(&low, 100, 1000, 60000);
	backoff_init(&high, 100, 1000, 60000);
	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		assert_int_equal(backoff_next_ms(&low, 0), 100);
		assert_int_equal(backoff_next_ms(&high, bounds[i] - 100), bounds[i]);
	}
	backoff_reset(&high);
	assert_int_equal(backoff_next_ms(&high, 900), 1000);
	for (i = 0; i < 100; i++)
		assert_in_range(backoff_next_ms(&high, i * 2654435761u), 100, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_waits),
		cmocka_unit_test(test_quiet_time_after_the_last_change),
		cmocka_unit_test(test_ceiling_after_the_first_change),
		cmocka_unit_test(test_no_quiet_time),
		cmocka_unit_test(test_backoff_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
