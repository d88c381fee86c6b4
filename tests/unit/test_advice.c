#include "tests/unit/routing.h"

#include "routed/advice.h"

#define SITE(name, more) "dn: ou=" name ",o=E\nobjectClass: mailSite\n" more "\n"
#define IMS(site, more) "dn: cn=IMS,ou=" site ",o=E\nobjectClass: imsConnector\n" more "\n"
#define DOMAIN(name) "siteSmtpDomain: " name "\n"
#define CD(value) "connectedDomains: " value "\n"
#define FLAG "onlySystemMessagesUseCDs: TRUE\n"
#define SPOKES                                                                                     \
	SITE("A", DOMAIN("a.example"))                                                             \
	SITE("B", DOMAIN("b.example"))                                                             \
	SITE("H", DOMAIN("h.example"))                                                             \
	IMS("H", CD("A;1;SMTP:A.Example.") CD("B;1;SMTP:b."                                        \
					      "example"))
#define B_OFF IMS("B", CD("H;1;SMTP:h.example"))

static const struct example {
	const char *ldif;
	const char *codes; /* in order */
	const char *text;  /* part of the first's */
} examples[] = {
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:h.example")), "", ""},
	/* M29: both DNs */
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:relay.example")), "ADDRESS_DIFFERS", "relay.example"},
	{SPOKES B_OFF IMS("A", CD("H;1;X400:c=US")), "", ""},
	{SPOKES B_OFF IMS("A", CD("Ghost;1;SMTP:h.example")), "UNKNOWN_SITE", "Ghost"},
	{SPOKES "dn: cn=IMS,o=E\nobjectClass: imsConnector\n\n", "NO_SITE", "below no site"},
	/* the flag: effective, but answers take the long way; H is a neighbour */
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:h.example") FLAG), "FLAG_ONE_WAY",
	 "mail goes directly to B; answers"},
	{SPOKES IMS("A", CD("H;1;SMTP:h.example") FLAG) IMS("B", CD("H;1;SMTP:h.example") FLAG), "",
	 ""},
	/* the flag without effect, and why */
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:h.example") FLAG "smartHost: relay\n"), "FLAG_UNUSED",
	 "smart host"},
	{SPOKES B_OFF IMS("A", FLAG), "FLAG_UNUSED", "no connected domains"},
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:h.example") FLAG "connectorEnabled: FALSE\n"),
	 "FLAG_UNUSED", "disabled"},
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:h.example") FLAG "transferMode: in\n"), "FLAG_UNUSED",
	 "transferMode"},
	{SPOKES B_OFF IMS("A", CD("H;1;SMTP:h.example") FLAG "messageClassRestriction: noUser\n"),
	 "FLAG_UNUSED", "messageClassRestriction"},
	{SPOKES B_OFF IMS(
		 "A",
		 CD("H;9;SMTP:h.example")
			 FLAG) "dn: cn=X,ou=A,o=E\nobjectClass: siteConnector\nconnectedDomains: "
			       "H;1;SMTP:h.example\n\n",
	 "FLAG_UNUSED", "no cheapest way"},
	{SPOKES B_OFF
	 "dn: cn=X,ou=A,o=E\nobjectClass: x400Connector\nconnectedDomains: H;1;X400:c=US\n" FLAG
	 "\n",
	 "", ""}, /* only an IMS has the flag */
	/* two sites, one domain: which also keeps routes from being direct */
	{SITE("A", DOMAIN("a.example")) SITE("B", DOMAIN("x.example"))
		 SITE("C", DOMAIN("X.example")) IMS("A", CD("B;1;SMTP:x.example")),
	 "DOMAIN_TWICE", "x.example is the siteSmtpDomain of B and the siteSmtpDomain of C"},
	{SITE("A", DOMAIN("a.example") "siteSharedDomain: b.example\n")
		 SITE("B", DOMAIN("b.example")),
	 "DOMAIN_TWICE", "siteSmtpDomain of B and the siteSharedDomain of A"},
	{SITE("A", DOMAIN("a.example") "siteSharedDomain: e.example\n")
		 SITE("B", DOMAIN("b.example") "siteSharedDomain: e.example\n"),
	 "", ""},
};

static void test_examples(void **state)
{
	size_t i, k, n;

	(void)state;
	for (i = 0; i < UNIT_COUNT(examples); i++) {
		struct model *m = routing_model((const char *const[]){examples[i].ldif, NULL});
		struct advice *advice;
		char codes[200] = "";
		struct arena a;

		arena_init(&a);
		assert_int_equal(advice_of_model(m, &a, &advice, &n), RC_OK);
		for (k = 0; k < n; k++) {
			strcat(codes, k != 0 ? " " : "");
			strcat(codes, advice_code_name(advice[k].code));
			assert_true(k == 0 || advice_cmp(&advice[k - 1], &advice[k]) < 0);
		}
		assert_string_equal(codes, examples[i].codes);
		if (n != 0)
			assert_non_null(memmem(advice[0].text.p, advice[0].text.n, examples[i].text,
					       strlen(examples[i].text)));
		arena_fini(&a);
		model_free(&m);
	}
}

static void test_words(void **state)
{
	struct model *m = routing_model((const char *const[]){examples[1].ldif, NULL});
	struct advice *advice;
	struct arena a;
	struct buf b;
	size_t n;

	(void)state;
	arena_init(&a);
	buf_init(&b, 10000);
	assert_int_equal(advice_of_model(m, &a, &advice, &n), RC_OK);
	advice_write(advice, &b);
	unit_assert_span(
		buf_span(&b),
		span_of("ADDRESS_DIFFERS: the routing address of site H is relay.example, "
			"but its own domain is h.example\n  cn=IMS,ou=A,o=E\n  ou=H,o=E\n"));
	buf_clear(&b);
	advice_json(advice, &b);
	assert_true(span_starts(buf_span(&b),
				SPAN_LIT("{\"warning\":\"ADDRESS_DIFFERS\",\"site\":\"A\","
					 "\"dn\":\"cn=IMS,ou=A,o=E\",\"other\":\"ou=H,o=E\",")));
	buf_fini(&b);
	arena_fini(&a);
	model_free(&m);
}

struct once {
	const struct model *m;
};

static int advise_once(void *arg)
{
	const struct once *o = arg;
	struct advice *advice;
	struct arena a;
	size_t n;
	int rc;

	arena_init(&a);
	rc = advice_of_model(o->m, &a, &advice, &n);
	arena_fini(&a);
	return rc;
}

static void test_out_of_memory(void **state)
{
	struct model *m = routing_model((const char *const[]){examples[5].ldif, NULL});
	struct once o = {m};

	(void)state;
	unit_fail_allocations(advise_once, &o);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_examples),
		unit_heap_test(test_words),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("advice", tests, NULL, NULL);
}
