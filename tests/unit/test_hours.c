/* Hours of the week (lib/hours.h). */
#include "tests/unit/unit.h"

#include "lib/hours.h"

#include <time.h>

/* Monday 2026-11-23 00:00 UTC */
#define MONDAY 1795392000
#define HOUR 3600
#define DAY (24 * HOUR)

static struct hours hours_of(const char *const *texts)
{
	struct hours h = {{0}};
	struct hours_error e;

	for (; *texts != NULL; texts++)
		assert_int_equal(hours_add(&h, span_of(*texts), &e), RC_OK);
	return h;
}

#define HOURS_OF(...) hours_of((const char *const[]){__VA_ARGS__, NULL})

static unsigned chosen_minutes(const struct hours *h)
{
	unsigned n = 0;
	int64_t m;

	for (m = 0; m < HOURS_WEEK_MIN; m++)
		n += hours_at(h, MONDAY + m * 60);
	return n;
}

static void monday_is_monday(void **state)
{
	time_t t = MONDAY;
	struct tm tm;

	(void)state;
	assert_non_null(gmtime_r(&t, &tm));
	assert_int_equal(tm.tm_wday, 1);
	assert_int_equal(tm.tm_hour, 0);
}

static void the_end_is_not_part(void **state)
{
	struct hours h = HOURS_OF("Mon 08:00-18:30");

	(void)state;
	assert_int_equal(chosen_minutes(&h), 630);
	assert_false(hours_at(&h, MONDAY + 8 * HOUR - 1));
	assert_true(hours_at(&h, MONDAY + 8 * HOUR));
	assert_true(hours_at(&h, MONDAY + 18 * HOUR + 1799));
	assert_false(hours_at(&h, MONDAY + 18 * HOUR + 1800));
	assert_false(hours_at(&h, MONDAY + DAY + 9 * HOUR));
}

static void nights_and_weeks_go_over_their_end(void **state)
{
	struct hours h = HOURS_OF("Sat-Mon 22:00-06:00");

	(void)state;
	assert_int_equal(chosen_minutes(&h), 3 * 8 * 60);
	assert_true(hours_at(&h, MONDAY - 2 * HOUR)); /* Sunday's */
	assert_true(hours_at(&h, MONDAY + 5 * HOUR)); /* still */
	assert_false(hours_at(&h, MONDAY + 6 * HOUR));
	assert_true(hours_at(&h, MONDAY + DAY + 5 * HOUR)); /* Monday's */
	assert_false(hours_at(&h, MONDAY + DAY + 22 * HOUR));
	assert_false(hours_at(&h, MONDAY + 5 * DAY)); /* Saturday 00:00 */
	assert_true(hours_at(&h, MONDAY + 5 * DAY + 22 * HOUR));
}

static void several_are_added_up(void **state)
{
	struct hours h = HOURS_OF("mon,WED,Thu-Fri 01:00-02:00", "daily 01:30-03:00");

	(void)state;
	assert_int_equal(chosen_minutes(&h), 4 * 120 + 3 * 90);
}

static void whole_days(void **state)
{
	struct hours weekend = HOURS_OF("Sat,Sun 00:00-24:00"), all = HOURS_OF("daily 00:00-00:00");

	(void)state;
	assert_int_equal(chosen_minutes(&weekend), 2 * 24 * 60);
	assert_int_equal(chosen_minutes(&all), HOURS_WEEK_MIN);
	assert_true(hours_next_change(&all, MONDAY) == INT64_MAX);
	assert_int_equal(hours_next_change(&weekend, MONDAY + 17), MONDAY + 5 * DAY);
	assert_int_equal(hours_next_change(&weekend, MONDAY + 5 * DAY), MONDAY + 7 * DAY);
}

static void next_change_agrees_with_each_minute(void **state)
{
	struct hours h = HOURS_OF("Tue-Thu 23:50-00:10", "Sun 12:00-12:01");
	int64_t t, next = MONDAY - 30 * DAY;
	bool is = hours_at(&h, next), was;

	(void)state;
	next = hours_next_change(&h, next);
	for (t = MONDAY - 30 * DAY; t < MONDAY; t += 60) {
		was = is;
		is = hours_at(&h, t);
		assert_int_equal(is != was, t == next);
		if (t == next)
			next = hours_next_change(&h, t);
	}
}

static void before_1970(void **state)
{
	struct hours h = HOURS_OF("Wed 23:59-24:00");

	(void)state;
	assert_true(hours_at(&h, -1));
	assert_true(hours_at(&h, -60));
	assert_false(hours_at(&h, -61));
	assert_false(hours_at(&h, 0));
	assert_int_equal(hours_next_change(&h, -61), -60);
}

static void what_is_wrong_and_where(void **state)
{
	static const struct {
		const char *text;
		unsigned column;
	} wrong[] = {
		{"", 1},
		{"always", 1},
		{"Mon", 4},
		{"Mon-", 5},
		{"Mon,", 5},
		{"Monday 08:00-18:00", 4},
		{"Mon  08:00-18:00", 5},
		{"Mon 8:00-18:00", 5},
		{"Mon 08.00-18:00", 5},
		{"Mon 08:60-18:00", 5},
		{"Mon 24:00-24:00", 10},
		{"Mon 08:00 18:00", 10},
		{"Mon 08:00-", 11},
		{"Mon 08:00-24:01", 11},
		{"Mon 08:00-18:00 ", 16},
		{"Mon 08:00-18:00,20:00-21:00", 16},
	};
	static const struct hours none;
	struct hours h = {{0}};
	struct hours_error e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		e = (struct hours_error){0, NULL};
		assert_int_equal(hours_add(&h, span_of(wrong[i].text), &e), RC_INVALID);
		if (e.column != wrong[i].column || e.why == NULL)
			fail_msg("\"%s\": column %u", wrong[i].text, e.column);
		assert_memory_equal(&h, &none, sizeof(h));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(monday_is_monday),
		cmocka_unit_test(the_end_is_not_part),
		cmocka_unit_test(nights_and_weeks_go_over_their_end),
		cmocka_unit_test(several_are_added_up),
		cmocka_unit_test(whole_days),
		cmocka_unit_test(next_change_agrees_with_each_minute),
		cmocka_unit_test(before_1970),
		cmocka_unit_test(what_is_wrong_and_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
