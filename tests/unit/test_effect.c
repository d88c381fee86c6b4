#include "tests/unit/routing.h"

#include "routed/effect.h"

#define SITES 12
#define CONNECTORS 30
#define LINKS 3
#define ROUNDS 60
#define CHANGES 40

static uint64_t seed;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

struct link {
	unsigned to, cost;
};

/* An organisation as data, so that it can be put into any model. */
struct org {
	struct {
		unsigned site, nlinks;
		const char *class, *restriction;
		bool flag, space;
		struct link links[LINKS];
	} connectors[CONNECTORS];
};

static void random_links(struct org *o, unsigned c)
{
	unsigned i;

	o->connectors[c].nlinks = rnd(LINKS + 1);
	for (i = 0; i < LINKS; i++)
		o->connectors[c].links[i] = (struct link){rnd(SITES + 1), 1 + rnd(20)};
}

static void random_org(struct org *o)
{
	static const char *const restrictions[] = {"none", "none", "none", "noUser", "noSystem"};
	unsigned i;

	for (i = 0; i < CONNECTORS; i++) {
		o->connectors[i].site = rnd(SITES);
		o->connectors[i].class = rnd(4) == 0 ? "x400Connector" : "imsConnector";
		o->connectors[i].restriction = restrictions[rnd(5)];
		o->connectors[i].flag = rnd(2);
		o->connectors[i].space = rnd(5) == 0;
		random_links(o, i);
	}
}

static void put_text(struct model *m, const char *text, unsigned *changes)
{
	assert_int_equal(routing_feed(m, text, changes), RC_OK);
}

static unsigned put_connector(struct model *m, const struct org *o, unsigned c)
{
	unsigned changes = 0, i;
	struct buf b;

	buf_init(&b, 1 << 16);
	buf_printf(&b,
		   "dn: cn=C%u,ou=Site%u,o=Example\nobjectClass: %s\n"
		   "messageClassRestriction: %s\nonlySystemMessagesUseCDs: %s\n",
		   c, o->connectors[c].site, o->connectors[c].class, o->connectors[c].restriction,
		   o->connectors[c].flag ? "TRUE" : "FALSE");
	if (o->connectors[c].space)
		buf_printf(&b, "routingList: SMTP:*@x%u.example;%u\n", c % 4, 1 + c % 3);
	/* Number SITES has no object. */
	for (i = 0; i < o->connectors[c].nlinks; i++)
		buf_printf(&b, "connectedDomains: Site%u;%u;SMTP:site%u.example\n",
			   o->connectors[c].links[i].to, o->connectors[c].links[i].cost,
			   o->connectors[c].links[i].to);
	buf_puts(&b, "\n");
	put_text(m, buf_cstr(&b), &changes);
	buf_fini(&b);
	return changes;
}

static struct model *fresh(const struct org *o)
{
	struct model *m = NULL;
	char text[200];
	unsigned i, changes = 0;

	assert_int_equal(model_new(&m), RC_OK);
	for (i = 0; i < SITES; i++) {
		snprintf(text, sizeof(text),
			 "dn: ou=Site%u,o=Example\nobjectClass: mailSite\n"
			 "siteSmtpDomain: site%u.example\n\n",
			 i, i);
		put_text(m, text, &changes);
	}
	for (i = 0; i < CONNECTORS; i++)
		put_connector(m, o, i);
	assert_int_equal(model_commit(m), RC_OK);
	return m;
}

static struct table *compute(struct model *m, struct effect *e)
{
	struct table *t = NULL;

	assert_int_equal(
		compute_table_more(m, SPAN_LIT("Site0"), &(struct compute_more){.effect = e}, &t),
		RC_OK);
	model_pending_clear(m);
	return t;
}

/* What a fresh start would compute. */
static void check_equal(const struct org *o, const struct table *t)
{
	struct model *m = fresh(o);
	struct table *want = routing_table(m, "Site0");
	struct buf a, b;

	buf_init(&a, 1 << 24);
	buf_init(&b, 1 << 24);
	table_write(t, &a);
	table_write(want, &b);
	assert_true(span_eq(buf_span(&a), buf_span(&b)));
	buf_fini(&a);
	buf_fini(&b);
	table_free(&want);
	model_free(&m);
}

static void change_links(struct org *o, unsigned c)
{
	unsigned i = rnd(LINKS);

	if (rnd(8) == 0)
		random_links(o, c);
	else
		o->connectors[c].links[i].cost = 1 + rnd(20);
}

static void run(unsigned round, unsigned *none, unsigned *some)
{
	struct effect e = {0};
	struct model *m;
	struct table *t;
	struct org o;
	unsigned i;

	seed = 88172645463325252u + round * 2654435761u;
	random_org(&o);
	m = fresh(&o);
	t = compute(m, &e);
	for (i = 0; i < CHANGES; i++) {
		unsigned c = rnd(CONNECTORS);

		change_links(&o, c);
		if (rnd(10) == 0)
			o.connectors[c].flag = !o.connectors[c].flag;
		put_connector(m, &o, c);
		if (effect_none(&e, m)) {
			assert_true(m->committed);
			model_pending_clear(m);
			++*none;
		} else {
			assert_int_equal(model_commit(m), RC_OK);
			table_free(&t);
			t = compute(m, &e);
			++*some;
		}
		check_equal(&o, t);
	}
	effect_fini(&e);
	table_free(&t);
	model_free(&m);
}

/* P10: whatever way the table came about, it is the one that a fresh start computes. */
static void test_random_changes(void **state)
{
	unsigned round, none = 0, some = 0;

	(void)state;
	for (round = 0; round < ROUNDS; round++)
		run(round, &none, &some);
	print_message("%u changes without effect, %u with\n", none, some);
	assert_in_range(none, ROUNDS * CHANGES / 4, ROUNDS * CHANGES);
	assert_in_range(some, ROUNDS * CHANGES / 10, ROUNDS * CHANGES);
}

#define SITE(name)                                                                                 \
	"dn: ou=" name ",o=Example\nobjectClass: mailSite\nsiteSmtpDomain: " name ".example\n\n"
#define IMS(site, more) "dn: cn=IMS,ou=" site ",o=Example\nobjectClass: imsConnector\n" more "\n"
#define CD(value) "connectedDomains: " value "\n"

static const struct row {
	const char *what, *change;
	bool none;
} rows[] = {
	{"a dearer edge that was not used", IMS("C", CD("A;9;SMTP:a") CD("B;8;SMTP:b")), true},
	{"an unused edge goes", IMS("C", CD("A;9;SMTP:a")), true},
	{"an edge that is used becomes dearer", IMS("A", CD("B;2;SMTP:b") CD("C;3;SMTP:c")), false},
	{"an edge back to the own site becomes cheap", IMS("C", CD("A;1;SMTP:a") CD("B;7;SMTP:b")),
	 true},
	{"the address of an unused edge", IMS("C", CD("A;9;SMTP:a") CD("B;7;SMTP:other")), true},
	{"the address of the own first hop", IMS("A", CD("B;2;SMTP:other") CD("C;2;SMTP:c")),
	 false},
	{"a name without object", IMS("C", CD("A;9;SMTP:a") CD("B;7;SMTP:b") CD("N;99;SMTP:n")),
	 false},
	{"another attribute", IMS("C", CD("A;9;SMTP:a") CD("B;7;SMTP:b") "smartHost: x\n"), false},
	{"a new connector", "dn: cn=New,ou=C,o=Example\nobjectClass: imsConnector\n\n", false},
	{"a value to be reported", IMS("C", CD("A;9;SMTP:a") CD("B;7;SMTP:b") CD("bad")), false},
	{"an edge of a site that nobody reaches", IMS("D", CD("A;1;SMTP:a") CD("B;1;SMTP:b")),
	 true},
	{"a site becomes reachable", IMS("C", CD("A;9;SMTP:a") CD("B;7;SMTP:b") CD("D;50;SMTP:d")),
	 false},
};

static void test_rows(void **state)
{
	static const char *const base[] = {
		SITE("A") SITE("B") SITE("C") SITE("D"),
		IMS("A", CD("B;2;SMTP:b") CD("C;2;SMTP:c")),
		IMS("B", CD("A;2;SMTP:a")),
		IMS("C", CD("A;9;SMTP:a") CD("B;7;SMTP:b")),
		IMS("D", CD("A;5;SMTP:a")),
		NULL,
	};
	unsigned i, changes = 0;

	(void)state;
	for (i = 0; i < UNIT_COUNT(rows); i++) {
		struct model *m = routing_model(base);
		struct effect e = {0};
		struct table *t = NULL;

		assert_int_equal(compute_table_more(m, SPAN_LIT("A"),
						    &(struct compute_more){.effect = &e}, &t),
				 RC_OK);
		model_pending_clear(m);
		put_text(m, rows[i].change, &changes);
		if (effect_none(&e, m) != rows[i].none)
			fail_msg("%s", rows[i].what);
		effect_fini(&e);
		table_free(&t);
		model_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_random_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
