/* RFC 4514; the examples of its §4 are among the cases. */
#include "tests/unit/unit.h"

#include "lib/dn.h"

/* text -> as dn_write() gives it back -> normal form */
static const struct {
	const char *text, *written, *normal;
} good[] = {
	{"", "", ""},
	{"   ", "", ""},
	{"CN=Hill\\, Ada , O=Example", "CN=Hill\\, Ada,O=Example", "cn=hill\\2c ada,o=example"},
	{"UID=jsmith,DC=example,DC=net", "UID=jsmith,DC=example,DC=net",
	 "uid=jsmith,dc=example,dc=net"},
	{"OU=Sales+CN=J.  Smith,DC=example,DC=net", "OU=Sales+CN=J.  Smith,DC=example,DC=net",
	 "cn=j. smith+ou=sales,dc=example,dc=net"},
	{"CN=James \\\"Jim\\\" Smith\\, III,DC=net", "CN=James \\\"Jim\\\" Smith\\, III,DC=net",
	 "cn=james \\22jim\\22 smith\\2c iii,dc=net"},
	{"CN=Before\\0dAfter,DC=net", "CN=Before\\0dAfter,DC=net", "cn=before after,dc=net"},
	{"1.3.6.1.4.1.1466.0=#04024869", "1.3.6.1.4.1.1466.0=Hi", "1.3.6.1.4.1.1466.0=hi"},
	{"CN=Lu\\C4\\8Di\\C4\\87", "CN=Lučić", "cn=lučić"},
	{"commonName=a,2.5.4.10=b,OID.2.5.4.11=c", "commonName=a,2.5.4.10=b,OID.2.5.4.11=c",
	 "cn=a,o=b,ou=c"},
	{"userid=a,domainComponent=b,surname=c,emailAddress=d",
	 "userid=a,domainComponent=b,surname=c,emailAddress=d", "uid=a,dc=b,sn=c,emailaddress=d"},
	{"mailNickname=Ada", "mailNickname=Ada", "mailnickname=ada"},
	/* RFC 2253 §4 leniencies */
	{" cn = a ; o = b ", "cn=a,o=b", "cn=a,o=b"},
	{"cn=\"Hill, Ada\",o=\"x+y;\"", "cn=Hill\\, Ada,o=x\\+y\\;",
	 "cn=hill\\2c ada,o=x\\2by\\3b"},
	{"cn=\"say \\\"hi\\\"\"", "cn=say \\\"hi\\\"", "cn=say \\22hi\\22"},
	{"cn=\"\"", "cn=", "cn=\\20"},
	/* spaces */
	{"cn=\\ a\\ ", "cn=\\ a\\ ", "cn=a"},
	{"cn=\\  a \\  ", "cn=\\  a \\ ", "cn=a"},
	{"cn=a\\20\\20", "cn=a \\ ", "cn=a"},
	{"cn=,o=b", "cn=,o=b", "cn=\\20,o=b"},
	{"cn=\\20", "cn=\\ ", "cn=\\20"},
	{"cn=a  =  b", "cn=a  =  b", "cn=a = b"},
	/* specials */
	{"cn=\\#a#", "cn=\\#a#", "cn=\\23a#"},
	{"cn=\\3C\\>\\=\\5c", "cn=\\<\\>=\\\\", "cn=\\3c\\3e=\\5c"},
	{"cn=#0403010203", "cn=\\01\\02\\03", "cn=\\20"},
	{"cn=#0481022c2b", "cn=\\,\\+", "cn=\\2c\\2b"},
	{"cn=a\\ff\\00B", "cn=a\\ff\\00B", "cn=a\\ff\\00B"},
	{"cn=\xee\x80\x80", "cn=\xee\x80\x80", "cn=\\ee\\80\\80"},
	{"cn=Groß", "cn=Groß", "cn=gross"},
	{"cn=b+cn=a+o=c", "cn=b+cn=a+o=c", "cn=a+cn=b+o=c"},
};

static void test_good(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		struct arena a;
		struct buf b;
		struct dn dn;
		const char *why = "";

		arena_init(&a);
		buf_init(&b, 10000);
		if (dn_parse(&a, span_of(good[i].text), &dn, &why) != RC_OK)
			fail_msg("\"%s\": %s", good[i].text, why);
		dn_write(&dn, &b);
		unit_assert_span(buf_span(&b), span_of(good[i].written));
		buf_clear(&b);
		assert_int_equal(dn_normalize(&dn, &b), RC_OK);
		unit_assert_span(buf_span(&b), span_of(good[i].normal));
		buf_fini(&b);
		arena_fini(&a);
	}
}

/* What is written reads back as the same name, and a normal form is its own normal form. */
static void test_round_trips(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(good); i++) {
		struct arena a;
		struct span normal;

		arena_init(&a);
		assert_int_equal(dn_normalize_text(&a, span_of(good[i].written), &normal), RC_OK);
		unit_assert_span(normal, span_of(good[i].normal));
		assert_int_equal(dn_normalize_text(&a, normal, &normal), RC_OK);
		unit_assert_span(normal, span_of(good[i].normal));
		arena_fini(&a);
	}
}

static const struct {
	const char *text, *why;
} bad[] = {
	{"cn", "RDN without '='"},
	{"cn,o=b", "RDN without '='"},
	{",o=b", "empty RDN"},
	{"cn=a,,o=b", "empty RDN"},
	{"cn=a,", "empty RDN"},
	{"cn=a+", "empty RDN"},
	{"=a", "attribute type is missing before '='"},
	{"c n=a", "attribute type is neither a name nor a dotted number"},
	{"1=a", "attribute type is neither a name nor a dotted number"},
	{"1..2=a", "attribute type is neither a name nor a dotted number"},
	{"1.02=a", "attribute type is neither a name nor a dotted number"},
	{"cn;lang-de=a", "RDN without '='"},
	{"cn=a\\", "backslash at the end"},
	{"cn=a\\g", "escape without two hex digits"},
	{"cn=a\\4", "escape without two hex digits"},
	{"cn=\"a", "quote without its end"},
	{"cn=\"a\"b", "text behind the end of a value"},
	{"cn=a\"b", "quote inside a value needs a backslash"},
	{"cn=a<b", "'<' or '>' inside a value needs a backslash"},
	{"cn=#", "'#' without hex digits"},
	{"cn=#04024", "odd number of hex digits after '#'"},
	{"cn=#0402486901", "value after '#' is not one BER element"},
	{"cn=#0480", "value after '#' is not one BER element"},
	{"cn=#1f024869", "value after '#' is not one BER element"},
	{"cn=#04024869x", "text behind the end of a value"},
	{"cn=\xff", "not UTF-8"},
};

static void test_bad(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++) {
		const char *why = "no error";
		struct arena a;
		struct dn dn;

		arena_init(&a);
		if (dn_parse(&a, span_of(bad[i].text), &dn, &why) != RC_INVALID ||
		    strcmp(why, bad[i].why) != 0)
			fail_msg("\"%s\": %s", bad[i].text, why);
		assert_int_equal(dn.n, 0);
		arena_fini(&a);
	}
}

static void test_nul(void **state)
{
	const char *why = "";
	struct arena a;
	struct dn dn;

	(void)state;
	arena_init(&a);
	assert_int_equal(dn_parse(&a, span_make("cn=a\0b", 6), &dn, &why), RC_INVALID);
	assert_string_equal(why, "NUL must be written \\00");
	assert_int_equal(dn_parse(&a, span_make("cn=a\\\0b", 7), &dn, &why), RC_INVALID);
	assert_string_equal(why, "escape without two hex digits");
	arena_fini(&a);
}

static int parse_many(const char *part, int n, const char **why)
{
	struct arena a;
	struct buf b;
	struct dn dn;
	int rc;

	arena_init(&a);
	buf_init(&b, 100000);
	buf_puts(&b, "cn=a");
	while (n-- > 1)
		buf_puts(&b, part);
	rc = dn_parse(&a, buf_span(&b), &dn, why);
	buf_fini(&b);
	arena_fini(&a);
	return rc;
}

static void test_limits(void **state)
{
	const char *why = "";

	(void)state;
	assert_int_equal(parse_many(",cn=a", DN_MAX_RDNS, &why), RC_OK);
	assert_int_equal(parse_many(",cn=a", DN_MAX_RDNS + 1, &why), RC_TOOBIG);
	assert_string_equal(why, "more than 64 RDNs");
	assert_int_equal(parse_many("+cn=a", DN_MAX_AVAS, &why), RC_OK);
	assert_int_equal(parse_many("+cn=a", DN_MAX_AVAS + 1, &why), RC_TOOBIG);
	assert_string_equal(why, "more than 16 values in one RDN");
	assert_int_equal(parse_many("a", DN_MAX_BYTES - 3, &why), RC_OK);
	assert_int_equal(parse_many("a", DN_MAX_BYTES - 2, &why), RC_TOOBIG);
	assert_string_equal(why, "longer than 8192 bytes");
}

static const struct {
	const char *name, *base;
	bool within;
} within_cases[] = {
	{"cn=a,o=b", "o=b", true},
	{"o=b", "o=b", true},
	{"o=b", "", true},
	{"", "", true},
	{"", "o=b", false},
	{"o=b", "cn=a,o=b", false},
	{"foo=b", "oo=b", false},
	{"cn=xo=b", "o=b", false},
	{"cn=x\\,o=b", "o=b", false},  /* one RDN whose value ends in ",o=b" */
	{"cn=x\\5c,o=b", "o=b", true}, /* a value that ends in a backslash */
};

static void test_within(void **state)
{
	struct span name, base;
	struct arena a;
	size_t i;

	(void)state;
	arena_init(&a);
	for (i = 0; i < UNIT_COUNT(within_cases); i++) {
		assert_int_equal(dn_normalize_text(&a, span_of(within_cases[i].name), &name),
				 RC_OK);
		assert_int_equal(dn_normalize_text(&a, span_of(within_cases[i].base), &base),
				 RC_OK);
		if (dn_is_within(name, base) != within_cases[i].within)
			fail_msg("case %zu", i);
	}
	arena_fini(&a);
}

static void test_rdn(void **state)
{
	const char *why = "";
	struct dn_rdn rdn;
	struct arena a;
	struct buf b;

	(void)state;
	arena_init(&a);
	buf_init(&b, 100);
	assert_int_equal(dn_rdn_parse(&a, span_of(" SN=b + cn=A "), &rdn, &why), RC_OK);
	assert_int_equal(rdn.n, 2);
	unit_assert_span(rdn.avas[0].type, span_of("SN"));
	unit_assert_span(rdn.avas[1].value, span_of("A"));
	assert_int_equal(dn_rdn_normalize(&rdn, &b), RC_OK);
	unit_assert_span(buf_span(&b), span_of("cn=a+sn=b"));
	assert_int_equal(dn_rdn_parse(&a, span_of("cn=a,o=b"), &rdn, &why), RC_INVALID);
	assert_string_equal(why, "text behind the RDN");
	assert_int_equal(dn_rdn_parse(&a, span_of(""), &rdn, &why), RC_INVALID);
	assert_string_equal(why, "empty RDN");
	buf_fini(&b);
	arena_fini(&a);
}

static void test_ancestor(void **state)
{
	struct arena a;
	struct dn dn;

	(void)state;
	arena_init(&a);
	assert_int_equal(dn_parse(&a, span_of("cn=a,ou=b,o=c"), &dn, NULL), RC_OK);
	assert_int_equal(dn_ancestor(dn, 3).n, 0);
	unit_assert_span(dn_ancestor(dn, 1).rdns[0].avas[0].value, span_of("b"));
	arena_fini(&a);
}

static void test_cap(void **state)
{
	struct arena a;
	struct buf b;
	struct dn dn;

	(void)state;
	arena_init(&a);
	buf_init(&b, 8);
	assert_int_equal(dn_parse(&a, span_of("cn=abc\\,d"), &dn, NULL), RC_OK);
	assert_int_equal(dn_normalize(&dn, &b), RC_TOOBIG);
	buf_fini(&b);
	arena_fini(&a);
}

static int normalize_all(void *arg)
{
	struct span out;
	struct arena a;
	int rc;

	(void)arg;
	arena_init(&a);
	rc = dn_normalize_text(
		&a, span_of("cn=\"Hill, Ada\"+sn=#04024869,ou=Gro\\c3\\9f\\, Nord,o=Example\\2b"),
		&out);
	arena_fini(&a);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(normalize_all, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_good),   unit_heap_test(test_round_trips),
		unit_heap_test(test_bad),    unit_heap_test(test_nul),
		unit_heap_test(test_limits), unit_heap_test(test_within),
		unit_heap_test(test_rdn),    unit_heap_test(test_ancestor),
		unit_heap_test(test_cap),    unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
