#include "tests/unit/routing.h"

#include "routed/loopcheck.h"

#define SITE(name)                                                                                 \
	"dn: ou=" name ",o=Example\nobjectClass: mailSite\nsiteSmtpDomain: " name ".example\n\n"
#define IMS(site, more) "dn: cn=IMS,ou=" site ",o=Example\nobjectClass: imsConnector\n" more "\n"
#define CD(value) "connectedDomains: " value "\n"

static const struct loopcheck_loop *check(const struct model *before, const struct model *after,
					  struct loopcheck **lc, size_t *n)
{
	const struct model *models[] = {before, after};
	const struct loopcheck_loop *loops = NULL;
	size_t ndestinations = 0;
	uint32_t i;
	unsigned k;

	assert_int_equal(loopcheck_new(models, 2, lc), RC_OK);
	for (k = 0; k < 2; k++) {
		for (i = 0; i < models[k]->nsites; i++) {
			char name[64];
			struct table *t;

			snprintf(name, sizeof(name), "%.*s", SPAN_ARG(models[k]->sites[i].name));
			t = routing_table(models[k], name);
			assert_int_equal(
				loopcheck_add(*lc, t, k == 0 ? LOOPCHECK_OLD : LOOPCHECK_NEW),
				RC_OK);
			table_free(&t);
		}
	}
	assert_int_equal(loopcheck_run(*lc, &loops, n, &ndestinations), RC_OK);
	assert_true(ndestinations > 0);
	return loops;
}

/* The only way to C moves from A's connector to B's: A asks B while B still asks A. */
static void test_moved_link(void **state)
{
	static const char both[] = SITE("A") SITE("B") SITE("C") IMS("C", CD("A;1;SMTP:A.example"));
	static const char old_way[] = IMS("A", CD("B;1;SMTP:B.example") CD("C;1;SMTP:C.example"))
		IMS("B", CD("A;1;SMTP:A.example"));
	static const char new_way[] = IMS("A", CD("B;1;SMTP:B.example"))
		IMS("B", CD("A;1;SMTP:A.example") CD("C;1;SMTP:C.example"));
	struct model *before = routing_model((const char *const[]){both, old_way, NULL});
	struct model *after = routing_model((const char *const[]){both, new_way, NULL});
	const struct loopcheck_loop *loops;
	struct loopcheck *lc;
	struct buf b;
	size_t n, i, seen = 0;

	(void)state;
	loops = check(before, after, &lc, &n);
	/* EX:C and SMTP:x@c.example, of both classes */
	assert_int_equal(n, 4);
	buf_init(&b, 10000);
	for (i = 0; i < n; i++) {
		assert_false(loops[i].lasting);
		assert_int_equal(loops[i].nsteps, 2);
		buf_clear(&b);
		loopcheck_write(&loops[i], &b);
		seen += strcmp(buf_cstr(&b), "user EX:C: A (new) > B (old) > A (new), while the "
					     "change travels\n") == 0 ||
			strcmp(buf_cstr(&b), "user EX:C: A (new) > B (old) > A, while the change "
					     "travels\n") == 0;
	}
	assert_int_equal(seen, 1);
	buf_clear(&b);
	loopcheck_json(&loops[0], &b);
	assert_non_null(strstr(buf_cstr(&b), "\"lasting\":false"));
	loopcheck_free(&lc);
	loops = check(before, before, &lc, &n);
	assert_int_equal(n, 0);
	loopcheck_free(&lc);
	buf_fini(&b);
	model_free(&before);
	model_free(&after);
}

/* An address space moves from one site to another: found by an address that it covers. */
static void test_moved_space(void **state)
{
	static const char rest[] = SITE("A") SITE("B");
	static const char old_way[] =
		IMS("A", CD("B;1;SMTP:B.example") "routingList: SMTP:*@out.example;1\n")
			IMS("B", CD("A;1;SMTP:A.example"));
	static const char new_way[] = IMS("A", CD("B;1;SMTP:B.example"))
		IMS("B", CD("A;1;SMTP:A.example") "routingList: SMTP:*@out.example;1\n");
	struct model *before = routing_model((const char *const[]){rest, old_way, NULL});
	struct model *after = routing_model((const char *const[]){rest, new_way, NULL});
	const struct loopcheck_loop *loops;
	struct loopcheck *lc;
	size_t n;

	(void)state;
	loops = check(before, after, &lc, &n);
	assert_int_equal(n, 2);
	assert_int_equal(loops[0].target.n, strlen("SMTP:x@out.example"));
	loopcheck_free(&lc);
	model_free(&before);
	model_free(&after);
}

/* Loops of one state: the number of them, and that all last. */
static size_t count_lasting(const char *const *texts)
{
	struct model *m = routing_model(texts);
	const struct loopcheck_loop *loops;
	struct loopcheck *lc;
	size_t n, i;

	loops = check(m, m, &lc, &n);
	for (i = 0; i < n; i++)
		assert_true(loops[i].lasting);
	loopcheck_free(&lc);
	model_free(&m);
	return n;
}

/* A's host for C's domain is of B, and B's is of A: the pins are followed to their sites. */
static void test_pins(void **state)
{
	static const char sites[] =
		SITE("A") SITE("B") SITE("C") IMS("C", CD("A;1;SMTP:A.example"));
	static const char a_by_b[] =
		IMS("A", CD("B;1;SMTP:B.example") CD(
				 "C;1;SMTP:C.example") "domainRoute: c.example;mail.b.example\n");
	static const char b_by_a[] = IMS("B", CD("A;1;SMTP:A.example") CD("C;9;SMTP:C.example"));
	static const char b_pinned[] =
		IMS("B", CD("A;9;SMTP:A.example") CD(
				 "C;1;SMTP:C.example") "domainRoute: C.example;[a.example]:2525\n");
	static const char b_right[] =
		IMS("B", CD("A;9;SMTP:A.example")
				 CD("C;1;SMTP:C.example") "domainRoute: c.example;[192.0.2.1]\n");

	(void)state;
	/* EX:C and SMTP:x@c.example, of both classes */
	assert_int_equal(count_lasting((const char *const[]){sites, a_by_b, b_by_a, NULL}), 4);
	assert_int_equal(count_lasting((const char *const[]){sites, a_by_b, b_pinned, NULL}), 4);
	assert_int_equal(count_lasting((const char *const[]){sites, a_by_b, b_right, NULL}), 0);
}

/* The same of direct routes: a pinned host is not the target's own mail exchanger. */
static void test_pinned_direct_route(void **state)
{
	static const char sites[] =
		SITE("A") SITE("B") SITE("C") IMS("C", CD("A;1;SMTP:A.example"));
	static const char a[] =
		IMS("A", CD("B;9;SMTP:B.example")
				 CD("C;1;SMTP:C.example") "onlySystemMessagesUseCDs: TRUE\n"
							  "domainRoute: c.example;b.example\n");
	static const char b[] = IMS("B", CD("A;1;SMTP:A.example"));

	(void)state;
	assert_int_equal(count_lasting((const char *const[]){sites, a, b, NULL}), 4);
}

/* Mail to the outside that two sites push to each other's smart host. */
static void test_smart_hosts(void **state)
{
	static const char sites[] = SITE("A") SITE("B");
	static const char a[] = IMS("A", "routingList: SMTP:*;1\nsmartHost: relay.b.example\n");
	static const char b[] = IMS("B", "routingList: SMTP:*;1\nsmartHost: a.example\n");
	static const char b_out[] = IMS("B", "routingList: SMTP:*;1\nsmartHost: isp.test\n");
	static const char b_self[] = IMS("B", "routingList: SMTP:*;1\nsmartHost: mx.b.example\n");

	(void)state;
	assert_int_equal(count_lasting((const char *const[]){sites, a, b, NULL}), 2);
	assert_int_equal(count_lasting((const char *const[]){sites, a, b_out, NULL}), 0);
	/* of both classes, and user mail to a.example, to which B has no way */
	assert_int_equal(count_lasting((const char *const[]){sites, a, b_self, NULL}), 3);
}

/* A domainRoute counts for mail to the outside, too: for its domain only. */
static void test_pins_of_outside_domains(void **state)
{
	static const char sites[] = SITE("A") SITE("B");
	static const char a[] =
		IMS("A", "routingList: SMTP:*;1\ndomainRoute: x.invalid;b.example\n");
	static const char b[] =
		IMS("B", "routingList: SMTP:*;1\ndomainRoute: x.invalid;a.example\n");
	static const char b_other[] =
		IMS("B", "routingList: SMTP:*;1\ndomainRoute: y.invalid;a.example\n");

	(void)state;
	assert_int_equal(count_lasting((const char *const[]){sites, a, b, NULL}), 2);
	assert_int_equal(count_lasting((const char *const[]){sites, a, b_other, NULL}), 0);
}

/* A routing address that is another site's domain leads there (M29). */
static void test_routing_address_of_another_site(void **state)
{
	static const char sites[] = SITE("A") SITE("B") SITE("C");
	static const char a[] = IMS("A", CD("B;1;SMTP:B.example"));
	static const char b[] = IMS("B", CD("A;9;SMTP:A.example") CD("C;1;SMTP:A.example"));

	(void)state;
	assert_int_equal(count_lasting((const char *const[]){sites, a, b, NULL}), 4);
}

/* A mail domain that moves from one site to another goes around while only one of them knows;
 * direct or not, as the two sites themselves disagree. */
static void test_moved_domain(void **state)
{
	static const char rest[] = SITE("H") IMS("H", CD("A;1;SMTP:a.test") CD("B;1;SMTP:b.test"))
		IMS("A", CD("H;1;SMTP:H.example")) IMS("B", CD("H;1;SMTP:H.example"));
	static const char at_a[] =
		"dn: ou=A,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: d.example\n%s\n"
		"dn: ou=B,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: b.test\n%s\n";
	static const char at_b[] =
		"dn: ou=A,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: a.test\n%s\n"
		"dn: ou=B,o=Example\nobjectClass: mailSite\nsiteSmtpDomain: d.example\n%s\n";
	static const char *const flags[] = {"", "onlySystemMessagesUseCDs: TRUE\n"};
	const struct loopcheck_loop *loops;
	unsigned direct;
	size_t n, i;

	(void)state;
	for (direct = 0; direct < 2; direct++) {
		char old_text[512], new_text[512];
		struct model *before, *after;
		struct loopcheck *lc;
		size_t user = 0;

		snprintf(old_text, sizeof(old_text), at_a, flags[direct], flags[direct]);
		snprintf(new_text, sizeof(new_text), at_b, flags[direct], flags[direct]);
		before = routing_model((const char *const[]){rest, old_text, NULL});
		after = routing_model((const char *const[]){rest, new_text, NULL});
		loops = check(before, after, &lc, &n);
		for (i = 0; i < n; i++) {
			assert_false(loops[i].lasting);
			user += loops[i].cls == TABLE_USER;
		}
		assert_true(user > 0);
		loopcheck_free(&lc);
		model_free(&before);
		model_free(&after);
	}
}

/* --- the property: flipping the flag never makes a loop, in no mixture of tables (M6) --- */

/* One organisation; flags and nothing else depend on `flags`. */
static void random_ldif(uint64_t seed, uint64_t flags, struct buf *out)
{
	static const char *const classes[] = {"imsConnector", "imsConnector", "imsConnector",
					      "siteConnector", "x400Connector"};
	unsigned sites = 2 + unit_random(&seed) % 8, i, k, n;

	for (i = 0; i < sites; i++)
		buf_printf(out,
			   "dn: ou=S%u,o=Example\nobjectClass: mailSite\n"
			   "siteSmtpDomain: s%u.example\n%s\n",
			   i, unit_random(&seed) % 8 == 0 ? 0 : i,
			   unit_random(&flags) % 4 == 0 ? "onlySystemMessagesUseCDs: TRUE\n" : "");
	for (i = 0; i < sites * 2; i++) {
		buf_printf(out, "dn: cn=C%u,ou=S%u,o=Example\nobjectClass: %s\n", i, i % sites,
			   classes[unit_random(&seed) % 5]);
		n = unit_random(&seed) % 4;
		for (k = 0; k < n; k++)
			buf_printf(out, "connectedDomains: S%u;%u;SMTP:hop%u.example\n",
				   unit_random(&seed) % sites, 1 + unit_random(&seed) % 5, k);
		if (unit_random(&seed) % 3 == 0)
			buf_printf(out, "routingList: SMTP:*@out%u.example;%u\n",
				   unit_random(&seed) % 3, 1 + unit_random(&seed) % 5);
		if (unit_random(&seed) % 6 == 0)
			buf_puts(out, "messageClassRestriction: noUser\n");
		if (unit_random(&flags) % 2 == 0)
			buf_puts(out, "onlySystemMessagesUseCDs: TRUE\n");
		buf_puts(out, "\n");
	}
}

static struct model *random_model(uint64_t seed, uint64_t flags)
{
	struct model *m;
	struct buf b;

	buf_init(&b, 1 << 20);
	random_ldif(seed, flags, &b);
	m = routing_model((const char *const[]){buf_cstr(&b), NULL});
	buf_fini(&b);
	return m;
}

static void test_flips_never_loop(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		struct model *before = random_model(seed * 7919, seed * 31);
		struct model *after = random_model(seed * 7919, seed * 31 + 17);
		struct loopcheck *lc;
		size_t n;

		(void)check(before, after, &lc, &n);
		if (n != 0)
			print_message("seed %u loops\n", (unsigned)seed);
		assert_int_equal(n, 0);
		loopcheck_free(&lc);
		model_free(&before);
		model_free(&after);
	}
}

/* Other topologies: the check finds loops while a change travels, and never a lasting one, as every
 * hop of one snapshot comes nearer. */
static void test_one_snapshot_never_loops(void **state)
{
	size_t travelling = 0, n, i;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= 150; seed++) {
		struct model *before = random_model(seed * 104729, 5);
		struct model *after = random_model(seed * 104729 + 1, 5);
		const struct loopcheck_loop *loops;
		struct loopcheck *lc;

		loops = check(before, after, &lc, &n);
		travelling += n;
		for (i = 0; i < n; i++)
			assert_false(loops[i].lasting);
		loopcheck_free(&lc);
		model_free(&before);
		model_free(&after);
	}
	assert_true(travelling > 100);
}

/* Every allocation fails once: an error, never a wrong verdict or a leak. */
static void test_out_of_memory(void **state)
{
	struct model *m = random_model(12345, 6);
	struct table *t = routing_table(m, "S0");
	const struct model *models[] = {m};
	long fail;
	int rc = RC_NOMEM;

	(void)state;
	for (fail = 1; rc != RC_OK; fail++) {
		const struct loopcheck_loop *loops;
		struct loopcheck *lc = NULL;
		size_t n, nd;

		mem_fail_at(fail);
		rc = loopcheck_new(models, 1, &lc);
		if (rc == RC_OK)
			rc = loopcheck_add(lc, t, LOOPCHECK_OLD);
		if (rc == RC_OK)
			rc = loopcheck_run(lc, &loops, &n, &nd);
		mem_fail_at(0);
		assert_true(rc == RC_OK || rc == RC_NOMEM);
		loopcheck_free(&lc);
	}
	assert_true(fail > 3);
	table_free(&t);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_moved_link),
		unit_heap_test(test_moved_space),
		unit_heap_test(test_pins),
		unit_heap_test(test_pinned_direct_route),
		unit_heap_test(test_smart_hosts),
		unit_heap_test(test_pins_of_outside_domains),
		unit_heap_test(test_routing_address_of_another_site),
		unit_heap_test(test_moved_domain),
		unit_heap_test(test_flips_never_loop),
		unit_heap_test(test_one_snapshot_never_loops),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("loopcheck", tests, NULL, NULL);
}
