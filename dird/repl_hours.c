#include "dird/repl_int.h"

#define LOOK_AGAIN_S 60 /* the wall clock may have been set */

static int64_t wall_s(const struct repl *r)
{
	return r->server->clock->wall_us(r->server->clock) / 1000000;
}

bool repl_hours_within(const struct repl_peer *p)
{
	const struct repl *r = p->repl;

	return !p->partner.has_hours || p->partner.problem[0] != 0 || !r->is_settled ||
	       r->is_recovering || hours_at(&p->partner.hours, wall_s(r));
}

int64_t repl_hours_change(const struct repl_peer *p)
{
	return p->partner.has_hours ? hours_next_change(&p->partner.hours, wall_s(p->repl))
				    : INT64_MAX;
}

uint64_t repl_hours_due(const struct repl_peer *p, uint64_t now_ms)
{
	int64_t change = repl_hours_change(p), wait_s;

	if (change == INT64_MAX || !p->partner.is_enabled)
		return UINT64_MAX;
	wait_s = change - wall_s(p->repl);
	return now_ms + (uint64_t)(wait_s < LOOK_AGAIN_S ? wait_s : LOOK_AGAIN_S) * 1000;
}
