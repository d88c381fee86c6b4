#include "tests/unit/unit.h"

#include "lib/dn.h"
#include "routed/encap.h"

static const struct {
	const char *dn, *address;
} written[] = {
	{"cn=Ada Hill,ou=S2,o=Example", "IMCEAEX-_o=Example_ou=S2_cn=Ada+20Hill@s2.example.com"},
	/* [MS-OXCMAIL] §2.1.3.1.8: letters, digits, '-' and '=' stay; '_' stands for '/' alone */
	{"cn=a-b_c.d/e+uid=1,dc=example,dc=com",
	 "IMCEAEX-_dc=com_dc=example_cn=a-b+5fc+2ed+2fe+2buid=1@s2.example.com"},
	{"cn=Hill\\, Ada,o=Example", "IMCEAEX-_o=Example_cn=Hill+5c+2c+20Ada@s2.example.com"},
	{"cn=\xc3\x89va,o=Example", "IMCEAEX-_o=Example_cn=+c3+89va@s2.example.com"},
	{"cn=x\\0d\\0aRCPT,o=Example", "IMCEAEX-_o=Example_cn=x+5c0d+5c0aRCPT@s2.example.com"},
};

static void assert_same_dn(const char *want, struct span have)
{
	struct span a_normal, b_normal;
	struct arena a;

	arena_init(&a);
	assert_int_equal(dn_normalize_text(&a, span_of(want), &a_normal), RC_OK);
	assert_int_equal(dn_normalize_text(&a, have, &b_normal), RC_OK);
	assert_true(span_eq(a_normal, b_normal));
	arena_fini(&a);
}

/* What look-ups do to a key. */
static void fold(struct buf *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		b->p[i] = span_ascii_lower(b->p[i]);
}

static void assert_comes_back(const char *dn, const struct buf *address)
{
	struct span local, back, rest = buf_span(address);
	struct arena a;

	arena_init(&a);
	assert_true(span_cut(&rest, '@', &local));
	assert_true(encap_is(local));
	assert_int_equal(encap_read(&a, local, &back), RC_OK);
	assert_same_dn(dn, back);
	arena_fini(&a);
}

static void test_there_and_back(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 4096);
	for (i = 0; i < UNIT_COUNT(written); i++) {
		buf_clear(&b);
		assert_int_equal(
			encap_write(span_of(written[i].dn), SPAN_LIT("s2.example.com"), &b), RC_OK);
		unit_assert_span(buf_span(&b), span_of(written[i].address));
		assert_comes_back(written[i].dn, &b);
		fold(&b);
		assert_comes_back(written[i].dn, &b);
	}
	buf_fini(&b);
}

static void test_no_dn(void **state)
{
	static const char *const bad[] = {
		"IMCEAEX-",          "IMCEAEX-x",          "IMCEAEX-cn=x_cn=y", "IMCEAEX-_",
		"IMCEAEX-_cn=x_",    "IMCEAEX-__cn=x",     "IMCEAEX-_cn=x+2",   "IMCEAEX-_cn=x+",
		"IMCEAEX-_cn=x+g0",  "IMCEAEX-_cn=x y",    "IMCEAEX-_cn=x+5c",  "IMCEAEX-_cn",
		"IMCEAEX-_cn=a+2cb", "IMCEAEX-_cn=a/cn=b", "IMCEAEX-_=x",
	};
	struct span dn;
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		assert_true(encap_is(span_of(bad[i])));
		if (encap_read(&a, span_of(bad[i]), &dn) != RC_INVALID)
			fail_msg("%s is read as %.*s", bad[i], SPAN_ARG(dn));
	}
	assert_true(encap_is(SPAN_LIT("imceaex-_cn=x@s2.example.com")));
	assert_false(encap_is(SPAN_LIT("IMCEASMTP-x+40y")));
	assert_false(encap_is(SPAN_LIT("IMCEAEX")));
	arena_fini(&a);
}

/* RFC 5321 §4.5.3.1.3 */
static void test_length(void **state)
{
	char dn[400] = "cn=";
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, 4096);
	for (n = 3; n + 1 < sizeof(dn); n++) {
		size_t length = strlen("IMCEAEX-_@s2.example.com") + n + 1;

		dn[n] = 'x';
		buf_clear(&b);
		assert_int_equal(encap_write(span_make(dn, n + 1), SPAN_LIT("s2.example.com"), &b),
				 length <= ENCAP_ADDRESS_MAX_BYTES ? RC_OK : RC_TOOBIG);
		assert_int_equal(b.n, length <= ENCAP_ADDRESS_MAX_BYTES ? length : 0);
	}
	assert_int_equal(encap_write(SPAN_LIT(""), SPAN_LIT("x.example"), &b), RC_INVALID);
	assert_int_equal(encap_write(SPAN_LIT("no dn"), SPAN_LIT("x.example"), &b), RC_INVALID);
	buf_fini(&b);
}

/* S19: whatever a DN holds, the address has nothing but letters, digits and "-=_+". */
static void test_hostile_values(void **state)
{
	static const char alphabet[] = "aZ0 -_=+,;<>\"\\#@/.:%!*|&\r\n\t\x01\x7f\xc3\xa9";
	uint64_t seed = 7;
	unsigned round, i, n;
	struct buf dn, b;

	(void)state;
	buf_init(&dn, 4096);
	buf_init(&b, 4096);
	for (round = 0; round < 20000; round++) {
		struct dn_ava ava = {SPAN_LIT("cn"), {NULL, 0}};
		struct dn_rdn rdn = {&ava, 1};
		struct dn name = {&rdn, 1};
		char value[12];

		n = 1 + unit_random(&seed) % sizeof(value);
		for (i = 0; i < n; i++)
			value[i] = alphabet[unit_random(&seed) % (sizeof(alphabet) - 1)];
		ava.value = span_make(value, n);
		buf_clear(&dn);
		buf_clear(&b);
		dn_write(&name, &dn);
		assert_int_equal(encap_write(buf_span(&dn), SPAN_LIT("s2.example.com"), &b), RC_OK);
		for (i = 0; b.p[i] != '@'; i++)
			assert_non_null(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"
					       "Z0123456789-=_+",
					       b.p[i]));
		assert_int_equal(b.n - i, sizeof("@s2.example.com") - 1);
		assert_comes_back(buf_cstr(&dn), &b);
	}
	buf_fini(&dn);
	buf_fini(&b);
}

static void test_out_of_memory(void **state)
{
	long fail;
	int rc = RC_NOMEM;

	(void)state;
	for (fail = 1; rc != RC_OK; fail++) {
		struct span dn;
		struct buf b;
		struct arena a;

		arena_init(&a);
		buf_init(&b, 4096);
		mem_fail_at(fail);
		rc = encap_write(span_of(written[0].dn), SPAN_LIT("s2.example.com"), &b);
		if (rc == RC_OK)
			rc = encap_read(&a, span_head(buf_span(&b), b.n - 15), &dn);
		mem_fail_at(0);
		assert_true(rc == RC_OK || rc == RC_NOMEM);
		arena_fini(&a);
		buf_fini(&b);
	}
	assert_true(fail > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_there_and_back), unit_heap_test(test_no_dn),
		unit_heap_test(test_length),         unit_heap_test(test_hostile_values),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("encap", tests, NULL, NULL);
}
