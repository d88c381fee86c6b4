/* Sort and list view controls (dird/op_sort.h): values, places. */
#include "tests/unit/unit.h"

#include "dird/op_sort.h"

static void offsets(void **state)
{
	static const struct {
		int64_t offset, count;
		uint64_t n, position;
	} rows[] = {
		{1, 0, 10, 1},
		{10, 0, 10, 10},
		{11, 0, 10, 10},
		{0, 0, 10, 0},
		{0, 10, 10, 0},
		{5, 10, 10, 5},
		{50, 100, 10, 5},
		{100, 100, 10, 10},
		{1, 100, 10, 1},
		{2, 100, 10, 1},
		{101, 100, 10, 10},
		{1, 0, 0, 1},
		{7, 9, 0, 1},
		{INT32_MAX - 1, INT32_MAX, 100000, 100000},
		{1, 1, 10, 10},
		{2, 5, 4, 2},
		{INT32_MAX / 2, INT32_MAX, 100000, 50000},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct op_vlv v = {.offset = rows[i].offset, .count = rows[i].count};

		assert_int_equal(vlv_position(&v, rows[i].n), rows[i].position);
	}
}

static void windows(void **state)
{
	static const struct {
		int64_t before, after;
		uint64_t position, n;
		size_t lo, hi;
	} rows[] = {
		{0, 0, 1, 10, 0, 1},
		{2, 3, 5, 10, 2, 8},
		{9, 9, 5, 10, 0, 10},
		{0, 0, 11, 10, 10, 10},
		{1, 1, 11, 10, 9, 10},
		{0, 5, 1, 0, 0, 0},
		{INT32_MAX, INT32_MAX, 10, 10, 0, 10},
	};
	size_t i, lo, hi;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct op_vlv v = {.before = rows[i].before, .after = rows[i].after};

		vlv_place(&v, rows[i].position, rows[i].n, &lo, &hi);
		assert_int_equal(lo, rows[i].lo);
		assert_int_equal(hi, rows[i].hi);
	}
}

static void requests(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int rc;
		bool by_value;
	} rows[] = {
#define ROW(bytes, rc, by_value) {bytes, sizeof(bytes) - 1, rc, by_value}
		ROW("\x30\x0e\x02\x01\x00\x02\x01\x05\xa0\x06\x02\x01\x01\x02\x01\x00", 0, false),
		ROW("\x30\x09\x02\x01\x00\x02\x01\x05\x81\x01z", 0, true),
		ROW("\x30\x0b\x02\x01\x00\x02\x01\x05\x81\x01z\x04\x00", 0, true),
		ROW("\x30\x09\x02\x01\xff\x02\x01\x05\x81\x01z", RC_INVALID, true),
		ROW("\x30\x06\x02\x01\x00\x02\x01\x05", RC_INVALID, true),
		ROW("\x30\x09\x02\x01\x00\x02\x01\x05\x81\x01z!", RC_INVALID, true),
		ROW("\x30\x0b\x02\x01\x00\x02\x01\x05\xa0\x03\x02\x01\x01", RC_INVALID, false),
		ROW("", RC_INVALID, true),
#undef ROW
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct op_vlv v = {.before = 0};

		assert_int_equal(vlv_read(span_make(rows[i].bytes, rows[i].n), &v), rows[i].rc);
		if (rows[i].rc == 0)
			assert_int_equal(v.by_value, rows[i].by_value);
	}
}

static void responses(void **state)
{
	struct op_sort s = {.code = LR_NO_SUCH_ATTRIBUTE, .bad_type = SPAN_LIT("x")};
	struct op_vlv v = {.position = 3, .total = 300, .code = VLV_RANGE_ERROR};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	sort_write(&s, &b);
	assert_int_equal(b.n, 8);
	assert_memory_equal(b.p, "\x30\x06\x0a\x01\x10\x80\x01x", b.n);
	buf_clear(&b);
	vlv_write(&v, &b);
	assert_int_equal(b.n, 12);
	assert_memory_equal(b.p, "\x30\x0a\x02\x01\x03\x02\x02\x01\x2c\x0a\x01\x3d", b.n);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(offsets),
		cmocka_unit_test(windows),
		cmocka_unit_test(requests),
		cmocka_unit_test(responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
