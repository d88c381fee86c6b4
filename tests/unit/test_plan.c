/* dird/plan.c: which index, and that no plan leaves a match out. */
#include "dird/plan.h"

#include "tests/unit/unit.h"

#include "dird/apply.h"
#include "tests/unit/entries.h"

/* --- sizes from a table ----------------------------------------------------------------------- */

struct sizes {
	const char *type;
	uint64_t entries; /* in each range of the type */
	unsigned asked;
};

static uint64_t table_count(void *ctx, const struct index_range *r, uint64_t limit)
{
	struct sizes *t = ctx;

	for (; t->type != NULL; t++) {
		if (entry_type_hash(span_of(t->type)) != r->attr)
			continue;
		t->asked++;
		return t->entries < limit ? t->entries : limit;
	}
	return 0;
}

static struct plan make(struct arena *a, const char *text, struct sizes *sizes, uint64_t scope)
{
	struct plan_stats stats = {table_count, sizes, scope};
	struct plan plan;

	assert_int_equal(plan_make(parse(a, text), &stats, a, &plan), RC_OK);
	return plan;
}

static const struct {
	const char *filter;
	enum plan_kind kind;
	unsigned nranges;
	enum index_kind range;
	const char *type;
	const char *lo;
} choices[] = {
	{"(cn=Ada)", PLAN_RANGES, 1, INDEX_EQUAL, "cn", "ada"},
	{"(cn~=Ada)", PLAN_RANGES, 1, INDEX_ALL, "cn", ""},
	{"(cn=Ad*)", PLAN_RANGES, 1, INDEX_PREFIX, "cn", "ad"},
	{"(cn=Ad *)", PLAN_RANGES, 1, INDEX_PREFIX, "cn", "ad"},
	{"(cn=Ad * b)", PLAN_RANGES, 1, INDEX_PREFIX, "cn", "ad"},
	{"(cn=*x)", PLAN_RANGES, 1, INDEX_PART, "cn", "x"},
	{"(cn:caseExactSubstringsMatch:=*x)", PLAN_RANGES, 1, INDEX_ALL, "cn", ""},
	{"(cn=*)", PLAN_RANGES, 1, INDEX_ALL, "cn", ""},
	{"(cn>=m)", PLAN_RANGES, 1, INDEX_GE, "cn", "m"},
	{"(cn<=m)", PLAN_RANGES, 1, INDEX_LE, "cn", "m"},
	{"(cn:=Ada)", PLAN_RANGES, 1, INDEX_EQUAL, "cn", "ada"},
	{"(cn:caseIgnoreMatch:=Ada)", PLAN_RANGES, 1, INDEX_EQUAL, "cn", "ada"},
	{"(cn:caseIgnoreOrderingMatch:=m)", PLAN_RANGES, 1, INDEX_LE, "cn", "m"},
	{"(cn:caseExactMatch:=Ada)", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(cn:dn:=Ada)", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(:caseIgnoreMatch:=Ada)", PLAN_SCOPE, 0, 0, NULL, NULL},
	/* values with accents have a row of their own, see apply_keys() */
	{"(cn:caseIgnoreAccentsMatch:=\xc3\x84"
	 "da)",
	 PLAN_RANGES, 2, INDEX_EQUAL, "cn", "ada"},
	{"(cn:caseIgnoreAccentsSubstringsMatch:=Ad*)", PLAN_RANGES, 2, INDEX_PREFIX, "cn", "ad"},
	{"(cn:caseIgnoreAccentsSubstringsMatch:=*d)", PLAN_RANGES, 2, INDEX_PART, "cn", "d"},
	{"(cn:caseIgnoreAccentsSubstringsMatch:=* d)", PLAN_RANGES, 1, INDEX_ALL, "cn", ""},
	{"(name:caseIgnoreAccentsMatch:=x)", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(anr=Ada)", PLAN_RANGES, 4, INDEX_PREFIX, "cn", "ada"},
	{"(cn:collationOrderingMatch:=m)", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(description=x)", PLAN_SCOPE, 0, 0, NULL, NULL}, /* not indexed */
	{"(name=x)", PLAN_SCOPE, 0, 0, NULL, NULL},        /* some subtypes are not */
	{"(nosuch=x)", PLAN_NOTHING, 0, 0, NULL, NULL},
	{"(sn=x)", PLAN_NOTHING, 0, 0, NULL, NULL}, /* the index has none */
	{"(!(cn=x))", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(&)", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(|)", PLAN_NOTHING, 0, 0, NULL, NULL},
	{"(&(cn=Ada)(mail=x))", PLAN_RANGES, 1, INDEX_EQUAL, "mail", "x"},
	{"(&(cn=Ada)(!(mail=x)))", PLAN_RANGES, 1, INDEX_EQUAL, "cn", "ada"},
	{"(&(cn=Ada)(sn=x))", PLAN_NOTHING, 0, 0, NULL, NULL},
	{"(&(cn=Ada)(nosuch=x))", PLAN_NOTHING, 0, 0, NULL, NULL},
	{"(|(cn=Ada)(mail=x))", PLAN_RANGES, 2, INDEX_EQUAL, "cn", "ada"},
	{"(|(cn=Ada)(nosuch=x)(sn=x))", PLAN_RANGES, 1, INDEX_EQUAL, "cn", "ada"},
	{"(|(cn=Ada)(description=x))", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(&(|(cn=Ada)(cn=Bob))(|(mail=a)(mail=b)))", PLAN_RANGES, 2, INDEX_EQUAL, "mail", "a"},
	{"(objectClass=*)", PLAN_SCOPE, 0, 0, NULL, NULL},      /* every entry */
	{"(objectClass=person)", PLAN_SCOPE, 0, 0, NULL, NULL}, /* as large as the scope */
	{"(&(objectClass=person)(cn=Ada))", PLAN_RANGES, 1, INDEX_EQUAL, "cn", "ada"},
	{"(uid=x)", PLAN_RANGES, 1, INDEX_EQUAL, "uid", "x"},
	{"(memberOf=CN=Sales)", PLAN_RANGES, 1, INDEX_NAMED, "member", "cn=sales"},
	{"(memberOf=*)", PLAN_SCOPE, 0, 0, NULL, NULL},
	{"(&(uid=x)(o=y))", PLAN_RANGES, 1, INDEX_EQUAL, "o", "y"}, /* beyond the first limit */
	{"(|(cn=a)(cn=b)(uid=x)(o=y))", PLAN_RANGES, 4, INDEX_EQUAL, "cn", "a"},
};

static void the_cheapest_index_is_chosen(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(choices); i++) {
		struct sizes sizes[] = {{"cn", 100, 0},    {"cn!accents", 7, 0},
					{"mail", 3, 0},    {"objectClass", 10000, 0},
					{"uid", 900, 0},   {"o", 200, 0},
					{"member", 50, 0}, {NULL, 0, 0}};
		struct plan plan;
		struct arena a;

		arena_init(&a);
		plan = make(&a, choices[i].filter, sizes, 10000);
		if (plan.kind != choices[i].kind || plan.nranges != choices[i].nranges)
			fail_msg("%s: kind %d with %u ranges", choices[i].filter, plan.kind,
				 plan.nranges);
		if (plan.nranges != 0) {
			assert_int_equal(plan.ranges[0].kind, choices[i].range);
			assert_int_equal(plan.ranges[0].attr,
					 entry_type_hash(span_of(choices[i].type)));
			unit_assert_span(plan.ranges[0].lo, span_of(choices[i].lo));
		}
		arena_fini(&a);
	}
}

/* The longest part is looked for, if keys and parts have the same form. */
static void parts_narrow_a_range(void **state)
{
	static const struct {
		const char *filter, *part;
	} parts[] = {
		{"(cn=*Hill*)", "hill"},
		{"(cn=*a*Hill)", "hill"},
		{"(cn=*Lovelace*b*c)", "lovelace"},
		{"(cn=*a b)", "a b"},
		{"(cn=*a *)", ""}, /* long form, see filter_spaces() */
		{"(cn=*)", ""},
		{"(cn=a*hill)", ""}, /* a prefix is better */
		{"(cn:caseExactSubstringsMatch:=*Hill)", ""},
		{"(cn:wordMatch:=hill)", ""},
		{"(cn~=hill)", ""},
	};
	struct sizes sizes[] = {{"cn", 100, 0}, {NULL, 0, 0}};
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(parts); i++) {
		struct plan plan;
		struct arena a;

		arena_init(&a);
		plan = make(&a, parts[i].filter, sizes, 10000);
		assert_int_equal(plan.nranges, 1);
		assert_int_equal(plan.ranges[0].kind == INDEX_PART, parts[i].part[0] != '\0');
		if (parts[i].part[0] != '\0')
			unit_assert_span(plan.ranges[0].lo, span_of(parts[i].part));
		arena_fini(&a);
	}
}

/* Where each of several parts is frequent, entries must have them all. */
static void parts_of_an_and_are_joined(void **state)
{
	struct sizes rare[] = {{"cn", 12, 0}, {"sn", 5000, 0}, {"mail", 20, 0}, {NULL, 0, 0}};
	struct sizes frequent[] = {
		{"cn", 4000, 0}, {"sn", 5000, 0}, {"mail", 9000, 0}, {NULL, 0, 0}};
	struct plan plan;
	struct arena a;

	(void)state;
	arena_init(&a);
	plan = make(&a, "(&(cn=ad*)(sn=*ill*))", rare, 100000);
	assert_int_equal(plan.nranges, 1);
	assert_int_equal(plan.ranges[0].kind, INDEX_PREFIX);
	plan = make(&a, "(&(cn=ad*)(sn=*ill*)(description=x*)(!(sn=b*)))", frequent, 100000);
	assert_int_equal(plan.nranges, 1);
	assert_int_equal(plan.ranges[0].kind, INDEX_PART);
	assert_int_equal(plan.ranges[0].nparts, 2);
	assert_int_equal(plan.ranges[0].attr, entry_type_hash(SPAN_LIT("cn")));
	unit_assert_span(plan.ranges[0].parts[0].part, SPAN_LIT("\0ad"));
	assert_int_equal(plan.ranges[0].parts[0].accents, 0);
	assert_int_equal(plan.ranges[0].parts[1].attr, entry_type_hash(SPAN_LIT("sn")));
	unit_assert_span(plan.ranges[0].parts[1].part, SPAN_LIT("ill"));
	plan = make(&a, "(&(cn:caseIgnoreAccentsSubstringsMatch:=ad*)(sn=b*))", frequent, 100000);
	assert_int_equal(plan.ranges[0].nparts, 2);
	assert_true(plan.ranges[0].parts[0].accents != 0);
	plan = make(&a, "(&(cn=ad*)(mail=a@x))", frequent, 100000);
	assert_int_equal(plan.ranges[0].nparts, 0); /* nothing to join */
	arena_fini(&a);
}

static void a_small_scope_is_walked(void **state)
{
	struct sizes sizes[] = {{"cn", 100, 0}, {NULL, 0, 0}};
	struct arena a;

	(void)state;
	arena_init(&a);
	assert_int_equal(make(&a, "(cn=a)", sizes, 100).kind, PLAN_SCOPE);
	assert_int_equal(make(&a, "(cn=a)", sizes, 101).kind, PLAN_RANGES);
	assert_int_equal(make(&a, "(|(cn=a)(cn=b))", sizes, 150).kind, PLAN_SCOPE);
	assert_int_equal(make(&a, "(|(cn=*a)(cn=*b))", sizes, 150).kind, PLAN_SCOPE);
	assert_int_equal(make(&a, "(|(cn=*abc*)(cn=*\xe5\xbc\xb5*))", sizes, 201).kind,
			 PLAN_RANGES);
	arena_fini(&a);
}

/* Whatever the filter: the planner asks for a bounded number of sizes. */
static void the_work_is_bounded(void **state)
{
	struct sizes sizes[] = {{"cn", UINT64_MAX, 0}, {NULL, 0, 0}};
	struct plan_stats stats = {table_count, sizes, UINT64_MAX / 2};
	unsigned i, tag;

	(void)state;
	for (tag = 0; tag < 2; tag++) {
		struct filter *f;
		struct plan plan;
		struct span rest;
		struct arena a;
		struct buf b;
		size_t mark;

		arena_init(&a);
		buf_init(&b, 16 << 20);
		mark = tlv_open(&b, TLV_CONTEXT_CONS(tag));
		for (i = 0; i < 50000; i++)
			tlv_put(&b, TLV_CONTEXT(7), SPAN_LIT("cn"));
		tlv_close(&b, mark);
		rest = buf_span(&b);
		assert_int_equal(filter_read(schema, &rest, &a, &f, NULL), RC_OK);
		assert_int_equal(plan_make(f, &stats, &a, &plan), RC_OK);
		assert_int_equal(plan.kind, tag == 0 ? PLAN_RANGES : PLAN_SCOPE);
		assert_true(sizes[0].asked < 70000);
		buf_fini(&b);
		arena_fini(&a);
	}
}

/* --- a plan never leaves out a match ---------------------------------------------------------- */

#define ENTRIES 12

static bool in_range(const struct index_range *r, struct span key)
{
	switch (r->kind) {
	case INDEX_EQUAL:
		return span_eq(key, r->lo);
	case INDEX_PREFIX:
		return span_starts(key, r->lo);
	case INDEX_GE:
		return span_cmp(key, r->lo) >= 0;
	case INDEX_LE:
		return span_cmp(key, r->lo) <= 0;
	case INDEX_ALL:
		return true;
	case INDEX_PART:
		return memmem(key.p, key.n, r->lo.p, r->lo.n) != NULL;
	case INDEX_NAMED:
		break;
	}
	return false;
}

/* Has the entry a row in the range? */
static bool entry_in_range(const struct fixture *x, const struct index_range *r)
{
	struct apply_keys keys;
	bool found = false;
	struct arena a;
	unsigned i;

	arena_init(&a);
	assert_int_equal(apply_keys(schema, &x->list, &a, &keys), RC_OK);
	for (i = 0; i < keys.n; i++)
		found = found || (keys.at[i].attr == r->attr && in_range(r, keys.at[i].value));
	arena_fini(&a);
	return found;
}

static uint64_t entries_count(void *ctx, const struct index_range *r, uint64_t limit)
{
	const struct fixture *x = ctx;
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < ENTRIES && n < limit; i++)
		n += entry_in_range(&x[i], r);
	return n;
}

static bool is_candidate(const struct plan *plan, const struct fixture *x)
{
	unsigned i;

	for (i = 0; i < plan->nranges; i++) {
		if (entry_in_range(x, &plan->ranges[i]))
			return true;
	}
	return plan->kind == PLAN_SCOPE;
}

static void random_item(struct buf *b)
{
	static const char *const types[] = {"cn", "sn", "uidNumber", "cn", "name", "nosuch"};
	/* operator, then what stands before and behind the value */
	static const char *const shapes[][3] = {{"=", "", ""},
						{"=", "", "*"},
						{"=", "*", ""},
						{">=", "", ""},
						{"<=", "", ""},
						{"=", "", "*a"},
						{":=", "", ""},
						{"~=", "", ""},
						{":caseIgnoreAccentsMatch:=", "", ""},
						{":caseIgnoreAccentsSubstringsMatch:=", "", "*"},
						{":caseIgnoreAccentsSubstringsMatch:=", "*", "a*"}};
	const char *const *shape = shapes[roll(UNIT_COUNT(shapes))];

	if (roll(12) == 0) {
		buf_printf(b, "(anr=%s)", some_values[roll(UNIT_COUNT(some_values))]);
		return;
	}
	buf_printf(b, "(%s%s%s%s%s)", types[roll(UNIT_COUNT(types))], shape[0], shape[1],
		   some_values[roll(UNIT_COUNT(some_values))], shape[2]);
}

static void random_filter(struct buf *b, unsigned depth)
{
	unsigned i, n, op = depth == 0 ? 3 : roll(5);

	if (op >= 3) {
		random_item(b);
		return;
	}
	buf_putc(b, '(');
	buf_putc(b, (uint8_t) "&|!"[op]);
	n = op == 2 ? 1 : roll(4);
	for (i = 0; i < n; i++)
		random_filter(b, depth - 1);
	buf_putc(b, ')');
}

static void no_plan_leaves_a_match_out(void **state)
{
	unsigned round, i, kinds[3] = {0, 0, 0};

	(void)state;
	for (round = 0; round < 3000; round++) {
		struct fixture x[ENTRIES];
		struct plan_stats stats = {entries_count, x, ENTRIES};
		struct buf text, scratch;
		struct filter *f;
		struct plan plan;
		struct arena a;

		seed = round;
		arena_init(&a);
		buf_init(&text, 65536);
		buf_init(&scratch, 65536);
		for (i = 0; i < ENTRIES; i++)
			random_entry(&x[i]);
		random_filter(&text, roll(4));
		f = parse(&a, buf_cstr(&text));
		assert_int_equal(plan_make(f, &stats, &a, &plan), RC_OK);
		kinds[plan.kind]++;
		for (i = 0; i < ENTRIES; i++) {
			if (filter_match(f, schema, &x[i].entry, NULL, &scratch) == FILTER_TRUE &&
			    !is_candidate(&plan, &x[i]))
				fail_msg("seed %u: %s: entry %u left out", round, buf_cstr(&text),
					 i);
			fixture_fini(&x[i]);
		}
		buf_fini(&scratch);
		buf_fini(&text);
		arena_fini(&a);
	}
	assert_true(kinds[PLAN_NOTHING] > 100 && kinds[PLAN_SCOPE] > 100 &&
		    kinds[PLAN_RANGES] > 100);
}

static int make_once(void *arg)
{
	struct sizes sizes[] = {{"cn", 10, 0}, {NULL, 0, 0}};
	struct plan_stats stats = {table_count, sizes, 1000};
	struct plan plan;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = plan_make(arg, &stats, &a, &plan);
	arena_fini(&a);
	return rc;
}

static void planning_survives_want_of_memory(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a);
	unit_fail_allocations(make_once, parse(&a, "(|(cn=a)(&(cn=b)(cn=c))(cn=d*))"));
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(the_cheapest_index_is_chosen),
		unit_heap_test(parts_narrow_a_range),
		unit_heap_test(parts_of_an_and_are_joined),
		unit_heap_test(a_small_scope_is_walked),
		unit_heap_test(the_work_is_bounded),
		unit_heap_test(no_plan_leaves_a_match_out),
		unit_heap_test(planning_survives_want_of_memory),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
