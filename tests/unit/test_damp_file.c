#include "tests/unit/unit.h"

#include "routed/crc64.h"
#include "routed/damp_file.h"

#define LINES "2500000 suppressed s2.example.com\n999 free s3.example.com\n"
#define SECOND_US INT64_C(1000000)
#define WALL (INT64_C(1763922312) * SECOND_US)

static const struct damp_stamp written = {"boot-a", 500000, WALL};

/* CRC-64/XZ has this check value (reveng catalogue). */
static void test_crc64(void **state)
{
	(void)state;
	assert_true(crc64(SPAN_LIT("123456789")) == UINT64_C(0x995dc9bbdf1939fa));
}

/* M21: a clock that jumps neither frees a route nor holds it for longer than its penalty does. */
static void test_age(void **state)
{
	static const struct row {
		struct damp_stamp now;
		uint64_t age_ms;
	} rows[] = {
		{{"boot-a", 500000, WALL}, 0},
		{{"boot-a", 507000, WALL + 7 * SECOND_US}, 7000},
		{{"boot-a", 507000, WALL + 315360000 * SECOND_US}, 7000}, /* ten years on */
		{{"boot-a", 507000, WALL - 315360000 * SECOND_US}, 7000}, /* and back */
		{{"boot-b", 1000, WALL + 60 * SECOND_US}, 60000},         /* the machine was off */
		{{"boot-b", 1000, WALL - 60 * SECOND_US}, 0},
		{{"boot-b", 900000, 0}, 0},
		{{"", 507000, WALL + 60 * SECOND_US}, 60000},
		{{"boot-a", 400000, WALL + 60 * SECOND_US}, 60000}, /* no monotonic clock */
	};
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 4096);
	damp_file_write(&written, SPAN_LIT(LINES), &b);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span lines;
		uint64_t age;

		assert_int_equal(damp_file_read(buf_span(&b), &rows[i].now, &lines, &age), RC_OK);
		assert_int_equal(age, rows[i].age_ms);
		assert_true(span_eq(lines, SPAN_LIT(LINES)));
	}
	buf_fini(&b);
}

static void test_without_a_boot_id(void **state)
{
	const struct damp_stamp before = {"", 500000, WALL}, now = {"", 507000, WALL - 5};
	struct span lines;
	uint64_t age;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	damp_file_write(&before, SPAN_LIT(""), &b);
	assert_int_equal(damp_file_read(buf_span(&b), &now, &lines, &age), RC_OK);
	assert_int_equal(age, 0);
	assert_int_equal(lines.n, 0);
	buf_fini(&b);
}

/* Every prefix, and every byte changed. */
static void test_damage(void **state)
{
	struct span lines;
	uint64_t age;
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b, 4096);
	damp_file_write(&written, SPAN_LIT(LINES), &b);
	for (i = 0; i < b.n; i++) {
		assert_int_equal(damp_file_read(span_head(buf_span(&b), i), &written, &lines, &age),
				 RC_CORRUPT);
		b.p[i] ^= 1;
		assert_int_equal(damp_file_read(buf_span(&b), &written, &lines, &age), RC_CORRUPT);
		b.p[i] ^= 1;
	}
	buf_fini(&b);
}

/* With a checksum that fits, as a later version writes it. */
static void test_other_version(void **state)
{
	static const char head[] = "waypost-dampening 2\nwhatever\n";
	struct span lines;
	uint64_t age;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	buf_printf(&b, "%schecksum %016llx\n", head, (unsigned long long)crc64(span_of(head)));
	assert_int_equal(damp_file_read(buf_span(&b), &written, &lines, &age), RC_UNSUPPORTED);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc64),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_without_a_boot_id),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_other_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
