/* LDAP messages (dird/msg.h): bad input of requirement S10 (a), round trips, limits. */
#include "tests/unit/unit.h"

#include "dird/msg.h"

struct bad {
	const char *name;
	const char *hex;
	int rc;
	bool fatal;
};

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned byte;

	for (; *hex != '\0'; hex += 2) {
		while (*hex == ' ')
			hex++;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		out[n++] = (uint8_t)byte;
	}
	return n;
}

/* Requirements "bad inputs" (a); RFC 4511 §4.1.1 says which of them end the session. */
static void test_bad_frames(void **state)
{
	static const struct bad cases[] = {
		{"empty", "", RC_INVALID, true},
		{"empty sequence", "3000", RC_INVALID, true},
		{"wrong tag", "3103020101", RC_INVALID, true},
		{"indefinite length", "3080020101 4200 0000", RC_INVALID, true},
		{"length beyond the end", "3010020101 4200", RC_INVALID, true},
		{"length of five bytes", "30850000000005 020101 4200", RC_INVALID, true},
		{"message id 0", "3005020100 4200", RC_INVALID, true},
		{"negative message id", "30050201ff 4200", RC_INVALID, true},
		{"empty message id", "30040200 4200", RC_INVALID, true},
		{"message id of five bytes", "30090205 0100000000 4200", RC_INVALID, true},
		{"bytes behind the message", "3005020101 4200 00", RC_INVALID, true},
		{"bytes behind the operation", "3007020101 4200 0500", RC_INVALID, true},
		{"no operation", "3003020101", RC_INVALID, true},
		{"unknown operation", "3005020101 7100", RC_UNSUPPORTED, true},
		{"universal tag as operation", "3005020101 3000", RC_UNSUPPORTED, true},
		{"constructed delete", "3005020101 6a00", RC_UNSUPPORTED, true},
		{"primitive search", "3005020101 4300", RC_UNSUPPORTED, true},
		{"bind without anything", "3005020101 6000", RC_INVALID, true},
		{"bind version 0", "300c020101 6007 020100 0400 8000", RC_INVALID, false},
		{"bind without a choice", "300a020101 6005 020103 0400", RC_INVALID, true},
		{"bind with a broken choice", "300c020101 6007 020103 0400 8101", RC_INVALID, true},
		{"search scope 4",
		 "301c020101 6317 0400 0a0104 0a0100 020100 020100 010100 8702636e 3000",
		 RC_INVALID, false},
		{"negative size limit",
		 "301c020101 6317 0400 0a0100 0a0100 0201ff 020100 010100 8702636e 3000",
		 RC_INVALID, false},
		{"add of an attribute without values",
		 "3011020101 680c 0400 3008 3006 0402636e 3100", RC_INVALID, false},
		{"unknown modify operation", "3014020101 660f 0400 300b 3009 0a0109 3004 0400 3100",
		 RC_INVALID, false},
		{"abandon of nothing", "3005020101 5000", RC_INVALID, true},
		{"control without oid", "3009020101 4200 a002 3000", RC_INVALID, true},
	};
	uint8_t frame[256];
	struct arena a;
	struct msg m;
	const char *why;
	bool fatal;
	size_t i, n;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		arena_init(&a);
		n = unhex(cases[i].hex, frame);
		rc = msg_read(span_make(frame, n), &a, &m, &fatal, &why);
		if (rc != cases[i].rc || fatal != cases[i].fatal)
			fail_msg("%s: rc %d fatal %d (%s)", cases[i].name, rc, fatal, why);
		assert_true(why[0] != '\0');
		arena_fini(&a);
	}
}

/* Every byte cut off, and every byte changed, of good requests: an answer, no crash. */
static void each_damage(struct span good)
{
	uint8_t copy[512];
	struct arena a;
	struct msg m;
	const char *why;
	bool fatal;
	size_t i;
	int bit;

	assert_true(good.n <= sizeof(copy));
	for (i = 0; i < good.n; i++) {
		arena_init(&a);
		memcpy(copy, good.p, i);
		assert_int_not_equal(msg_read(span_make(copy, i), &a, &m, &fatal, &why), 0);
		assert_true(fatal);
		arena_fini(&a);
		for (bit = 0; bit < 8; bit++) {
			arena_init(&a);
			memcpy(copy, good.p, good.n);
			copy[i] ^= (uint8_t)(1 << bit);
			if (msg_read(span_make(copy, good.n), &a, &m, &fatal, &why) == 0)
				assert_false(fatal);
			arena_fini(&a);
		}
	}
}

static void read_good(struct span frame, struct arena *a, struct msg *m)
{
	const char *why;
	bool fatal;
	int rc = msg_read(frame, a, m, &fatal, &why);

	if (rc != 0)
		fail_msg("msg_read: %s", why);
	assert_false(fatal);
}

static void test_search_round_trip(void **state)
{
	static const uint8_t filter[] = {0x87, 2, 'c', 'n'};
	struct span attrs[] = {SPAN_LIT("cn"), SPAN_LIT("mail;lang-de")};
	struct msg_search s = {.base = SPAN_LIT("o=Example"),
			       .scope = 2,
			       .deref = 0,
			       .size_limit = 100,
			       .time_limit = 60,
			       .types_only = true,
			       .filter = {filter, sizeof(filter)},
			       .attrs = attrs,
			       .nattrs = 2};
	struct msg_control control = {.oid = SPAN_LIT("1.2.3"),
				      .critical = true,
				      .has_value = true,
				      .value = SPAN_LIT("x")};
	struct arena a;
	struct buf b;
	struct msg m;

	(void)state;
	arena_init(&a);
	buf_init(&b, 4096);
	msg_write_search(&b, 70000, &s, &control, 1);
	assert_int_equal(buf_rc(&b), 0);
	read_good(buf_span(&b), &a, &m);
	assert_int_equal(m.id, 70000);
	assert_int_equal(m.op, MSG_SEARCH_REQUEST);
	assert_true(span_eq(m.u.search.base, s.base));
	assert_int_equal(m.u.search.scope, 2);
	assert_int_equal(m.u.search.size_limit, 100);
	assert_int_equal(m.u.search.time_limit, 60);
	assert_true(m.u.search.types_only);
	assert_true(span_eq(m.u.search.filter, s.filter));
	assert_int_equal(m.u.search.nattrs, 2);
	assert_true(span_eq(m.u.search.attrs[1], attrs[1]));
	assert_int_equal(m.ncontrols, 1);
	assert_true(m.controls[0].critical);
	assert_true(span_eq(m.controls[0].value, SPAN_LIT("x")));
	assert_ptr_equal(msg_control(&m, "1.2.3"), &m.controls[0]);
	assert_null(msg_control(&m, "1.2.4"));
	each_damage(buf_span(&b));
	buf_fini(&b);
	arena_fini(&a);
}

static void test_result_round_trip(void **state)
{
	static const char *const uris[] = {"ldap://a/", "ldap://b/", NULL};
	struct result r = {.code = LR_REFERRAL,
			   .matched = SPAN_LIT("o=Example"),
			   .text = "elsewhere",
			   .referrals = uris};
	static const uint8_t extra[] = {0x8a, 3, '1', '.', '2', 0x8b, 1, 'v'};
	struct arena a;
	struct buf b;
	struct msg m;

	(void)state;
	arena_init(&a);
	buf_init(&b, 4096);
	msg_write_result(&b, 7, MSG_EXTENDED_RESPONSE, &r, span_make(extra, sizeof(extra)), NULL,
			 0);
	read_good(buf_span(&b), &a, &m);
	assert_int_equal(m.u.result.code, LR_REFERRAL);
	assert_true(span_eq(m.u.result.matched, SPAN_LIT("o=Example")));
	assert_true(span_eq(m.u.result.text, SPAN_LIT("elsewhere")));
	assert_true(span_eq(m.u.result.oid, SPAN_LIT("1.2")));
	assert_true(span_eq(m.u.result.value, SPAN_LIT("v")));
	each_damage(buf_span(&b));
	buf_fini(&b);
	arena_fini(&a);
}

static void test_bind_and_extended(void **state)
{
	struct arena a;
	struct buf b;
	struct msg m;

	(void)state;
	arena_init(&a);
	buf_init(&b, 4096);
	msg_write_sasl_external(&b, 1);
	read_good(buf_span(&b), &a, &m);
	assert_true(m.u.bind.is_sasl);
	assert_int_equal(m.u.bind.version, 3);
	assert_true(span_eq(m.u.bind.mechanism, SPAN_LIT("EXTERNAL")));
	assert_false(m.u.bind.has_credentials);
	each_damage(buf_span(&b));
	buf_clear(&b);
	msg_write_extended(&b, 2, "1.3.6.1.1.8", SPAN_LIT("abc"));
	read_good(buf_span(&b), &a, &m);
	assert_true(span_eq(m.u.extended.oid, SPAN_LIT("1.3.6.1.1.8")));
	assert_true(span_eq(m.u.extended.value, SPAN_LIT("abc")));
	buf_clear(&b);
	msg_write_intermediate(&b, 3, "1.2", SPAN_LIT("v"));
	read_good(buf_span(&b), &a, &m);
	assert_int_equal(m.op, MSG_INTERMEDIATE);
	assert_true(span_eq(m.u.intermediate.value, SPAN_LIT("v")));
	buf_fini(&b);
	arena_fini(&a);
}

/* Clients encode lengths in up to four bytes (requirement L13). */
static void test_long_lengths(void **state)
{
	uint8_t frame[64];
	struct arena a;
	size_t n;
	struct msg m;

	(void)state;
	arena_init(&a);
	n = unhex("308400000009 020102 4a84 00000001 61", frame);
	frame[5] = (uint8_t)(n - 6);
	read_good(span_make(frame, n), &a, &m);
	assert_int_equal(m.op, MSG_DELETE_REQUEST);
	assert_true(span_eq(m.u.delete_dn, SPAN_LIT("a")));
	arena_fini(&a);
}

static void write_delete(struct buf *b, unsigned ncontrols)
{
	struct msg_control c = {.oid = SPAN_LIT("1.2")};
	size_t all = tlv_open(b, TLV_SEQUENCE), list;
	unsigned i;

	tlv_put_int(b, TLV_INTEGER, 5);
	tlv_put(b, TLV_APP(MSG_DELETE_REQUEST), SPAN_LIT("o=x"));
	list = tlv_open(b, TLV_CONTEXT_CONS(0));
	for (i = 0; i < ncontrols; i++) {
		size_t one = tlv_open(b, TLV_SEQUENCE);

		tlv_put(b, TLV_OCTETS, c.oid);
		tlv_close(b, one);
	}
	tlv_close(b, list);
	tlv_close(b, all);
}

/* Requirement S9: at the limit and one above. */
static void test_control_limit(void **state)
{
	struct arena a;
	struct buf b;
	struct msg m;
	const char *why;
	bool fatal;

	(void)state;
	arena_init(&a);
	buf_init(&b, 65536);
	write_delete(&b, MSG_MAX_CONTROLS);
	read_good(buf_span(&b), &a, &m);
	assert_int_equal(m.ncontrols, MSG_MAX_CONTROLS);
	buf_clear(&b);
	write_delete(&b, MSG_MAX_CONTROLS + 1);
	assert_int_equal(msg_read(buf_span(&b), &a, &m, &fatal, &why), RC_TOOBIG);
	assert_false(fatal);
	assert_int_equal(m.id, 5);
	assert_int_equal(m.op, MSG_DELETE_REQUEST);
	buf_fini(&b);
	arena_fini(&a);
}

static void test_modify_and_no_memory(void **state)
{
	uint8_t frame[128];
	size_t n = unhex("3026020104 6621 0403 6f3d78 301a 3018 0a0102 3013 0402 636e 310d 0403 "
			 "616161 0406 626262626262",
			 frame);
	const char *why;
	struct arena a;
	struct msg m;
	bool fatal;
	long at;
	int rc;

	(void)state;
	arena_init(&a);
	read_good(span_make(frame, n), &a, &m);
	assert_int_equal(m.u.modify.nmods, 1);
	assert_int_equal(m.u.modify.mods[0].op, CHANGE_OP_REPLACE);
	assert_int_equal(m.u.modify.mods[0].attr.nvalues, 2);
	assert_true(span_eq(m.u.modify.mods[0].attr.values[1], SPAN_LIT("bbbbbb")));
	each_damage(span_make(frame, n));
	arena_fini(&a);
	for (at = 1, rc = RC_NOMEM; rc == RC_NOMEM; at++) {
		assert_true(at < 100);
		arena_init(&a);
		mem_fail_at(at);
		rc = msg_read(span_make(frame, n), &a, &m, &fatal, &why);
		mem_fail_at(0);
		assert_false(fatal);
		arena_fini(&a);
	}
	assert_int_equal(rc, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_search_round_trip),
		cmocka_unit_test(test_result_round_trip),
		cmocka_unit_test(test_bind_and_extended),
		cmocka_unit_test(test_long_lengths),
		cmocka_unit_test(test_control_limit),
		cmocka_unit_test(test_modify_and_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
