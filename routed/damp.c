#include "routed/damp.h"

#include <math.h>

double damp_penalty(const struct damp *d, const struct damp_config *c, uint64_t now_ms)
{
	double passed = (double)(now_ms - d->at_ms);

	return d->penalty * exp2(-passed / (double)c->half_life_ms);
}

/* The penalty that decays to `reuse` in exactly max_ms. */
static double ceiling_of(const struct damp_config *c)
{
	return (double)c->reuse * exp2((double)c->max_ms / (double)c->half_life_ms);
}

void damp_flip(struct damp *d, const struct damp_config *c, uint64_t now_ms)
{
	double sum = damp_penalty(d, c, now_ms) + (double)c->penalty;

	d->penalty = fmin(sum, ceiling_of(c));
	d->at_ms = now_ms;
	if (sum >= (double)c->suppress && d->penalty > (double)c->reuse)
		d->suppressed = true;
}

void damp_restore(struct damp *d, const struct damp_config *c, double penalty, bool suppressed,
		  uint64_t age_ms, uint64_t now_ms)
{
	double left = penalty * exp2(-(double)age_ms / (double)c->half_life_ms);

	*d = (struct damp){fmin(left, ceiling_of(c)), now_ms, suppressed};
	(void)damp_release(d, c, now_ms);
}

bool damp_release(struct damp *d, const struct damp_config *c, uint64_t now_ms)
{
	if (!d->suppressed || damp_wait_ms(d, c, now_ms) != 0)
		return false;
	d->suppressed = false;
	return true;
}

uint64_t damp_wait_ms(const struct damp *d, const struct damp_config *c, uint64_t now_ms)
{
	double whole;
	uint64_t end;

	if (!d->suppressed)
		return DAMP_NEVER;
	whole = (double)c->half_life_ms * log2(d->penalty / (double)c->reuse);
	end = d->at_ms + (uint64_t)ceil(whole > 0 ? whole : 0);
	return end > now_ms ? end - now_ms : 0;
}
