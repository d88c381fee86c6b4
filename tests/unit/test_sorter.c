#include "tests/unit/unit.h"

#include "lib/rc.h"
#include "lib/sorter.h"

#include <stdlib.h>

#define FOLDER "/tmp"

static void put(struct sorter *s, const char *key, const char *value)
{
	assert_int_equal(sorter_put(s, span_of(key), span_of(value)), RC_OK);
}

static void expect(struct sorter *s, const char *key, const char *value)
{
	struct sorter_row row;

	assert_int_equal(sorter_next(s, &row), RC_OK);
	unit_assert_span(row.key, span_of(key));
	unit_assert_span(row.value, span_of(value));
}

static void expect_end(struct sorter *s)
{
	struct sorter_row row;

	assert_int_equal(sorter_next(s, &row), RC_DONE);
	assert_int_equal(sorter_next(s, &row), RC_DONE);
}

static void test_order(void **state)
{
	struct sorter *s;
	int again;

	(void)state;
	assert_int_equal(sorter_new(FOLDER, &s), RC_OK);
	put(s, "beta", "2");
	put(s, "alpha", "1");
	put(s, "beta", "10");
	assert_int_equal(sorter_spill(s), RC_OK);
	put(s, "a long key that differs behind its sixteenth byte: b", "");
	put(s, "a long key that differs behind its sixteenth byte: a", "");
	put(s, "", "nothing");
	put(s, "alph", "0");
	assert_int_equal(sorter_count(s), 7);
	for (again = 0; again < 2; again++) {
		assert_int_equal(sorter_rewind(s), RC_OK);
		expect(s, "", "nothing");
		expect(s, "a long key that differs behind its sixteenth byte: a", "");
		expect(s, "a long key that differs behind its sixteenth byte: b", "");
		expect(s, "alph", "0");
		expect(s, "alpha", "1");
		expect(s, "beta", "10");
		expect(s, "beta", "2");
		expect_end(s);
	}
	put(s, "b", "more");
	assert_int_equal(sorter_rewind(s), RC_OK);
	expect(s, "", "nothing");
	sorter_free(&s);
	assert_null(s);
}

/* A shorter key comes first, whatever bytes the longer one goes on with. */
static void test_zeros(void **state)
{
	struct sorter_row row;
	struct sorter *s;

	(void)state;
	assert_int_equal(sorter_new(FOLDER, &s), RC_OK);
	assert_int_equal(sorter_put(s, SPAN_LIT("ab\0\0"), SPAN_LIT("1")), RC_OK);
	assert_int_equal(sorter_put(s, SPAN_LIT("ab"), SPAN_LIT("\xff\xff")), RC_OK);
	assert_int_equal(sorter_put(s, SPAN_LIT("ab\0"), SPAN_LIT("2")), RC_OK);
	assert_int_equal(sorter_rewind(s), RC_OK);
	assert_int_equal(sorter_next(s, &row), RC_OK);
	unit_assert_span(row.key, SPAN_LIT("ab"));
	assert_int_equal(sorter_next(s, &row), RC_OK);
	unit_assert_span(row.key, SPAN_LIT("ab\0"));
	assert_int_equal(sorter_next(s, &row), RC_OK);
	unit_assert_span(row.key, SPAN_LIT("ab\0\0"));
	expect_end(s);
	sorter_free(&s);
}

static void test_forget(void **state)
{
	struct sorter *s;

	(void)state;
	assert_int_equal(sorter_new(FOLDER, &s), RC_OK);
	assert_int_equal(sorter_rewind(s), RC_OK);
	expect_end(s);
	put(s, "kept", "");
	assert_int_equal(sorter_spill(s), RC_OK);
	assert_int_equal(sorter_held_bytes(s), 0);
	put(s, "also kept", "");
	sorter_keep(s);
	put(s, "forgotten", "");
	sorter_forget(s);
	sorter_forget(s);
	assert_int_equal(sorter_count(s), 2);
	assert_true(sorter_held_bytes(s) != 0);
	assert_int_equal(sorter_rewind(s), RC_OK);
	expect(s, "also kept", "");
	expect(s, "kept", "");
	expect_end(s);
	sorter_free(&s);
}

#define RANDOM_ROWS 30000
#define LONGEST 300

struct model {
	uint8_t bytes[LONGEST];
	size_t nkey, nvalue;
};

static int by_row(const void *a, const void *b)
{
	const struct model *x = a, *y = b;
	int c = span_cmp(span_make(x->bytes, x->nkey), span_make(y->bytes, y->nkey));

	return c != 0 ? c
		      : span_cmp(span_make(x->bytes + x->nkey, x->nvalue),
				 span_make(y->bytes + y->nkey, y->nvalue));
}

static void make_row(struct model *m)
{
	size_t i;

	m->nkey = (size_t)(rand() % (rand() % 20 == 0 ? LONGEST - 8 : 20));
	m->nvalue = (size_t)(rand() % 8);
	for (i = 0; i < m->nkey + m->nvalue; i++)
		m->bytes[i] = (uint8_t)(rand() % 3);
}

/* Runs of all sizes, beside qsort(). */
static void test_random(void **state)
{
	struct model *all = calloc(RANDOM_ROWS, sizeof(*all));
	struct sorter_row row;
	struct sorter *s;
	size_t i;

	(void)state;
	srand(1);
	assert_non_null(all);
	assert_int_equal(sorter_new(FOLDER, &s), RC_OK);
	for (i = 0; i < RANDOM_ROWS; i++) {
		make_row(&all[i]);
		assert_int_equal(sorter_put(s, span_make(all[i].bytes, all[i].nkey),
					    span_make(all[i].bytes + all[i].nkey, all[i].nvalue)),
				 RC_OK);
		if (rand() % 700 == 0)
			assert_int_equal(sorter_spill(s), RC_OK);
	}
	qsort(all, RANDOM_ROWS, sizeof(*all), by_row);
	assert_int_equal(sorter_rewind(s), RC_OK);
	for (i = 0; i < RANDOM_ROWS; i++) {
		assert_int_equal(sorter_next(s, &row), RC_OK);
		unit_assert_span(row.key, span_make(all[i].bytes, all[i].nkey));
		unit_assert_span(row.value, span_make(all[i].bytes + all[i].nkey, all[i].nvalue));
	}
	expect_end(s);
	sorter_free(&s);
	free(all);
}

/* Runs that are larger than what is read of them at once, with rows of the largest size. */
static void test_large(void **state)
{
	static uint8_t bytes[65535];
	struct sorter_row row;
	struct sorter *s;
	unsigned i;

	(void)state;
	assert_int_equal(sorter_new(FOLDER, &s), RC_OK);
	for (i = 0; i < 64; i++) {
		memset(bytes, (int)(63 - i), sizeof(bytes));
		assert_int_equal(sorter_put(s, span_make(bytes, sizeof(bytes)),
					    span_make(bytes, sizeof(bytes))),
				 RC_OK);
		if (i % 30 == 0)
			assert_int_equal(sorter_spill(s), RC_OK);
	}
	assert_int_equal(sorter_rewind(s), RC_OK);
	for (i = 0; i < 64; i++) {
		memset(bytes, (int)i, sizeof(bytes));
		assert_int_equal(sorter_next(s, &row), RC_OK);
		assert_true(span_eq(row.key, span_make(bytes, sizeof(bytes))));
		assert_true(span_eq(row.value, row.key));
	}
	expect_end(s);
	sorter_free(&s);
}

static int sort_some(void *arg)
{
	struct sorter *s;
	struct sorter_row row;
	int i, rc;

	(void)arg;
	rc = sorter_new(FOLDER, &s);
	for (i = 0; rc == RC_OK && i < 100; i++) {
		rc = sorter_put(s, SPAN_LIT("key"), SPAN_LIT("value"));
		if (rc == RC_OK && i % 4 == 0)
			rc = sorter_spill(s);
	}
	if (rc == RC_OK)
		rc = sorter_rewind(s);
	for (i = 0; rc == RC_OK && i < 100; i++)
		rc = sorter_next(s, &row);
	sorter_free(&s);
	return rc;
}

static void test_no_memory(void **state)
{
	(void)state;
	unit_fail_allocations(sort_some, NULL);
}

static void test_no_folder(void **state)
{
	struct sorter *s;

	(void)state;
	assert_int_equal(sorter_new("/nonexistent", &s), RC_NOTFOUND);
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_order),     unit_heap_test(test_zeros),
		unit_heap_test(test_forget),    unit_heap_test(test_random),
		unit_heap_test(test_large),     unit_heap_test(test_no_memory),
		unit_heap_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
