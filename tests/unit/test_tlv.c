/* dird/tlv.c: the BER subset of RFC 4511 §5.1. */
#include "dird/tlv.h"

#include "tests/unit/unit.h"

#define BYTES(...) span_make((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void frame_knows_the_length_from_the_head(void **state)
{
	size_t total = 0;

	(void)state;
	assert_int_equal(tlv_frame(BYTES(0x30, 0x05), 0x30, &total), RC_OK);
	assert_int_equal(total, 7);
	assert_int_equal(tlv_frame(BYTES(0x30, 0x81, 0x05), 0x30, &total), RC_OK);
	assert_int_equal(total, 8);
	assert_int_equal(tlv_frame(BYTES(0x30, 0x84, 0, 0, 1, 0), 0x30, &total), RC_OK);
	assert_int_equal(total, 262);
	assert_int_equal(tlv_frame(BYTES(0x30, 0x84, 0xff, 0xff, 0xff, 0xff), 0x30, &total), RC_OK);
	assert_true(total == (size_t)0xffffffff + 6);
}

static void frame_asks_for_more(void **state)
{
	static const uint8_t head[] = {0x30, 0x84, 0, 0, 1};
	size_t n, total;

	(void)state;
	for (n = 0; n <= sizeof(head); n++)
		assert_int_equal(tlv_frame(span_make(head, n), 0x30, &total), RC_MORE);
}

static void frame_refuses(void **state)
{
	size_t total;

	(void)state;
	assert_int_equal(tlv_frame(BYTES(0x31), 0x30, &total), RC_INVALID);
	assert_int_equal(tlv_frame(BYTES(0x30, 0x80), 0x30, &total), RC_INVALID);
	assert_int_equal(tlv_frame(BYTES(0x30, 0x85, 0), 0x30, &total), RC_INVALID);
	assert_int_equal(tlv_frame(BYTES(0x30, 0xff, 0), 0x30, &total), RC_INVALID);
	assert_int_equal(tlv_frame(BYTES(0x1f), 0x1f, &total), RC_INVALID);
}

static void next_walks_elements(void **state)
{
	struct span rest = BYTES(0x04, 0x02, 'a', 'b', 0x30, 0x00, 0x02, 0x81, 0x01, 0x07);
	struct tlv t;

	(void)state;
	assert_int_equal(tlv_next(&rest, &t), RC_OK);
	assert_int_equal(t.tag, TLV_OCTETS);
	assert_true(span_eq(t.body, SPAN_LIT("ab")));
	assert_int_equal(t.whole.n, 4);
	assert_int_equal(tlv_next(&rest, &t), RC_OK);
	assert_int_equal(t.tag, TLV_SEQUENCE);
	assert_int_equal(t.body.n, 0);
	assert_int_equal(tlv_next(&rest, &t), RC_OK);
	assert_int_equal(t.whole.n, 4);
	assert_int_equal(tlv_next(&rest, &t), RC_DONE);
}

/* Bad inputs (a): each of them alone, as the first element. */
static void next_refuses_bad_framing(void **state)
{
	const struct span bad[] = {
		BYTES(0x04),                               /* no length */
		BYTES(0x04, 0x03, 'a', 'b'),               /* length > rest */
		BYTES(0x30, 0x80, 0x00, 0x00),             /* indefinite */
		BYTES(0x04, 0x84, 0x7f, 0xff, 0xff, 0xff), /* 2^31-1 */
		BYTES(0x04, 0x84, 0xff, 0xff, 0xff, 0xff), /* 2^32-1 */
		BYTES(0x04, 0x85, 0, 0, 0, 0, 0),          /* five length bytes */
		BYTES(0x04, 0x82, 0x01),                   /* length cut off */
		BYTES(0x1f, 0x01, 0x00),                   /* high tag number */
		BYTES(0xbf, 0x01, 0x00),
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		struct span rest = bad[i];
		struct tlv t;

		assert_int_equal(tlv_next(&rest, &t), RC_INVALID);
		assert_true(span_eq(rest, bad[i]));
	}
}

static void non_minimal_lengths_are_read(void **state)
{
	struct span rest = BYTES(0x04, 0x84, 0, 0, 0, 1, 'x'), body;

	(void)state;
	assert_int_equal(tlv_expect(&rest, TLV_OCTETS, &body), RC_OK);
	assert_true(span_eq(body, SPAN_LIT("x")));
}

static void expect_leaves_the_rest_on_a_wrong_tag(void **state)
{
	struct span in = BYTES(0x04, 0x01, 'x'), rest = in, body;
	struct span none = {NULL, 0};

	(void)state;
	assert_int_equal(tlv_expect(&rest, TLV_SEQUENCE, &body), RC_INVALID);
	assert_true(span_eq(rest, in));
	assert_int_equal(tlv_expect(&none, TLV_SEQUENCE, &body), RC_INVALID);
	assert_false(tlv_peek(none, 0));
}

static void integers_and_booleans(void **state)
{
	int64_t v;
	bool b;
	struct span rest;

	(void)state;
	assert_int_equal(tlv_int(BYTES(0x80), &v), RC_OK);
	assert_int_equal(v, -128);
	assert_int_equal(tlv_int(BYTES(0x00, 0x80), &v), RC_OK);
	assert_int_equal(v, 128);
	assert_int_equal(tlv_int(BYTES(0x7f, 255, 255, 255, 255, 255, 255, 255), &v), RC_OK);
	assert_true(v == INT64_MAX);
	assert_int_equal(tlv_int(BYTES(0x80, 0, 0, 0, 0, 0, 0, 0), &v), RC_OK);
	assert_true(v == INT64_MIN);
	assert_int_equal(tlv_int((struct span){NULL, 0}, &v), RC_INVALID);
	assert_int_equal(tlv_int(BYTES(0, 1, 2, 3, 4, 5, 6, 7, 8), &v), RC_INVALID);
	assert_int_equal(tlv_bool(BYTES(0x01), &b), RC_OK);
	assert_true(b);
	assert_int_equal(tlv_bool(BYTES(0x00), &b), RC_OK);
	assert_false(b);
	assert_int_equal(tlv_bool((struct span){NULL, 0}, &b), RC_INVALID);
	assert_int_equal(tlv_bool(BYTES(0, 0), &b), RC_INVALID);
	rest = BYTES(0x02, 0x00);
	assert_int_equal(tlv_read_int(&rest, TLV_INTEGER, &v), RC_INVALID);
	assert_int_equal(rest.n, 2);
	rest = BYTES(0x01, 0x01, 0xff, 0x0a, 0x01, 0x05);
	assert_int_equal(tlv_read_bool(&rest, TLV_BOOLEAN, &b), RC_OK);
	assert_int_equal(tlv_read_int(&rest, TLV_ENUM, &v), RC_OK);
	assert_int_equal(v, 5);
}

static void integers_are_written_minimal(void **state)
{
	static const struct {
		int64_t v;
		size_t n;
	} cases[] = {{0, 1},         {127, 1},       {128, 2},      {-128, 1},
		     {-129, 2},      {32767, 2},     {32768, 3},    {-1, 1},
		     {INT32_MAX, 4}, {INT64_MAX, 8}, {INT64_MIN, 8}};
	size_t i;
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		struct span rest;
		int64_t v = 0;

		buf_clear(&b);
		tlv_put_int(&b, TLV_INTEGER, cases[i].v);
		assert_int_equal(b.n, 2 + cases[i].n);
		rest = buf_span(&b);
		assert_int_equal(tlv_read_int(&rest, TLV_INTEGER, &v), RC_OK);
		assert_true(v == cases[i].v);
	}
	buf_fini(&b);
}

static void lengths_are_minimal_and_patched(void **state)
{
	static const size_t sizes[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 70000};
	size_t i;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (i = 0; i < UNIT_COUNT(sizes); i++) {
		size_t outer, inner, n = sizes[i], whole;
		struct span rest, body;

		buf_clear(&b);
		buf_puts(&b, "in front");
		outer = tlv_open(&b, TLV_SEQUENCE);
		inner = tlv_open(&b, TLV_SET);
		if (n != 0)
			memset(buf_extend(&b, n), 'x', n);
		tlv_close(&b, inner);
		tlv_close(&b, outer);
		whole = n + tlv_header_bytes(n);
		assert_int_equal(b.n, 8 + whole + tlv_header_bytes(whole));
		rest = span_from(buf_span(&b), 8);
		assert_int_equal(tlv_expect(&rest, TLV_SEQUENCE, &body), RC_OK);
		assert_int_equal(rest.n, 0);
		assert_int_equal(tlv_expect(&body, TLV_SET, &rest), RC_OK);
		assert_int_equal(body.n, 0);
		assert_int_equal(rest.n, n);
		assert_true(n == 0 || (rest.p[0] == 'x' && rest.p[n - 1] == 'x'));
	}
	buf_fini(&b);
}

static void a_guess_of_the_length_changes_nothing(void **state)
{
	static const size_t sizes[] = {0, 127, 128, 255, 256, 65535, 65536, 70000};
	struct buf want, got;
	size_t i, k, mark;

	(void)state;
	buf_init(&want, 1 << 20);
	buf_init(&got, 1 << 20);
	for (i = 0; i < UNIT_COUNT(sizes); i++) {
		buf_clear(&want);
		mark = tlv_open(&want, TLV_SEQUENCE);
		if (sizes[i] != 0)
			memset(buf_extend(&want, sizes[i]), 'x', sizes[i]);
		tlv_close(&want, mark);
		for (k = 0; k < UNIT_COUNT(sizes); k++) {
			buf_clear(&got);
			mark = tlv_open_about(&got, TLV_SEQUENCE, sizes[k]);
			if (sizes[i] != 0)
				memset(buf_extend(&got, sizes[i]), 'x', sizes[i]);
			tlv_close(&got, mark);
			unit_assert_span(buf_span(&got), buf_span(&want));
		}
	}
	buf_fini(&got);
	buf_fini(&want);
}

static void a_full_buffer_sticks(void **state)
{
	struct buf b;
	size_t mark;

	(void)state;
	buf_init(&b, 129);
	mark = tlv_open(&b, TLV_SEQUENCE);
	memset(buf_extend(&b, 127), 'x', 127);
	tlv_close(&b, mark);
	assert_int_equal(buf_rc(&b), RC_OK);
	tlv_put_bool(&b, TLV_BOOLEAN, true);
	assert_int_equal(buf_rc(&b), RC_TOOBIG);
	buf_clear(&b);
	b.max = 130;
	mark = tlv_open(&b, TLV_SEQUENCE);
	memset(buf_extend(&b, 128), 'x', 128);
	tlv_close(&b, mark); /* no room for the second length byte */
	assert_int_equal(buf_rc(&b), RC_TOOBIG);
	mark = tlv_open(&b, TLV_SEQUENCE);
	tlv_close(&b, mark);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame_knows_the_length_from_the_head),
		cmocka_unit_test(frame_asks_for_more),
		cmocka_unit_test(frame_refuses),
		cmocka_unit_test(next_walks_elements),
		cmocka_unit_test(next_refuses_bad_framing),
		cmocka_unit_test(non_minimal_lengths_are_read),
		cmocka_unit_test(expect_leaves_the_rest_on_a_wrong_tag),
		cmocka_unit_test(integers_and_booleans),
		unit_heap_test(integers_are_written_minimal),
		unit_heap_test(lengths_are_minimal_and_patched),
		unit_heap_test(a_guess_of_the_length_changes_nothing),
		unit_heap_test(a_full_buffer_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
