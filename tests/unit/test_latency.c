#include "tests/unit/unit.h"

#include "routed/latency.h"

static void test_bounds_are_inclusive(void **state)
{
	static const struct row {
		uint64_t ns;
		const char *counted, *not_counted;
	} rows[] = {
		{0, "\nx_le_2=1\n", NULL},
		{1000, "x_le_1=1\n", NULL},
		{1001, "x_le_2=1\n", "x_le_1=1\n"},
		{200000, "x_le_200=1\n", "x_le_100=1\n"},
		{200001, "x_le_1000=1\n", "x_le_200=1\n"},
		{1000000000, "x_le_1000000=1\n", "x_le_100000=1\n"},
		{5000000000, "x_le_inf=1\nx_sum=5000000\nx_count=1\n", "x_le_1000000=1\n"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct latency l = {0};
		struct buf b;

		buf_init(&b, 4096);
		latency_add(&l, rows[i].ns);
		latency_write(&l, "x", &b);
		assert_non_null(strstr(buf_cstr(&b), rows[i].counted));
		if (rows[i].not_counted != NULL)
			assert_null(strstr(buf_cstr(&b), rows[i].not_counted));
		buf_fini(&b);
	}
}

static void test_counts_add_up(void **state)
{
	struct latency l = {0};
	struct buf b;
	unsigned i;

	(void)state;
	buf_init(&b, 4096);
	for (i = 0; i < 10; i++)
		latency_add(&l, 3000);
	latency_add(&l, 30000);
	latency_write(&l, "y", &b);
	assert_non_null(strstr(buf_cstr(&b), "y_le_2=0\ny_le_5=10\ny_le_10=10\n"));
	assert_non_null(strstr(buf_cstr(&b), "y_le_50=11\n"));
	assert_non_null(strstr(buf_cstr(&b), "y_le_inf=11\ny_sum=60\ny_count=11\n"));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_are_inclusive),
		cmocka_unit_test(test_counts_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
