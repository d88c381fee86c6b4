/* Positions, vectors, cookies and stamps (dird/position.h). */
#include "tests/unit/unit.h"

#include "dird/position.h"

static struct uuid uuid_of(uint8_t first)
{
	struct uuid u = {{first, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

	return u;
}

static struct position position_of(uint8_t nc, uint32_t epoch, uint64_t usn)
{
	return (struct position){uuid_of(nc), epoch, uuid_of((uint8_t)(0x80 + epoch)), usn};
}

static void covers(void **state)
{
	struct position p = position_of(1, 2, 10);
	static const struct {
		uint8_t nc;
		uint32_t epoch;
		uint64_t usn;
		bool want;
	} rows[] = {
		{1, 2, 9, true},  {1, 2, 10, true}, {1, 2, 11, false}, {1, 1, 10, true},
		{1, 1, 11, true}, {1, 3, 1, false}, {2, 2, 1, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stamp s = {uuid_of(rows[i].nc), rows[i].epoch, rows[i].usn};

		assert_int_equal(position_covers(&p, &s), rows[i].want);
	}
}

static void lives(void **state)
{
	struct position a = position_of(1, 2, 10), b = a;

	(void)state;
	b.usn = 3;
	assert_true(position_same_life(&a, &b));
	b.epoch = 3;
	assert_false(position_same_life(&a, &b));
	b = a;
	b.invocation.b[15]++;
	assert_false(position_same_life(&a, &b));
}

static void lives_of_a_context(void **state)
{
	struct position at[4], p;
	struct vector a = {at, 0}, b = {&p, 1}, v = {NULL, 0}, found;
	struct arena arena;
	unsigned n = 0, i;

	(void)state;
	arena_init(&arena);
	p = position_of(1, 5, 100);
	lives_add(at, &n, 4, &p);
	p = position_of(1, 3, 40);
	lives_add(at, &n, 4, &p);
	p = position_of(1, 4, 80);
	lives_add(at, &n, 4, &p);
	p.usn = 70; /* never back */
	lives_add(at, &n, 4, &p);
	assert_int_equal(n, 3);
	assert_true(at[0].epoch == 5 && at[1].epoch == 4 && at[2].epoch == 3);
	a.n = n;
	p.usn = 80;
	assert_true(lives_include(&a, &p));
	assert_int_equal(lives_shared(&a, &b), 80);
	p.usn = 81;
	assert_false(lives_include(&a, &p));
	assert_int_equal(lives_shared(&a, &b), 80);
	p.invocation = uuid_of(99); /* another one of that epoch */
	assert_false(lives_include(&a, &p));
	assert_int_equal(lives_shared(&a, &b), 0);
	memset(&p.invocation, 0, sizeof(p.invocation)); /* whichever */
	p.usn = 80;
	assert_true(lives_include(&a, &p));
	p = position_of(1, 2, 1);
	assert_false(lives_include(&a, &p));
	p = position_done_with(&at[0].nc, 2);
	lives_add(at, &n, 4, &p);
	a.n = n;
	p = position_of(1, 2, 1000);
	assert_true(lives_include(&a, &p));
	assert_int_equal(lives_shared(&a, &b), 0);
	/* a new one takes the oldest one's place */
	p = position_of(1, 7, 200);
	lives_add(at, &n, 4, &p);
	assert_true(n == 4 && at[0].epoch == 7 && at[3].epoch == 3);

	for (i = 1; i < 4; i++) {
		p = position_of((uint8_t)i, 9, i);
		assert_int_equal(vector_put(&v, &arena, &p), RC_OK);
	}
	assert_int_equal(vector_put_lives(&v, &arena, &a), RC_OK);
	assert_int_equal(v.n, 6);
	found = vector_lives(&v, &at[0].nc);
	assert_true(found.n == 4 && found.at[0].epoch == 7 && found.at[3].epoch == 3);
	assert_int_equal(vector_find(&v, &at[0].nc)->epoch, 7);
	p = position_of(1, 8, 1);
	assert_int_equal(vector_put(&v, &arena, &p), RC_OK);
	assert_int_equal(v.n, 3);
	assert_int_equal(vector_find(&v, &p.nc)->epoch, 8);
	arena_fini(&arena);
}

static void vector_stays_ordered(void **state)
{
	static const uint8_t order[] = {5, 1, 9, 5, 3, 1, 7};
	struct vector v = {NULL, 0};
	struct arena a;
	unsigned i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < sizeof(order); i++) {
		struct position p = position_of(order[i], 1, i);

		assert_int_equal(vector_put(&v, &a, &p), RC_OK);
	}
	assert_int_equal(v.n, 5);
	for (i = 1; i < v.n; i++)
		assert_true(v.at[i - 1].nc.b[0] < v.at[i].nc.b[0]);
	{
		struct uuid five = uuid_of(5), four = uuid_of(4);

		assert_int_equal(vector_find(&v, &five)->usn, 3); /* replaced */
		assert_null(vector_find(&v, &four));
	}
	arena_fini(&a);
}

static void cookie_round_trip(void **state)
{
	struct vector v = {NULL, 0}, back;
	struct position one = position_of(1, 4294967295u, UINT64_MAX), two = position_of(2, 0, 0);
	uint64_t hash;
	struct arena a;
	struct buf b;

	(void)state;
	arena_init(&a);
	buf_init(&b, 4096);
	assert_int_equal(vector_put(&v, &a, &two), RC_OK);
	assert_int_equal(vector_put(&v, &a, &one), RC_OK);
	cookie_write(0x0123456789abcdef, &v, &b);
	assert_int_equal(cookie_read(buf_span(&b), &a, &hash, &back), RC_OK);
	assert_true(hash == 0x0123456789abcdef);
	assert_int_equal(back.n, 2);
	assert_memory_equal(back.at[0].nc.b, one.nc.b, UUID_BYTES);
	assert_true(back.at[0].usn == UINT64_MAX && back.at[0].epoch == UINT32_MAX);
	assert_true(position_same_life(&back.at[1], &two));
	buf_clear(&b);
	cookie_write(0, &(struct vector){NULL, 0}, &b);
	assert_string_equal(buf_cstr(&b), "wp1,0000000000000000");
	assert_int_equal(cookie_read(buf_span(&b), &a, &hash, &back), RC_OK);
	assert_int_equal(back.n, 0);
	buf_fini(&b);
	arena_fini(&a);
	assert_int_equal(mem_live_blocks(), 0);
}

#define U1 "00000000-0000-0000-0000-000000000001"
#define U2 "00000000-0000-0000-0000-00000000000a"

static void cookie_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"wp1",
		"wp2,0000000000000000",
		"wp1,000000000000000",
		"wp1,000000000000000G",
		"wp1,00000000000000000",
		"wp1,000000000000000A",
		"wp1,0000000000000000,",
		"wp1,0000000000000000," U1,
		"wp1,0000000000000000," U1 ":1:" U2,
		"wp1,0000000000000000," U1 ":1:" U2 ":",
		"wp1,0000000000000000," U1 ":01:" U2 ":1",
		"wp1,0000000000000000," U1 ":4294967296:" U2 ":1",
		"wp1,0000000000000000," U1 ":1:" U2 ":18446744073709551616",
		"wp1,0000000000000000," U1 ":1:" U2 ":-1",
		"wp1,0000000000000000," U1 ":1:" U2 ":1:1",
		"wp1,0000000000000000," U1 ":1:" U2 ":1,",
		"wp1,0000000000000000," U1 ":1:" U2 ":1," U1 ":1:" U2 ":1",
		"wp1,0000000000000000," U2 ":1:" U2 ":1," U1 ":1:" U2 ":1",
		"wp1,0000000000000000,00000000-0000-0000-0000-00000000000A:1:" U2 ":1",
	};
	struct vector v;
	uint64_t hash;
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (cookie_read(span_of(bad[i]), &a, &hash, &v) != RC_INVALID)
			fail_msg("accepted: %s", bad[i]);
	}
	arena_fini(&a);
}

static int read_once(void *text)
{
	struct vector v;
	struct arena a;
	uint64_t hash;
	int rc;

	arena_init(&a);
	rc = cookie_read(span_of(text), &a, &hash, &v);
	arena_fini(&a);
	return rc;
}

/* Requirement F9. Enough contexts for several chunks of the arena. */
static void cookie_without_memory(void **state)
{
	struct vector v = {NULL, 0};
	struct arena a;
	struct buf b;
	unsigned i;

	(void)state;
	arena_init(&a);
	buf_init(&b, 1 << 20);
	for (i = 0; i < 500; i++) {
		struct position p = {
			.nc = uuid_of(1), .epoch = 1, .invocation = uuid_of(2), .usn = i};

		p.nc.b[14] = (uint8_t)(i >> 8);
		p.nc.b[15] = (uint8_t)i;
		assert_int_equal(vector_put(&v, &a, &p), RC_OK);
	}
	cookie_write(1, &v, &b);
	unit_fail_allocations(read_once, (void *)(uintptr_t)buf_cstr(&b));
	buf_fini(&b);
	arena_fini(&a);
}

static void stamps(void **state)
{
	struct stamp s = {uuid_of(7), 3, 18446744073709551615u}, back;
	static const char *const bad[] = {"", U1, U1 ":1", U1 ":1:", U1 ":x:1", U1 ":1:1:1"};
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 200);
	stamp_write(&s, &b);
	assert_string_equal(buf_cstr(&b),
			    "07010203-0405-0607-0809-0a0b0c0d0e0f:3:18446744073709551615");
	assert_int_equal(stamp_read(buf_span(&b), &back), RC_OK);
	assert_true(uuid_eq(&s.nc, &back.nc) && back.epoch == 3 && back.usn == s.usn);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(stamp_read(span_of(bad[i]), &back), RC_INVALID);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(covers),
		unit_heap_test(lives),
		unit_heap_test(lives_of_a_context),
		unit_heap_test(vector_stays_ordered),
		unit_heap_test(cookie_round_trip),
		unit_heap_test(cookie_refuses),
		unit_heap_test(cookie_without_memory),
		unit_heap_test(stamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
