/*
 * How long look-ups take, as a histogram (M28): a counter for each bound, and their sum.
 *
 * Pure; the time comes in as an argument. Adding costs a few comparisons and no allocation.
 */
#pragma once

#include "lib/buf.h"

#define LATENCY_BOUNDS 12

struct latency {
	unsigned long counts[LATENCY_BOUNDS + 1]; /* of each bound alone; the last: above all */
	uint64_t sum_ns;
};

/** One look-up took this long. */
void latency_add(struct latency *l, uint64_t ns);

/**
 * Append "NAME_le_1=…" to "NAME_le_inf=…" (how many took at most that many microseconds),
 * "NAME_sum=…" (microseconds) and "NAME_count=…", a line each.
 */
void latency_write(const struct latency *l, const char *name, struct buf *out);
