/* Requests of Postfix's policy client, and the actions for them (M3). */
#include "tests/unit/routing.h"

#include "routed/policy.h"

static const char net[] =
	"dn: ou=S1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s1.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: DirSync@s1.example.com\n\n"
	"dn: ou=S2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s2.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: dirsync@s2.example.com\n\n"
	"dn: ou=H,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: hub.example.com\n\n"
	"dn:: b3U9Qg1hZCxvPUV4YW1wbGU=\nobjectClass: mailSite\nsiteSmtpDomain: bad.example.com\n\n"
	"dn: cn=IMS,ou=S1,o=Example\nobjectClass: imsConnector\nonlySystemMessagesUseCDs: TRUE\n"
	"connectedDomains: H;1;SMTP:hub.example.com\nroutingList: SMTP:*@else.example;1\n\n"
	"dn: cn=IMS,ou=S2,o=Example\nobjectClass: imsConnector\n\n"
	"dn: cn=IMS,ou=H,o=Example\nobjectClass: imsConnector\n"
	"connectedDomains: S2;1;SMTP:s2.example.com\n\n";

#define HEAD "request=smtpd_access_policy\n"
#define VIA_HUB "FILTER smtp:hub.example.com"
#define WAITS "DEFER_IF_PERMIT 4.4.4 no mail route to site "
#define MORE NULL

static const struct {
	const char *sender, *recipient;
	bool null_is_system;
	const char *action; /* MORE: the recipient's home has to be found */
} rows[] = {
	{"ada@s1.example.com", "bob@s2.example.com", false, "DUNNO"},
	{"dirsync@s1.example.com", "bob@s2.example.com", false, VIA_HUB},
	{"DIRSYNC+1@S1.example.com", "Bob+x@S2.example.com", false, VIA_HUB},
	{"dirsync@s2.example.com", "bob@host.s2.example.com", false, VIA_HUB},
	{"ada@s1.example.com", "dirsync@s2.example.com", false, "DUNNO"},
	{"dirsync@s1.example.com", "ada@s1.example.com", false, "DUNNO"},
	{"dirsync@s1.example.com", "x@elsewhere.org", false, "DUNNO"},
	{"dirsync@s1.example.com", "x@else.example", false, "FILTER smtp:"},
	{"dirsync@s1.example.com", "bob@example.com", false, MORE},
	{"ada@s1.example.com", "bob@example.com", false, "DUNNO"},
	{"dirsync@s1.example.com", "x@bad.example.com", false, WAITS "B?ad"},
	{"dirsync@s1.example.com", "", false, "DUNNO"},
	{"dirsync@s1.example.com", "\xff@s2.example.com", false, "DUNNO"},
	{"\xff@s1.example.com", "bob@s2.example.com", false, "DUNNO"},
	{"", "bob@s2.example.com", false, "DUNNO"},
	{"", "bob@s2.example.com", true, VIA_HUB},
	{"ada@s1.example.com", "bob@s2.example.com", true, "DUNNO"},
};

static void test_actions(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct table *t = routing_table(m, "S1");
	struct buf scratch;
	struct buf action;
	size_t i;

	(void)state;
	buf_init(&scratch, 1 << 16);
	buf_init(&action, 1 << 16);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct policy_request q = {.sender = span_of(rows[i].sender),
					   .recipient = span_of(rows[i].recipient)};
		int rc = policy_answer(t, &q, rows[i].null_is_system, &scratch, &action);

		assert_int_equal(rc, rows[i].action == MORE ? RC_MORE : RC_OK);
		unit_assert_span(buf_span(&action), span_of(rows[i].action));
		buf_clear(&action);
	}
	assert_int_equal(policy_route(t, SPAN_LIT("bob@s2.example.com"), &scratch, &action), RC_OK);
	unit_assert_span(buf_span(&action), SPAN_LIT(VIA_HUB));
	buf_fini(&action);
	buf_fini(&scratch);
	table_free(&t);
	model_free(&m);
}

/* M14 */
static void test_no_table(void **state)
{
	struct policy_request q = {.recipient = SPAN_LIT("bob@s2.example.com")};
	struct buf scratch;
	struct buf action;

	(void)state;
	buf_init(&scratch, 1 << 16);
	buf_init(&action, 1 << 16);
	assert_int_equal(policy_answer(NULL, &q, false, &scratch, &action), RC_OK);
	unit_assert_span(buf_span(&action), SPAN_LIT("DEFER_IF_PERMIT 4.3.0 no route table yet"));
	buf_fini(&action);
	buf_fini(&scratch);
}

static const struct {
	struct span lines;
	int rc;
} requests[] = {
	{SPAN_LIT(HEAD), RC_OK},
	{SPAN_LIT("sender=a=b\n" HEAD "unknown=1\n"), RC_OK},
	{SPAN_LIT(""), RC_INVALID},
	{SPAN_LIT("sender=a\nrecipient=b\n"), RC_INVALID},
	{SPAN_LIT("request=junk\n"), RC_INVALID},
	{SPAN_LIT(HEAD "sender\n"), RC_INVALID},
	{SPAN_LIT(HEAD "sender=a\0b\n"), RC_INVALID},
};

static void test_requests(void **state)
{
	struct policy_request q;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(requests); i++)
		assert_int_equal(policy_parse(requests[i].lines, &q), requests[i].rc);
	assert_int_equal(
		policy_parse(SPAN_LIT(HEAD "sender=a=b@c\nrecipient=\ninstance=7.8\n"), &q), RC_OK);
	unit_assert_span(q.sender, SPAN_LIT("a=b@c"));
	unit_assert_span(q.recipient, SPAN_LIT(""));
	unit_assert_span(q.instance, SPAN_LIT("7.8"));
}

static void test_stream(void **state)
{
	static const char text[] = HEAD "sender=a\n\n" HEAD "\nrest=";
	static uint8_t big[POLICY_REQUEST_MAX_BYTES + 10];
	struct span in = span_of(text);
	struct span lines;
	size_t used;

	(void)state;
	assert_int_equal(policy_read(in, &lines, &used), RC_OK);
	unit_assert_span(lines, SPAN_LIT(HEAD "sender=a\n"));
	in = span_from(in, used);
	assert_int_equal(policy_read(in, &lines, &used), RC_OK);
	unit_assert_span(lines, SPAN_LIT(HEAD));
	assert_int_equal(policy_read(span_from(in, used), &lines, &used), RC_MORE);
	memset(big, 'a', sizeof(big));
	assert_int_equal(policy_read(span_make(big, POLICY_REQUEST_MAX_BYTES - 1), &lines, &used),
			 RC_MORE);
	assert_int_equal(policy_read(span_make(big, POLICY_REQUEST_MAX_BYTES), &lines, &used),
			 RC_TOOBIG);
}

static void settle(struct policy_message *m, const char *instance, const char *action,
		   const char *expected)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_puts(&b, action);
	policy_message_begin(m, span_of(instance));
	policy_message_settle(m, &b);
	if (!span_starts(buf_span(&b), span_of(expected)))
		fail_msg("instance %s, %s: got %s", instance, action, buf_cstr(&b));
	buf_fini(&b);
}

/* FILTER counts for a whole message, so its recipients must agree. */
static void test_several_recipients(void **state)
{
	struct policy_message m;

	(void)state;
	policy_message_init(&m);
	settle(&m, "1", VIA_HUB, VIA_HUB);
	settle(&m, "1", VIA_HUB, VIA_HUB);
	settle(&m, "1", "DUNNO", "DEFER_IF_PERMIT 4.5.3 ");
	settle(&m, "1", "FILTER smtp:other", "DEFER_IF_PERMIT 4.5.3 ");
	settle(&m, "2", "DUNNO", "DUNNO");
	settle(&m, "2", VIA_HUB, "DEFER_IF_PERMIT 4.5.3 ");
	settle(&m, "3", WAITS "X", WAITS "X");
	settle(&m, "3", VIA_HUB, VIA_HUB);
	settle(&m, "", "DUNNO", "DUNNO");
	settle(&m, "", VIA_HUB, VIA_HUB);
	policy_message_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_no_table),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_several_recipients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
