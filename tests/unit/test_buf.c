#include "tests/unit/unit.h"

static void test_growth(void **state)
{
	struct buf b;
	int i;

	(void)state;
	buf_init(&b, 100000);
	for (i = 0; i < 5000; i++)
		buf_printf(&b, "%04d", i);
	assert_int_equal(buf_rc(&b), RC_OK);
	assert_int_equal(b.n, 20000);
	unit_assert_span(span_make(b.p + 4 * 4321, 4), span_of("4321"));
	buf_consume(&b, 4);
	unit_assert_span(span_head(buf_span(&b), 4), span_of("0001"));
	buf_truncate(&b, 2);
	buf_putc(&b, 'x');
	assert_string_equal(buf_cstr(&b), "00x");
	buf_clear(&b);
	assert_string_equal(buf_cstr(&b), "");
	buf_fini(&b);
}

/* The first failure sticks, and nothing is written behind it. */
static void test_cap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_puts(&b, "12345");
	assert_int_equal(buf_rc(&b), RC_OK);
	buf_putc(&b, '6');
	assert_int_equal(buf_rc(&b), RC_TOOBIG);
	assert_null(buf_extend(&b, 0));
	buf_truncate(&b, 0);
	buf_puts(&b, "a");
	assert_int_equal(b.n, 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_clear(&b);
	buf_puts(&b, "a");
	unit_assert_span(buf_span(&b), span_of("a"));
	assert_null(buf_extend(&b, SIZE_MAX));
	assert_int_equal(buf_rc(&b), RC_TOOBIG);
	buf_fini(&b);
}

static int fill(void *arg)
{
	struct buf b;
	int i, rc;

	(void)arg;
	buf_init(&b, 1 << 20);
	for (i = 0; i < 1000; i++)
		buf_puts(&b, "0123456789");
	rc = buf_rc(&b);
	buf_fini(&b);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(fill, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_growth),
		unit_heap_test(test_cap),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
