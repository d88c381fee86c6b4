/* Entries in stored form (dird/entry.h): round trip, lookup, damage. */
#include "tests/unit/unit.h"

#include "dird/entry.h"

#include <stdlib.h>

static struct span ada[] = {{(const uint8_t *)"Ada Hill", 8}, {(const uint8_t *)"Ada", 3}};
static struct span secret[] = {{(const uint8_t *)"x", 1}};
static struct span stamp_time[] = {{(const uint8_t *)"20261123000000Z", 15}};
static struct span empty[] = {{(const uint8_t *)"", 0}};
static struct attr attrs[] = {
	{.type = {(const uint8_t *)"modifyTimestamp", 15}, .values = stamp_time, .nvalues = 1},
	{.type = {(const uint8_t *)"cn", 2}, .values = ada, .nvalues = 2},
	{.type = {(const uint8_t *)"userPassword", 12}, .values = secret, .nvalues = 1},
	{.type = {(const uint8_t *)"cn;lang-de", 10}, .values = ada, .nvalues = 1},
	{.type = {(const uint8_t *)"description", 11}, .values = empty, .nvalues = 1},
};
static const enum entry_run runs[] = {ENTRY_OPERATIONAL, ENTRY_PUBLIC, ENTRY_PROTECTED,
				      ENTRY_PUBLIC, ENTRY_PUBLIC};
static const struct attr_list list = {attrs, 5};

static void build(struct buf *b)
{
	struct entry_head h = {.uuid = {{1}}, .parent_uuid = {{2}}, .parent = 77, .moved_usn = 5};

	h.stamp = (struct stamp){{{3}}, 4, 0x0102030405060708};
	h.rdn = SPAN_LIT("cn=Ada Hill");
	h.rdn_normal = SPAN_LIT("cn=ada hill");
	buf_init(b, 1 << 20);
	assert_int_equal(entry_build(&h, &list, runs, b), RC_OK);
}

static void round_trip(void **state)
{
	struct entry_attr a;
	struct entry e;
	struct buf b;

	(void)state;
	build(&b);
	assert_int_equal(entry_open(buf_span(&b), &e), RC_OK);
	assert_int_equal(e.head.uuid.b[0], 1);
	assert_int_equal(e.head.parent_uuid.b[0], 2);
	assert_int_equal(e.head.parent, 77);
	assert_int_equal(e.head.moved_usn, 5);
	assert_int_equal(e.head.stamp.nc.b[0], 3);
	assert_int_equal(e.head.stamp.epoch, 4);
	assert_true(e.head.stamp.usn == 0x0102030405060708);
	assert_true(span_eq(e.head.rdn, SPAN_LIT("cn=Ada Hill")));
	assert_true(span_eq(e.head.rdn_normal, SPAN_LIT("cn=ada hill")));
	assert_int_equal(e.nattrs, 5);
	entry_attr_at(&e, 0, &a);
	assert_true(span_eq(a.type, SPAN_LIT("cn")) && !a.is_operational && !a.is_protected);
	entry_attr_at(&e, 3, &a);
	assert_true(span_eq(a.type, SPAN_LIT("userPassword")) && a.is_protected);
	assert_ptr_equal(a.whole.p, e.attrs.p + e.public_bytes);
	entry_attr_at(&e, 4, &a);
	assert_true(span_eq(a.type, SPAN_LIT("modifyTimestamp")) && a.is_operational);
	assert_ptr_equal(a.whole.p, e.attrs.p + e.user_bytes);
	buf_fini(&b);
	assert_int_equal(mem_live_blocks(), 0);
}

static void lookup(void **state)
{
	struct entry_attr a;
	struct attr_list out;
	struct arena arena;
	struct span v;
	struct entry e;
	struct buf b;
	unsigned i = 0;

	(void)state;
	build(&b);
	arena_init(&arena);
	assert_int_equal(entry_open(buf_span(&b), &e), RC_OK);
	assert_true(entry_find(&e, entry_type_hash(SPAN_LIT("CN")), SPAN_LIT("CN"), &i, &a));
	assert_true(span_eq(a.type, SPAN_LIT("cn")));
	assert_true(entry_find(&e, entry_type_hash(SPAN_LIT("CN")), SPAN_LIT("CN"), &i, &a));
	assert_true(span_eq(a.type, SPAN_LIT("cn;lang-de")));
	assert_false(entry_find(&e, entry_type_hash(SPAN_LIT("cn")), SPAN_LIT("cn"), &i, &a));
	assert_true(entry_first(&e, "cn", &v) && span_eq(v, SPAN_LIT("Ada Hill")));
	assert_true(entry_first(&e, "description", &v) && v.n == 0);
	assert_false(entry_first(&e, "sn", &v));
	assert_int_equal(entry_decode(&e, false, &arena, &out), RC_OK);
	assert_int_equal(out.n, 4);
	assert_int_equal(out.attrs[0].nvalues, 2);
	assert_true(span_eq(out.attrs[0].values[1], SPAN_LIT("Ada")));
	assert_int_equal(entry_decode(&e, true, &arena, &out), RC_OK);
	assert_int_equal(out.n, 5);
	arena_fini(&arena);
	buf_fini(&b);
}

/* A colliding hash must not answer for another type. */
static void collisions(void **state)
{
	struct entry_attr a;
	struct entry e;
	struct buf b;
	unsigned i = 0;

	(void)state;
	build(&b);
	assert_int_equal(entry_open(buf_span(&b), &e), RC_OK);
	assert_false(entry_find(&e, entry_type_hash(SPAN_LIT("cn")), SPAN_LIT("sn"), &i, &a));
	assert_true(entry_type_hash(SPAN_LIT("MAIL")) == entry_type_hash(SPAN_LIT("mail;x-y")));
	assert_true(entry_type_hash(SPAN_LIT("mail")) != entry_type_hash(SPAN_LIT("cn")));
	buf_fini(&b);
}

static void large_values(void **state)
{
	struct span v[1];
	struct attr at = {.type = SPAN_LIT("jpegPhoto"), .values = v, .nvalues = 1};
	struct attr_list one = {&at, 1};
	enum entry_run run = ENTRY_PUBLIC;
	struct entry_head h = {.parent = 1};
	struct span got;
	struct entry e;
	uint8_t *data = calloc(1, 300000);
	static const size_t sizes[] = {0, 127, 128, 255, 256, 65535, 65536, 300000};
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 1 << 20);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		buf_clear(&b);
		v[0] = span_make(data, sizes[i]);
		assert_int_equal(entry_build(&h, &one, &run, &b), RC_OK);
		assert_int_equal(entry_open(buf_span(&b), &e), RC_OK);
		assert_true(entry_first(&e, "jpegphoto", &got) && got.n == sizes[i]);
	}
	buf_fini(&b);
	buf_init(&b, 1000);
	assert_int_equal(entry_build(&h, &one, &run, &b), RC_TOOBIG);
	buf_fini(&b);
	free(data);
}

/* What a search does with an entry. */
static void look_everywhere(const struct entry *e, struct span record)
{
	struct entry_attr at;
	struct attr_list out;
	struct arena arena;
	struct span value;
	unsigned i;

	for (i = 0; i < e->nattrs; i++) {
		entry_attr_at(e, i, &at);
		assert_true(at.whole.p >= record.p &&
			    at.whole.p + at.whole.n <= record.p + record.n);
		assert_true(at.values.n <= at.whole.n && at.type.n <= at.whole.n);
	}
	(void)entry_first(e, "cn", &value);
	(void)entry_has_class(e, "person");
	arena_init(&arena);
	if (entry_decode(e, true, &arena, &out) == RC_OK)
		assert_int_equal(out.n, e->nattrs);
	arena_fini(&arena);
}

/* Every cut and every changed byte is found out, or gives an entry that can be read safely. */
static void damage(void **state)
{
	struct entry e;
	struct buf b;
	unsigned refused = 0;
	uint8_t *copy;
	size_t i;
	int bit;

	(void)state;
	build(&b);
	for (i = 0; i < b.n; i++) {
		copy = malloc(i + 1);
		memcpy(copy, b.p, i);
		assert_int_equal(entry_open(span_make(copy, i), &e), RC_CORRUPT);
		free(copy);
	}
	copy = malloc(b.n);
	for (i = 0; i < b.n; i++) {
		for (bit = 0; bit < 8; bit++) {
			memcpy(copy, b.p, b.n);
			copy[i] ^= (uint8_t)(1 << bit);
			if (entry_open(span_make(copy, b.n), &e) != RC_OK) {
				refused++;
				continue;
			}
			look_everywhere(&e, span_make(copy, b.n));
			refused += entry_check(&e) != RC_OK;
		}
	}
	assert_true(refused > 400);
	free(copy);
	buf_fini(&b);
}

static void uuids(void **state)
{
	char text[UUID_TEXT_BYTES];
	struct uuid u;
	static const char *const bad[] = {
		"",
		"550e8400-e29b-41d4-a716-44665544000",
		"550e8400-e29b-41d4-a716-4466554400000",
		"550e8400ae29b-41d4-a716-446655440000",
		"550e8400-e29b-41d4-a716-44665544000g",
	};
	size_t i;

	(void)state;
	assert_int_equal(uuid_parse(SPAN_LIT("550E8400-e29b-41d4-a716-446655440000"), &u), RC_OK);
	uuid_write(&u, text);
	assert_string_equal(text, "550e8400-e29b-41d4-a716-446655440000");
	assert_false(uuid_is_zero(&u));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(uuid_parse(span_of(bad[i]), &u), RC_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(round_trip),   unit_heap_test(lookup), unit_heap_test(collisions),
		unit_heap_test(large_values), unit_heap_test(damage), unit_heap_test(uuids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
