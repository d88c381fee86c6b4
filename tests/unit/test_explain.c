/* What explain tells is what the mail server is told (M24), over random organisations. */
#include "tests/unit/routing.h"

#include "routed/explain.h"
#include "routed/netstring.h"

#define ORGANISATIONS 200
#define QUESTIONS 50 /* of each organisation: 10,000 in all */

static const char *pick(uint64_t *seed, const char *const *words, size_t n)
{
	return words[unit_random(seed) % n];
}

#define PICK(seed, ...)                                                                            \
	pick(seed, (const char *const[]){__VA_ARGS__},                                             \
	     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static unsigned random_organisation(uint64_t *seed, struct buf *out)
{
	unsigned sites = 2 + unit_random(seed) % 6, i, k, n;

	for (i = 0; i < sites; i++) {
		buf_printf(out, "dn: ou=S%u,o=Example\nobjectClass: mailSite\n", i);
		if (unit_random(seed) % 8 != 0)
			buf_printf(out, "siteSmtpDomain: s%u.test\n",
				   unit_random(seed) % 10 != 0 ? i : 0);
		buf_printf(out, "%s%s%s\n", PICK(seed, "", "", "siteSharedDomain: shared.test\n"),
			   PICK(seed, "", "systemAddress: robot@s1.test\n"),
			   PICK(seed, "", "onlySystemMessagesUseCDs: TRUE\n"));
	}
	for (i = 0; i < sites * 2; i++) {
		buf_printf(out, "dn: cn=C%u,ou=S%u,o=Example\nobjectClass: %s\n", i, i % sites,
			   PICK(seed, "imsConnector", "imsConnector", "imsConnector",
				"x400Connector", "gatewayConnector"));
		n = unit_random(seed) % 4;
		for (k = 0; k < n; k++)
			buf_printf(out, "connectedDomains: S%u;%u;%s%u.test\n",
				   unit_random(seed) % (sites + 1), 1 + unit_random(seed) % 5,
				   PICK(seed, "SMTP:s", "SMTP:hop", "X400:c=us"), k);
		buf_puts(out, PICK(seed, "", "", "", "smartHost: [relay.test]:2525\n"));
		buf_puts(out, PICK(seed, "", "", "domainRoute: s1.test;pin.test\n",
				   "domainRoute: out.test;pin.test\n"));
		buf_puts(out, PICK(seed, "", "", "", "messageClassRestriction: noUser\n",
				   "messageClassRestriction: noSystem\n"));
		buf_puts(out, PICK(seed, "", "", "mtaTransport: gate\n"));
		buf_puts(out, PICK(seed, "", "", "routingList: SMTP:*@out.test;2\n",
				   "routingList: SMTP:*;5;site\n", "routingList: SMTP:;9\n",
				   "routingList: SMTP:boss@s1.test;1\n",
				   "routingList: SMTP:*.s2.test;3\n"));
		buf_puts(out, PICK(seed, "", "onlySystemMessagesUseCDs: TRUE\n"));
		buf_puts(out, "\n");
	}
	return sites;
}

static void random_address(uint64_t *seed, struct buf *out)
{
	buf_clear(out);
	buf_puts(out, PICK(seed, "u", "Boss", "robot", "ROBOT+x", "u+tag", "\"a b\"", "x.y",
			   "\xc3\xa9", "IMCEAEX-_o=Example_ou=S1_cn=a"));
	buf_printf(out, "@%s", PICK(seed, "", "", "", "mail.", "a.b."));
	if (unit_random(seed) % 4 != 0)
		buf_printf(out, "%s%u.test", PICK(seed, "s", "S"), unit_random(seed) % 7);
	else
		buf_puts(out, PICK(seed, "out.test", "Shared.TEST", "elsewhere.test", "x.out.test",
				   "b\xc3\xbc\xc3\x9f.test"));
	buf_puts(out, PICK(seed, "", "", "", "."));
}

static bool has(const struct buf *b, const char *text)
{
	return strstr(buf_cstr((struct buf *)(uintptr_t)b), text) != NULL;
}

/* The member "transport" of the JSON form, and the line "Postfix:" of the other. */
static void assert_told(const struct buf *json, const struct buf *text, struct span transport)
{
	struct buf want;

	buf_init(&want, 1 << 16);
	buf_puts(&want, ",\"transport\":");
	table_json_string(transport, &want);
	assert_true(has(json, buf_cstr(&want)));
	buf_clear(&want);
	buf_puts(&want, "Postfix:   ");
	buf_put(&want, transport);
	buf_puts(&want, "\n");
	assert_true(has(text, buf_cstr(&want)));
	buf_fini(&want);
}

enum answer { ROUTE, NO_ROUTE, NOT_FOUND, PERM, ANSWERS };

static enum answer compare(const struct table *t, const struct model *m, struct span address)
{
	struct explain_request r = {.recipient = address, .cls = TABLE_USER};
	struct buf scratch, live, json, text;
	enum answer answer = ANSWERS;

	buf_init(&scratch, 4 * NETSTRING_REQUEST_MAX_BYTES);
	buf_init(&live, NETSTRING_REPLY_MAX_BYTES);
	buf_init(&json, 1 << 20);
	buf_init(&text, 1 << 20);
	lookup_transport(t, address, &scratch, &live);
	explain_write(t, m, &r, &text);
	r.json = true;
	explain_write(t, m, &r, &json);
	if (has(&live, "PERM ")) {
		assert_true(has(&json, "error: ") && has(&text, "error: "));
		answer = PERM;
	} else if (has(&live, "NOTFOUND ")) {
		assert_true(has(&json, "\"transport\":null"));
		assert_true(has(&json, "\"verdict\":\"local\"") ||
			    has(&json, "\"verdict\":\"shared\"") ||
			    has(&json, "\"verdict\":\"absent\""));
		assert_false(has(&text, "Postfix:"));
		answer = NOT_FOUND;
	} else if (has(&live, "OK retry:")) {
		assert_true(has(&json, "\"verdict\":\"noroute\"") &&
			    has(&json, "\"transport\":null"));
		assert_true(has(&text, "no route"));
		answer = NO_ROUTE;
	} else {
		assert_true(has(&live, "OK ") && has(&json, "\"verdict\":\"route\""));
		assert_told(&json, &text, span_from(buf_span(&live), 3));
		answer = ROUTE;
	}
	buf_fini(&scratch);
	buf_fini(&live);
	buf_fini(&json);
	buf_fini(&text);
	return answer;
}

static void test_as_the_live_answer(void **state)
{
	unsigned seen[ANSWERS] = {0}, i, k;
	uint64_t seed = 20;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (i = 0; i < ORGANISATIONS; i++) {
		char site[16];
		unsigned sites;
		struct model *m;
		struct table *t;

		buf_clear(&b);
		sites = random_organisation(&seed, &b);
		m = routing_model((const char *const[]){buf_cstr(&b), NULL});
		snprintf(site, sizeof(site), "S%u", unit_random(&seed) % sites);
		t = routing_table(m, site);
		for (k = 0; k < QUESTIONS; k++) {
			random_address(&seed, &b);
			seen[compare(t, unit_random(&seed) % 4 != 0 ? m : NULL, buf_span(&b))]++;
		}
		table_free(&t);
		model_free(&m);
	}
	buf_fini(&b);
	print_message("%u routes, %u without one, %u not found, %u refused\n", seen[ROUTE],
		      seen[NO_ROUTE], seen[NOT_FOUND], seen[PERM]);
	assert_true(seen[ROUTE] > 1000 && seen[NO_ROUTE] > 200 && seen[NOT_FOUND] > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_as_the_live_answer),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
