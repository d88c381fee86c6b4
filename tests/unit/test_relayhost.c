/* The maps for OpenSMTPD. */
#include "tests/unit/routing.h"

#include "routed/relayhost.h"

static const char net[] =
	"dn: ou=S1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s1.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: dirsync@s1.example.com\n\n"
	"dn: ou=S2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s2.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: dirsync@s2.example.com\n\n"
	"dn: ou=S3,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: b\xc3\xbc"
	"cher.example\n\n"
	"dn: ou=H,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: hub.example.com\n"
	"systemAddress: dirsync@hub.example.com\n\n"
	"dn: ou=T,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: t.example.com\n"
	"mailTlsLevel: encrypt\n\n"
	"dn: ou=V,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: v.example.com\n"
	"mailTlsLevel: secure\n\n"
	"dn: ou=Lost,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: lost.example.com\n\n"
	"dn: cn=IMS,ou=S1,o=Example\nobjectClass: imsConnector\nonlySystemMessagesUseCDs: TRUE\n"
	"connectedDomains: H;1;SMTP:hub.example.com\nroutingList: SMTP:*@else.example;1\n"
	"connectedDomains: S3;1;SMTP:gate.b\xc3\xbc"
	"cher.example\n"
	"connectedDomains: T;1;SMTP:gate.t.example.com\nconnectedDomains: "
	"V;1;SMTP:gate.v.example.com\n"
	"domainRoute: pinned.else.example;[192.0.2.9]:2525\nroutingList: SMTP:*.else.example;1\n\n"
	"dn: cn=R,ou=S1,o=Example\nobjectClass: imsConnector\nsmartHost: relay.example\n"
	"routingList: SMTP:*.far.example;1\n\n"
	"dn: cn=B,ou=S1,o=Example\nobjectClass: imsConnector\nsmartHost: [relay.example]:2525\n"
	"routingList: SMTP:*.port.example;1\n\n"
	"dn: cn=P,ou=S1,o=Example\nobjectClass: imsConnector\nsmartHost: [2001:db8::1]:2525\n"
	"routingList: SMTP:*.six.example;1\n\n"
	"dn: cn=X,ou=S1,o=Example\nobjectClass: x400Connector\nmtaTransport: gate\n"
	"routingList: SMTP:*.x400.example;1\n\n"
	"dn: cn=IMS,ou=S2,o=Example\nobjectClass: imsConnector\n\n"
	"dn: cn=IMS,ou=H,o=Example\nobjectClass: imsConnector\n"
	"connectedDomains: S2;1;SMTP:s2.example.com\n\n";

typedef void map_answer(const struct table *t, struct span key, struct buf *scratch,
			struct buf *reply);

static const struct {
	map_answer *map;
	const char *key, *reply;
} rows[] = {
	{relayhost_answer, "s2.example.com", "NOTFOUND "}, /* its own MX */
	{relayhost_answer, "bob@S2.Example.com", "NOTFOUND "},
	{relayhost_answer, "host.s2.example.com", "OK smtp://s2.example.com"},
	{relayhost_answer, "dirsync@s2.example.com", "OK smtp://hub.example.com"},
	{relayhost_answer, "s1.example.com", "NOTFOUND "},
	{relayhost_answer, "example.com", "NOTFOUND "},
	{relayhost_answer, "elsewhere.org", "NOTFOUND "},
	{relayhost_answer, "else.example", "NOTFOUND "},
	{relayhost_answer, "x.pinned.else.example", "NOTFOUND "},
	{relayhost_answer, "pinned.else.example", "OK smtp://[192.0.2.9]:2525"},
	{relayhost_answer, "a.far.example", "OK smtp://relay.example"},
	{relayhost_answer, "a.port.example", "OK smtp://relay.example:2525"},
	{relayhost_answer, "a.six.example", "OK smtp://[IPv6:2001:db8::1]:2525"},
	{relayhost_answer, "a.x400.example", "TEMP the connector is not SMTP"},
	{relayhost_answer, "lost.example.com", "TEMP no mail route to site Lost"},
	{relayhost_answer,
	 "b\xc3\xbc"
	 "cher.example",
	 "OK smtp://gate.xn--bcher-kva.example"},
	{relayhost_answer, "t.example.com", "OK smtp+tls://gate.t.example.com"},
	{relayhost_answer, "v.example.com",
	 "TEMP OpenSMTPD can not keep the TLS that this site needs"},
	{relayhost_answer, "\xff", "PERM key is no mail address"},
	{relayhost_answer, "", "NOTFOUND "},
	{relayhost_answer_system, "s2.example.com", "OK smtp://hub.example.com"},
	{relayhost_answer_system, "dirsync@s2.example.com", "OK smtp://hub.example.com"},
	{relayhost_answer_system, "bob@s2.example.com", "NOTFOUND "},
	{relayhost_answer_system, "dirsync@hub.example.com", "NOTFOUND "}, /* its own MX */
	{relayhost_answer_system, "dirsync@s1.example.com", "NOTFOUND "},
	{relayhost_answer_sender, "DirSync@s1.example.com", "OK system"},
	{relayhost_answer_sender, "dirsync@s2.example.com", "OK system"},
	{relayhost_answer_sender, "ada@s1.example.com", "NOTFOUND "},
	{relayhost_answer_sender, "", "NOTFOUND "},
};

static void test_answers(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct table *t = routing_table(m, "S1");
	struct buf scratch, reply;
	size_t i;

	(void)state;
	buf_init(&scratch, 1 << 16);
	buf_init(&reply, 1 << 16);
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		buf_clear(&reply);
		rows[i].map(t, span_of(rows[i].key), &scratch, &reply);
		unit_assert_span(buf_span(&reply), span_of(rows[i].reply));
		buf_clear(&reply);
		rows[i].map(NULL, SPAN_LIT("bob@s2.example.com"), &scratch, &reply);
		unit_assert_span(buf_span(&reply), SPAN_LIT("TEMP no route table yet"));
	}
	buf_fini(&reply);
	buf_fini(&scratch);
	table_free(&t);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
