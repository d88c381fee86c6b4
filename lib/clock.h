/*
 * Time behind a pointer, so that a test or a simulator supplies it.
 *
 * Every timer and every lag runs on the monotonic clock; the wall clock only fills timestamps.
 */
#pragma once

#include "lib/span.h"

struct clock {
	uint64_t (*mono_ms)(const struct clock *c); /* milliseconds, never goes back */
	int64_t (*wall_us)(const struct clock *c);  /* microseconds since 1970 UTC */
};

/** The machine's own clock. */
extern const struct clock clock_system;

#define CLOCK_GENERALIZED_BYTES 16

/** "20261123114002Z" (RFC 4517 §3.3.13, seconds, UTC) with a NUL. */
void clock_generalized(int64_t wall_us, char out[static CLOCK_GENERALIZED_BYTES]);

#define CLOCK_RFC3339_BYTES 25

/** "2026-11-23T11:40:02.123Z" (RFC 3339 §5.6, milliseconds, UTC) with a NUL. */
void clock_rfc3339(int64_t wall_us, char out[static CLOCK_RFC3339_BYTES]);
