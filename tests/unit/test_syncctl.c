#include "routed/syncctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define UUID16 "0123456789abcdef"
#define UUID15 "0123456789abcde"

struct row {
	const char *bytes;
	size_t n;
	const char *why; /* NULL: valid */
};

#define ROW(literal, why)                                                                          \
	{                                                                                          \
		literal, sizeof(literal) - 1, why                                                  \
	}

static const char *no_why = "";

/* RFC 4533 §2.3 */
static const struct row states[] = {
	ROW("\x30\x15\x0a\x01\x01\x04\x10" UUID16, NULL),
	ROW("\x30\x18\x0a\x01\x03\x04\x10" UUID16 "\x04\x01z", NULL),
	ROW("\x30\x81\x15\x0a\x01\x01\x04\x10" UUID16, NULL),
	ROW("", "sync state value is no sequence"),
	ROW("\x30", "sync state value is no sequence"),
	ROW("\x30\x80", "sync state value is no sequence"),
	ROW("\x30\x85\x01\x01\x01\x01\x01", "sync state value is no sequence"),
	ROW("\x30\x84\xff\xff\xff\xff", "sync state value is no sequence"),
	ROW("\x31\x15\x0a\x01\x01\x04\x10" UUID16, "sync state value is no sequence"),
	ROW("\x30\x15\x0a\x01\x01\x04\x10" UUID16 "x", "sync state value is no sequence"),
	ROW("\x30\x00", "sync state is no one-octet enumerated"),
	ROW("\x30\x15\x02\x01\x01\x04\x10" UUID16, "sync state is no one-octet enumerated"),
	ROW("\x30\x16\x0a\x02\x00\x01\x04\x10" UUID16, "sync state is no one-octet enumerated"),
	ROW("\x30\x15\x0a\x01\x04\x04\x10" UUID16, "unknown sync state"),
	ROW("\x30\x15\x0a\x01\xff\x04\x10" UUID16, "unknown sync state"),
	ROW("\x30\x14\x0a\x01\x01\x04\x0f" UUID15, "entryUUID of a sync state is not 16 octets"),
	ROW("\x30\x16\x0a\x01\x01\x04\x11" UUID16 "x",
	    "entryUUID of a sync state is not 16 octets"),
	ROW("\x30\x03\x0a\x01\x01", "entryUUID of a sync state is not 16 octets"),
	ROW("\x30\x15\x0a\x01\x01\x05\x10" UUID16, "entryUUID of a sync state is not 16 octets"),
	ROW("\x30\x17\x0a\x01\x01\x04\x10" UUID16 "\x04\x05", "malformed cookie in a sync state"),
	ROW("\x30\x17\x0a\x01\x01\x04\x10" UUID16 "\x05\x00", "octets behind a sync state"),
};

static void test_state(void **state)
{
	struct syncctl_state out;
	const char *why = no_why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		int rc = syncctl_read_state(span_make(states[i].bytes, states[i].n), &out, &why);

		if (rc != (states[i].why != NULL ? RC_INVALID : RC_OK))
			fail_msg("state row %zu: %s", i, rc_text(rc));
		if (states[i].why != NULL)
			assert_string_equal(why, states[i].why);
	}
	assert_int_equal(syncctl_read_state(span_make(states[1].bytes, states[1].n), &out, &why),
			 RC_OK);
	assert_int_equal(out.kind, SYNCCTL_DELETE);
	assert_memory_equal(out.uuid.b, UUID16, 16);
	assert_true(out.cookie.present && span_eq(out.cookie.value, SPAN_LIT("z")));
}

/* RFC 4533 §2.4 */
static void test_done(void **state)
{
	static const struct {
		struct row row;
		bool deletes, cookie;
	} rows[] = {
		{ROW("\x30\x00", NULL), false, false},
		{ROW("\x30\x03\x01\x01\xff", NULL), true, false},
		{ROW("\x30\x03\x01\x01\x00", NULL), false, false},
		{ROW("\x30\x06\x04\x01q\x01\x01\xff", NULL), true, true},
		{ROW("\x30\x02\x04\x00", NULL), false, true},
		{ROW("\x30\x02\x01\x00", "malformed refreshDeletes in a sync done"), 0, 0},
		{ROW("\x30\x04\x01\x02\x00\xff", "malformed refreshDeletes in a sync done"), 0, 0},
		{ROW("\x30\x06\x01\x01\xff\x04\x01q", "octets behind a sync done"), 0, 0},
		{ROW("\x04\x00", "sync done value is no sequence"), 0, 0},
		{ROW("\x30\x03\x04\x05x", "malformed cookie in a sync done"), 0, 0},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct syncctl_done out;
		const char *why = no_why;
		int rc = syncctl_read_done(span_make(rows[i].row.bytes, rows[i].row.n), &out, &why);

		if (rows[i].row.why != NULL) {
			assert_int_equal(rc, RC_INVALID);
			assert_string_equal(why, rows[i].row.why);
			continue;
		}
		assert_int_equal(rc, RC_OK);
		assert_int_equal(out.refresh_deletes, rows[i].deletes);
		assert_int_equal(out.cookie.present, rows[i].cookie);
	}
}

static int read_info(struct arena *a, const char *bytes, size_t n, struct syncctl_info *out,
		     const char **why)
{
	*why = no_why;
	return syncctl_read_info(a, span_make(bytes, n), out, why);
}

#define INFO(a, literal, out, why) read_info(a, literal, sizeof(literal) - 1, out, why)

/* RFC 4533 §2.5 */
static void test_info(void **state)
{
	struct syncctl_info out;
	const char *why;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(INFO(&a,
			      "\x80\x03"
			      "abc",
			      &out, &why),
			 RC_OK);
	assert_int_equal(out.kind, SYNCCTL_NEW_COOKIE);
	assert_true(span_eq(out.cookie.value, SPAN_LIT("abc")));

	assert_int_equal(INFO(&a, "\xa1\x00", &out, &why), RC_OK);
	assert_int_equal(out.kind, SYNCCTL_REFRESH_DELETE);
	assert_true(out.refresh_done); /* DEFAULT TRUE */

	assert_int_equal(INFO(&a, "\xa2\x06\x04\x01k\x01\x01\x00", &out, &why), RC_OK);
	assert_int_equal(out.kind, SYNCCTL_REFRESH_PRESENT);
	assert_false(out.refresh_done);
	assert_true(out.cookie.present);

	assert_int_equal(INFO(&a, "\xa3\x29\x01\x01\xff\x31\x24\x04\x10" UUID16 "\x04\x10" UUID16,
			      &out, &why),
			 RC_OK);
	assert_int_equal(out.kind, SYNCCTL_ID_SET);
	assert_true(out.refresh_deletes);
	assert_int_equal(out.nuuids, 2);
	assert_memory_equal(out.uuids[1].b, UUID16, 16);

	assert_int_equal(INFO(&a, "\xa3\x02\x31\x00", &out, &why), RC_OK);
	assert_int_equal(out.nuuids, 0);
	assert_false(out.refresh_deletes);
	arena_fini(&a);
}

static void test_bad_info(void **state)
{
	static const struct row rows[] = {
		ROW("", "sync info value is no single element"),
		ROW("\xa1\x00\xa1\x00", "sync info value is no single element"),
		ROW("\xa4\x00", "unknown sync info choice"),
		ROW("\x30\x00", "unknown sync info choice"),
		ROW("\xa1\x03\x01\x02\xff", "malformed refreshDone"),
		ROW("\xa2\x02\x05\x00", "octets behind a refresh end"),
		ROW("\xa3\x00", "syncIdSet without its set"),
		ROW("\xa3\x02\x30\x00", "syncIdSet without its set"),
		ROW("\xa3\x13\x31\x11\x04\x0f" UUID15,
		    "syncIdSet holds a UUID that is not 16 octets"),
		ROW("\xa3\x04\x31\x02\x04\x10", "syncIdSet holds a UUID that is not 16 octets"),
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct syncctl_info out;
		const char *why;
		struct arena a;

		arena_init(&a);
		assert_int_equal(read_info(&a, rows[i].bytes, rows[i].n, &out, &why), RC_INVALID);
		assert_string_equal(why, rows[i].why);
		arena_fini(&a);
	}
	assert_int_equal(mem_live_blocks(), 0);
}

/* RFC 4533 §2.2: mode 3, the cookie only if there is one; an empty cookie is one. */
static void test_request(void **state)
{
	struct syncctl_cookie cookie = {false, SPAN_LIT("")};
	struct arena a;
	struct span out;

	(void)state;
	arena_init(&a);
	assert_int_equal(syncctl_write_request(&a, &cookie, &out), RC_OK);
	assert_true(span_eq(out, SPAN_LIT("\x30\x03\x0a\x01\x03")));
	cookie = (struct syncctl_cookie){true, SPAN_LIT("ab")};
	assert_int_equal(syncctl_write_request(&a, &cookie, &out), RC_OK);
	assert_true(span_eq(out, SPAN_LIT("\x30\x07\x0a\x01\x03\x04\x02"
					  "ab")));
	cookie.value = span_make("", 0);
	assert_int_equal(syncctl_write_request(&a, &cookie, &out), RC_OK);
	assert_true(span_eq(out, SPAN_LIT("\x30\x05\x0a\x01\x03\x04\x00")));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),   cmocka_unit_test(test_done),
		cmocka_unit_test(test_info),    cmocka_unit_test(test_bad_info),
		cmocka_unit_test(test_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
