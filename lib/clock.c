#include "lib/clock.h"

#include "lib/rc.h"

#include <stdio.h>
#include <time.h>

static uint64_t system_mono_ms(const struct clock *c)
{
	struct timespec ts;

	(void)c;
	must(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int64_t system_wall_us(const struct clock *c)
{
	struct timespec ts;

	(void)c;
	must(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

const struct clock clock_system = {system_mono_ms, system_wall_us};

static int64_t whole_seconds(int64_t wall_us)
{
	int64_t s = wall_us / 1000000;

	return wall_us % 1000000 < 0 ? s - 1 : s;
}

/* Timestamps have four digits for the year; a time that does not fit becomes the epoch. */
static struct tm broken_down(int64_t seconds)
{
	time_t s = (time_t)seconds;
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099)
		tm = (struct tm){.tm_year = 70, .tm_mday = 1};
	return tm;
}

void clock_generalized(int64_t wall_us, char out[static CLOCK_GENERALIZED_BYTES])
{
	struct tm tm = broken_down(whole_seconds(wall_us));

	if (strftime(out, CLOCK_GENERALIZED_BYTES, "%Y%m%d%H%M%SZ", &tm) == 0)
		out[0] = '\0';
}

void clock_rfc3339(int64_t wall_us, char out[static CLOCK_RFC3339_BYTES])
{
	int64_t s = whole_seconds(wall_us);
	unsigned ms = (unsigned)((wall_us % 1000000 + 1000000) % 1000000 / 1000);
	struct tm tm = broken_down(s);
	size_t n;

	n = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLOCK_RFC3339_BYTES - n, ".%03uZ", ms % 1000);
}
