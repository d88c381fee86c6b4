#include "tests/unit/unit.h"

#include "routed/dnsview.h"

static const struct dnsview base = {DNSCHECK_GOOD, 1, 2, false, "mx.example"};

/* M20: what is a difference, and what only looks like one. */
static void test_compare(void **state)
{
	static const struct row {
		struct dnsview other;
		enum dnsview_difference difference;
	} rows[] = {
		{{DNSCHECK_GOOD, 1, 2, false, "mx.example"}, DNSVIEW_SAME},
		{{DNSCHECK_GOOD, 1, 2, false, "first.example"}, DNSVIEW_SAME}, /* for people */
		{{DNSCHECK_NULL_MX, 1, 2, false, ""}, DNSVIEW_VERDICT},
		{{DNSCHECK_NO_DOMAIN, 0, 0, false, ""}, DNSVIEW_VERDICT},
		{{DNSCHECK_GOOD, 3, 2, false, ""}, DNSVIEW_EXCHANGES},
		{{DNSCHECK_GOOD, 3, 4, true, ""}, DNSVIEW_EXCHANGES},
		{{DNSCHECK_GOOD, 1, 3, false, ""}, DNSVIEW_ADDRESSES},
		{{DNSCHECK_GOOD, 1, 3, true, ""}, DNSVIEW_SAME}, /* one address is missing */
		{{DNSCHECK_NO_ANSWER, 3, 4, false, ""}, DNSVIEW_SAME},
		{{DNSCHECK_NONE, 0, 0, false, ""}, DNSVIEW_SAME},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		assert_int_equal(dnsview_compare(&base, &rows[i].other), rows[i].difference);
		assert_int_equal(dnsview_compare(&rows[i].other, &base), rows[i].difference);
	}
}

static void test_take(void **state)
{
	static const char name[] =
		"a-very-long-name-of-a-mail-exchange.in-a-very-long-domain.that-goes-on.example";
	const struct dnscheck_result r = {.verdict = DNSCHECK_GOOD,
					  .exchanges = 5,
					  .addresses = 6,
					  .partial = true,
					  .target = SPAN_LIT(name)};
	struct dnsview v;

	(void)state;
	dnsview_take(&v, &r);
	assert_int_equal(v.verdict, DNSCHECK_GOOD);
	assert_int_equal(v.exchanges, 5);
	assert_int_equal(v.addresses, 6);
	assert_true(v.partial);
	assert_int_equal(strlen(v.target), DNSVIEW_TARGET_BYTES - 1);
	assert_memory_equal(v.target, name, DNSVIEW_TARGET_BYTES - 1);
}

static void test_text(void **state)
{
	(void)state;
	assert_string_equal(dnsview_text(DNSVIEW_SAME), "none");
	assert_string_equal(dnsview_text(DNSVIEW_ADDRESSES), "addresses");
	assert_string_equal(dnsview_text((enum dnsview_difference)99), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
