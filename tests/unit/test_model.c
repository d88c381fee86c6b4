#include "tests/unit/routing.h"

static const char site1[] = "dn: ou=Site1,o=Example\n"
			    "objectClass: mailSite\n"
			    "ou: Site1\n"
			    "siteSmtpDomain: Site1.example.com.\n"
			    "siteSharedDomain: Example.com\n"
			    "systemAddress: Dsa@site1.example.com\n\n";
static const char ims1[] = "dn: cn=IMS,cn=Connections,cn=Configuration,ou=site1,O=example\n"
			   "objectClass: top\n"
			   "objectClass: mailConnector\n"
			   "objectClass: imsConnector\n"
			   "connectedDomains: Hub;3;SMTP:hub.example.com\n"
			   "connectedDomains: HUB;2;SMTP:other.example.com\n"
			   "connectedDomains: Site2;1;X400:c=US\\;a= \n"
			   "routingList: SMTP:*@Fax.example;5;site\n"
			   "smartHost: z.example\n"
			   "smartHost: relay.example\n"
			   "domainRoute: b.example;host2\n"
			   "domainRoute: B.example;host1\n"
			   "transferMode: out\n"
			   "messageClassRestriction: noUser\n"
			   "mtaTransport: x400\n"
			   "onlySystemMessagesUseCDs: TRUE\n\n";

static void test_records(void **state)
{
	struct model *m = routing_model((const char *const[]){site1, ims1, NULL});
	const struct model_connector *c = &m->connectors[0];
	const struct model_site *s = &m->sites[0];

	(void)state;
	assert_int_equal(m->nsites, 1);
	assert_int_equal(m->nconnectors, 1);
	unit_assert_span(s->name, SPAN_LIT("Site1"));
	unit_assert_span(s->domain, SPAN_LIT("Site1.example.com"));
	unit_assert_span(s->domain_folded, SPAN_LIT("site1.example.com"));
	unit_assert_span(s->shared_folded[0], SPAN_LIT("example.com"));
	unit_assert_span(s->system_folded[0], SPAN_LIT("dsa@site1.example.com"));
	assert_int_equal(s->flag, MODEL_FLAG_ABSENT);
	assert_true(s->live);
	assert_false(s->inbound_ims); /* its only IMS sends, but does not receive */
	assert_int_equal(c->site, 0);
	assert_int_equal(c->kind, MODEL_IMS);
	assert_int_equal(c->flag, MODEL_FLAG_TRUE);
	assert_true(c->enabled && c->sends && !c->receives);
	assert_int_equal(c->carries, MODEL_CARRY_SYSTEM);
	unit_assert_span(c->smart_host, SPAN_LIT("relay.example"));
	unit_assert_span(c->transport, SPAN_LIT("x400"));
	assert_int_equal(c->ncds, 2);
	unit_assert_span(c->cds[0].folded, SPAN_LIT("hub"));
	unit_assert_span(c->cds[0].written, SPAN_LIT("HUB"));
	unit_assert_span(c->cds[0].address, SPAN_LIT("other.example.com"));
	assert_int_equal(c->cds[0].cost, 2);
	assert_int_equal(c->nspaces, 1);
	unit_assert_span(c->spaces[0].folded, SPAN_LIT("*@fax.example"));
	assert_true(c->spaces[0].site_scope);
	assert_int_equal(c->npins, 2);
	unit_assert_span(c->pins[0].host, SPAN_LIT("host1"));
	model_free(&m);
}

/* M1: the rule table, a row each. */
static void test_classes(void **state)
{
	static const struct {
		const char *class;
		enum model_kind kind;
	} rules[] = {
		{"imsConnector", MODEL_IMS},      {"siteConnector", MODEL_SITE_LINK},
		{"x400Connector", MODEL_X400},    {"gatewayConnector", MODEL_GATEWAY},
		{"mailConnector", MODEL_GATEWAY}, {"IMSCONNECTOR", MODEL_IMS},
	};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rules); i++) {
		char text[200];
		struct model *m;

		snprintf(text, sizeof(text), "dn: cn=C,ou=Site1,o=Example\nobjectClass: %s\n\n",
			 rules[i].class);
		m = routing_model((const char *const[]){text, NULL});
		assert_int_equal(m->nconnectors, 1);
		assert_int_equal(m->connectors[0].kind, rules[i].kind);
		model_free(&m);
	}
}

/* R17: recipients and values that mean nothing to routing change nothing. */
static void test_what_changed(void **state)
{
	struct model *m = routing_model((const char *const[]){site1, ims1, NULL});
	unsigned changes = 0;

	(void)state;
	assert_int_equal(routing_feed(m,
				      "dn: cn=Ada,ou=Site1,o=Example\nobjectClass: inetOrgPerson\n"
				      "proxyAddresses: SMTP:ada@site1.example.com\n\n",
				      &changes),
			 RC_OK);
	assert_int_equal(routing_feed(m, site1, &changes), RC_OK);
	assert_int_equal(routing_feed(m, ims1, &changes), RC_OK);
	assert_int_equal(changes, MODEL_CHANGED_NOTHING);
	assert_true(m->committed);
	assert_int_equal(
		routing_feed(m, "dn: ou=Site1,o=Example\nobjectClass: mailSite\n\n", &changes),
		RC_OK);
	assert_int_equal(changes, MODEL_CHANGED_SITE);
	changes = 0;
	assert_int_equal(
		routing_feed(m,
			     "dn: cn=IMS,cn=Connections,cn=Configuration,ou=Site1,o=Example\n"
			     "objectClass: imsConnector\n\n",
			     &changes),
		RC_OK);
	assert_int_equal(changes, MODEL_CHANGED_CONNECTOR);
	changes = 0;
	model_delete(m, SPAN_LIT("no such key"), &changes);
	assert_int_equal(changes, MODEL_CHANGED_NOTHING);
	model_delete(m, SPAN_LIT("ou=site1,o=example"), &changes);
	assert_int_equal(changes, MODEL_CHANGED_SITE);
	assert_int_equal(model_commit(m), RC_OK);
	assert_int_equal(m->connectors[0].site, MODEL_NONE);
	model_free(&m);
}

/* An entry that loses its class is no record any more; one that changes its class changes kind. */
static void test_class_goes(void **state)
{
	struct model *m = routing_model((const char *const[]){site1, NULL});
	unsigned changes = 0;

	(void)state;
	assert_int_equal(
		routing_feed(m, "dn: ou=Site1,o=Example\nobjectClass: siteConnector\n\n", &changes),
		RC_OK);
	assert_int_equal(changes, MODEL_CHANGED_SITE | MODEL_CHANGED_CONNECTOR);
	assert_int_equal(m->nsites, 0);
	assert_int_equal(m->nconnectors, 1);
	assert_int_equal(
		routing_feed(m, "dn: ou=Site1,o=Example\nobjectClass: container\n\n", &changes),
		RC_OK);
	assert_int_equal(m->nconnectors, 0);
	model_free(&m);
}

static int put_renamed(struct model *m, unsigned *changes)
{
	static const struct span class = {(const uint8_t *)"mailSite", 8};
	struct model_attr attrs[] = {{SPAN_LIT("objectClass"), &class, 1}};

	return model_put(m, SPAN_LIT("ou=site1,o=example"), SPAN_LIT("ou=North,o=Example"), attrs,
			 1, changes);
}

/* Content sync sends a renamed site alone; its connectors must stay its own. */
static void test_rename_moves_connectors(void **state)
{
	struct model *m = routing_model((const char *const[]){site1, ims1, NULL});
	unsigned changes = 0;
	uint32_t site;

	(void)state;
	assert_int_equal(put_renamed(m, &changes), RC_OK);
	assert_int_equal(changes, MODEL_CHANGED_SITE | MODEL_CHANGED_CONNECTOR);
	assert_int_equal(model_commit(m), RC_OK);
	assert_int_equal(m->nsites, 1);
	assert_int_equal(m->connectors[0].site, 0);
	unit_assert_span(m->connectors[0].dn_normal,
			 SPAN_LIT("cn=ims,cn=connections,cn=configuration,ou=north,o=example"));
	assert_int_equal(model_find_site(m, SPAN_LIT("NORTH"), &site), RC_OK);
	assert_int_equal(site, 0);
	assert_int_equal(model_find_site(m, SPAN_LIT("Site1"), &site), RC_NOTFOUND);
	model_free(&m);
}

/* A refresh ends with what was named in it (M9, M10). */
static void test_refresh(void **state)
{
	struct model *m = routing_model((const char *const[]){site1, ims1, NULL});
	unsigned changes = 0;

	(void)state;
	model_refresh_begin(m);
	assert_int_equal(routing_feed(m, site1, &changes), RC_OK);
	model_seen(m, m->connectors[0].key);
	model_refresh_end(m, &changes);
	assert_int_equal(changes, MODEL_CHANGED_NOTHING);
	model_refresh_begin(m);
	assert_int_equal(routing_feed(m, site1, &changes), RC_OK);
	model_refresh_end(m, &changes);
	assert_int_equal(changes, MODEL_CHANGED_CONNECTOR);
	assert_int_equal(m->nconnectors, 0);
	model_free(&m);
}

/* Of two sites with one name the bytewise first DN is the site, in either order of arrival. */
static void test_double_name(void **state)
{
	static const char other[] = "dn: ou=SITE1,ou=Branch,o=Example\nobjectClass: mailSite\n\n";
	const char *const orders[][3] = {{site1, other, NULL}, {other, site1, NULL}};
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(orders); i++) {
		struct model *m = routing_model(orders[i]);
		struct model_ignored *ignored;
		struct arena a;
		uint32_t site;
		size_t n;

		arena_init(&a);
		assert_int_equal(model_find_site(m, SPAN_LIT("site1"), &site), RC_OK);
		unit_assert_span(m->sites[site].dn, SPAN_LIT("ou=Site1,o=Example"));
		assert_int_equal(model_ignored(m, &a, &ignored, &n), RC_OK);
		assert_int_equal(n, 1);
		unit_assert_span(ignored[0].dn, SPAN_LIT("ou=SITE1,ou=Branch,o=Example"));
		arena_fini(&a);
		model_free(&m);
	}
}

/* M8: one bad value disables itself alone and is named with DN, attribute, value, reason, column.
 */
static void test_ignored(void **state)
{
	static const char bad[] = "dn: cn=Bad,ou=Site1,o=Example\n"
				  "objectClass: imsConnector\n"
				  "connectedDomains: Hub;0;SMTP:hub.example.com\n"
				  "connectedDomains: Hub;7;SMTP:hub.example.com\n"
				  "connectorEnabled: maybe\n"
				  "messageClassRestriction: noNothing\n"
				  "transferMode: sideways\n"
				  "onlySystemMessagesUseCDs: TRUE\n"
				  "onlySystemMessagesUseCDs: FALSE\n"
				  "mtaTransport: a b\n"
				  "smartHost: relay:25\n"
				  "domainRoute: nothing\n"
				  "routingList: EX:Hub;1\n\n";
	static const char *const lines[] = {
		"connectedDomains: \"Hub;0;SMTP:hub.example.com\": cost is not within 1..100 "
		"(column 5)",
		"connectorEnabled: \"maybe\": neither TRUE nor FALSE (column 1)",
		"domainRoute: \"nothing\": not of the form domain;host (column 8)",
		"messageClassRestriction: \"noNothing\": not one of none, noUser, noSystem (column "
		"1)",
		"mtaTransport: \"a b\": not the name of a transport (column 2)",
		"onlySystemMessagesUseCDs: \"TRUE\": single-valued, another value is in use",
		"routingList: \"EX:Hub;1\": type EX is for sites, which are reached by "
		"connectedDomains (column 1)",
		"smartHost: \"relay:25\": a host with a port is written [host]:port (column 1)",
		"transferMode: \"sideways\": not one of both, in, out, none (column 1)",
	};
	struct model *m = routing_model((const char *const[]){site1, bad, NULL});
	struct model_ignored *ignored;
	struct arena a;
	struct buf b;
	size_t n, i;

	(void)state;
	arena_init(&a);
	buf_init(&b, 4096);
	assert_int_equal(model_ignored(m, &a, &ignored, &n), RC_OK);
	assert_int_equal(n, UNIT_COUNT(lines));
	for (i = 0; i < n; i++) {
		char want[300];

		snprintf(want, sizeof(want), "cn=Bad,ou=Site1,o=Example: %s", lines[i]);
		buf_clear(&b);
		model_ignored_write(&ignored[i], &b);
		unit_assert_span(buf_span(&b), span_of(want));
	}
	assert_int_equal(m->connectors[0].ncds, 1);
	assert_int_equal(m->connectors[0].cds[0].cost, 7);
	assert_true(m->connectors[0].enabled && m->connectors[0].sends);
	buf_fini(&b);
	arena_fini(&a);
	model_free(&m);
}

/* A line stays a line, whatever a value holds. */
static void test_ignored_is_one_line(void **state)
{
	static const char bad[] = "dn: cn=Bad,ou=Site1,o=Example\nobjectClass: imsConnector\n"
				  "connectedDomains:: YQoNYg==\n" /* a, LF, CR, b */
				  "connectedDomains:: w7z/\n\n";  /* u umlaut, 0xff */
	struct model *m = routing_model((const char *const[]){bad, NULL});
	struct model_ignored *ignored;
	struct arena a;
	struct buf b;
	size_t n;

	(void)state;
	arena_init(&a);
	buf_init(&b, 4096);
	assert_int_equal(model_ignored(m, &a, &ignored, &n), RC_OK);
	assert_int_equal(n, 2);
	model_ignored_write(&ignored[1], &b);
	assert_non_null(strstr(buf_cstr(&b), "\"\\xc3\\xbc\\xff\": not UTF-8"));
	model_ignored_write(&ignored[0], &b);
	assert_non_null(strstr(buf_cstr(&b), "\"a\\x0a\\x0db\": control character (column 2)"));
	buf_fini(&b);
	arena_fini(&a);
	model_free(&m);
}

/* An absurd DN is refused and leaves the entry, and the model, as they were. */
static void test_bad_dns(void **state)
{
	static const struct span class = {(const uint8_t *)"mailSite", 8};
	struct model_attr attrs[] = {{SPAN_LIT("objectClass"), &class, 1}};
	struct model *m = routing_model((const char *const[]){site1, NULL});
	struct span key = SPAN_LIT("ou=site1,o=example");
	static char longer[20000];
	unsigned changes = 0;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	memcpy(longer, "ou=", 3);
	assert_int_equal(model_put(m, key, span_of(longer), attrs, 1, &changes), RC_INVALID);
	assert_int_equal(model_put(m, key, SPAN_LIT(""), attrs, 1, &changes), RC_INVALID);
	assert_int_equal(model_put(m, key, SPAN_LIT("no dn"), attrs, 1, &changes), RC_INVALID);
	assert_int_equal(model_put(m, SPAN_LIT(""), SPAN_LIT("ou=A,o=B"), attrs, 1, &changes),
			 RC_INVALID);
	assert_int_equal(changes, MODEL_CHANGED_NOTHING);
	assert_int_equal(m->nsites, 1);
	unit_assert_span(m->sites[0].name, SPAN_LIT("Site1"));
	model_free(&m);
}

static int everything_once(void *arg)
{
	struct model_ignored *ignored;
	struct model *m = NULL;
	unsigned changes = 0;
	struct arena a;
	size_t n;
	int rc = model_new(&m);

	(void)arg;
	arena_init(&a);
	if (rc == RC_OK)
		rc = routing_feed(m, site1, &changes);
	if (rc == RC_OK)
		rc = routing_feed(m, ims1, &changes);
	if (rc == RC_OK)
		rc = put_renamed(m, &changes);
	if (rc == RC_OK)
		rc = model_commit(m);
	if (rc == RC_OK)
		rc = model_ignored(m, &a, &ignored, &n);
	arena_fini(&a);
	model_free(&m);
	return rc;
}

static void test_out_of_memory(void **state)
{
	(void)state;
	unit_fail_allocations(everything_once, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_records),
		unit_heap_test(test_classes),
		unit_heap_test(test_what_changed),
		unit_heap_test(test_class_goes),
		unit_heap_test(test_rename_moves_connectors),
		unit_heap_test(test_refresh),
		unit_heap_test(test_double_name),
		unit_heap_test(test_ignored),
		unit_heap_test(test_ignored_is_one_line),
		unit_heap_test(test_bad_dns),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
