#include "tests/unit/unit.h"

#include "lib/clock.h"

static const struct {
	int64_t wall_us;
	const char *generalized, *rfc3339;
} cases[] = {
	{0, "19700101000000Z", "1970-01-01T00:00:00.000Z"},
	{1795434002123456, "20261123114002Z", "2026-11-23T11:40:02.123Z"},
	{-1, "19691231235959Z", "1969-12-31T23:59:59.999Z"},
	{951782399999999, "20000228235959Z", "2000-02-28T23:59:59.999Z"},
	{INT64_MAX, "19700101000000Z", NULL},
	{INT64_MIN, "19700101000000Z", NULL},
};

/* RFC 4517 3.3.13, RFC 3339 5.6 */
static void test_formats(void **state)
{
	char generalized[CLOCK_GENERALIZED_BYTES];
	char rfc3339[CLOCK_RFC3339_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		clock_generalized(cases[i].wall_us, generalized);
		assert_string_equal(generalized, cases[i].generalized);
		clock_rfc3339(cases[i].wall_us, rfc3339);
		if (cases[i].rfc3339 != NULL)
			assert_string_equal(rfc3339, cases[i].rfc3339);
		assert_int_equal(strlen(rfc3339), CLOCK_RFC3339_BYTES - 1);
	}
}

static void test_system(void **state)
{
	uint64_t first = clock_system.mono_ms(&clock_system);

	(void)state;
	assert_true(clock_system.mono_ms(&clock_system) >= first);
	assert_true(clock_system.wall_us(&clock_system) > 1600000000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {unit_heap_test(test_formats),
					   unit_heap_test(test_system)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
