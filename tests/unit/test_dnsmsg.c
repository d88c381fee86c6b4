#include "tests/unit/unit.h"

#include "routed/dnsmsg.h"

/* Wire forms, RFC 1035 §4. Q: header with one question for s2.example.com. */
#define HEAD(flags, answers, authority) "\x12\x34" flags "\x00\x01" answers authority "\x00\x00"
#define NAME                                                                                       \
	"\x02s2\x07"                                                                               \
	"example\x03"                                                                              \
	"com\x00"
#define QUESTION(type) NAME "\x00" type "\x00\x01"
#define PTR "\xc0\x0c" /* s2.example.com */
#define RR(type, ttl, length) "\x00" type "\x00\x01\x00\x00" ttl "\x00" length
#define OK_FLAGS "\x81\x80"
#define MX "\x0f"
#define A "\x01"
#define CNAME "\x05"
#define SOA "\x06"

#define MESSAGE(...) span_make(__VA_ARGS__, sizeof(__VA_ARGS__) - 1)

static int read_it(struct span message, enum dnsmsg_type type, struct arena *a, struct dnsmsg *out)
{
	return dnsmsg_read(message, SPAN_LIT("S2.Example.com"), type, a, out);
}

static void test_mx(void **state)
{
	static const char wire[] = HEAD(OK_FLAGS, "\x00\x02", "\x00\x00") QUESTION(MX)
		PTR RR(MX, "\x01\x2c", "\x07") "\x00\x0a\x02MX\xc0\x0c" PTR RR(
			MX, "\x00\x3c", "\x03") "\x00\x14\x00";
	struct dnsmsg m;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(read_it(MESSAGE(wire), DNSMSG_MX, &a, &m), RC_OK);
	assert_int_equal(m.rcode, DNSMSG_NOERROR);
	assert_int_equal(m.n, 2);
	assert_int_equal(m.records[0].preference, 10);
	unit_assert_span(m.records[0].exchange, SPAN_LIT("mx.s2.example.com"));
	assert_int_equal(m.records[1].preference, 20);
	assert_int_equal(m.records[1].exchange.n, 0);
	assert_int_equal(m.ttl_s, 60);
	assert_false(m.alias);
	arena_fini(&a);
}

/* The address belongs to what the alias leads to; another owner's record is none of ours. */
static void test_alias(void **state)
{
	static const char wire[] = HEAD(OK_FLAGS, "\x00\x03", "\x00\x00") QUESTION(A)
		PTR RR(CNAME, "\x00\x0a",
		       "\x04") "\x01x\xc0\x0c"
			       "\x01x\xc0\x0c" RR(A, "\x00\x64", "\x04") "\xc0\x00\x02\x01" PTR RR(
				       A, "\x00\x64", "\x04") "\x7f\x00\x00\x01";
	struct dnsmsg m;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(read_it(MESSAGE(wire), DNSMSG_A, &a, &m), RC_OK);
	assert_true(m.alias);
	assert_int_equal(m.n, 1);
	assert_memory_equal(m.records[0].address, "\xc0\x00\x02\x01", 4);
	assert_int_equal(m.ttl_s, 10);
	arena_fini(&a);
}

/* RFC 2308 §5: the lesser of the SOA's TTL and its last field. */
static void test_absent(void **state)
{
	static const char wire[] = HEAD("\x81\x83", "\x00\x00", "\x00\x01") QUESTION(MX)
		PTR RR(SOA, "\x0e\x10", "\x16") "\x00\x00"
						"\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01"
						"\x00\x00\x00\x01\x00\x00\x00\x1e";
	struct dnsmsg m;
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(read_it(MESSAGE(wire), DNSMSG_MX, &a, &m), RC_OK);
	assert_int_equal(m.rcode, DNSMSG_NXDOMAIN);
	assert_int_equal(m.n, 0);
	assert_int_equal(m.ttl_s, 30);
	arena_fini(&a);
}

static void test_refused(void **state)
{
	static const struct {
		const char *what;
		struct span wire;
	} table[] = {
#define ROW(what, ...)                                                                             \
	{                                                                                          \
		what,                                                                              \
		{                                                                                  \
			(const uint8_t *)(__VA_ARGS__), sizeof(__VA_ARGS__) - 1                    \
		}                                                                                  \
	}
		ROW("empty", ""),
		ROW("head only", HEAD(OK_FLAGS, "\x00\x00", "\x00\x00")),
		ROW("a question", HEAD("\x01\x00", "\x00\x00", "\x00\x00") QUESTION(MX)),
		ROW("another type", HEAD(OK_FLAGS, "\x00\x00", "\x00\x00") QUESTION(A)),
		ROW("another name",
		    HEAD(OK_FLAGS, "\x00\x00", "\x00\x00") "\x02s3\x07"
							   "example\x03"
							   "com\x00\x00\x0f\x00\x01"),
		ROW("another class",
		    HEAD(OK_FLAGS, "\x00\x00", "\x00\x00") NAME "\x00\x0f\x00\x03"),
		ROW("two questions",
		    "\x12\x34\x81\x80\x00\x02\x00\x00\x00\x00\x00\x00" QUESTION(MX) QUESTION(MX)),
		ROW("fewer records than counted",
		    HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX)),
		ROW("data beyond the end", HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX)
						   PTR RR(MX, "\x00\x01", "\x07") "\x00\x0a\x02"),
		ROW("pointer forward", HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX)
					       PTR RR(MX, "\x00\x01", "\x04") "\x00\x0a\xc0\xff"),
		ROW("pointer to itself", HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX)
						 PTR RR(MX, "\x00\x01", "\x04") "\x00\x0a\xc0\x2e"),
		ROW("label of no kind", HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX) PTR RR(
						MX, "\x00\x01", "\x05") "\x00\x0a\x81\x01\x01"),
		ROW("name shorter than its data",
		    HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX)
			    PTR RR(MX, "\x00\x01", "\x05") "\x00\x0a\x00\x00\x00"),
		ROW("aliases in a circle", HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(MX)
						   PTR RR(CNAME, "\x00\x01", "\x02") PTR),
	};
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(table); i++) {
		struct dnsmsg m;
		struct arena a;

		arena_init(&a);
		if (read_it(table[i].wire, DNSMSG_MX, &a, &m) != RC_INVALID)
			fail_msg("%s: taken", table[i].what);
		arena_fini(&a);
	}
}

/* Every prefix of a good message is refused, or is read without a look behind its end. */
static void test_cut(void **state)
{
	static const char wire[] = HEAD(OK_FLAGS, "\x00\x01", "\x00\x00") QUESTION(A)
		PTR RR(A, "\x00\x64", "\x04") "\xc0\x00\x02\x01";
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(wire) - 1; n++) {
		uint8_t *copy = mem_alloc(n + 1);
		struct dnsmsg m;
		struct arena a;

		memcpy(copy, wire, n);
		arena_init(&a);
		assert_int_equal(read_it(span_make(copy, n), DNSMSG_A, &a, &m), RC_INVALID);
		arena_fini(&a);
		mem_free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mx),     cmocka_unit_test(test_alias),
		cmocka_unit_test(test_absent), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
