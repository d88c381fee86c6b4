/* dird/collate.c and natural orders: UTS #10, with the root locale of CLDR. */
#include "dird/collate.h"

#include "tests/unit/unit.h"

#include "tests/unit/entries.h"

#include <pthread.h>

static int key_cmp(const char *a, const char *b)
{
	struct buf x, y;
	int order;

	buf_init(&x, 65536);
	buf_init(&y, 65536);
	assert_int_equal(collate_key(span_of(a), &x), RC_OK);
	assert_int_equal(collate_key(span_of(b), &y), RC_OK);
	order = span_cmp(buf_span(&x), buf_span(&y));
	buf_fini(&x);
	buf_fini(&y);
	return order;
}

/* Each comes before the next one. */
static const char *const ascending[] = {
	" ",      "- dash",   "10th floor", "2nd floor", "Abel",   "Äbel",    "Abels",
	"Ada",    "Ada Hill", "Adams",      "Ångström",  "Azur",   "Bär",     "Bar Ilan",
	"Barth",  "cote",     "coté",       "côte",      "côté",   "de Luca", "Dean",
	"Łukasz", "Müller",   "Muller Zoe", "Öz",        "ß",      "st",      "Zed",
	"Žižek",  "Zoe",      "Ψυχή",       "Ωμέγα",     "Андрей", "Борис",   "Яна",
	"אברהם",  "שלום",     "أحمد",       "محمد",      "अमित",   "กานต์",    "가영",
	"김",     "あい",     "丁",         "張",
};

static void names_come_in_the_order_people_expect(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < UNIT_COUNT(ascending); i++) {
		for (k = i + 1; k < UNIT_COUNT(ascending); k++) {
			if (key_cmp(ascending[i], ascending[k]) >= 0)
				fail_msg("\"%s\" does not come before \"%s\"", ascending[i],
					 ascending[k]);
		}
	}
}

static const char *const equals[][2] = {
	{"Ada", "ADA"},
	{" Ada  Hill ", "ada hill"},
	{"A\xcc\x88pfel", "Äpfel"},
	{"ＡＤＡ", "ada"},
	{"Groß", "GROSS"},
	{"Σίσυφος", "ΣΊΣΥΦΟΣ"},
	{"soft\xc2\xadhyphen", "softhyphen"},
	{"ｶﾞ", "ガ"},
};

/* What caseIgnoreMatch calls equal has one key. */
static void equal_values_have_one_key(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(equals); i++) {
		if (key_cmp(equals[i][0], equals[i][1]) != 0)
			fail_msg("\"%s\", \"%s\"", equals[i][0], equals[i][1]);
	}
	assert_int_not_equal(key_cmp("Muller", "Müller"), 0);
	assert_int_not_equal(key_cmp("resume", "résumé"), 0);
}

static void bad_values_leave_the_buffer_alone(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_puts(&b, "kept");
	assert_int_equal(collate_key(span_of("a\xff"), &b), RC_INVALID);
	assert_int_equal(collate_key(span_of("\xef\xbf\xbf"), &b), RC_INVALID);
	unit_assert_span(buf_span(&b), SPAN_LIT("kept"));
	assert_int_equal(collate_key(span_of("ada"), &b), RC_OK);
	assert_true(b.n > 4);
	assert_null(memchr(b.p + 4, 0, b.n - 4));
	buf_fini(&b);
	buf_init(&b, 3);
	assert_int_equal(collate_key(span_of("ada hill"), &b), RC_TOOBIG);
	buf_fini(&b);
	assert_true(collate_version() != 0);
}

static void long_values(void **state)
{
	char a[5001], z[5001];

	(void)state;
	memset(a, 'x', sizeof(a) - 1);
	memset(z, 'x', sizeof(z) - 1);
	a[5000] = z[5000] = '\0';
	a[4999] = 'a';
	z[4999] = 'z';
	assert_true(key_cmp(a, z) < 0);
	assert_int_equal(key_cmp(a, a), 0);
}

static int key_once(void *arg)
{
	struct buf b;
	int rc;

	buf_init(&b, 1 << 20);
	rc = collate_key(span_of(arg), &b);
	buf_fini(&b);
	return rc;
}

static void out_of_memory(void **state)
{
	char text[1000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[999] = '\0';
	unit_fail_allocations(key_once, text);
}

#define ROUNDS 2000

static void *sort_much(void *arg)
{
	struct buf first, b;
	long wrong = 0;
	unsigned i;

	buf_init(&first, 1000);
	buf_init(&b, 1000);
	if (collate_key(span_of("Łukasz Ångström"), &first) != RC_OK)
		wrong++;
	for (i = 0; i < ROUNDS; i++) {
		buf_clear(&b);
		if (collate_key(span_of("łukasz ångström"), &b) != RC_OK ||
		    !span_eq(buf_span(&b), buf_span(&first)))
			wrong++;
	}
	buf_fini(&first);
	buf_fini(&b);
	*(long *)arg = wrong;
	return NULL;
}

static void threads_share_the_collator(void **state)
{
	pthread_t threads[4];
	long wrong[4];
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sort_much, &wrong[i]), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(wrong[i], 0);
	}
}

static const struct {
	const char *type;
	enum schema_norm norm;
	const char *less, *more;
} natural[] = {
	{"cn", SCHEMA_NORM_COLLATE, "Äbel", "zed"},
	{"sn", SCHEMA_NORM_COLLATE, "de Luca", "Dean"},
	{"mail", SCHEMA_NORM_COLLATE, "Ada@x", "bob@x"},
	{"homeDirectory", SCHEMA_NORM_COLLATE, "/home/b", "/home/C"},
	{"postalAddress", SCHEMA_NORM_COLLATE, "a$b", "a$c"},
	{"uidNumber", SCHEMA_NORM_INTEGER, "9", "10"},
	{"createTimestamp", SCHEMA_NORM_TIME, "20240101130000+0200", "20240101120000Z"},
	{"telephoneNumber", SCHEMA_NORM_TELEPHONE, "+1 (2", "+1 3"},
	{"connectorEnabled", SCHEMA_NORM_BOOLEAN, "FALSE", "TRUE"},
	{"manager", SCHEMA_NORM_DN, "cn=A,o=x", "CN=b,o=x"},
	{"jpegPhoto", SCHEMA_NORM_OCTETS, "A", "a"},
};

static void every_type_has_a_natural_order(void **state)
{
	struct buf x, y;
	unsigned i;

	(void)state;
	buf_init(&x, 4096);
	buf_init(&y, 4096);
	for (i = 0; i < UNIT_COUNT(natural); i++) {
		const struct schema_attr *at = schema_attr(schema, span_of(natural[i].type));

		buf_clear(&x);
		buf_clear(&y);
		if (schema_natural(at) != natural[i].norm)
			fail_msg("%s: %d", natural[i].type, schema_natural(at));
		assert_int_equal(
			schema_normalize(schema, natural[i].norm, span_of(natural[i].less), &x),
			RC_OK);
		assert_int_equal(
			schema_normalize(schema, natural[i].norm, span_of(natural[i].more), &y),
			RC_OK);
		if (span_cmp(buf_span(&x), buf_span(&y)) >= 0)
			fail_msg("%s: %s, %s", natural[i].type, natural[i].less, natural[i].more);
	}
	buf_fini(&x);
	buf_fini(&y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		unit_heap_test(names_come_in_the_order_people_expect),
		unit_heap_test(equal_values_have_one_key),
		unit_heap_test(bad_values_leave_the_buffer_alone),
		unit_heap_test(long_values),
		unit_heap_test(out_of_memory),
		unit_heap_test(threads_share_the_collator),
		unit_heap_test(every_type_has_a_natural_order),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
