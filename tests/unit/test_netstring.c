#include "routed/netstring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/arena.h"

struct row {
	const char *in;
	int rc;
	const char *payload;
	size_t used;
};

static const struct row rows[] = {
	{"0:,", RC_OK, "", 3},
	{"3:abc,", RC_OK, "abc", 6},
	{"3:abc,3:def,", RC_OK, "abc", 6},
	{"12:transport x\n,", RC_OK, "transport x\n", 16},
	{"", RC_MORE, NULL, 0},
	{"3", RC_MORE, NULL, 0},
	{"3:", RC_MORE, NULL, 0},
	{"3:ab", RC_MORE, NULL, 0},
	{"3:abc", RC_MORE, NULL, 0},
	{"20", RC_MORE, NULL, 0},
	{"3:abcd", RC_INVALID, NULL, 0},
	{"x", RC_INVALID, NULL, 0},
	{":abc,", RC_INVALID, NULL, 0},
	{"-1:a,", RC_INVALID, NULL, 0},
	{"03:abc,", RC_INVALID, NULL, 0},
	{"00:,", RC_INVALID, NULL, 0},
	{"0000010:", RC_INVALID, NULL, 0},
	{"3 :abc,", RC_INVALID, NULL, 0},
	{"21:", RC_TOOBIG, NULL, 0},
	{"21", RC_TOOBIG, NULL, 0},
	{"1000000000:", RC_TOOBIG, NULL, 0},
	{"99999999999999999999999", RC_TOOBIG, NULL, 0},
};

static void test_read(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span payload;
		size_t used;
		int rc = netstring_read(span_of(rows[i].in), 20, &payload, &used);

		if (rc != rows[i].rc)
			fail_msg("\"%s\": %s, expected %s", rows[i].in, rc_text(rc),
				 rc_text(rows[i].rc));
		if (rc != RC_OK)
			continue;
		assert_int_equal(used, rows[i].used);
		assert_true(span_eq(payload, span_of(rows[i].payload)));
	}
}

/* Whatever the cut, a prefix of a good frame is only incomplete. */
static void test_every_prefix(void **state)
{
	struct span frame = SPAN_LIT("13:hello, world!,");
	struct span payload;
	size_t used;
	size_t n;

	(void)state;
	for (n = 0; n < frame.n; n++)
		assert_int_equal(netstring_read(span_head(frame, n), 100, &payload, &used),
				 RC_MORE);
	assert_int_equal(netstring_read(frame, 100, &payload, &used), RC_OK);
}

static void test_round_trip_at_limits(void **state)
{
	static const size_t sizes[] = {0, 1, 9, 10, 99, 100, 9999, 10000, 99999, 100000};
	static uint8_t bytes[NETSTRING_REPLY_MAX_BYTES];
	struct buf b;
	size_t i;

	(void)state;
	memset(bytes, ',', sizeof(bytes));
	buf_init(&b, NETSTRING_REPLY_MAX_BYTES + NETSTRING_OVERHEAD_BYTES);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct span payload;
		size_t used;

		buf_clear(&b);
		netstring_write(&b, span_make(bytes, sizes[i]));
		assert_int_equal(buf_rc(&b), RC_OK);
		assert_int_equal(
			netstring_read(buf_span(&b), NETSTRING_REPLY_MAX_BYTES, &payload, &used),
			RC_OK);
		assert_int_equal(payload.n, sizes[i]);
		assert_int_equal(used, b.n);
	}
	buf_fini(&b);
	assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_round_trip_at_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
