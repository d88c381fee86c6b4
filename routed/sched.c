#include "routed/sched.h"

void sched_init(struct sched *s, unsigned quiet_ms, unsigned ceiling_ms)
{
	*s = (struct sched){
		.quiet_ms = quiet_ms,
		.ceiling_ms = ceiling_ms > quiet_ms ? ceiling_ms : quiet_ms,
	};
}

void sched_touch(struct sched *s, uint64_t now_ms)
{
	if (!s->armed)
		s->first_ms = now_ms;
	s->last_ms = now_ms;
	s->armed = true;
}

uint64_t sched_wait_ms(const struct sched *s, uint64_t now_ms)
{
	uint64_t quiet_end = s->last_ms + s->quiet_ms;
	uint64_t ceiling_end = s->first_ms + s->ceiling_ms;
	uint64_t due = quiet_end < ceiling_end ? quiet_end : ceiling_end;

	if (!s->armed)
		return SCHED_NEVER;
	return due > now_ms ? due - now_ms : 0;
}

void sched_done(struct sched *s)
{
	s->armed = false;
}

void backoff_init(struct backoff *b, unsigned floor_ms, unsigned first_ms, unsigned cap_ms)
{
	*b = (struct backoff){.floor_ms = floor_ms, .first_ms = first_ms, .cap_ms = cap_ms};
}

unsigned backoff_next_ms(struct backoff *b, uint32_t random)
{
	uint64_t bound = b->first_ms;
	unsigned i;

	for (i = 0; i < b->tries && bound < b->cap_ms; i++)
		bound *= 2;
	if (bound > b->cap_ms)
		bound = b->cap_ms;
	b->tries++;
	if (bound <= b->floor_ms)
		return b->floor_ms;
	return b->floor_ms + (unsigned)(random % (bound - b->floor_ms + 1));
}

void backoff_reset(struct backoff *b)
{
	b->tries = 0;
}
