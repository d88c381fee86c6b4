/* Digests of contexts (dird/digest.h). */
#include "tests/unit/unit.h"

#include "dird/digest.h"

#include <stdlib.h>

#define MAX_ATTRS 100

/* An entry with these lines as attributes, in this order. */
struct made {
	struct buf record;
	struct entry e;
};

static struct entry_head a_head(void)
{
	return (struct entry_head){.uuid = {{1}},
				   .parent_uuid = {{2}},
				   .parent = 77,
				   .stamp = {{{3}}, 4, 5},
				   .rdn = SPAN_LIT("cn=Ada"),
				   .rdn_normal = SPAN_LIT("cn=ada")};
}

static struct made make(const struct entry_head *head, const char *const *types, unsigned n)
{
	static struct span value = {(const uint8_t *)"v", 1};
	struct attr attrs[MAX_ATTRS];
	enum entry_run runs[MAX_ATTRS];
	struct attr_list list = {attrs, n};
	struct made m;
	unsigned i;

	for (i = 0; i < n; i++) {
		attrs[i] = (struct attr){.type = span_of(types[i]), .values = &value, .nvalues = 1};
		runs[i] = ENTRY_PUBLIC;
	}
	buf_init(&m.record, 1 << 20);
	assert_int_equal(entry_build(head, &list, runs, &m.record), RC_OK);
	assert_int_equal(entry_open(buf_span(&m.record), &m.e), RC_OK);
	return m;
}

static void digest_one(struct digester *d, const struct entry_head *head, const char *const *types,
		       unsigned n, uint8_t *state)
{
	struct made m = make(head, types, n);

	memset(state, 0, DIGEST_STATE_BYTES);
	assert_int_equal(digest_add(d, state, &m.e), RC_OK);
	buf_fini(&m.record);
}

static const char *const three[] = {"cn", "sn", "mail"};

/* What is the same at every site decides, and nothing else. */
static void what_counts(void **state)
{
	static const char *const turned[] = {"mail", "cn", "sn"}, *const other[] = {"cn", "sn"};
	uint8_t want[DIGEST_STATE_BYTES], got[DIGEST_STATE_BYTES];
	struct entry_head head = a_head(), h;
	struct digester *d;
	unsigned i;

	(void)state;
	assert_int_equal(digester_new(&d), RC_OK);
	digest_one(d, &head, three, 3, want);
	digest_one(d, &head, turned, 3, got);
	assert_memory_equal(got, want, sizeof(want));
	h = head;
	h.parent = 78;
	h.flags = ENTRY_HIDDEN;
	h.moved_usn = 3;
	digest_one(d, &h, three, 3, got);
	assert_memory_equal(got, want, sizeof(want));
	digest_one(d, &head, other, 2, got);
	assert_memory_not_equal(got, want, sizeof(want));
	for (i = 0; i < 6; i++) {
		h = head;
		h.uuid.b[15] ^= i == 0;
		h.parent_uuid.b[15] ^= i == 1;
		h.stamp.nc.b[15] ^= i == 2;
		h.stamp.epoch ^= i == 3;
		h.stamp.usn ^= i == 4;
		if (i == 5)
			h.rdn = SPAN_LIT("CN=Ada");
		digest_one(d, &h, three, 3, got);
		assert_memory_not_equal(got, want, sizeof(want));
	}
	digester_free(&d);
	assert_int_equal(mem_live_blocks(), 0);
}

/* Sites spell the root as they like. */
static void root_has_no_name(void **state)
{
	uint8_t want[DIGEST_STATE_BYTES], got[DIGEST_STATE_BYTES];
	struct entry_head head = a_head();
	struct digester *d;

	(void)state;
	assert_int_equal(digester_new(&d), RC_OK);
	memset(&head.parent_uuid, 0, sizeof(head.parent_uuid));
	digest_one(d, &head, three, 3, want);
	head.rdn = SPAN_LIT("O=Example");
	digest_one(d, &head, three, 3, got);
	assert_memory_equal(got, want, sizeof(want));
	digester_free(&d);
}

/* Any order of coming and going leads to the same. */
static void order_is_nothing(void **state)
{
	uint8_t one[DIGEST_STATE_BYTES] = {0}, other[DIGEST_STATE_BYTES] = {0};
	uint8_t digest[2][DIGEST_BYTES];
	static const uint8_t none[DIGEST_STATE_BYTES];
	struct entry_head head = a_head();
	const char *many[MAX_ATTRS];
	struct made m[20];
	struct digester *d;
	unsigned i;

	(void)state;
	for (i = 0; i < MAX_ATTRS; i++)
		many[i] = i % 2 ? "description" : "telepathicNumber";
	assert_int_equal(digester_new(&d), RC_OK);
	for (i = 0; i < 20; i++) {
		head.uuid.b[3] = (uint8_t)i;
		m[i] = make(&head, many, i == 7 ? MAX_ATTRS : 1);
		assert_int_equal(digest_add(d, one, &m[i].e), RC_OK);
	}
	for (i = 20; i-- != 0;) {
		assert_int_equal(digest_add(d, other, &m[i].e), RC_OK);
		assert_int_equal(digest_add(d, other, &m[0].e), RC_OK);
	}
	assert_memory_not_equal(one, other, sizeof(one));
	for (i = 0; i < 20; i++)
		assert_int_equal(digest_sub(d, other, &m[0].e), RC_OK);
	assert_memory_equal(one, other, sizeof(one));
	assert_int_equal(digest_of(d, one, digest[0]), RC_OK);
	assert_int_equal(digest_of(d, none, digest[1]), RC_OK);
	assert_memory_not_equal(digest[0], digest[1], DIGEST_BYTES);
	for (i = 0; i < 20; i++) {
		assert_int_equal(digest_sub(d, other, &m[i].e), RC_OK);
		buf_fini(&m[i].record);
	}
	assert_memory_equal(other, none, sizeof(none));
	digester_free(&d);
	assert_int_equal(mem_live_blocks(), 0);
}

/* The bytes on disk and on the wire stay what they are: computed with Python and openssl enc. */
static void known_answer(void **state)
{
	uint8_t one[DIGEST_STATE_BYTES], digest[DIGEST_BYTES];
	struct entry_head head = a_head();
	char text[DIGEST_TEXT_BYTES];
	struct digester *d;

	(void)state;
	assert_int_equal(digester_new(&d), RC_OK);
	digest_one(d, &head, three, 3, one);
	assert_int_equal(digest_of(d, one, digest), RC_OK);
	digest_write(digest, text);
	assert_string_equal(text,
			    "f49e3dc1455e6336ed3d2269e30efa09fdc9fa9ed62769d2ee00f490899e5655");
	digester_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_counts),
		cmocka_unit_test(root_has_no_name),
		cmocka_unit_test(order_is_nothing),
		cmocka_unit_test(known_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
