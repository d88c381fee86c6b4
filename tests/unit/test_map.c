#include "tests/unit/unit.h"

#include "routed/map.h"

#define KEYS 5000

static struct span key_of(char texts[][12], unsigned i)
{
	snprintf(texts[i], 12, "key %u", i);
	return span_of(texts[i]);
}

/* Deletions close gaps: whatever is left must be found, whatever went must not. */
static void test_put_get_del(void **state)
{
	static char texts[KEYS][12];
	struct map m = {0};
	unsigned i;

	(void)state;
	assert_int_equal(map_get(&m, SPAN_LIT("nothing")), MAP_NONE);
	map_del(&m, SPAN_LIT("nothing"));
	for (i = 0; i < KEYS; i++)
		assert_int_equal(map_put(&m, key_of(texts, i), i), RC_OK);
	assert_int_equal(m.used, KEYS);
	for (i = 0; i < KEYS; i += 3)
		map_del(&m, span_of(texts[i]));
	map_del(&m, span_of(texts[0]));
	for (i = 0; i < KEYS; i++)
		assert_int_equal(map_get(&m, span_of(texts[i])), i % 3 == 0 ? MAP_NONE : i);
	assert_int_equal(m.used, KEYS - (KEYS + 2) / 3);
	assert_int_equal(map_put(&m, SPAN_LIT("key 1"), 77), RC_OK);
	assert_int_equal(map_get(&m, span_of(texts[1])), 77);
	map_clear(&m);
	assert_int_equal(map_get(&m, span_of(texts[1])), MAP_NONE);
	map_fini(&m);
}

static void test_reserve(void **state)
{
	static char texts[KEYS][12];
	struct map m = {0};
	struct map_slot *slots;
	unsigned i;

	(void)state;
	assert_int_equal(map_put(&m, SPAN_LIT("before"), 1), RC_OK);
	assert_int_equal(map_reserve(&m, KEYS + 1), RC_OK);
	slots = m.slots;
	for (i = 0; i < KEYS; i++)
		assert_int_equal(map_put(&m, key_of(texts, i), i), RC_OK);
	assert_ptr_equal(m.slots, slots);
	assert_int_equal(map_reserve(&m, 1), RC_OK);
	assert_ptr_equal(m.slots, slots);
	assert_int_equal(map_get(&m, SPAN_LIT("before")), 1);
	map_fini(&m);
}

static int fill_once(void *arg)
{
	static char texts[200][12];
	struct map m = {0};
	unsigned i;
	int rc = RC_OK;

	(void)arg;
	for (i = 0; i < 200 && rc == RC_OK; i++)
		rc = map_put(&m, key_of(texts, i), i);
	map_fini(&m);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(fill_once, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_del),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
