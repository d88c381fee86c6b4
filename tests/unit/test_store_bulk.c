/* Rows gathered and appended (dird/store_bulk.h) beside rows put one by one. */
#include "tests/unit/base.h"

#include "dird/eid_hints.h"
#include "dird/store_bulk.h"

#define PEOPLE 700
#define HASH 0x01020304u
#define MAP_BYTES (256u << 20)

static const enum store_table same_tables[] = {STORE_ENTRY, STORE_TREE,  STORE_UUID,
					       STORE_INDEX, STORE_ORDER, STORE_TOMB,
					       STORE_NC,    STORE_LIMBO, STORE_QUARANTINE};

struct two {
	struct base plain, bulk;
};

static int setup(void **state)
{
	struct two *w = calloc(1, sizeof(*w));

	base_open(&w->plain, MAP_BYTES);
	base_open(&w->bulk, MAP_BYTES);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct two *w = *state;

	eid_hints_free(&w->bulk.ctx.loaded);
	store_write_abort(&w->plain.t);
	store_write_abort(&w->bulk.t);
	base_close(&w->plain);
	base_close(&w->bulk);
	free(w);
	return 0;
}

static void count(void *arg, unsigned long rows)
{
	*(unsigned long *)arg += rows;
}

static void begin_bulk(struct base *b)
{
	assert_int_equal(store_bulk_begin(b->store), RC_OK);
	assert_true(store_bulk_is_open(b->store));
	b->ctx.loaded = eid_hints_new();
	assert_non_null(b->ctx.loaded);
}

static void end_bulk(struct base *b)
{
	unsigned long rows = 0;

	assert_int_equal(store_bulk_end(b->store, count, &rows), RC_OK);
	assert_false(store_bulk_is_open(b->store));
	eid_hints_free(&b->ctx.loaded);
}

/* --- all rows of a table as one text --- */

static int append_row(void *ctx, struct span key, struct span value)
{
	struct buf *b = ctx;

	buf_printf(b, "%zu %zu ", key.n, value.n);
	buf_put(b, key);
	buf_put(b, value);
	return buf_rc(b);
}

static void rows_of(struct base *b, enum store_table table, struct buf *out)
{
	struct store_txn *t;

	buf_init(out, SIZE_MAX);
	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	assert_int_equal(store_scan(t, table, append_row, out), RC_OK);
	store_read_end(&t);
}

static void expect_same(struct two *w)
{
	struct buf plain, bulk;
	size_t i;

	for (i = 0; i < UNIT_COUNT(same_tables); i++) {
		rows_of(&w->plain, same_tables[i], &plain);
		rows_of(&w->bulk, same_tables[i], &bulk);
		if (!span_eq(buf_span(&plain), buf_span(&bulk)))
			fail_msg("table %d differs: %zu and %zu bytes", same_tables[i], plain.n,
				 bulk.n);
		buf_fini(&plain);
		buf_fini(&bulk);
	}
}

/* --- people --- */

static void add_site(struct base *b)
{
	base_seed = 1;
	assert_int_equal(base_add(b, "o=Example",
				  "objectClass: organization\nobjectClass: mailOrganization\n"),
			 0);
	assert_int_equal(base_add(b, "ou=S1,o=Example",
				  "objectClass: organizationalUnit\nobjectClass: mailSite\n"
				  "siteSmtpDomain: s1.example.com\n"),
			 0);
	assert_int_equal(base_add(b, "cn=Recipients,ou=S1,o=Example", "objectClass: container\n"),
			 0);
}

static int add_person(struct base *b, unsigned i, unsigned address)
{
	char dn[200], lines[700];

	snprintf(dn, sizeof(dn), "cn=P\u00e9rson %u,cn=Recipients,ou=S1,o=Example",
		 i * 7919 % PEOPLE);
	snprintf(lines, sizeof(lines),
		 "objectClass: inetOrgPerson\nobjectClass: mailRecipient\n"
		 "sn: Hill %u\ngivenName: Ada\nmail: p%u@s1.example.com\n"
		 "proxyAddresses: smtp:q%u@s1.example.com\n",
		 i % 10, address, address);
	b->last = (struct change){.kind = CHANGE_ADD, .actor = SPAN_LIT("cn=admin,o=Example")};
	b->last.dn = base_dn(b, dn);
	b->last.attrs = base_attrs(b, lines);
	if (b->ctx.loaded != NULL && i % 3 != 0) /* as a load does it, ahead */
		assert_int_equal(update_prepare(&b->ctx, &b->last, &b->arena), RC_OK);
	return base_apply(b);
}

static void add_people(struct base *b, unsigned from, unsigned upto)
{
	unsigned i;

	for (i = from; i < upto; i++) {
		if (b->t == NULL)
			base_begin(b);
		assert_int_equal(add_person(b, i, i), 0);
		if (i % 100 == 99)
			base_commit(b);
	}
	if (b->t != NULL)
		base_commit(b);
}

static void people_are_the_same(void **state)
{
	struct two *w = *state;

	add_site(&w->plain);
	add_people(&w->plain, 0, PEOPLE);
	add_site(&w->bulk);
	begin_bulk(&w->bulk);
	add_people(&w->bulk, 0, PEOPLE);
	end_bulk(&w->bulk);
	expect_same(w);
	base_open_views(&w->bulk);
	base_check(&w->bulk);
}

/* Few rows beside many are put one by one. */
static void a_few_more(void **state)
{
	struct two *w = *state;

	add_site(&w->plain);
	add_people(&w->plain, 0, PEOPLE);
	add_site(&w->bulk);
	add_people(&w->bulk, 0, PEOPLE - 20);
	begin_bulk(&w->bulk);
	add_people(&w->bulk, PEOPLE - 20, PEOPLE);
	end_bulk(&w->bulk);
	expect_same(w);
}

/* What is there already is replaced and deleted meanwhile, and then changed as ever. */
static void with_old_rows(void **state)
{
	struct two *w = *state;
	struct base *b;
	int i;

	for (i = 0; i < 2; i++) {
		b = i == 0 ? &w->plain : &w->bulk;
		add_site(b);
		add_people(b, 0, 50);
		if (b == &w->bulk)
			begin_bulk(b);
		b->last = (struct change){.kind = CHANGE_ADD, .replace_existing = true};
		b->last.dn = base_dn(b, "cn=Recipients,ou=S1,o=Example");
		b->last.attrs = base_attrs(b, "objectClass: container\ndescription: new\n");
		assert_int_equal(base_apply(b), 0);
		add_people(b, 50, 200);
		if (b == &w->bulk)
			end_bulk(b);
		assert_int_equal(base_delete(b, "cn=P\u00e9rson 0,cn=Recipients,ou=S1,o=Example"),
				 0);
	}
	expect_same(w);
}

/* What an aborted transaction has gathered is forgotten. */
static void aborted(void **state)
{
	struct two *w = *state;
	uint32_t seed;

	add_site(&w->plain);
	add_people(&w->plain, 0, 300);
	add_site(&w->bulk);
	begin_bulk(&w->bulk);
	add_people(&w->bulk, 0, 100);
	seed = base_seed;
	base_begin(&w->bulk);
	assert_int_equal(add_person(&w->bulk, 600, 600), 0);
	assert_int_equal(add_person(&w->bulk, 100, 100), 0);
	store_write_abort(&w->bulk.t);
	base_seed = seed;
	add_people(&w->bulk, 100, 300);
	end_bulk(&w->bulk);
	expect_same(w);
}

/* --- what two can not have --- */

static uint64_t rows(struct base *b, enum store_table table)
{
	struct store_txn *t;
	uint64_t n;

	assert_int_equal(store_read_begin(b->store, &t), RC_OK);
	n = store_rows(t, table);
	store_read_end(&t);
	return n;
}

static int add_named(struct base *b, const char *dn, const char *more)
{
	char lines[400];

	snprintf(lines, sizeof(lines), "objectClass: inetOrgPerson\nsn: Hill\n%s", more);
	b->last = (struct change){.kind = CHANGE_ADD, .actor = SPAN_LIT("cn=admin,o=Example")};
	b->last.may_set_operational = true;
	b->last.dn = base_dn(b, dn);
	b->last.attrs = base_attrs(b, lines);
	return base_apply(b);
}

/* Names and entryUUIDs wait for the end as well, and yet have one holder each. */
static void a_name_twice(void **state)
{
	static const char uuid[] = "entryUUID: 11111111-2222-4333-8444-555555555555\n";
	static const char below[] = "cn=One,cn=Recipients,ou=S1,o=Example";
	char name[620], rdn[700];
	struct two *w = *state;
	struct base *b = &w->bulk;
	uint64_t names, uuids;

	add_site(b);
	names = rows(b, STORE_TREE);
	uuids = rows(b, STORE_UUID);
	begin_bulk(b);
	assert_int_equal(add_named(b, below, uuid), 0);
	assert_int_equal(add_named(b, below, ""), LR_EXISTS);
	assert_int_equal(add_named(b, "cn=Two,cn=Recipients,ou=S1,o=Example", uuid), LR_EXISTS);
	assert_int_equal(add_named(b, "cn=Three,cn=One,cn=Recipients,ou=S1,o=Example", ""), 0);
	memset(name, 'n', 600);
	name[600] = '\0';
	snprintf(rdn, sizeof(rdn), "cn=%s,cn=Recipients,ou=S1,o=Example", name);
	assert_int_equal(add_named(b, rdn, ""), 0);
	assert_int_equal(add_named(b, rdn, ""), LR_EXISTS);
	assert_int_equal(rows(b, STORE_TREE), names);
	assert_int_equal(rows(b, STORE_UUID), uuids);
	end_bulk(b);
	assert_int_equal(rows(b, STORE_TREE), names + 3);
	assert_int_equal(add_named(b, below, ""), LR_EXISTS);
	base_open_views(b);
	base_check(b);
}

static void an_address_twice(void **state)
{
	struct two *w = *state;
	struct base *b = &w->bulk;

	add_site(b);
	begin_bulk(b);
	assert_int_equal(add_person(b, 1, 1), 0);
	assert_int_equal(add_person(b, 2, 1), LR_CONSTRAINT_VIOLATION);
	assert_non_null(strstr(b->why.text, "is an address of cn=P"));
	assert_int_equal(add_person(b, 2, 2), 0);
	end_bulk(b);
	assert_int_equal(add_person(b, 3, 2), LR_CONSTRAINT_VIOLATION);
	base_open_views(b);
	base_check(b);
}

static void many_hints(void **state)
{
	struct eid_hints *a = eid_hints_new();
	char text[40];
	uint64_t eid;
	unsigned i;
	size_t at;

	(void)state;
	for (i = 1; i <= 5000; i++) {
		snprintf(text, sizeof(text), "smtp:p%u@example.com", i % 4000);
		assert_int_equal(eid_hints_put(a, span_of(text), i), RC_OK);
		assert_int_equal(eid_hints_put(a, span_of(text), i), RC_OK);
	}
	at = 0;
	assert_true(eid_hints_next(a, SPAN_LIT("smtp:p1@example.com"), &at, &eid));
	assert_true(eid == 1 || eid == 4001);
	assert_true(eid_hints_next(a, SPAN_LIT("smtp:p1@example.com"), &at, &eid));
	assert_true(eid == 1 || eid == 4001);
	assert_false(eid_hints_next(a, SPAN_LIT("smtp:p1@example.com"), &at, &eid));
	at = 0;
	assert_false(eid_hints_next(a, SPAN_LIT("smtp:nobody@example.com"), &at, &eid));
	eid_hints_free(&a);
}

/* --- rows alone --- */

/* Values of all lengths up to the longest, and few of them very often. */
static struct span random_value(uint8_t *bytes)
{
	uint32_t kind = base_random() % 10;
	size_t i, n = kind == 0 ? base_random() % 497 : kind < 5 ? 1 : base_random() % 6;

	for (i = 0; i < n; i++)
		bytes[i] = (uint8_t)(base_random() % 3);
	return span_make(bytes, n);
}

static void put_random(struct base *b, unsigned n)
{
	uint8_t bytes[500];
	unsigned i;

	base_begin(b);
	for (i = 0; i < n; i++)
		store_index_put(b->t, HASH + base_random() % 3, random_value(bytes),
				base_random() % 20000 + 1);
	base_commit(b);
}

static void random_rows(void **state)
{
	struct two *w = *state;
	unsigned round;

	base_seed = 77;
	put_random(&w->plain, 400);
	for (round = 0; round < 5; round++)
		put_random(&w->plain, 8000);
	base_seed = 77;
	base_reopen(&w->bulk, 1 << 20); /* grows at the end, which then begins anew */
	put_random(&w->bulk, 400);
	begin_bulk(&w->bulk);
	for (round = 0; round < 5; round++)
		put_random(&w->bulk, 8000);
	end_bulk(&w->bulk);
	expect_same(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(people_are_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(a_few_more, setup, teardown),
		cmocka_unit_test_setup_teardown(with_old_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(aborted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_twice, setup, teardown),
		unit_heap_test(many_hints),
		cmocka_unit_test_setup_teardown(random_rows, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
