#include "tests/unit/routing.h"

#include "routed/graph.h"

/* Two ways of one cost from A to D, and a dearer edge; E cannot be reached. */
static const char diamond[] = "dn: ou=A,o=X\nobjectClass: mailSite\n\n"
			      "dn: ou=B,o=X\nobjectClass: mailSite\n\n"
			      "dn: ou=C,o=X\nobjectClass: mailSite\n\n"
			      "dn: ou=D,o=X\nobjectClass: mailSite\n\n"
			      "dn: ou=E,o=X\nobjectClass: mailSite\n\n"
			      "dn: cn=a,ou=A,o=X\nobjectClass: imsConnector\n"
			      "connectedDomains: B;1;SMTP:b\nconnectedDomains: C;2;SMTP:c\n"
			      "connectedDomains: D;90;SMTP:d\nconnectedDomains: A;1;SMTP:a\n\n"
			      "dn: cn=b,ou=B,o=X\nobjectClass: imsConnector\n"
			      "connectedDomains: D;2;SMTP:d\nconnectedDomains: A;1;SMTP:a\n\n"
			      "dn: cn=c,ou=C,o=X\nobjectClass: siteConnector\n"
			      "messageClassRestriction: noUser\nconnectedDomains: D;1;RPC:d\n\n"
			      "dn: cn=e,ou=E,o=X\nobjectClass: imsConnector\n"
			      "connectedDomains: A;1;SMTP:a\n\n";

static uint32_t node(const struct model *m, const char *name)
{
	uint32_t site;

	assert_int_equal(model_find_site(m, span_of(name), &site), RC_OK);
	return m->sites[site].name_id;
}

static unsigned count_labels(const struct graph_run *r, uint32_t at_node)
{
	unsigned n = 0;
	uint32_t at;

	for (at = r->head[at_node]; at != GRAPH_NONE; at = r->labels[at].next) {
		assert_true(r->labels[at].next == GRAPH_NONE ||
			    r->labels[r->labels[at].next].first > r->labels[at].first);
		n++;
	}
	return n;
}

static void test_runs(void **state)
{
	struct model *m = routing_model((const char *const[]){diamond, NULL});
	struct graph_run system, user;
	struct arena a;
	struct graph g;

	(void)state;
	arena_init(&a);
	assert_int_equal(graph_build(m, &a, &g), RC_OK);
	assert_int_equal(g.nedges, 7); /* A's connected domain for A itself is none */
	assert_int_equal(graph_run(&g, node(m, "A"), MODEL_CARRY_SYSTEM, 100, &system), RC_OK);
	assert_int_equal(graph_run(&g, node(m, "A"), MODEL_CARRY_USER, 100, &user), RC_OK);
	assert_int_equal(system.dist[node(m, "A")], 0);
	assert_int_equal(system.dist[node(m, "D")], 3);
	assert_int_equal(system.dist[node(m, "E")], GRAPH_NONE);
	assert_int_equal(count_labels(&system, node(m, "A")), 0);
	assert_int_equal(count_labels(&system, node(m, "D")), 2);
	assert_int_equal(count_labels(&user, node(m, "D")), 1);
	assert_int_equal(user.dist[node(m, "D")], 3);
	assert_true(user.labels[user.head[node(m, "D")]].all_ims);
	assert_int_equal(user.labels[user.head[node(m, "D")]].hops, 2);
	graph_run_fini(&system);
	graph_run_fini(&user);
	arena_fini(&a);
	model_free(&m);
}

static void test_too_many_candidates(void **state)
{
	struct model *m = routing_model((const char *const[]){diamond, NULL});
	struct graph_run r;
	struct arena a;
	struct graph g;

	(void)state;
	arena_init(&a);
	assert_int_equal(graph_build(m, &a, &g), RC_OK);
	assert_int_equal(graph_run(&g, node(m, "A"), MODEL_CARRY_SYSTEM, 4, &r), RC_OK);
	assert_int_equal(r.nlabels, 4);
	graph_run_fini(&r);
	assert_int_equal(graph_run(&g, node(m, "A"), MODEL_CARRY_SYSTEM, 3, &r), RC_TOOBIG);
	assert_int_equal(graph_run(&g, node(m, "A"), MODEL_CARRY_SYSTEM, 0, &r), RC_TOOBIG);
	arena_fini(&a);
	model_free(&m);
}

/* "site/connector" is compared as one text: '/' ranks below letters and above '-'. */
static void test_connector_order(void **state)
{
	static const char sites[] = "dn: ou=S,o=X\nobjectClass: mailSite\n\n"
				    "dn: ou=S-1,o=X\nobjectClass: mailSite\n\n"
				    "dn: ou=SA,o=X\nobjectClass: mailSite\n\n"
				    "dn: cn=Z,ou=S-1,o=X\nobjectClass: imsConnector\n\n"
				    "dn: cn=a,ou=S,o=X\nobjectClass: imsConnector\n\n"
				    "dn: cn=B,ou=s,o=X\nobjectClass: imsConnector\n\n"
				    "dn: cn=A,ou=SA,o=X\nobjectClass: imsConnector\n\n";
	struct model *m = routing_model((const char *const[]){sites, NULL});
	uint32_t i, k;

	(void)state;
	assert_int_equal(m->nconnectors, 4);
	for (i = 0; i < m->nconnectors; i++) {
		for (k = 0; k < m->nconnectors; k++) {
			int c = graph_connector_cmp(m, i, k);

			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
		}
	}
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_runs),
		unit_heap_test(test_too_many_candidates),
		unit_heap_test(test_connector_order),
	};

	return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
