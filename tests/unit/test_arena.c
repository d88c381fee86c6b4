#include "tests/unit/unit.h"

static void test_alloc(void **state)
{
	struct arena a = {0};
	uint8_t *last = NULL;
	size_t i, j;

	(void)state;
	for (i = 0; i < 2000; i++) {
		uint8_t *p = arena_alloc(&a, i);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		memset(p, (int)i, i);
		for (j = 0; last != NULL && j < i - 1; j++)
			assert_int_equal(last[j], (uint8_t)(i - 1)); /* blocks do not overlap */
		last = p;
	}
	assert_non_null(arena_alloc(&a, 1 << 20));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_zalloc(&a, SIZE_MAX / 2, 4));
	arena_fini(&a);
	assert_non_null(arena_alloc(&a, 1)); /* usable again */
	arena_fini(&a);
}

static void test_copies(void **state)
{
	struct arena a = {0};
	struct span s;

	(void)state;
	s = arena_span(&a, span_make("a\0b", 3));
	unit_assert_span(s, span_make("a\0b", 3));
	assert_int_equal(s.p[3], 0);
	assert_string_equal(arena_str(&a, span_of("text")), "text");
	assert_string_equal(arena_str(&a, span_of(NULL)), "");
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 7), "x-7");
	arena_fini(&a);
}

static void test_heap_counts_and_fails(void **state)
{
	long before = mem_live_blocks();
	void *p, *q;

	(void)state;
	p = mem_alloc(10);
	q = mem_strdup("x");
	assert_int_equal(mem_live_blocks(), before + 2);
	p = mem_realloc(p, 100);
	assert_int_equal(mem_live_blocks(), before + 2);
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
	assert_int_equal(mem_live_blocks(), before);
	mem_fail_at(2);
	p = mem_alloc(1);
	assert_non_null(p);
	assert_null(mem_zalloc(1, 1));
	q = mem_alloc(1);
	assert_non_null(q); /* only the second one failed */
	mem_free(p);
	mem_free(q);
}

static int use_arena(void *arg)
{
	struct arena a = {0};
	int i, rc = RC_OK;

	(void)arg;
	for (i = 0; i < 100 && rc == RC_OK; i++)
		rc = arena_alloc(&a, 1000) != NULL ? RC_OK : RC_NOMEM;
	arena_fini(&a);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(use_arena, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_alloc),
		unit_heap_test(test_copies),
		unit_heap_test(test_heap_counts_and_fails),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
