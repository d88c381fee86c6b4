/* Values of the content synchronization controls (dird/sync_ctl.h, RFC 4533 §2). */
#include "tests/unit/unit.h"

#include "dird/sync_ctl.h"

#define UUID_HEX "000102030405060708090a0b0c0d0e0f"

static const struct uuid some_uuid = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

/* Bytes of a hexadecimal literal. */
static struct span hex(const char *text, uint8_t *out)
{
	size_t i, n = strlen(text) / 2;
	unsigned v;

	for (i = 0; i < n; i++) {
		assert_int_equal(sscanf(text + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t)v;
	}
	return span_make(out, n);
}

static void requests(void **state)
{
	static const struct {
		const char *hex;
		int rc;
		enum sync_mode mode;
		const char *cookie;
		bool hint;
	} rows[] = {
		{"30030a0101", RC_OK, SYNC_REFRESH_ONLY, NULL, false},
		{"30030a0103", RC_OK, SYNC_REFRESH_AND_PERSIST, NULL, false},
		{"30070a010304026162", RC_OK, SYNC_REFRESH_AND_PERSIST, "ab", false},
		{"30050a01030400", RC_OK, SYNC_REFRESH_AND_PERSIST, "", false},
		{"300a0a0101040261620101ff", RC_OK, SYNC_REFRESH_ONLY, "ab", true},
		{"30030a0102", RC_INVALID, 0, NULL, false},
		{"30030a0100", RC_INVALID, 0, NULL, false},
		{"3003020101", RC_INVALID, 0, NULL, false},
		{"3000", RC_INVALID, 0, NULL, false},
		{"", RC_INVALID, 0, NULL, false},
		{"30030a010100", RC_INVALID, 0, NULL, false},
		{"30060a0101020101", RC_INVALID, 0, NULL, false},
	};
	uint8_t bytes[64];
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct span value = hex(rows[i].hex, bytes);
		struct sync_request r;

		assert_int_equal(sync_request_read(value, &r), rows[i].rc);
		if (rows[i].rc != RC_OK)
			continue;
		assert_int_equal(r.mode, rows[i].mode);
		assert_int_equal(r.reload_hint, rows[i].hint);
		assert_int_equal(r.cookie.p == NULL, rows[i].cookie == NULL);
		unit_assert_span(r.cookie, span_of(rows[i].cookie));
		buf_clear(&b);
		sync_request_write(&b, &r);
		unit_assert_span(buf_span(&b), value);
	}
	buf_fini(&b);
}

static void entry_states(void **state)
{
	static const struct {
		const char *hex;
		int rc;
		enum sync_state state;
		const char *cookie;
	} rows[] = {
		{"30150a01000410" UUID_HEX, RC_OK, SYNC_PRESENT, NULL},
		{"30150a01030410" UUID_HEX, RC_OK, SYNC_DELETE, NULL},
		{"30180a01020410" UUID_HEX "040163", RC_OK, SYNC_MODIFY, "c"},
		{"30150a01040410" UUID_HEX, RC_INVALID, 0, NULL},
		{"30150a01ff0410" UUID_HEX, RC_INVALID, 0, NULL},
		{"30140a0100040f000102030405060708090a0b0c0d0e", RC_INVALID, 0, NULL},
		{"30030a0100", RC_INVALID, 0, NULL},
	};
	uint8_t bytes[64];
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct span value = hex(rows[i].hex, bytes);
		struct sync_entry_state s;

		assert_int_equal(sync_entry_state_read(value, &s), rows[i].rc);
		if (rows[i].rc != RC_OK)
			continue;
		assert_int_equal(s.state, rows[i].state);
		assert_true(uuid_eq(&s.uuid, &some_uuid));
		unit_assert_span(s.cookie, span_of(rows[i].cookie));
		buf_clear(&b);
		sync_entry_state_write(&b, &s);
		unit_assert_span(buf_span(&b), value);
	}
	buf_fini(&b);
}

static void dones(void **state)
{
	static const struct {
		const char *hex;
		int rc;
		const char *cookie;
		bool deletes;
	} rows[] = {
		{"3000", RC_OK, NULL, false},
		{"300304016f", RC_OK, "o", false},
		{"300604016f0101ff", RC_OK, "o", true},
		{"30030101ff", RC_OK, NULL, true},
		{"3003020101", RC_INVALID, NULL, false},
		{"04016f", RC_INVALID, NULL, false},
	};
	uint8_t bytes[64];
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct span value = hex(rows[i].hex, bytes);
		struct sync_done d;

		assert_int_equal(sync_done_read(value, &d), rows[i].rc);
		if (rows[i].rc != RC_OK)
			continue;
		assert_int_equal(d.refresh_deletes, rows[i].deletes);
		unit_assert_span(d.cookie, span_of(rows[i].cookie));
		buf_clear(&b);
		sync_done_write(&b, &d);
		unit_assert_span(buf_span(&b), value);
	}
	buf_fini(&b);
}

static void infos(void **state)
{
	static const struct {
		const char *hex;
		int rc;
		enum sync_info_kind kind;
		const char *cookie;
		bool done, deletes;
		unsigned nuuids;
	} rows[] = {
		{"80026162", RC_OK, SYNC_INFO_NEW_COOKIE, "ab", false, false, 0},
		{"8000", RC_OK, SYNC_INFO_NEW_COOKIE, "", false, false, 0},
		{"a100", RC_OK, SYNC_INFO_REFRESH_DELETE, NULL, true, false, 0},
		{"a2060401630101"
		 "00",
		 RC_OK, SYNC_INFO_REFRESH_PRESENT, "c", false, false, 0},
		{"a203040163", RC_OK, SYNC_INFO_REFRESH_PRESENT, "c", true, false, 0},
		{"a3023100", RC_OK, SYNC_INFO_ID_SET, NULL, false, false, 0},
		{"a3170101ff31120410" UUID_HEX, RC_OK, SYNC_INFO_ID_SET, NULL, false, true, 1},
		{"a316311404100001020304050607"
		 "08090a0b0c0d0e0f0400",
		 RC_INVALID, 0, NULL, 0, 0, 0},
		{"a300", RC_INVALID, 0, NULL, false, false, 0},
		{"a400", RC_INVALID, 0, NULL, false, false, 0},
		{"a003040163", RC_INVALID, 0, NULL, false, false, 0},
		{"800261", RC_INVALID, 0, NULL, false, false, 0},
		{"", RC_INVALID, 0, NULL, false, false, 0},
	};
	uint8_t bytes[64];
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct span value = hex(rows[i].hex, bytes), rest;
		struct sync_info s;
		struct uuid u;
		unsigned n = 0;

		assert_int_equal(sync_info_read(value, &s), rows[i].rc);
		if (rows[i].rc != RC_OK)
			continue;
		assert_int_equal(s.kind, rows[i].kind);
		assert_int_equal(s.refresh_done, rows[i].done);
		assert_int_equal(s.refresh_deletes, rows[i].deletes);
		unit_assert_span(s.cookie, span_of(rows[i].cookie));
		for (rest = s.uuids; sync_uuid_next(&rest, &u); n++)
			assert_true(uuid_eq(&u, &some_uuid));
		assert_int_equal(n, rows[i].nuuids);
		buf_clear(&b);
		sync_info_write(&b, &s, &some_uuid, n);
		unit_assert_span(buf_span(&b), value);
	}
	buf_fini(&b);
}

/* No prefix of a good value is good, and none makes the reader leave its bytes. */
static void cut_values(void **state)
{
	static const char whole[] = "a3170101ff31120410" UUID_HEX;
	uint8_t bytes[64];
	struct span value = hex(whole, bytes);
	struct sync_info s;
	size_t n;

	(void)state;
	for (n = 0; n < value.n; n++) {
		uint8_t *copy = mem_alloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, value.p, n);
		assert_int_equal(sync_info_read(span_make(copy, n), &s), RC_INVALID);
		mem_free(copy);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit_heap_test(requests), unit_heap_test(entry_states), unit_heap_test(dones),
		unit_heap_test(infos),    unit_heap_test(cut_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
