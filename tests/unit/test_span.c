#include "tests/unit/unit.h"

static void test_cut(void **state)
{
	struct span rest = span_of("a;b;"), head;

	(void)state;
	assert_true(span_cut(&rest, ';', &head));
	unit_assert_span(head, span_of("a"));
	assert_true(span_cut(&rest, ';', &head));
	unit_assert_span(head, span_of("b"));
	assert_false(span_cut(&rest, ';', &head));
	unit_assert_span(head, span_of(""));
	assert_int_equal(rest.n, 0);
}

static const struct {
	const char *a, *b;
	int cmp; /* sign */
	bool nocase, starts;
} pairs[] = {
	{"", "", 0, true, true},        {"a", "", 1, false, true},
	{"", "a", -1, false, false},    {"ab", "a", 1, false, true},
	{"AB", "ab", -1, true, false},  {"ab", "ac", -1, false, false},
	{"\xff", "a", 1, false, false},
};

static void test_compare(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(pairs); i++) {
		struct span a = span_of(pairs[i].a), b = span_of(pairs[i].b);
		int cmp = span_cmp(a, b);

		assert_int_equal((cmp > 0) - (cmp < 0), pairs[i].cmp);
		assert_int_equal(span_eq(a, b), pairs[i].cmp == 0);
		assert_int_equal(span_eq_nocase(a, b), pairs[i].nocase);
		assert_int_equal(span_starts(a, b), pairs[i].starts);
	}
}

static void test_clipping(void **state)
{
	struct span s = span_of("abc");

	(void)state;
	unit_assert_span(span_from(s, 1), span_of("bc"));
	unit_assert_span(span_from(s, 9), span_of(""));
	unit_assert_span(span_head(s, 2), span_of("ab"));
	unit_assert_span(span_head(s, 9), s);
	unit_assert_span(span_trim(span_of(" \t a b\r\n")), span_of("a b"));
	unit_assert_span(span_trim(span_of("  ")), span_of(""));
	assert_int_equal(span_of(NULL).n, 0);
	unit_assert_span(SPAN_LIT("x\0y"), span_make("x\0y", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_cut),
		unit_heap_test(test_compare),
		unit_heap_test(test_clipping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
