/*
 * When to recompute, and when to try again.
 *
 * Pure: the time is an argument, in milliseconds of a clock that never goes back. A burst of
 * changes gives one recompute: it waits until no change came for the quiet time, but never longer
 * than the ceiling after the first change (docs/routing.md R17).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sched {
	unsigned quiet_ms;
	unsigned ceiling_ms;
	bool armed;
	uint64_t first_ms; /* first change that waits */
	uint64_t last_ms;  /* newest change that waits */
};

#define SCHED_NEVER UINT64_MAX

/** A ceiling below the quiet time counts as the quiet time. */
void sched_init(struct sched *s, unsigned quiet_ms, unsigned ceiling_ms);

/** A change arrived. */
void sched_touch(struct sched *s, uint64_t now_ms);

/** Milliseconds until the recompute is due: 0 = now, SCHED_NEVER = nothing waits. */
uint64_t sched_wait_ms(const struct sched *s, uint64_t now_ms);

/** The recompute begins: whatever arrived so far is in it. */
void sched_done(struct sched *s);

/** Reconnect delays: full jitter between the floor and a bound that doubles up to the cap. */
struct backoff {
	unsigned floor_ms; /* no delay is shorter */
	unsigned first_ms; /* bound of the first delay */
	unsigned cap_ms;   /* bound of all later ones */
	unsigned tries;
};

void backoff_init(struct backoff *b, unsigned floor_ms, unsigned first_ms, unsigned cap_ms);

/** The next delay in milliseconds; `random` is any evenly distributed number. */
unsigned backoff_next_ms(struct backoff *b, uint32_t random);

/** It worked: the next failure starts with the short delay again. */
void backoff_reset(struct backoff *b);
