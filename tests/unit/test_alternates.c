/*
 * All candidates of a target, and which of them are alternates (docs/routing.md R5).
 *
 * The property: take away what the table has for a target, from the local connectors alone, and the
 * next table has the next candidates, until there are none.
 */
#include "tests/unit/routing.h"

#include "routed/alternates.h"

#define MAX_SITES 7
#define MAX_LINKS 4

struct cd {
	unsigned to, cost;
	bool gone;
};

struct connector {
	unsigned site;
	const char *class;
	bool flag, pinned;
	const char *restriction;
	struct cd cds[MAX_LINKS];
	unsigned ncds;
	unsigned space_cost; /* of SMTP:*@out.test; 0: none */
	bool space_gone;
};

struct organisation {
	unsigned sites, connectors;
	struct connector items[MAX_SITES * 2];
};

static void make(uint64_t seed, struct organisation *o)
{
	static const char *const classes[] = {"imsConnector", "imsConnector", "imsConnector",
					      "x400Connector"};
	static const char *const restrictions[] = {NULL, NULL,     NULL,      NULL,
						   NULL, "noUser", "noSystem"};
	unsigned i, k;

	seed = seed * 0x9e3779b97f4a7c15u + 1;
	*o = (struct organisation){.sites = 2 + unit_random(&seed) % (MAX_SITES - 1)};
	o->connectors = o->sites * 2;
	for (i = 0; i < o->connectors; i++) {
		struct connector *c = &o->items[i];

		*c = (struct connector){
			.site = i % o->sites,
			.class = classes[unit_random(&seed) % UNIT_COUNT(classes)],
			.flag = unit_random(&seed) % 3 == 0,
			.pinned = unit_random(&seed) % 8 == 0,
			.restriction = restrictions[unit_random(&seed) % UNIT_COUNT(restrictions)],
			.ncds = unit_random(&seed) % (MAX_LINKS + 1),
			.space_cost = unit_random(&seed) % 4,
		};
		for (k = 0; k < c->ncds; k++)
			c->cds[k] = (struct cd){unit_random(&seed) % o->sites,
						1 + unit_random(&seed) % 4, false};
	}
}

static struct model *model_of(const struct organisation *o)
{
	struct model *m;
	struct buf b;
	unsigned i, k;

	buf_init(&b, 1 << 20);
	for (i = 0; i < o->sites; i++)
		buf_printf(&b,
			   "dn: ou=S%u,o=Example\nobjectClass: mailSite\n"
			   "siteSmtpDomain: s%u.test\n\n",
			   i, i);
	for (i = 0; i < o->connectors; i++) {
		const struct connector *c = &o->items[i];

		/* Some of other sites have equal names: then DNs decide. */
		buf_printf(&b, "dn: cn=%c,cn=%u,ou=S%u,o=Example\nobjectClass: %s\n",
			   c->site == 0 ? 'a' + (int)i : 'x', i, c->site, c->class);
		if (c->flag)
			buf_puts(&b, "onlySystemMessagesUseCDs: TRUE\n");
		if (c->pinned)
			buf_puts(&b, "domainRoute: s1.test;pin.test\n");
		if (c->restriction != NULL)
			buf_printf(&b, "messageClassRestriction: %s\n", c->restriction);
		if (c->space_cost != 0 && !c->space_gone)
			buf_printf(&b, "routingList: SMTP:*@out.test;%u\n", c->space_cost);
		for (k = 0; k < c->ncds; k++) {
			if (!c->cds[k].gone)
				buf_printf(&b, "connectedDomains: S%u;%u;SMTP:hop%u.test\n",
					   c->cds[k].to, c->cds[k].cost, i);
		}
		buf_puts(&b, "\n");
	}
	m = routing_model((const char *const[]){buf_cstr(&b), NULL});
	buf_fini(&b);
	return m;
}

static const struct table_row *rows_of(const struct table *t, enum table_class cls,
				       const char *type, const char *target, uint32_t *n)
{
	const struct table_row *first = NULL;
	uint32_t i;

	*n = 0;
	for (i = 0; i < t->nrows; i++) {
		const struct table_row *row = &t->rows[i];

		if (row->cls != cls || !span_eq(table_text(t, row->type), span_of(type)) ||
		    !span_eq(table_text(t, row->target), span_of(target)))
			continue;
		if (first == NULL)
			first = row;
		(*n)++;
	}
	return first;
}

static bool same_row(const struct table *a, const struct table_row *x, const struct table *b,
		     const struct table_row *y)
{
	struct buf one, two;
	bool same;

	buf_init(&one, 1 << 16);
	buf_init(&two, 1 << 16);
	table_row_json(a, x, &one);
	table_row_json(b, y, &two);
	same = span_eq(buf_span(&one), buf_span(&two));
	if (!same)
		print_message("%s\n%s\n", buf_cstr(&one), buf_cstr(&two));
	buf_fini(&one);
	buf_fini(&two);
	return same;
}

/* The rows of the table are the group, or those of it that are direct. */
static void compare_group(const struct table *t, const struct table_row *rows, uint32_t n,
			  const struct table *all, uint32_t at, uint32_t end)
{
	bool direct = rows[0].mode == TABLE_DIRECT;
	uint32_t i, seen = 0;

	for (i = at; i < end; i++) {
		if (direct && all->rows[i].mode != TABLE_DIRECT)
			continue;
		assert_true(seen < n && same_row(t, &rows[seen], all, &all->rows[i]));
		seen++;
	}
	assert_int_equal(seen, n);
}

/* The site behind the first connector: the next element's, or where the way ends. A direct row
 * hands mail to its target, so that its next site does not tell. */
static unsigned first_remote(const struct table *t, const struct table_row *row)
{
	uint32_t step = row->step, second = TABLE_NONE;

	for (; step != TABLE_NONE && t->steps[step].parent != TABLE_NONE;
	     step = t->steps[step].parent)
		second = step;
	if (second != TABLE_NONE)
		return (unsigned)(table_text(t, t->steps[second].name).p[1] - '0');
	return row->next != TABLE_NONE ? (unsigned)(table_text(t, row->next).p[1] - '0')
				       : MAX_SITES;
}

/* S0's connector does not lead to that site any more, nor has it the space. */
static void take_away(struct organisation *o, const struct table *t, const struct table_row *row)
{
	struct connector *c = &o->items[table_text(t, row->connector).p[0] - 'a'];
	unsigned remote = first_remote(t, row), k;

	if (row->mode == TABLE_LOCAL_SPACE)
		c->space_gone = true;
	for (k = 0; row->step != TABLE_NONE && k < c->ncds; k++) {
		if (c->cds[k].to == remote)
			c->cds[k].gone = true;
	}
}

/* The number of groups of candidates of equal cost. */
static unsigned peel(struct organisation o, enum table_class cls, const char *type,
		     const char *target)
{
	struct table *all = NULL;
	unsigned groups = 0;
	uint32_t at = 0, end;
	bool more = true;

	while (more) {
		struct model *m = model_of(&o);
		struct table *t = routing_table(m, "S0"), *now = NULL;
		uint32_t n, i;
		const struct table_row *rows = rows_of(t, cls, type, target, &n);

		assert_int_equal(compute_candidates(m, SPAN_LIT("S0"), cls, span_of(type),
						    span_of(target), NULL, &now),
				 RC_OK);
		if (all == NULL) {
			all = now;
			now = NULL;
		} else {
			assert_int_equal(now->nrows, all->nrows - at);
			for (i = 0; i < now->nrows; i++)
				assert_true(same_row(all, &all->rows[at + i], now, &now->rows[i]));
		}
		for (end = at; end < all->nrows && all->rows[end].cost == all->rows[at].cost; end++)
			take_away(&o, all, &all->rows[end]);
		if (end != at)
			compare_group(t, rows, n, all, at, end);
		else
			assert_true(rows == NULL || rows->mode == TABLE_NO_ROUTE);
		more = end != at;
		groups += more;
		at = end;
		table_free(&now);
		table_free(&t);
		model_free(&m);
	}
	table_free(&all);
	return groups;
}

static void test_what_is_left_takes_over(void **state)
{
	unsigned long groups = 0, spaces = 0;
	uint64_t seed;
	unsigned cls, i;

	(void)state;
	for (seed = 1; seed <= 400; seed++) {
		struct organisation o;

		make(seed, &o);
		for (cls = 0; cls < TABLE_CLASSES; cls++) {
			for (i = 1; i < o.sites; i++) {
				char name[16];

				snprintf(name, sizeof(name), "S%u", i);
				groups += peel(o, (enum table_class)cls, "EX", name);
			}
			spaces += peel(o, (enum table_class)cls, "SMTP", "*@out.test");
		}
	}
	print_message("%lu groups of sites, %lu of a space\n", groups, spaces);
	assert_true(groups > 1000 && spaces > 300);
}

/* Every allocation fails once: an error, never a wrong answer or a leak. */
static void test_out_of_memory(void **state)
{
	/* Two ways to S1, of different cost. */
	static const struct organisation o = {
		2,
		2,
		{{.site = 0, .class = "imsConnector", .cds = {{1, 1, false}}, .ncds = 1},
		 {.site = 0, .class = "x400Connector", .cds = {{1, 2, false}}, .ncds = 1}}};
	struct model *m = model_of(&o);
	struct table *t;
	struct table_result used;
	long fail;
	int rc = RC_NOMEM;

	(void)state;
	t = routing_table(m, "S0");
	assert_int_equal(table_lookup_site(t, SPAN_LIT("S1"), TABLE_SYSTEM, &used), RC_OK);
	assert_int_equal(used.status, TABLE_FOUND);
	for (fail = 1; rc != RC_OK; fail++) {
		struct alternates found;

		mem_fail_at(fail);
		rc = alternates_find(m, t, &used, &found);
		mem_fail_at(0);
		assert_true(rc == RC_OK || rc == RC_NOMEM);
		if (rc == RC_OK)
			assert_int_equal(found.total, 1);
		alternates_fini(&found);
	}
	assert_true(fail > 10);
	table_free(&t);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(test_what_is_left_takes_over),
		unit_heap_test(test_out_of_memory),
	};

	return cmocka_run_group_tests_name("alternates", tests, NULL, NULL);
}
