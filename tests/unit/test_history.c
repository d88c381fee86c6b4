#include "tests/unit/routing.h"

#include "routed/history.h"

#define SITE(name, domain)                                                                         \
	"dn: ou=" name ",o=Example\nobjectClass: mailSite\nsiteSmtpDomain: " domain "\n\n"
#define IMS(site, more)                                                                            \
	"dn: cn=IMS,cn=Connections,cn=Configuration,ou=" site ",o=Example\n"                       \
	"objectClass: imsConnector\n" more "\n"
#define N1(flag)                                                                                   \
	SITE("S1", "s1.example.com")                                                               \
	SITE("S 2", "s2.example.com")                                                              \
	SITE("H", "hub.example.com")                                                               \
	IMS("S1", "connectedDomains: H;1;SMTP:hub.example.com\n" flag)                             \
	IMS("S 2", "connectedDomains: H;1;SMTP:hub.example.com\n")                                 \
	IMS("H", "connectedDomains: S1;1;SMTP:s1.example.com\n"                                    \
		 "connectedDomains: S 2;1;SMTP:s2.example.com\n")

static struct table *table_of(const char *ldif)
{
	const char *texts[] = {ldif, NULL};
	struct model *m = routing_model(texts);
	struct table *t = routing_table(m, "S1");

	model_free(&m);
	return t;
}

static const struct history_head head = {
	.wall_us = 1763898002123000, .generation = 17, .causes = SPAN_LIT("entry cn=a\nSIGHUP\n")};

/* The flag of S1 is set: two routes become direct. */
static void write_flag(struct buf *out)
{
	struct table *before = table_of(N1("")),
		     *after = table_of(N1("onlySystemMessagesUseCDs: TRUE\n"));

	buf_init(out, 1 << 20);
	assert_int_equal(history_write(before, after, &head, out), RC_OK);
	table_free(&before);
	table_free(&after);
}

static void test_record(void **state)
{
	struct buf b;

	(void)state;
	write_flag(&b);
	assert_string_equal(
		buf_cstr(&b),
		"table 2025-11-23T11:40:02.123Z generation=17 rows=4\n"
		"why entry cn=a\n"
		"why SIGHUP\n"
		"change hub.example.com user EX H\n"
		"- user EX H: connected, mx:hub.example.com, cost 1, hops 1, FLAG_OFF, path "
		"S1/IMS\n"
		"+ user EX H: direct, mx:hub.example.com, cost 1, hops 1, OK, path S1/IMS\n"
		"change s2.example.com user EX S 2\n"
		"- user EX S 2: connected, mx:hub.example.com, cost 2, hops 2, FLAG_OFF, path "
		"S1/IMS > H/IMS\n"
		"+ user EX S 2: direct, mx:s2.example.com, cost 2, hops 1, OK, path S1/IMS > "
		"H/IMS\n"
		"\n");
	buf_fini(&b);
}

static void test_first_table_lists_nothing(void **state)
{
	struct table *t = table_of(N1(""));
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(history_write(NULL, t, &head, &b), RC_OK);
	assert_null(memmem(b.p, b.n, "change", 6));
	assert_int_equal(history_count(buf_span(&b)), 1);
	buf_fini(&b);
	table_free(&t);
}

static void test_concerns(void **state)
{
	static const struct {
		const char *name;
		bool concerned;
	} table[] = {
		{"s2.example.com", true},
		{"S2.EXAMPLE.COM", true},
		{"S 2", true},
		{"bob@s2.example.com", true},
		{"a.s2.example.com", true},
		{"H", true},
		{"s3.example.com", false},
		{"example.com", false},
		{"S1", false},
		{"cn=a", false},
	};
	struct buf b;
	unsigned i;

	(void)state;
	write_flag(&b);
	for (i = 0; i < UNIT_COUNT(table); i++) {
		if (history_concerns(buf_span(&b), span_of(table[i].name)) != table[i].concerned)
			fail_msg("%s", table[i].name);
	}
	buf_fini(&b);
}

static void test_output_of_one_name(void **state)
{
	struct buf b, out;

	(void)state;
	write_flag(&b);
	buf_init(&out, 1 << 20);
	history_json(buf_span(&b), SPAN_LIT("s2.example.com"), &out);
	assert_string_equal(
		buf_cstr(&out),
		"{\"time\":\"2025-11-23T11:40:02.123Z\",\"generation\":17,\"rows\":4,"
		"\"causes\":[\"entry cn=a\",\"SIGHUP\"],\"changes\":["
		"\"- user EX S 2: connected, mx:hub.example.com, cost 2, hops 2, FLAG_OFF, path "
		"S1/IMS > H/IMS\","
		"\"+ user EX S 2: direct, mx:s2.example.com, cost 2, hops 1, OK, path S1/IMS > "
		"H/IMS\"],\"more\":0}\n");
	buf_clear(&out);
	history_text(buf_span(&b), SPAN_LIT("H"), &out);
	assert_string_equal(
		buf_cstr(&out),
		"2025-11-23T11:40:02.123Z generation=17 rows=4\n"
		"  because: entry cn=a\n"
		"  because: SIGHUP\n"
		"  - user EX H: connected, mx:hub.example.com, cost 1, hops 1, FLAG_OFF, path "
		"S1/IMS\n"
		"  + user EX H: direct, mx:hub.example.com, cost 1, hops 1, OK, path S1/IMS\n"
		"\n");
	buf_fini(&out);
	buf_fini(&b);
}

/* A record without its end, of a crash, is none. */
static void test_tail(void **state)
{
	const struct span text = SPAN_LIT("table a\n\ntable b\nwhy x\n\ntable c\n\ntable d\nwh");
	struct span rest = history_tail(text, 2), record;

	(void)state;
	assert_int_equal(history_count(text), 3);
	assert_true(history_next(&rest, &record));
	unit_assert_span(record, SPAN_LIT("table b\nwhy x\n\n"));
	assert_true(history_next(&rest, &record));
	unit_assert_span(record, SPAN_LIT("table c\n\n"));
	assert_false(history_next(&rest, &record));
}

/* A table that changes in every row: the record stays small and counts the rest. */
static void test_long_record(void **state)
{
	static char before[2000000], after[2000000];
	struct table *old, *new;
	size_t n = 0, k = 0;
	struct buf b;
	unsigned i;

	(void)state;
	n = (size_t)snprintf(before, sizeof(before), "%s", SITE("S1", "s1.example.com"));
	for (i = 0; i < 5000; i++)
		n += (size_t)snprintf(before + n, sizeof(before) - n,
				      "dn: ou=Site%u,o=Example\nobjectClass: mailSite\n\n", i);
	memcpy(after, before, n);
	k = n;
	k += (size_t)snprintf(after + k, sizeof(after) - k,
			      "dn: cn=IMS,ou=S1,o=Example\nobjectClass: imsConnector\n");
	for (i = 0; i < 5000; i++)
		k += (size_t)snprintf(after + k, sizeof(after) - k,
				      "connectedDomains: Site%u;1;SMTP:s%u.example.com\n", i, i);
	old = table_of(before);
	new = table_of(after);
	buf_init(&b, 64 << 20);
	assert_int_equal(history_write(old, new, &head, &b), RC_OK);
	assert_in_range(b.n, HISTORY_RECORD_BYTES, 2 * HISTORY_RECORD_BYTES);
	assert_non_null(memmem(b.p, b.n, "\nmore ", 6));
	buf_fini(&b);
	table_free(&old);
	table_free(&new);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),   cmocka_unit_test(test_first_table_lists_nothing),
		cmocka_unit_test(test_concerns), cmocka_unit_test(test_output_of_one_name),
		cmocka_unit_test(test_tail),     cmocka_unit_test(test_long_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
