/*
 * Route flap dampening of one route, after RFC 2439.
 *
 * Pure: the time is an argument, in milliseconds of a clock that never goes back. Every flip adds
 * a penalty that halves with time. At `suppress` the route is held back until the penalty has
 * decayed to `reuse`. The penalty is bounded so that this never takes longer than max_ms after the
 * last flip.
 *
 *   penalty  3000 ┤   ╱╲ suppressed
 *                 │ ╱╱  ╲___
 *             750 ┤╱        ╲____ free again
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct damp_config {
	unsigned penalty;      /* of one flip */
	unsigned half_life_ms; /* not 0 */
	unsigned suppress, reuse;
	unsigned max_ms;
};

/** Zeroed memory: never flipped. */
struct damp {
	double penalty; /* at the time at_ms */
	uint64_t at_ms;
	bool suppressed;
};

#define DAMP_NEVER UINT64_MAX

/** The route has changed its state. */
void damp_flip(struct damp *d, const struct damp_config *c, uint64_t now_ms);

/** It had this penalty age_ms ago. */
void damp_restore(struct damp *d, const struct damp_config *c, double penalty, bool suppressed,
		  uint64_t age_ms, uint64_t now_ms);

/** What is left of the penalty. */
double damp_penalty(const struct damp *d, const struct damp_config *c, uint64_t now_ms);

/** Let it go if its time has come. Returns true if that ended a suppression. */
bool damp_release(struct damp *d, const struct damp_config *c, uint64_t now_ms);

/** Milliseconds until damp_release() has something to do; DAMP_NEVER: it is not suppressed. */
uint64_t damp_wait_ms(const struct damp *d, const struct damp_config *c, uint64_t now_ms);
