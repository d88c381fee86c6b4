/* Exim's questions and the answers in its words. */
#include "tests/unit/routing.h"

#include "routed/oneshot.h"

static const char net[] =
	"dn: ou=S1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s1.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: dirsync@s1.example.com\n\n"
	"dn: ou=S2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s2.example.com\n"
	"siteSharedDomain: example.com\n\n"
	"dn: ou=H,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: hub.example.com\n\n"
	"dn: ou=Lost,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: lost.example.com\n\n"
	"dn: cn=IMS,ou=S1,o=Example\nobjectClass: imsConnector\nonlySystemMessagesUseCDs: TRUE\n"
	"connectedDomains: H;1;SMTP:hub.example.com\nroutingList: SMTP:*@else.example;1\n"
	"domainRoute: pinned.else.example;[192.0.2.9]:2525\nroutingList: SMTP:*.else.example;1\n\n"
	"dn: cn=R,ou=S1,o=Example\nobjectClass: imsConnector\nsmartHost: relay.example\n"
	"routingList: SMTP:*.far.example;1\n\n"
	"dn: cn=P,ou=S1,o=Example\nobjectClass: imsConnector\nsmartHost: [2001:db8::1]:2525\n"
	"routingList: SMTP:*.six.example;1\n\n"
	"dn: cn=X,ou=S1,o=Example\nobjectClass: x400Connector\nmtaTransport: gate\n"
	"routingList: SMTP:*.x400.example;1\n\n"
	"dn: cn=IMS,ou=S2,o=Example\nobjectClass: imsConnector\n\n"
	"dn: cn=IMS,ou=H,o=Example\nobjectClass: imsConnector\n"
	"connectedDomains: S2;1;SMTP:s2.example.com\n\n";

static const struct {
	const char *line, *reply; /* NULL: the recipient's home has to be found */
} rows[] = {
	{"route bob@s2.example.com", "route s2.example.com/mx"},
	{"route Bob@S2.example.com <ada@s1.example.com>\r", "route s2.example.com/mx"},
	{"route bob@s2.example.com <DirSync@s1.example.com>", "route hub.example.com/mx"},
	{"route bob@s2.example.com <>", "route s2.example.com/mx"},
	{"route \"b <o> b\"@s2.example.com <dirsync@s1.example.com>", "route hub.example.com/mx"},
	{"route x@else.example", "route else.example/mx"},
	{"route x@a.far.example", "route relay.example"},
	{"route x@a.six.example", "route [2001::db8::::1]::2525"},
	{"route x@pinned.else.example", "route 192.0.2.9::2525"},
	{"route x@a.x400.example", "transport gate "},
	{"route x@lost.example.com", "defer no mail route to site Lost"},
	{"route ada@s1.example.com", "local"},
	{"route x@elsewhere.org", "none"},
	{"route \xff@s2.example.com", "none"},
	{"route bob@example.com", NULL},
	{"route IMCEAEX-_o=Example_ou=S1_cn=Ada@s1.example.com", NULL},
	{"route IMCEAEX-_o=Example_ou=S2_cn=Bob@s2.example.com", "route s2.example.com/mx"},
};

static void test_answers(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct table *t = routing_table(m, "S1");
	struct oneshot_request q;
	struct buf scratch;
	struct buf reply;
	size_t i;

	(void)state;
	buf_init(&scratch, 1 << 16);
	buf_init(&reply, 1 << 16);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		buf_clear(&reply);
		assert_int_equal(oneshot_parse(span_of(rows[i].line), &q), RC_OK);
		assert_int_equal(oneshot_answer(t, &q, false, &scratch, &reply),
				 rows[i].reply == NULL ? RC_MORE : RC_OK);
		unit_assert_span(buf_span(&reply), span_of(rows[i].reply));
	}
	buf_clear(&reply);
	assert_int_equal(oneshot_parse(SPAN_LIT("route bob@s2.example.com <>"), &q), RC_OK);
	assert_int_equal(oneshot_answer(t, &q, true, &scratch, &reply), RC_OK);
	unit_assert_span(buf_span(&reply), SPAN_LIT("route hub.example.com/mx"));
	buf_clear(&reply);
	assert_int_equal(oneshot_answer(NULL, &q, true, &scratch, &reply), RC_OK);
	unit_assert_span(buf_span(&reply), SPAN_LIT("defer no route table yet"));
	buf_fini(&reply);
	buf_fini(&scratch);
	table_free(&t);
	model_free(&m);
}

static void test_requests(void **state)
{
	static const char *const bad[] = {"", "route", "route ", "ask bob@x", "bob@x"};
	static uint8_t big[ONESHOT_REQUEST_MAX_BYTES];
	struct oneshot_request q;
	struct span line;
	size_t used, i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(bad); i++)
		assert_int_equal(oneshot_parse(span_of(bad[i]), &q), RC_INVALID);
	assert_int_equal(oneshot_parse(SPAN_LIT("route a@b <c@d>"), &q), RC_OK);
	unit_assert_span(q.recipient, SPAN_LIT("a@b"));
	unit_assert_span(q.sender, SPAN_LIT("c@d"));
	assert_int_equal(oneshot_read(SPAN_LIT("route a@b"), &line, &used), RC_MORE);
	assert_int_equal(oneshot_read(SPAN_LIT("route a@b\nx"), &line, &used), RC_OK);
	assert_int_equal(used, 10);
	memset(big, 'a', sizeof(big));
	assert_int_equal(oneshot_read(span_make(big, sizeof(big)), &line, &used), RC_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
