/* Keys of mail servers, and the answers of the two maps. */
#include "tests/unit/routing.h"

#include "routed/lookup.h"
#include "routed/netstring.h"

static const char net[] =
	"dn: ou=S1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s1.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: DirSync@s1.example.com\n\n"
	"dn: ou=S2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: S2.example.com\n"
	"siteSharedDomain: example.com\nsystemAddress: dirsync@s2.example.com\n\n"
	"dn: ou=I,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: xn--bcher-kva.example\n\n"
	"dn: ou=U,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: k\xc3\xa4se.example\n"
	"systemAddress: sync@k\xc3\xa4se.example\n\n"
	"dn: ou=H,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: hub.example.com\n\n"
	"dn: ou=Lost,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: lost.example.com\n\n"
	"dn: cn=IMS,ou=S1,o=Example\nobjectClass: imsConnector\nonlySystemMessagesUseCDs: TRUE\n"
	"connectedDomains: H;1;SMTP:hub.example.com\n"
	"routingList: SMTP:vip@partner.example;1\n\n"
	"dn: cn=IMS,ou=S2,o=Example\nobjectClass: imsConnector\n"
	"connectedDomains: H;1;SMTP:hub.example.com\n\n"
	"dn: cn=IMS,ou=H,o=Example\nobjectClass: imsConnector\n"
	"connectedDomains: S1;1;SMTP:s1.example.com\n"
	"connectedDomains: S2;1;SMTP:s2.example.com\n"
	"connectedDomains: I;1;SMTP:i.example.com\n"
	"connectedDomains: U;1;SMTP:u.example.com\n\n";

static const struct {
	const char *key;
	enum lookup_key_kind kind;
	const char *full, *address, *domain;
} keys[] = {
	{"bob@s2.example.com", LOOKUP_KEY_ADDRESS, "bob@s2.example.com", "bob@s2.example.com",
	 "s2.example.com"},
	{"Bob+Ext@S2.Example.COM", LOOKUP_KEY_ADDRESS, "bob+ext@s2.example.com",
	 "bob@s2.example.com", "s2.example.com"},
	{"bob@s2.example.com.", LOOKUP_KEY_ADDRESS, "bob@s2.example.com", "bob@s2.example.com",
	 "s2.example.com"},
	{" bob@s2.example.com ", LOOKUP_KEY_ADDRESS, "bob@s2.example.com", "bob@s2.example.com",
	 "s2.example.com"},
	{"a+b+c@d", LOOKUP_KEY_ADDRESS, "a+b+c@d", "a@d", "d"},
	{"+x@d", LOOKUP_KEY_ADDRESS, "+x@d", "+x@d", "d"},
	{"\"a+b\"@d", LOOKUP_KEY_ADDRESS, "\"a+b\"@d", "\"a+b\"@d", "d"},
	{"\"a@b\"@d", LOOKUP_KEY_ADDRESS, "\"a@b\"@d", "\"a@b\"@d", "d"},
	{"\xc3\x9c@d", LOOKUP_KEY_ADDRESS, "\xc3\x9c@d", "\xc3\x9c@d", "d"},
	{"S2.Example.com", LOOKUP_KEY_DOMAIN, "postmaster@s2.example.com",
	 "postmaster@s2.example.com", "s2.example.com"},
	{"*", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"<>", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"\"<>\"", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"  ", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"@d", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"a@", LOOKUP_KEY_NONE, NULL, NULL, NULL},
	{"a@.", LOOKUP_KEY_NONE, NULL, NULL, NULL},
};

static void test_keys(void **state)
{
	struct lookup_key k;
	struct buf scratch;
	size_t i;

	(void)state;
	buf_init(&scratch, 1 << 16);
	for (i = 0; i < UNIT_COUNT(keys); i++) {
		assert_int_equal(lookup_key(span_of(keys[i].key), &scratch, &k), RC_OK);
		if (k.kind != keys[i].kind)
			fail_msg("key \"%s\": kind %d", keys[i].key, k.kind);
		if (k.kind == LOOKUP_KEY_NONE)
			continue;
		unit_assert_span(k.full, span_of(keys[i].full));
		unit_assert_span(k.address, span_of(keys[i].address));
		unit_assert_span(span_from(k.address, k.domain_at), span_of(keys[i].domain));
	}
	buf_fini(&scratch);
}

static void test_bad_keys(void **state)
{
	static uint8_t big[NETSTRING_KEY_MAX_BYTES + 1];
	struct lookup_key k;
	struct buf scratch;

	(void)state;
	memset(big, 'a', sizeof(big));
	buf_init(&scratch, 1 << 16);
	assert_int_equal(lookup_key(span_make(big, sizeof(big)), &scratch, &k), RC_TOOBIG);
	assert_int_equal(lookup_key(span_make(big, sizeof(big) - 1), &scratch, &k), RC_OK);
	assert_int_equal(lookup_key(SPAN_LIT("a\nb@d"), &scratch, &k), RC_INVALID);
	assert_int_equal(lookup_key(SPAN_LIT("a\0b@d"), &scratch, &k), RC_INVALID);
	assert_int_equal(lookup_key(SPAN_LIT("a\x7f@d"), &scratch, &k), RC_INVALID);
	assert_int_equal(lookup_key(SPAN_LIT("\xff@d"), &scratch, &k), RC_INVALID);
	buf_fini(&scratch);
}

struct ask {
	const char *key, *reply;
};

typedef void map_fn(const struct table *t, struct span key, struct buf *scratch, struct buf *reply);

/* What a map answers to each key; `t` may be NULL. */
static void expect(const struct table *t, map_fn *map, const struct ask *asks, size_t n)
{
	struct buf scratch, reply;
	size_t i;

	buf_init(&scratch, 1 << 16);
	buf_init(&reply, 1 << 16);
	for (i = 0; i < n; i++) {
		buf_clear(&reply);
		map(t, span_of(asks[i].key), &scratch, &reply);
		if (!span_eq(buf_span(&reply), span_of(asks[i].reply)))
			fail_msg("%s: %s, not %s", asks[i].key, buf_cstr(&reply), asks[i].reply);
	}
	buf_fini(&reply);
	buf_fini(&scratch);
}

/* The same of the table of S1 in an organisation. */
static void expect_in(const char *const *texts, map_fn *map, const struct ask *asks, size_t n)
{
	struct model *m = routing_model(texts);
	struct table *t = routing_table(m, "S1");

	expect(t, map, asks, n);
	table_free(&t);
	model_free(&m);
}

static const struct ask replies[] = {
	{"bob@s2.example.com", "OK smtp:S2.example.com"},
	{"bob@host.s2.example.com", "OK smtp:S2.example.com"},
	{"bob@a.b.c.s2.example.com", "OK smtp:S2.example.com"},
	{"S2.EXAMPLE.COM", "OK smtp:S2.example.com"},
	{"dirsync@s2.example.com", "OK smtp:hub.example.com"},
	{"DirSync+7@s2.example.com", "OK smtp:hub.example.com"},
	{"x@b\xc3\xbc"
	 "cher.example",
	 "OK smtp:hub.example.com"},
	{"X+1@host.B\xc3\x9c"
	 "CHER.example",
	 "OK smtp:hub.example.com"},
	{"x@xn--bcher-kva.example", "OK smtp:hub.example.com"},
	{"x@xn--kse-qla.example", "OK smtp:hub.example.com"},
	{"X+1@Host.XN--KSE-QLA.Example.", "OK smtp:hub.example.com"},
	{"x@k\xc3\xa4se.example", "OK smtp:hub.example.com"},
	{"sync@xn--kse-qla.example", "OK smtp:hub.example.com"},
	{"x@xn--0.example", "NOTFOUND "},
	{"x@b\xc3\xbc.example", "NOTFOUND "},
	{"x@lost.example.com", "OK retry:4.4.4 no mail route to site Lost"},
	{"x@a.lost.example.com", "OK retry:4.4.4 no mail route to site Lost"},
	{"VIP+1@partner.example", "OK smtp:"},
	{"other@partner.example", "NOTFOUND "},
	{"ada@s1.example.com", "NOTFOUND "},
	{"ada@pc7.s1.example.com", "NOTFOUND "},
	{"ada@example.com", "NOTFOUND "},
	{"x@org", "NOTFOUND "},
	{"x@notexample.com", "NOTFOUND "},
	{"*", "NOTFOUND "},
	{"<>", "NOTFOUND "},
	{"\xff@x", "PERM key is no mail address"},
};

static void test_transport(void **state)
{
	(void)state;
	expect_in((const char *const[]){net, NULL}, lookup_transport, replies, UNIT_COUNT(replies));
}

static const struct ask relay_domains[] = {
	{"s2.example.com", "OK s2.example.com"},
	{"S2.Example.com.", "OK s2.example.com"},
	{"lost.example.com", "OK lost.example.com"},
	{"b\xc3\xbc"
	 "cher.example",
	 "OK xn--bcher-kva.example"},
	{"xn--kse-qla.example", "OK k\xc3\xa4se.example"},
	{"host.s2.example.com", "NOTFOUND "},
	{"s1.example.com", "NOTFOUND "},
	{"example.com", "NOTFOUND "},
	{"partner.example", "NOTFOUND "},
	{"elsewhere.org", "NOTFOUND "},
	{"bob@s2.example.com", "NOTFOUND "},
	{"*", "NOTFOUND "},
	{"", "NOTFOUND "},
	{"\xff", "PERM key is no mail address"},
};

/* M13: with a space for everything, a host below a site's domain is still that site's, unless a
 * space says more of it. */
static void test_hosts_below_a_site(void **state)
{
	static const char spaces[] =
		"dn: cn=Out,ou=S1,o=Example\nobjectClass: imsConnector\nsmartHost: relay\n"
		"routingList: SMTP:*;1\nroutingList: SMTP:*.lab.s2.example.com;1\n"
		"routingList: SMTP:vip@a.s2.example.com;1\nroutingList: SMTP:*.com;1\n\n";
	static const struct ask asks[] = {
		{"x@elsewhere.org", "OK smtp:[relay]"},
		{"x@a.s2.example.com", "OK smtp:S2.example.com"},
		{"x@a.b.s2.example.com", "OK smtp:S2.example.com"},
		{"vip@a.s2.example.com", "OK smtp:[relay]"},
		{"x@lab.s2.example.com", "OK smtp:S2.example.com"},
		{"x@a.lab.s2.example.com", "OK smtp:[relay]"},
		{"x@a.s1.example.com", "NOTFOUND "},
		{"x@b\xc3\xbc"
		 "cher.example",
		 "OK smtp:hub.example.com"}, /* on the way to site I */
		{"x@a.lost.example.com", "OK smtp:[relay]"},
		{"x@other.com", "OK smtp:[relay]"},
	};

	(void)state;
	expect_in((const char *const[]){net, spaces, NULL}, lookup_transport, asks,
		  UNIT_COUNT(asks));
}

static void test_relay_domains(void **state)
{
	static const struct ask without_table = {"s2.example.com", "TEMP no route table yet"};

	(void)state;
	expect_in((const char *const[]){net, NULL}, lookup_relay_domain, relay_domains,
		  UNIT_COUNT(relay_domains));
	expect(NULL, lookup_relay_domain, &without_table, 1);
}

static const char tls_net[] =
	"dn: ou=S1,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: s1.example.com\n\n"
	"dn: ou=E,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: E.example.com\n"
	"mailTlsLevel: Encrypt\nsiteSharedDomain: same.example\nsiteSharedDomain: other.example\n\n"
	"dn: ou=E2,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: e2.example.com\n"
	"mailTlsLevel: encrypt\nsiteSharedDomain: same.example\n\n"
	"dn: ou=D,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: d.example.com\n"
	"mailTlsLevel: dane-only\nsiteSharedDomain: other.example\n\n"
	"dn: ou=F,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: f.example.com\n"
	"mailTlsLevel: fingerprint\n"
	"siteKey: sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	"siteKey: sha256:short\n\n"
	"dn: ou=K,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: k.example.com\n"
	"mailTlsLevel: fingerprint\nsiteKey: nothing\n\n"
	"dn: ou=B,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: b.example.com\n"
	"mailTlsLevel: strong\n\n"
	"dn: ou=N,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: n.example.com\n"
	"siteKey: sha256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n"
	"dn: ou=I,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: xn--bcher-kva.example\n"
	"mailTlsLevel: secure\n\n";

#define UNKNOWN_TLS "TEMP the TLS that this site needs is not known"

static const struct ask tls_policies[] = {
	{"e.example.com", "OK encrypt"},
	{"E.Example.com:2525", "OK encrypt"},
	{"[e.example.com]", "OK encrypt"},
	{"[mx.e.example.com]:2525", "OK encrypt"},
	{"d.example.com", "OK dane-only"},
	{"f.example.com", "OK fingerprint match=00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:"
			  "10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"},
	{"k.example.com", UNKNOWN_TLS},
	{"b.example.com", UNKNOWN_TLS},
	{"same.example", "OK encrypt"},
	{"other.example", UNKNOWN_TLS},
	{"b\xc3\xbc"
	 "cher.example",
	 "OK secure"},
	{"n.example.com", "NOTFOUND "},
	{"s1.example.com", "NOTFOUND "},
	{"elsewhere.org", "NOTFOUND "},
	{"[192.0.2.9]:25", "NOTFOUND "},
	{"[2001:db8::1]", "NOTFOUND "},
	{"[", "NOTFOUND "},
	{"*", "NOTFOUND "},
	{"\xff", "PERM key is no mail address"},
};

/* M17; from a table that was saved and read again */
static void test_tls_policy(void **state)
{
	static const struct ask without_table = {"e.example.com", "TEMP no route table yet"};
	struct model *m = routing_model((const char *const[]){tls_net, NULL});
	struct table *t = routing_table(m, "S1");
	struct table *again = NULL;
	struct buf saved;

	(void)state;
	buf_init(&saved, 1 << 16);
	table_write(t, &saved);
	assert_int_equal(table_read(buf_span(&saved), &again), RC_OK);
	expect(again, lookup_tls_policy, tls_policies, UNIT_COUNT(tls_policies));
	expect(NULL, lookup_tls_policy, &without_table, 1);
	buf_fini(&saved);
	table_free(&again);
	table_free(&t);
	model_free(&m);
}

/* M14: without a table nothing is known, but "*" and "<>" are no addresses in any table. */
static void test_no_table(void **state)
{
	static const struct ask asks[] = {{"x@y", "TEMP no route table yet"}, {"*", "NOTFOUND "}};

	(void)state;
	expect(NULL, lookup_transport, asks, UNIT_COUNT(asks));
}

/* M3: a system sender makes the message one of class system. */
static void test_class_of_the_sender(void **state)
{
	struct model *m = routing_model((const char *const[]){net, NULL});
	struct table *t = routing_table(m, "S1");
	struct lookup_answer answer;
	struct lookup_key k;
	struct buf scratch;

	(void)state;
	buf_init(&scratch, 1 << 16);
	assert_int_equal(lookup_key(SPAN_LIT("bob@s2.example.com"), &scratch, &k), RC_OK);
	assert_int_equal(lookup_route(t, &k, TABLE_USER, &answer), RC_OK);
	assert_int_equal(answer.cls, TABLE_USER);
	assert_int_equal(answer.result.row->mode, TABLE_DIRECT);
	assert_int_equal(lookup_route(t, &k, TABLE_SYSTEM, &answer), RC_OK);
	assert_int_equal(answer.result.row->mode, TABLE_CONNECTED);
	buf_fini(&scratch);
	table_free(&t);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),          cmocka_unit_test(test_bad_keys),
		cmocka_unit_test(test_transport),     cmocka_unit_test(test_hosts_below_a_site),
		cmocka_unit_test(test_relay_domains), cmocka_unit_test(test_tls_policy),
		cmocka_unit_test(test_no_table),      cmocka_unit_test(test_class_of_the_sender),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
