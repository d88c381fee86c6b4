/* Hours of the week, in UTC: when something may run. Text like "Mon-Fri 22:00-06:00". */
#pragma once

#include "lib/rc.h"
#include "lib/span.h"

#define HOURS_WEEK_MIN (7 * 24 * 60)

/** The minutes of a week that are chosen, from Sunday 00:00 UTC. All zero: none are. */
struct hours {
	uint8_t minutes[HOURS_WEEK_MIN / 8];
};

struct hours_error {
	unsigned column; /* from 1 */
	const char *why; /* static text */
};

/**
 * Choose the minutes that `text` names as well.
 *
 *     text  = days SP time "-" time      the end is not part of it; not after the begin: of the
 *                                        next day
 *     days  = "daily" / day *("," day)   day = name / name "-" name; names as in RFC 5322 §3.3
 *     time  = 2DIGIT ":" 2DIGIT          00:00 to 24:00
 *
 * Returns  RC_INVALID with *e filled; `h` is unchanged then.
 */
int hours_add(struct hours *h, struct span text, struct hours_error *e) WARN_UNUSED;

/** Is the minute of this moment (seconds since 1970 UTC) chosen? */
bool hours_at(const struct hours *h, int64_t utc_s);

/** The first moment after `utc_s` at which hours_at() changes; INT64_MAX: it never does. */
int64_t hours_next_change(const struct hours *h, int64_t utc_s);
