/* Positions as CSNs, and slapd's cookies (dird/csn.h). */
#include "tests/unit/unit.h"

#include "dird/csn.h"

static struct span text_of(const struct csn *c, struct buf *b)
{
	buf_clear(b);
	assert_int_equal(csn_write(c, b), RC_OK);
	return buf_span(b);
}

static void round_trip(void **state)
{
	static const struct {
		struct csn csn;
		const char *text;
	} rows[] = {
		{{1, 0, 0, 0}, "00000101000100.000000Z#000000#000#000000"},
		{{2, 31, 0x3a, 0xabcdef}, "00000101000200.000000Z#00001f#03a#abcdef"},
		{{1, 1u << 24, 4095, 1}, "00000101000100.000001Z#000000#fff#000001"},
		{{40320, 1, 0, 0}, "00000201000000.000000Z#000001#000#000000"},
		{{UINT32_MAX, (UINT64_C(60000000) << 24) - 1, 1, 2},
		 "88761101041559.999999Z#ffffff#001#000002"},
	};
	struct csn back;
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 100);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span text = text_of(&rows[i].csn, &b);

		assert_int_equal(text.n, CSN_BYTES);
		assert_memory_equal(text.p, rows[i].text, text.n);
		assert_int_equal(csn_read(text, &back), RC_OK);
		assert_memory_equal(&back.usn, &rows[i].csn.usn, sizeof(back.usn));
		assert_int_equal(back.epoch, rows[i].csn.epoch);
		assert_int_equal(back.sid, rows[i].csn.sid);
		assert_int_equal(back.check, rows[i].csn.check);
	}
	buf_clear(&b);
	assert_int_equal(csn_write(&(struct csn){.usn = UINT64_C(60000000) << 24}, &b),
			 RC_UNSUPPORTED);
	buf_fini(&b);
}

/* slapd compares CSNs as text: a later life is newer, and so is a later usn of the same life. */
static void order(void **state)
{
	static const struct csn rows[] = {
		{1, 5, 9, 7},
		{1, 6, 9, 3},
		{1, 0xffffff, 9, 0},
		{1, 0x1000000, 9, 0},
		{1, UINT64_C(1) << 49, 9, 0},
		{1, (UINT64_C(60000000) << 24) - 1, 9, 0},
		{2, 1, 9, 0},
		{10, 0, 9, 0},
		{60, 0, 9, 0},
		{UINT32_MAX - 1, 5, 9, 0},
		{UINT32_MAX, 0, 9, 0},
	};
	struct buf a, b;
	size_t i;

	(void)state;
	buf_init(&a, 100);
	buf_init(&b, 100);
	for (i = 1; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(span_cmp(text_of(&rows[i - 1], &a), text_of(&rows[i], &b)) < 0);
	buf_fini(&a);
	buf_fini(&b);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"0001",
		"00010101000000.000000Z#000000#000#00000",
		"00010101000000.000000Z#000000#000#0000000",
		"00011301000000.000000Z#000000#000#000000",
		"00010129000000.000000Z#000000#000#000000",
		"99990101000000.000000Z#000000#000#000000", /* an epoch of more than 32 bits */
		"00010100000000.000000Z#000000#000#000000",
		"00010101240000.000000Z#000000#000#000000",
		"00010101006000.000000Z#000000#000#000000",
		"00010101000060.000000Z#000000#000#000000",
		"00010131000000.000000Z#000000#000#000000",
		"00010101000000.000000z#000000#000#000000",
		"00010101000000.000000Z#00000G#000#000000",
		"00010101000000.000000Z#00000A#000#000000",
		"00010101000000.00000aZ#000000#000#000000",
		"00010101000000,000000Z#000000#000#000000",
	};
	struct csn c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(csn_read(span_of(bad[i]), &c), RC_INVALID);
}

static void cookies(void **state)
{
	static const char one[] = "00010101000000.000000Z#000005#001#000000";
	static const struct {
		const char *text, *rid;
		bool is_slapd;
		unsigned good, bad;
	} rows[] = {
		{"rid=001", "rid=001", true, 0, 0},
		{"rid=7,sid=00a", "rid=7", true, 0, 0},
		{"rid=001,csn=00010101000000.000000Z#000005#001#000000", "rid=001", true, 1, 0},
		{"rid=001,sid=001,csn=00010101000000.000000Z#000005#001#000000;"
		 "20260101000000.000000Z#000005#002#000000;x;",
		 "rid=001", true, 2, 1},
		{"rid=001,csn=00010101000000.000000Z#000005#001#000000,delcsn=x", "rid=001", true,
		 1, 0},
		{"rid=0000000001", "", false, 0, 0},
		{"wp1,0000000000000000", "", false, 0, 0},
		{"csn=", "", false, 0, 0},
		{"", "", false, 0, 0},
	};
	struct span rid, csns;
	struct csn c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned good = 0, bad = 0;
		int rc;

		assert_int_equal(csn_cookie_read(span_of(rows[i].text), &rid, &csns),
				 rows[i].is_slapd);
		if (!rows[i].is_slapd)
			continue;
		assert_true(span_eq(rid, span_of(rows[i].rid)));
		while (csn_cookie_next(&csns, &c, &rc))
			*(rc == RC_OK ? &good : &bad) += 1;
		assert_int_equal(good, rows[i].good);
		assert_int_equal(bad, rows[i].bad);
	}
	assert_int_equal(csn_read(span_of(one), &c), RC_OK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit_heap_test(round_trip),
		unit_heap_test(order),
		unit_heap_test(refuses),
		unit_heap_test(cookies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
