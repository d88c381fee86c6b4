/* Published routes: a table as entries, and the changes from one set to another. */
#include "tests/unit/routing.h"

#include "routed/routes.h"
#include "routed/uuidset.h"

static const char hub[] =
	"dn: ou=S1,o=E\nobjectClass: mailSite\nsiteSmtpDomain: s1.example\n\n"
	"dn: ou=S2,o=E\nobjectClass: mailSite\nsiteSmtpDomain: s2.example\n\n"
	"dn: ou=H,o=E\nobjectClass: mailSite\nsiteSmtpDomain: h.example\n\n"
	"dn: cn=IMS,ou=S2,o=E\nobjectClass: imsConnector\nconnectedDomains: H;1;SMTP:h.example\n\n"
	"dn: cn=IMS,ou=H,o=E\nobjectClass: imsConnector\n"
	"connectedDomains: S1;1;SMTP:s1.example\nconnectedDomains: S2;1;SMTP:s2.example\n\n";
static const char plain[] =
	"dn: cn=IMS,ou=S1,o=E\nobjectClass: imsConnector\nconnectedDomains: H;1;SMTP:h.example\n\n";
static const char flagged[] =
	"dn: cn=IMS,ou=S1,o=E\nobjectClass: imsConnector\nonlySystemMessagesUseCDs: TRUE\n"
	"connectedDomains: H;1;SMTP:h.example\n\n";
static const char doubled[] = "dn: cn=Second,ou=S1,o=E\nobjectClass: imsConnector\n"
			      "connectedDomains: H;1;SMTP:h2.example\n\n";

static void make(const char *first, const char *second, struct routes *out)
{
	struct model *m = routing_model((const char *const[]){hub, first, second, NULL});
	struct table *t = routing_table(m, "S1");

	assert_int_equal(routes_of_table(t, out), RC_OK);
	table_free(&t);
	model_free(&m);
}

static const char *value(const struct routes_entry *e, const char *type, unsigned i)
{
	unsigned k;

	for (k = 0; k < e->nattrs; k++) {
		if (strcmp(e->attrs[k].type, type) == 0 && i < e->attrs[k].nvalues)
			return (const char *)e->attrs[k].values[i].p;
	}
	return "";
}

static void test_entries(void **state)
{
	static const char *const names[] = {"system EX H 1", "system EX S2 1", "user EX H 1",
					    "user EX S2 1"};
	struct routes r;
	size_t i;

	(void)state;
	make(plain, NULL, &r);
	assert_int_equal(r.n, UNIT_COUNT(names));
	for (i = 0; i < r.n; i++)
		unit_assert_span(r.entries[i].name, span_of(names[i]));
	assert_string_equal(value(&r.entries[3], "routeMode", 0), "connected");
	assert_string_equal(value(&r.entries[3], "routePath", 0), "1 S1/IMS");
	assert_string_equal(value(&r.entries[3], "routePath", 1), "2 H/IMS");
	assert_string_equal(value(&r.entries[3], "routeReason", 0), "FLAG_OFF");
	assert_string_equal(value(&r.entries[3], "routeNextHop", 0), "mx:h.example");
	routes_fini(&r);
}

static void test_candidates_are_numbered(void **state)
{
	struct routes r;

	(void)state;
	make(plain, doubled, &r);
	assert_int_equal(r.n, 8);
	unit_assert_span(r.entries[6].name, SPAN_LIT("user EX S2 1"));
	unit_assert_span(r.entries[7].name, SPAN_LIT("user EX S2 2"));
	assert_string_equal(value(&r.entries[7], "routeConnector", 0), "Second");
	routes_fini(&r);
}

static void expect(const struct routes *have, const struct routes *want, const char *text)
{
	static const char letters[] = {
		[ROUTES_ADD] = '+', [ROUTES_MODIFY] = '~', [ROUTES_DELETE] = '-'};
	struct routes_change *list;
	struct arena a;
	struct buf got;
	size_t n;
	size_t i;

	arena_init(&a);
	buf_init(&got, 4096);
	assert_int_equal(routes_compare(&a, have, want, &list, &n), RC_OK);
	for (i = 0; i < n; i++)
		buf_printf(&got, "%c%.*s;", letters[list[i].op], SPAN_ARG(list[i].entry->name));
	unit_assert_span(buf_span(&got), span_of(text));
	buf_fini(&got);
	arena_fini(&a);
}

static void test_changes(void **state)
{
	struct routes empty;
	struct routes one, two, three;

	(void)state;
	routes_init(&empty);
	make(plain, NULL, &one);
	make(flagged, NULL, &two);
	make(plain, doubled, &three);
	expect(&one, &one, "");
	expect(&empty, &one, "+system EX H 1;+system EX S2 1;+user EX H 1;+user EX S2 1;");
	expect(&one, &empty, "-system EX H 1;-system EX S2 1;-user EX H 1;-user EX S2 1;");
	expect(&one, &two, "~user EX H 1;~user EX S2 1;");
	expect(&three, &one, "-system EX H 2;-system EX S2 2;-user EX H 2;-user EX S2 2;");
	routes_fini(&one);
	routes_fini(&two);
	routes_fini(&three);
	routes_fini(&empty);
	assert_int_equal(mem_live_blocks(), 0);
}

/* A few thousand random steps against a plain array. */
static void test_uuidset(void **state)
{
	struct uuidset set = {0};
	bool there[500] = {false};
	uint32_t seed = 12345;
	size_t at = 0;
	size_t n = 0;
	unsigned i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		struct syncctl_uuid u = {{0}};
		unsigned k;

		seed = seed * 1664525u + 1013904223u;
		k = (seed >> 8) % UNIT_COUNT(there);
		u.b[15] = (uint8_t)k;
		u.b[3] = (uint8_t)(k >> 8);
		assert_int_equal(uuidset_has(&set, &u), there[k]);
		if ((seed >> 30) == 0) {
			uuidset_del(&set, &u);
			there[k] = false;
		} else if ((seed >> 30) == 1) {
			assert_int_equal(uuidset_put(&set, &u), RC_OK);
			there[k] = true;
		}
	}
	for (i = 0; i < UNIT_COUNT(there); i++)
		n += there[i];
	assert_int_equal(set.n, n);
	while (uuidset_next(&set, &at) != NULL)
		n--;
	assert_int_equal(n, 0);
	uuidset_clear(&set);
	assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_candidates_are_numbered),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_uuidset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
