#include "tests/unit/routing.h"

/*
 * docs/routing.md, worked examples: net N1, sites S1 and S2 (spokes) and H (hub), one IMS each,
 * connected domains S1->H, S2->H, H->S1, H->S2 of cost 1.
 */
#define SITE(name, domain)                                                                         \
	"dn: ou=" name ",o=Example\nobjectClass: mailSite\nsiteSmtpDomain: " domain "\n\n"
#define CONNECTOR(site, name, class, more)                                                         \
	"dn: cn=" name ",cn=Connections,cn=Configuration,ou=" site ",o=Example\n"                  \
	"objectClass: " class "\n" more "\n"
#define IMS(site, name, more) CONNECTOR(site, name, "imsConnector", more)
#define CD(value) "connectedDomains: " value "\n"
#define FLAG "onlySystemMessagesUseCDs: TRUE\n"

#define SITES SITE("S1", "s1.example.com") SITE("S2", "s2.example.com") SITE("H", "hub.example.com")
#define HUB IMS("H", "IMS-H", CD("S1;1;SMTP:s1.example.com") CD("S2;1;SMTP:s2.example.com"))
#define TO_HUB CD("H;1;SMTP:hub.example.com")
#define S1_OFF IMS("S1", "IMS-S1", TO_HUB)
#define S1_ON IMS("S1", "IMS-S1", TO_HUB FLAG)
#define S2_OFF IMS("S2", "IMS-S2", TO_HUB)
#define N1 SITES S1_OFF S2_OFF HUB
#define N1_ON SITES S1_ON S2_OFF HUB
#define X400_S1_S2(more) CONNECTOR("S1", "X400-S1", "x400Connector", CD("S2;1;X400:c=US") more)

/* What one class gets for one target: the fields of its rows that the example speaks of. */
struct want {
	const char *nexthop;
	const char *connector;
	const char *mode;
	const char *reason;
	unsigned cost, hops;
};

#define WANTS 3

static const struct example {
	const char *name;
	const char *ldif;
	const char *site, *target;
	struct want user[WANTS], system[WANTS]; /* ended by a NULL nexthop */
} examples[] = {
	{"E1",
	 N1,
	 "S1",
	 "S2",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "FLAG_OFF", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"E2",
	 N1_ON,
	 "S1",
	 "S2",
	 {{"mx:s2.example.com", "IMS-S1", "direct", "OK", 2, 1}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"E3",
	 N1_ON,
	 "S2",
	 "S1",
	 {{"mx:hub.example.com", "IMS-S2", "connected", "FLAG_OFF", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S2", "connected", "SYSTEM", 2, 2}}},
	{"E4",
	 N1_ON,
	 "S1",
	 "H",
	 {{"mx:hub.example.com", "IMS-S1", "direct", "OK", 1, 1}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 1, 1}}},
	{"E5",
	 N1_ON SITE("S3", "s3.example.com")
		 CONNECTOR("H", "X400-H", "x400Connector", CD("S3;1;X400:c=US\\;a= ")),
	 "S1",
	 "S3",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "MIXED_PATH", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"E6",
	 N1_ON X400_S1_S2(""),
	 "S1",
	 "S2",
	 {{"X400:c=US", "X400-S1", "connected", "FIRST_HOP_NOT_IMS", 1, 1}},
	 {{"X400:c=US", "X400-S1", "connected", "SYSTEM", 1, 1}}},
	{"E7",
	 N1_ON X400_S1_S2("messageClassRestriction: noUser\n"),
	 "S1",
	 "S2",
	 {{"mx:s2.example.com", "IMS-S1", "direct", "OK", 2, 1}},
	 {{"X400:c=US", "X400-S1", "connected", "SYSTEM", 1, 1}}},
	{"E8",
	 N1 X400_S1_S2("messageClassRestriction: noUser\n"),
	 "S1",
	 "S2",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "FLAG_OFF", 2, 2}},
	 {{"X400:c=US", "X400-S1", "connected", "SYSTEM", 1, 1}}},
	{"E9",
	 SITES S1_ON HUB IMS("S2", "IMS-S2", TO_HUB "transferMode: out\n"),
	 "S1",
	 "S2",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "NO_INBOUND_IMS", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"E10",
	 SITE("S1", "example.com") SITE("S2", "EXAMPLE.com") SITE("H", "example.com")
		 S1_ON S2_OFF HUB,
	 "S1",
	 "S2",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SHARED_DOMAIN", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	/* E11 is E2 for the table; the recipient's address is the mail server's affair (R10). */
	{"E12",
	 N1_ON IMS("S1", "IMS-S1b", TO_HUB),
	 "S1",
	 "S2",
	 {{"mx:s2.example.com", "IMS-S1", "direct", "OK", 2, 1}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2},
	  {"mx:hub.example.com", "IMS-S1b", "connected", "SYSTEM", 2, 2}}},
	/* Beyond the examples: each reason, and what forwards. */
	{"site default",
	 "dn: ou=S1,o=Example\nobjectClass: mailSite\n" FLAG "\n" SITE("S2", "s2.example.com")
		 SITE("H", "hub.example.com") S1_OFF S2_OFF HUB,
	 "S1",
	 "S2",
	 {{"mx:s2.example.com", "IMS-S1", "direct", "OK", 2, 1}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"connector over site",
	 "dn: ou=S1,o=Example\nobjectClass: mailSite\n" FLAG "\n" SITE("S2", "s2.example.com")
		 SITE("H", "hub.example.com")
			 S2_OFF HUB IMS("S1", "IMS-S1", TO_HUB "onlySystemMessagesUseCDs: FALSE\n"),
	 "S1",
	 "S2",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "FLAG_OFF", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"smart host",
	 SITES S2_OFF HUB IMS("S1", "IMS-S1",
			      TO_HUB FLAG "smartHost: [relay]:26\n"
					  "domainRoute: hub.example.com;pin\n"),
	 "S1",
	 "S2",
	 {{"host:[relay]:26", "IMS-S1", "connected", "SMART_HOST", 2, 2}},
	 {{"host:[relay]:26", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"domain routes",
	 SITES S2_OFF HUB IMS(
		 "S1", "IMS-S1",
		 TO_HUB FLAG
		 "domainRoute: HUB.example.com;pin-h\ndomainRoute: s2.Example.com;pin-s2\n"),
	 "S1",
	 "S2",
	 {{"host:pin-s2", "IMS-S1", "direct", "OK", 2, 1}},
	 {{"host:pin-h", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"no route",
	 SITES S1_ON HUB IMS("S2", "IMS-S2", TO_HUB) SITE("S3", "s3.example.com"),
	 "S1",
	 "S3",
	 {{"null", "null", "none", "NO_ROUTE", 0, 0}},
	 {{"null", "null", "none", "SYSTEM", 0, 0}}},
	{"name without object",
	 SITES S1_ON S2_OFF IMS("H", "IMS-H",
				CD("S2;1;SMTP:s2.example.com") CD("Ghost;1;SMTP:ghost.example")),
	 "S1",
	 "Ghost",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SITE_NOT_LIVE", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"never a transit",
	 SITES IMS("S1", "IMS-S1", FLAG CD("Ghost;1;SMTP:ghost.example"))
		 IMS("Ghost", "IMS-G", CD("S2;1;SMTP:s2.example.com")) S2_OFF,
	 "S1",
	 "S2",
	 {{"null", "null", "none", "NO_ROUTE", 0, 0}},
	 {{"null", "null", "none", "SYSTEM", 0, 0}}},
	{"no domain",
	 SITE("S1", "s1.example.com") "dn: ou=S2,o=Example\nobjectClass: mailSite\n\n" SITE(
		 "H", "hub.example.com") S1_ON S2_OFF HUB,
	 "S1",
	 "S2",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "NO_SITE_DOMAIN", 2, 2}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"disabled",
	 SITES S2_OFF HUB IMS("S1", "IMS-S1", TO_HUB "connectorEnabled: FALSE\n"),
	 "S1",
	 "S2",
	 {{"null", "null", "none", "NO_ROUTE", 0, 0}},
	 {{"null", "null", "none", "SYSTEM", 0, 0}}},
	{"in only",
	 SITES S2_OFF HUB IMS("S1", "IMS-S1", TO_HUB "transferMode: in\n"),
	 "S1",
	 "S2",
	 {{"null", "null", "none", "NO_ROUTE", 0, 0}},
	 {{"null", "null", "none", "SYSTEM", 0, 0}}},
	{"own site ignored",
	 SITES S2_OFF HUB IMS("S1", "IMS-S1", TO_HUB CD("s1;1;SMTP:loop.example")),
	 "S1",
	 "H",
	 {{"mx:hub.example.com", "IMS-S1", "connected", "FLAG_OFF", 1, 1}},
	 {{"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 1, 1}}},
	{"fewer hops",
	 SITES S1_OFF S2_OFF HUB IMS("S1", "ZZ", CD("S2;2;SMTP:s2.example.com")),
	 "S1",
	 "S2",
	 {{"mx:s2.example.com", "ZZ", "connected", "FLAG_OFF", 2, 1},
	  {"mx:hub.example.com", "IMS-S1", "connected", "FLAG_OFF", 2, 2}},
	 {{"mx:s2.example.com", "ZZ", "connected", "SYSTEM", 2, 1},
	  {"mx:hub.example.com", "IMS-S1", "connected", "SYSTEM", 2, 2}}},
	{"names folded",
	 SITES S2_OFF HUB IMS("S1", "b", TO_HUB) IMS("S1", "A", TO_HUB) IMS("S1", "C", TO_HUB),
	 "S1",
	 "H",
	 {{"mx:hub.example.com", "A", "connected", "FLAG_OFF", 1, 1},
	  {"mx:hub.example.com", "b", "connected", "FLAG_OFF", 1, 1},
	  {"mx:hub.example.com", "C", "connected", "FLAG_OFF", 1, 1}},
	 {{"mx:hub.example.com", "A", "connected", "SYSTEM", 1, 1},
	  {"mx:hub.example.com", "b", "connected", "SYSTEM", 1, 1},
	  {"mx:hub.example.com", "C", "connected", "SYSTEM", 1, 1}}},
};

static const char *text_or_null(const struct table *t, uint32_t text, char out[static 256])
{
	struct span s = table_text(t, text);

	snprintf(out, 256, "%.*s", (int)s.n, text != TABLE_NONE ? (const char *)s.p : "");
	return text != TABLE_NONE ? out : "null";
}

static void check_row(const struct table *t, const struct table_row *row, const struct want *w)
{
	char text[256];

	assert_string_equal(text_or_null(t, row->nexthop, text), w->nexthop);
	assert_string_equal(text_or_null(t, row->connector, text), w->connector);
	assert_string_equal(table_mode_name(row->mode), w->mode);
	assert_string_equal(table_reason_name(row->reason), w->reason);
	assert_int_equal(row->cost, w->hops != 0 ? w->cost : TABLE_NONE);
	assert_int_equal(row->hops, w->hops != 0 ? w->hops : TABLE_NONE);
}

static void check_class(const struct example *e, const struct table *t, enum table_class cls,
			const struct want *wants)
{
	struct table_result r;
	unsigned i, n = 0;

	while (n < WANTS && wants[n].nexthop != NULL)
		n++;
	assert_int_equal(table_lookup_site(t, span_of(e->target), cls, &r), RC_OK);
	assert_int_equal(r.status, TABLE_FOUND);
	assert_int_equal(r.nrows, n);
	for (i = 0; i < n; i++)
		check_row(t, &r.row[i], &wants[i]);
}

static void test_examples(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(examples); i++) {
		const struct example *e = &examples[i];
		struct model *m = routing_model((const char *const[]){e->ldif, NULL});
		struct table *t = routing_table(m, e->site);

		print_message("%s\n", e->name);
		check_class(e, t, TABLE_USER, e->user);
		check_class(e, t, TABLE_SYSTEM, e->system);
		table_free(&t);
		model_free(&m);
	}
}

/*
 * M2: three sites A, B, C; the direct link A->C costs 3, A->B->C costs 2. Every combination of the
 * flag (site, connector), of each connector's class, and of the class of the inbound connector at
 * C.
 */
static void test_all_combinations(void **state)
{
	static const char *const classes[] = {"imsConnector", "siteConnector", "x400Connector",
					      "gatewayConnector"};
	static const char *const flags[] = {"", FLAG, "onlySystemMessagesUseCDs: FALSE\n"};
	unsigned first, second, third, on_site, on_connector, seen = 0;

	(void)state;
	for (first = 0; first < 4; first++)
		for (second = 0; second < 4; second++)
			for (third = 0; third < 4; third++)
				for (on_site = 0; on_site < 3; on_site++)
					for (on_connector = 0; on_connector < 3; on_connector++) {
						char text[2000];
						struct model *m;
						struct table *t;
						struct table_result user, system;
						bool flag = on_connector != 0 ? on_connector == 1
									      : on_site == 1;
						bool direct = flag && first == 0 && second == 0 &&
							      third == 0;

						snprintf(
							text, sizeof(text),
							"dn: ou=A,o=Example\nobjectClass: "
							"mailSite\n%s\n"
							"dn: ou=B,o=Example\nobjectClass: "
							"mailSite\n\n"
							"dn: ou=C,o=Example\nobjectClass: "
							"mailSite\nsiteSmtpDomain: c.example\n\n"
							"dn: cn=a,ou=A,o=Example\nobjectClass: %s\n"
							"connectedDomains: "
							"B;1;SMTP:b.example\nconnectedDomains: "
							"C;3;SMTP:c.example\n"
							"%s\n"
							"dn: cn=b,ou=B,o=Example\nobjectClass: "
							"%s\nconnectedDomains: "
							"C;1;SMTP:x.example\n\n"
							"dn: cn=c,ou=C,o=Example\nobjectClass: "
							"%s\n\n",
							flags[on_site], classes[first],
							flags[on_connector], classes[second],
							classes[third]);
						m = routing_model(
							(const char *const[]){text, NULL});
						t = routing_table(m, "A");
						assert_int_equal(table_lookup_site(t, SPAN_LIT("C"),
										   TABLE_USER,
										   &user),
								 RC_OK);
						assert_int_equal(table_lookup_site(t, SPAN_LIT("C"),
										   TABLE_SYSTEM,
										   &system),
								 RC_OK);
						assert_int_equal(user.nrows, 1);
						assert_int_equal(user.row->mode,
								 direct ? TABLE_DIRECT
									: TABLE_CONNECTED);
						assert_int_equal(user.row->cost, 2);
						assert_int_equal(user.row->hops, direct ? 1 : 2);
						unit_assert_span(user.nexthop,
								 direct ? SPAN_LIT("c.example")
									: SPAN_LIT("b.example"));
						assert_int_equal(user.row->reason,
								 first != 0
									 ? TABLE_FIRST_HOP_NOT_IMS
								 : !flag       ? TABLE_FLAG_OFF
								 : second != 0 ? TABLE_MIXED_PATH
								 : third != 0 ? TABLE_NO_INBOUND_IMS
									      : TABLE_OK);
						assert_int_equal(system.row->mode, TABLE_CONNECTED);
						assert_int_equal(system.row->hops, 2);
						assert_int_equal(system.hop,
								 first == 0 ? TABLE_HOP_MX
									    : TABLE_HOP_TYPE);
						unit_assert_span(system.nexthop,
								 SPAN_LIT("b.example"));
						table_free(&t);
						model_free(&m);
						seen++;
					}
	assert_int_equal(seen, 4 * 4 * 4 * 3 * 3);
}

/* The flip test: set the flag, clear it, and the table is what it was, byte for
 * byte. */
static void test_flip(void **state)
{
	struct model *m = routing_model((const char *const[]){N1, NULL});
	struct table *before = routing_table(m, "S1"), *on, *after;
	struct table_result r;
	unsigned changes = 0;

	(void)state;
	assert_int_equal(routing_feed(m, S1_ON, &changes), RC_OK);
	assert_int_equal(changes, MODEL_CHANGED_CONNECTOR);
	assert_int_equal(model_commit(m), RC_OK);
	on = routing_table(m, "S1");
	assert_false(table_equal(before, on));
	assert_int_equal(table_lookup_site(on, SPAN_LIT("S2"), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.row->mode, TABLE_DIRECT);
	assert_int_equal(routing_feed(m, S1_OFF, &changes), RC_OK);
	assert_int_equal(model_commit(m), RC_OK);
	after = routing_table(m, "S1");
	assert_true(table_equal(before, after));
	table_free(&before);
	table_free(&on);
	table_free(&after);
	model_free(&m);
}

/* R1: the order of arrival leaves no trace, not even in the numbers of a saved table. */
static void test_order_of_entries(void **state)
{
	static const char *const parts[] = {
		SITE("S1", "s1.example.com"),
		SITE("S2", "s2.example.com"),
		SITE("H", "hub.example.com") SITE("T", "HUB.example.com"),
		"dn: ou=Q,o=Example\nobjectClass: mailSite\nsiteSharedDomain: b.example\n"
		"siteSharedDomain: a.example\nsystemAddress: x@q.example\nsystemAddress: "
		"a@q.example\n\n",
		IMS("S1", "IMS-S1",
		    TO_HUB FLAG "domainRoute: hub.example.com;p\ndomainRoute: a.b;q\n"
				"routingList: SMTP:*;2\n"),
		IMS("S1", "Other",
		    CD("s2;2;SMTP:s2.example.com") "domainRoute: z.b;q\n"
						   "routingList: smtp:*@A.example;2\n"),
		CONNECTOR("S1", "X", "x400Connector",
			  CD("q;1;X400:c=US") "mtaTransport: x400\n"
					      "routingList: SMTP:*@a.example;2\nrouting"
					      "List: X400:;2\n"),
		HUB,
		S2_OFF,
	};
	const char *turned[UNIT_COUNT(parts) + 1] = {NULL},
					       *straight[UNIT_COUNT(parts) + 1] = {NULL};
	struct model *a, *b;
	struct table *ta, *tb;
	struct buf sa, sb;
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(parts); i++) {
		straight[i] = parts[i];
		turned[UNIT_COUNT(parts) - 1 - i] = parts[i];
	}
	a = routing_model(straight);
	b = routing_model(turned);
	ta = routing_table(a, "S1");
	tb = routing_table(b, "S1");
	buf_init(&sa, 1 << 20);
	buf_init(&sb, 1 << 20);
	table_write(ta, &sa);
	table_write(tb, &sb);
	assert_true(ta->nrows > 10 && ta->npins > 2 && ta->nsystems == 2);
	unit_assert_span(buf_span(&sb), buf_span(&sa));
	assert_true(table_equal(ta, tb));
	buf_fini(&sa);
	buf_fini(&sb);
	table_free(&ta);
	table_free(&tb);
	model_free(&a);
	model_free(&b);
}

static void check_json(const char *ldif, const char *site, const char *want)
{
	struct model *m = routing_model((const char *const[]){ldif, NULL});
	struct table *t = routing_table(m, site);
	struct buf b;

	buf_init(&b, 1 << 20);
	table_json(t, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
	table_free(&t);
	model_free(&m);
}

#define ROW(class, target, rest)                                                                   \
	"{\"class\":\"" class "\",\"type\":\"EX\",\"target\":\"" target "\"," rest "}\n"
#define SPACE(class, type, target, rest, reason)                                                   \
	"{\"class\":\"" class "\",\"type\":\"" type "\",\"target\":\"" target "\"," rest           \
			      ",\"reason\":\"" reason "\"}\n"

/* R6: costs add up, `site` scope stays at home, the least total cost wins, equals are all listed.
 */
static void test_spaces(void **state)
{
	static const char ldif[] = SITE("S1", "s1.example.com") SITE("H", "hub.example.com")
		IMS("S1", "IMS",
		    TO_HUB FLAG "routingList: SMTP:*@fax.example;4\n"
				"routingList: FAX:;7;site\n")
			CONNECTOR("S1", "X", "x400Connector",
				  "mtaTransport: x400\n"
				  "routingList: X400:c=US\\;a= \\;o=*;2\n"
				  "routingList: smtp:*@Fax.example;4\n")
				IMS("H", "IMS",
				    "routingList: SMTP:*;5\nrouting"
				    "List: SMTP:hidden;1;site\n"
				    "routingList: SMTP:*@fax.example;3\n");
#define VIA                                                                                        \
	"\"hops\":1,\"mode\":\"connected\",\"nexthop\":\"mx:hub.example.com\","                    \
	"\"connector\":\"IMS\",\"path\":[\"S1/IMS\"]"
#define OWN(hop, connector)                                                                        \
	"\"hops\":0,\"mode\":\"local\",\"nexthop\":\"" hop "\",\"connector\":\"" connector         \
	"\",\"path\":[]"
#define SPACES(class, reason)                                                                      \
	SPACE(class, "FAX", "", "\"cost\":7," OWN("mx:", "IMS"), reason)                           \
	SPACE(class, "SMTP", "*", "\"cost\":6," VIA, reason)                                       \
	SPACE(class, "SMTP", "*@Fax.example", "\"cost\":4," OWN("mx:", "IMS"), reason)             \
	SPACE(class, "SMTP", "*@Fax.example", "\"cost\":4," OWN("SMTP:", "X"), reason)             \
	SPACE(class, "SMTP", "*@Fax.example", "\"cost\":4," VIA, reason)                           \
	SPACE(class, "X400", "c=US;a= ;o=*", "\"cost\":2," OWN("X400:", "X"), reason)
	static const char want[] = ROW("system", "H", "\"cost\":1," VIA ",\"reason\":\"SYSTEM\"")
		SPACES("system", "SYSTEM")
			ROW("user", "H",
			    "\"cost\":1,\"hops\":1,\"mode\":\"direct\","
			    "\"nexthop\":\"mx:hub.example.com\",\"connector\":\"IMS\","
			    "\"path\":[\"S1/IMS\"],\"reason\":\"OK\"") SPACES("user", "SPACE");

	(void)state;
	check_json(ldif, "s1", want);
}

/* JSON: what must be escaped is, what need not is not; UTF-8 stays. */
static void test_json_strings(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "\"plain\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
		{"Z\xc3\xbcrich \xf0\x9f\x93\xae", "\"Z\xc3\xbcrich \xf0\x9f\x93\xae\""},
		{"a\xff"
		 "b\xc3",
		 "\"a\xef\xbf\xbd"
		 "b\xef\xbf\xbd\""},
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"", "\"\""},
	};
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1000);
	for (i = 0; i < UNIT_COUNT(cases); i++) {
		buf_clear(&b);
		table_json_string(span_of(cases[i].in), &b);
		assert_string_equal(buf_cstr(&b), cases[i].out);
	}
	buf_fini(&b);
}

static void test_no_such_site(void **state)
{
	struct model *m = routing_model((const char *const[]){N1, NULL});
	struct table *t;

	(void)state;
	assert_int_equal(compute_table(m, SPAN_LIT("Nowhere"), &t), RC_NOTFOUND);
	assert_null(t);
	model_free(&m);
}

/* A chain of sites: hops, cost and a path that is longer than any small buffer. */
static void test_long_chain(void **state)
{
	enum { SITES_IN_CHAIN = 300 };
	struct model *m = NULL;
	struct table_result r;
	struct table *t;
	unsigned changes = 0, i, n = 0;
	uint32_t at;
	struct buf b;

	(void)state;
	assert_int_equal(model_new(&m), RC_OK);
	buf_init(&b, 1 << 20);
	for (i = 0; i < SITES_IN_CHAIN; i++)
		buf_printf(&b,
			   "dn: ou=S%u,o=Example\nobjectClass: mailSite\n\n"
			   "dn: cn=C,ou=S%u,o=Example\nobjectClass: imsConnector\n"
			   "connectedDomains: S%u;100;SMTP:x.example\n\n",
			   i, i, i + 1);
	assert_int_equal(routing_feed(m, buf_cstr(&b), &changes), RC_OK);
	assert_int_equal(model_commit(m), RC_OK);
	t = routing_table(m, "S0");
	assert_int_equal(table_lookup_site(t, SPAN_LIT("S300"), TABLE_USER, &r), RC_OK);
	assert_int_equal(r.row->hops, SITES_IN_CHAIN);
	assert_int_equal(r.row->cost, 100 * SITES_IN_CHAIN);
	for (at = r.row->step; at != TABLE_NONE; at = t->steps[at].parent)
		n++;
	assert_int_equal(n, SITES_IN_CHAIN);
	assert_int_equal(t->nsteps, SITES_IN_CHAIN); /* every beginning is shared */
	buf_clear(&b);
	table_row_json(t, r.row, &b);
	assert_non_null(strstr(buf_cstr(&b), "[\"S0/C\",\"S1/C\","));
	assert_non_null(strstr(buf_cstr(&b), "\"S299/C\"]"));
	buf_fini(&b);
	table_free(&t);
	model_free(&m);
}

static int compute_once(void *arg)
{
	struct table *t = NULL;
	struct buf b;
	int rc = compute_table(arg, SPAN_LIT("S1"), &t);

	buf_init(&b, 1 << 20);
	if (rc == RC_OK) {
		table_json(t, &b);
		table_write(t, &b);
		rc = buf_rc(&b);
	}
	buf_fini(&b);
	table_free(&t);
	return rc;
}

static void test_out_of_memory(void **state)
{
	struct model *m = routing_model((const char *const[]){
		N1_ON X400_S1_S2("messageClassRestriction: noUser\nroutingList: X400:;1\n"),
		IMS("H", "Out", "routingList: SMTP:*;1\n"), NULL});

	(void)state;
	unit_fail_allocations(compute_once, m);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_examples),      unit_heap_test(test_all_combinations),
		unit_heap_test(test_flip),          unit_heap_test(test_order_of_entries),
		unit_heap_test(test_spaces),        unit_heap_test(test_json_strings),
		unit_heap_test(test_no_such_site),  unit_heap_test(test_long_chain),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("compute", tests, NULL, NULL);
}
