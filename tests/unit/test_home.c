/* Where a recipient lives, and the address that leads there (docs/routing.md R10). */
#include "tests/unit/routing.h"

#include "routed/home.h"

#define S2_DN "IMCEAEX-_o=Example_ou=S2_cn="

static const char net[] =
	"dn: ou=S1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s1.example.com\n"
	"siteSharedDomain: example.com\n\n"
	"dn: ou=S2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s2.example.com\n"
	"siteSharedDomain: example.com\n\n"
	"dn: ou=Bare,o=Example\nobjectClass: mailSite\nsiteSharedDomain: example.com\n\n"
	"dn: ou=Twin1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: twin.example.com\n\n"
	"dn: ou=Twin2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: twin.example.com\n\n"
	"dn: ou=Shares,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: example.com\n\n";

static struct home_recipient recipient(const char *dn, const char *const *texts,
				       struct span values[4])
{
	struct home_recipient r = {span_of(dn), values, 0};

	for (; r.nvalues < 4 && texts[r.nvalues] != NULL; r.nvalues++)
		values[r.nvalues] = span_of(texts[r.nvalues]);
	return r;
}

static const struct {
	const char *dn;
	const char *values[4];
	enum home home;
	const char *address;
} homes[] = {
	/* the proxy whose domain is the site's own, whatever is primary (E11) */
	{"cn=Bob,cn=Recipients,ou=S2,o=Example",
	 {"SMTP:bob@example.com", "smtp:Bob@s2.example.com"},
	 HOME_OTHER,
	 "Bob@s2.example.com"},
	{"CN=Bob,CN=Recipients,OU=s2,O=example",
	 {"bob@S2.example.com"},
	 HOME_OTHER,
	 "bob@S2.example.com"},
	{"cn=Bob,ou=S2,o=Example",
	 {"smtp:z@s2.example.com", "SMTP:b@s2.example.com"},
	 HOME_OTHER,
	 "b@s2.example.com"},
	{"cn=Bob,ou=S2,o=Example",
	 {"smtp:z@s2.example.com", "smtp:c@s2.example.com"},
	 HOME_OTHER,
	 "c@s2.example.com"},
	/* none: the DN, encapsulated at that domain; never a shared primary */
	{"cn=Bob,ou=S2,o=Example",
	 {"SMTP:bob@example.com", "X400:c=us;bob@s2.example.com"},
	 HOME_OTHER,
	 S2_DN "Bob@s2.example.com"},
	{"cn=Bob Lee,ou=S2,o=Example", {NULL}, HOME_OTHER, S2_DN "Bob+20Lee@s2.example.com"},
	/* what is no plain address is none (S19) */
	{"cn=B,ou=S2,o=Example",
	 {"smtp:evil@x.example, b@s2.example.com"},
	 HOME_OTHER,
	 S2_DN "B@s2.example.com"},
	{"cn=B,ou=S2,o=Example",
	 {"smtp:evil@x.example@s2.example.com"},
	 HOME_OTHER,
	 S2_DN "B@s2.example.com"},
	{"cn=B,ou=S2,o=Example",
	 {"smtp:b\n@s2.example.com", "smtp:b\r\nOK@s2.example.com", "smtp:b b@s2.example.com",
	  "smtp:b\x01@s2.example.com"},
	 HOME_OTHER,
	 S2_DN "B@s2.example.com"},
	{"cn=B,ou=S2,o=Example",
	 {"smtp:-f@s2.example.com", "smtp:.b@s2.example.com", "smtp:b.@s2.example.com",
	  "smtp:b..b@s2.example.com"},
	 HOME_OTHER,
	 S2_DN "B@s2.example.com"},
	{"cn=B,ou=S2,o=Example",
	 {"smtp:\"b\"@s2.example.com", "smtp:<b@s2.example.com", "smtp:b;c@s2.example.com",
	  "smtp:\xff@s2.example.com"},
	 HOME_OTHER,
	 S2_DN "B@s2.example.com"},
	{"cn=B,ou=S2,o=Example",
	 {"smtp:\xc3\xa9va+a.b=c@s2.example.com"},
	 HOME_OTHER,
	 "\xc3\xa9va+a.b=c@s2.example.com"},
	{"cn=Ada,ou=S1,o=Example", {"smtp:ada@s1.example.com"}, HOME_HERE, ""},
	{"cn=Eve,ou=Unknown,o=Example", {"smtp:eve@s2.example.com"}, HOME_HERE, ""},
	{"cn=Eve,o=Example", {"smtp:eve@s2.example.com"}, HOME_HERE, ""},
	{"cn=Eve,ou=S2,o=Other", {"smtp:eve@s2.example.com"}, HOME_HERE, ""},
	/* no domain that is the site's alone */
	{"cn=Eve,ou=Bare,o=Example", {"smtp:eve@example.com"}, HOME_NO_MAIL, ""},
	{"cn=Eve,ou=Twin1,o=Example", {"smtp:eve@twin.example.com"}, HOME_NO_MAIL, ""},
	{"cn=Eve,ou=Shares,o=Example", {"smtp:eve@example.com"}, HOME_NO_MAIL, ""},
};

static void test_address(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct span values[4];
	struct home_recipient r;
	enum home home;
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 4096);
	for (i = 0; i < UNIT_COUNT(homes); i++) {
		r = recipient(homes[i].dn, homes[i].values, values);
		buf_clear(&out);
		assert_int_equal(
			home_address(m, SPAN_LIT("S1"), SPAN_LIT("o=Example"), &r, &home, &out),
			RC_OK);
		if (home != homes[i].home)
			fail_msg("%s (%s): home %d", homes[i].dn,
				 homes[i].values[0] != NULL ? homes[i].values[0] : "", home);
		unit_assert_span(buf_span(&out), span_of(homes[i].address));
	}
	r = (struct home_recipient){SPAN_LIT("no dn"), NULL, 0};
	assert_int_equal(home_address(m, SPAN_LIT("S1"), SPAN_LIT("o=Example"), &r, &home, &out),
			 RC_INVALID);
	buf_fini(&out);
	model_free(&m);
}

/* RFC 5321 §4.5.3.1.3: such mail waits, as it does without a domain. */
static void test_dn_that_is_too_long(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct home_recipient r = {.values = NULL};
	enum home home;
	struct buf dn, out;
	unsigned i;

	(void)state;
	buf_init(&dn, 4096);
	buf_init(&out, 4096);
	buf_puts(&dn, "cn=");
	for (i = 0; i < 100; i++)
		buf_puts(&dn, "\xc3\xa9");
	buf_puts(&dn, ",ou=S2,o=Example");
	r.dn = buf_span(&dn);
	assert_int_equal(home_address(m, SPAN_LIT("S1"), SPAN_LIT("o=Example"), &r, &home, &out),
			 RC_OK);
	assert_int_equal(home, HOME_NO_MAIL);
	assert_int_equal(out.n, 0);
	buf_fini(&dn);
	buf_fini(&out);
	model_free(&m);
}

static const struct {
	const char *values[4];
	const char *address; /* NULL: none */
} mailboxes[] = {
	{{"SMTP:ada@example.com", "smtp:ada@s1.example.com"}, "ada@example.com"},
	{{"smtp:ada@s1.example.com", "smtp:z@s1.example.com"}, "ada@s1.example.com"},
	{{"SMTP:ada@partner.example", "ada@example.com"}, "ada@example.com"},
	{{"ada@example.com", "X400:c=us"}, "ada@example.com"},
	{{"SMTP:ada@partner.example", "smtp:ada@s2.example.com"}, NULL},
	{{"smtp:imceaex-_o=Example_cn=a@s1.example.com"}, NULL},
	{{"smtp:x@y.example, ada@s1.example.com"}, NULL},
	{{NULL}, NULL},
};

/* What an encapsulated DN becomes at its home site. */
static void test_mailbox(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct table *t = routing_table(m, "S1");
	struct span values[4];
	struct buf out;
	size_t i;

	(void)state;
	buf_init(&out, 4096);
	for (i = 0; i < UNIT_COUNT(mailboxes); i++) {
		struct home_recipient r =
			recipient("cn=Ada,ou=S1,o=Example", mailboxes[i].values, values);
		const char *want = mailboxes[i].address;

		buf_clear(&out);
		assert_int_equal(home_mailbox(t, &r, &out), want != NULL ? RC_OK : RC_NOTFOUND);
		unit_assert_span(buf_span(&out), span_of(want != NULL ? want : ""));
	}
	buf_fini(&out);
	table_free(&t);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_address),
		unit_heap_test(test_dn_that_is_too_long),
		unit_heap_test(test_mailbox),
	};

	return cmocka_run_group_tests_name("home", tests, NULL, NULL);
}
