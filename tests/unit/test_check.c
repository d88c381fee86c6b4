/* The self-check (dird/check.h) finds each kind of damage and says what it is. */
#include "tests/unit/base.h"

#include "dird/store_digest.h"

#define PERSON "cn=Ada,cn=Recipients,ou=S1,o=Example"

static int setup(void **state)
{
	struct base *b = calloc(1, sizeof(*b));

	base_open(b, 0);
	base_open_views(b);
	base_site(b);
	assert_int_equal(base_add(b, PERSON, "objectClass: inetOrgPerson\nsn: Hill\n"), 0);
	assert_int_equal(base_add(b, "cn=gone,ou=S1,o=Example", "objectClass: container\n"), 0);
	assert_int_equal(base_delete(b, "cn=gone,ou=S1,o=Example"), 0);
	*state = b;
	return 0;
}

struct found {
	unsigned n;
	char text[4096];
};

static void note(void *ctx, const char *text)
{
	struct found *f = ctx;

	f->n++;
	strncat(f->text, text, sizeof(f->text) - strlen(f->text) - 1);
}

/* What the damage makes of the database, before it is forgotten again. */
static void expect(struct base *b, const char *part)
{
	struct found f = {0};
	struct check c = {.problem = note, .ctx = &f};

	assert_int_equal(store_error(b->t), RC_OK);
	assert_int_equal(check_database(b->t, b->schema, &c), RC_OK);
	assert_int_equal(c.problems, f.n);
	if (f.n == 0 || strstr(f.text, part) == NULL)
		fail_msg("want \"%s\", got %u: %s", part, f.n, f.text);
	store_write_abort(&b->t);
}

static uint64_t find(struct base *b, const char *dn, struct entry *e)
{
	struct dn d = base_dn(b, dn);
	unsigned depth;
	uint64_t eid;
	struct span copy;

	base_begin(b);
	assert_int_equal(store_find(b->t, &d, &eid, &depth), RC_OK);
	assert_int_equal(store_entry(b->t, eid, e), RC_OK);
	copy = arena_span(&b->arena, entry_record(e));
	assert_int_equal(entry_open(copy, e), RC_OK);
	return eid;
}

static void healthy(void **state)
{
	base_check(*state);
}

static void damage(void **state)
{
	struct base *b = *state;
	struct entry e, other;
	struct store_nc nc;
	uint32_t sn = entry_type_hash(SPAN_LIT("sn"));
	uint64_t eid = find(b, PERSON, &e);
	struct uuid u = e.head.uuid;

	store_index_del(b->t, sn, SPAN_LIT("hill"), eid);
	expect(b, "missing in the index");

	base_begin(b);
	store_index_put(b->t, sn, SPAN_LIT("mountain"), eid);
	expect(b, "does not have the value");

	base_begin(b);
	store_index_put(b->t, sn, SPAN_LIT("hill"), 4711);
	expect(b, "leads to entry 4711");

	base_begin(b);
	store_gram_merge(b->t);
	store_empty(b->t, STORE_GRAM);
	expect(b, "missing in the n-gram index");

	base_begin(b);
	store_empty(b->t, STORE_FRESH);
	expect(b, "missing in the n-gram index");

	base_begin(b);
	store_child_del(b->t, e.head.parent, e.head.rdn_normal, eid);
	expect(b, "its name leads to");

	base_begin(b);
	store_child_put(b->t, e.head.parent, SPAN_LIT("cn=second name"), eid);
	expect(b, "tree: 4 rows");

	base_begin(b);
	store_uuid_del(b->t, &u);
	expect(b, "its entryUUID leads to");

	base_begin(b);
	assert_int_equal(store_nc_find(b->t, &e.head.stamp.nc, &nc), RC_OK);
	store_order_del(b->t, nc.number, e.head.stamp.usn, &u);
	expect(b, "no row in the change order");

	base_begin(b);
	nc.position.usn = 1;
	store_nc_put(b->t, &nc);
	expect(b, "above the counter");

	base_begin(b);
	store_digest_add(b->t, &e);
	expect(b, "its digest is not that of its entries");

	base_begin(b);
	store_limbo_put(b->t, &u, eid);
	expect(b, "limbo: 1 rows");

	(void)find(b, "cn=Recipients,ou=S1,o=Example", &other);
	store_entry_del(b->t, e.head.parent);
	expect(b, "ancestor");

	base_begin(b);
	store_entry_put(b->t, eid, SPAN_LIT("garbage"));
	expect(b, "record is damaged");
}

/* Values that are stored apart. */
static void list_damage(void **state)
{
	struct base *b = *state;
	struct entry_place first = {0, 0};
	static char lines[20000];
	struct entry_place place;
	struct entry_attr attr;
	struct span value, member = SPAN_LIT("member");
	struct entry e;
	unsigned i, at = 0;
	uint64_t eid;

	at += (unsigned)snprintf(lines, sizeof(lines), "objectClass: groupOfNames\n");
	for (i = 0; i < 300; i++)
		at += (unsigned)snprintf(lines + at, sizeof(lines) - at,
					 "member: cn=%u,o=Elsewhere\n", i);
	assert_int_equal(base_add(b, "cn=All,cn=Recipients,ou=S1,o=Example", lines), 0);
	base_check(b);
	eid = find(b, "cn=All,cn=Recipients,ou=S1,o=Example", &e);
	i = 0;
	assert_true(entry_find(&e, entry_type_hash(member), member, &i, &attr));
	assert_true(attr.is_apart && attr.apart.count == 300);
	store_attach(b->t, eid, &e);
	assert_int_equal(e.reader->read(b->t, eid, attr.apart.list, &first, &value, &place, 1), 1);
	value = arena_span(&b->arena, value);
	store_value_del(b->t, eid, attr.apart.list, &place);
	expect(b, "other sizes than the record says");

	base_begin(b);
	store_value_del(b->t, eid, attr.apart.list, &place);
	store_value_put(b->t, eid, attr.apart.list, place.hash + 1, value);
	expect(b, "in a wrong place");

	base_begin(b);
	store_value_put(b->t, eid, attr.apart.list, place.hash, value);
	expect(b, "in a wrong place");

	base_begin(b);
	store_value_put(b->t, eid + 1, 1, place.hash, value);
	expect(b, "value: 301 rows");

	base_begin(b);
	store_empty(b->t, STORE_VALUE);
	expect(b, "other sizes than the record says");
}

/* Two entries that are each other's parents. */
static void rings(void **state)
{
	struct base *b = *state;
	struct entry_head head;
	struct attr_list attrs;
	enum entry_run *runs;
	struct entry top, below;
	uint64_t top_eid = find(b, "cn=Recipients,ou=S1,o=Example", &top), eid;
	struct buf record;
	unsigned i;

	store_write_abort(&b->t);
	eid = find(b, PERSON, &below);
	head = top.head;
	head.parent = eid;
	assert_int_equal(entry_decode(&top, true, &b->arena, &attrs), RC_OK);
	runs = arena_zalloc(&b->arena, attrs.n, sizeof(*runs));
	for (i = 0; i < attrs.n; i++)
		runs[i] = schema_run(b->schema, attrs.attrs[i].type);
	buf_init(&record, 65536);
	assert_int_equal(entry_build(&head, &attrs, runs, &record), RC_OK);
	store_entry_put(b->t, top_eid, buf_span(&record));
	buf_fini(&record);
	assert_false(store_is_within(b->t, eid, 1));
	expect(b, "or a ring");
}

#define unit_base_test(f) cmocka_unit_test_setup_teardown(f, setup, base_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_base_test(healthy),
		unit_base_test(damage),
		unit_base_test(list_damage),
		unit_base_test(rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
