#include "lib/hours.h"

#define DAYS 7
#define DAY_MIN (24 * 60)
#define EPOCH_DAY 4 /* 1970-01-01 was a Thursday */

struct reader {
	struct span text, rest;
	struct hours_error *e;
};

static int refuse(const struct reader *r, const char *why)
{
	*r->e = (struct hours_error){(unsigned)(r->text.n - r->rest.n) + 1, why};
	return RC_INVALID;
}

static bool take(struct reader *r, struct span word)
{
	if (!span_eq_nocase(span_head(r->rest, word.n), word))
		return false;
	r->rest = span_from(r->rest, word.n);
	return true;
}

/* --- days --- */

static int read_day(struct reader *r, unsigned *day)
{
	static const char names[DAYS][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

	for (*day = 0; *day < DAYS; (*day)++) {
		if (take(r, span_of(names[*day])))
			return RC_OK;
	}
	return refuse(r, "wants daily or a day: Mon Tue Wed Thu Fri Sat Sun");
}

static int read_day_range(struct reader *r, bool days[static DAYS])
{
	unsigned day, last;
	int rc = read_day(r, &day);

	last = day;
	if (rc == RC_OK && take(r, SPAN_LIT("-")))
		rc = read_day(r, &last);
	if (rc != RC_OK)
		return rc;
	for (; day != last; day = (day + 1) % DAYS)
		days[day] = true;
	days[last] = true;
	return RC_OK;
}

static int read_days(struct reader *r, bool days[static DAYS])
{
	unsigned i;
	int rc;

	if (take(r, SPAN_LIT("daily"))) {
		for (i = 0; i < DAYS; i++)
			days[i] = true;
		return RC_OK;
	}
	do {
		rc = read_day_range(r, days);
	} while (rc == RC_OK && take(r, SPAN_LIT(",")));
	return rc;
}

/* --- times --- */

static int read_number(struct reader *r, unsigned *out)
{
	const uint8_t *p = r->rest.p;

	if (r->rest.n < 2 || p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
		return refuse(r, "wants a time, HH:MM");
	*out = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
	r->rest = span_from(r->rest, 2);
	return RC_OK;
}

/* Minute of the day. */
static int read_time(struct reader *r, unsigned *out)
{
	struct reader begin = *r;
	unsigned hour, minute;
	int rc = read_number(r, &hour);

	if (rc == RC_OK && !take(r, SPAN_LIT(":")))
		rc = refuse(&begin, "wants a time, HH:MM");
	if (rc == RC_OK)
		rc = read_number(r, &minute);
	if (rc != RC_OK)
		return rc;
	*out = hour * 60 + minute;
	if (minute > 59 || *out > DAY_MIN)
		return refuse(&begin, "is no time between 00:00 and 24:00");
	return RC_OK;
}

static int read_times(struct reader *r, unsigned *begin, unsigned *end)
{
	int rc = read_time(r, begin);

	if (rc == RC_OK && *begin == DAY_MIN)
		rc = refuse(r, "a day's first minute is 00:00");
	if (rc == RC_OK && !take(r, SPAN_LIT("-")))
		rc = refuse(r, "wants - and the end, HH:MM");
	if (rc == RC_OK)
		rc = read_time(r, end);
	if (rc == RC_OK && *end <= *begin)
		*end += DAY_MIN;
	return rc;
}

/* --- all --- */

static void choose(struct hours *h, unsigned minute)
{
	minute %= HOURS_WEEK_MIN;
	h->minutes[minute / 8] |= (uint8_t)(1u << minute % 8);
}

static bool is_chosen(const struct hours *h, unsigned minute)
{
	return (h->minutes[minute / 8] >> minute % 8 & 1) != 0;
}

int hours_add(struct hours *h, struct span text, struct hours_error *e)
{
	struct reader r = {text, text, e};
	bool days[DAYS] = {false};
	unsigned begin = 0, end = 0, day, minute;
	int rc = read_days(&r, days);

	if (rc == RC_OK && !take(&r, SPAN_LIT(" ")))
		rc = refuse(&r, "wants a blank and then HH:MM-HH:MM");
	if (rc == RC_OK)
		rc = read_times(&r, &begin, &end);
	if (rc == RC_OK && r.rest.n != 0)
		rc = refuse(&r, "nothing may follow the hours");
	if (rc != RC_OK)
		return rc;
	for (day = 0; day < DAYS; day++) {
		for (minute = begin; days[day] && minute < end; minute++)
			choose(h, day * DAY_MIN + minute);
	}
	return RC_OK;
}

static int64_t minute_of(int64_t utc_s)
{
	return utc_s >= 0 ? utc_s / 60 : (utc_s - 59) / 60;
}

static unsigned week_minute(int64_t minute)
{
	int64_t m = (minute + (int64_t)EPOCH_DAY * DAY_MIN) % HOURS_WEEK_MIN;

	return (unsigned)(m >= 0 ? m : m + HOURS_WEEK_MIN);
}

bool hours_at(const struct hours *h, int64_t utc_s)
{
	return is_chosen(h, week_minute(minute_of(utc_s)));
}

int64_t hours_next_change(const struct hours *h, int64_t utc_s)
{
	int64_t now = minute_of(utc_s), m;
	bool is = hours_at(h, utc_s);

	for (m = now + 1; m < now + HOURS_WEEK_MIN; m++) {
		if (is_chosen(h, week_minute(m)) != is)
			return m * 60;
	}
	return INT64_MAX;
}
