#include "dird/repl.h"

void repl_link_init(struct repl_link *l, unsigned heartbeat_ms)
{
	memset(l, 0, sizeof(*l));
	l->state = REPL_DISABLED;
	l->heartbeat_ms = heartbeat_ms;
}

void repl_link_enable(struct repl_link *l, bool enabled, uint64_t now_ms)
{
	if (!enabled) {
		l->state = REPL_DISABLED;
	} else if (l->state == REPL_DISABLED) {
		l->state = REPL_WAITING;
		l->failures = 0;
		l->next_ms = now_ms;
	}
}

void repl_link_hurry(struct repl_link *l, uint64_t now_ms)
{
	if (l->state != REPL_WAITING && l->state != REPL_SCHEDULED)
		return;
	l->state = REPL_WAITING;
	l->is_hurried = true;
	l->next_ms = now_ms;
}

void repl_link_hours(struct repl_link *l, bool is_within, uint64_t now_ms, uint32_t random)
{
	l->is_off_hours = !is_within;
	if (!is_within && l->state == REPL_WAITING && !l->is_hurried) {
		l->state = REPL_SCHEDULED;
	} else if (is_within && l->state == REPL_SCHEDULED) {
		l->state = REPL_WAITING;
		l->failures = 0;
		l->next_ms = now_ms + random % (REPL_HOURS_SPREAD_MS + 1);
	}
}

static bool is_open(const struct repl_link *l)
{
	return l->state == REPL_CONNECTING || l->state == REPL_REFRESHING ||
	       l->state == REPL_PERSISTING;
}

/* A probe needs a session; before there is one, silence ends the attempt. */
static uint64_t patience_ms(const struct repl_link *l)
{
	return l->is_probed ? 2 * (uint64_t)l->heartbeat_ms : l->heartbeat_ms;
}

static enum repl_action tick_open(struct repl_link *l, uint64_t now_ms, bool is_paused)
{
	if (l->is_off_hours && !l->is_hurried)
		return REPL_DO_END;
	if (is_paused) {
		repl_link_heard(l, now_ms);
		return REPL_DO_NOTHING;
	}
	if (now_ms < l->heard_ms + patience_ms(l))
		return REPL_DO_NOTHING;
	if (l->is_probed || l->state == REPL_CONNECTING)
		return REPL_DO_DROP;
	l->is_probed = true;
	return REPL_DO_PROBE;
}

enum repl_action repl_link_tick(struct repl_link *l, uint64_t now_ms, bool is_paused)
{
	if (is_open(l))
		return tick_open(l, now_ms, is_paused);
	if (l->state != REPL_WAITING || now_ms < l->next_ms)
		return REPL_DO_NOTHING;
	l->state = REPL_CONNECTING;
	l->heard_ms = now_ms;
	l->is_probed = false;
	return REPL_DO_CONNECT;
}

uint64_t repl_link_due(const struct repl_link *l)
{
	switch (l->state) {
	case REPL_DISABLED:
	case REPL_SCHEDULED:
		return UINT64_MAX;
	case REPL_WAITING:
		return l->next_ms;
	case REPL_CONNECTING:
	case REPL_REFRESHING:
	case REPL_PERSISTING:
		return l->is_off_hours && !l->is_hurried ? 0 : l->heard_ms + patience_ms(l);
	}
	return UINT64_MAX;
}

void repl_link_heard(struct repl_link *l, uint64_t now_ms)
{
	l->heard_ms = now_ms;
	l->is_probed = false;
}

void repl_link_bound(struct repl_link *l)
{
	l->state = REPL_REFRESHING;
}

void repl_link_refreshed(struct repl_link *l)
{
	l->state = REPL_PERSISTING;
	l->failures = 0;
	l->is_hurried = false;
}

static uint64_t backoff_bound_ms(unsigned failures)
{
	uint64_t bound = REPL_BACKOFF_MIN_MS;

	while (failures > 1 && bound < REPL_BACKOFF_MAX_MS) {
		bound *= 2;
		failures--;
	}
	return bound < REPL_BACKOFF_MAX_MS ? bound : REPL_BACKOFF_MAX_MS;
}

void repl_link_distrust(struct repl_link *l)
{
	l->state = REPL_REFRESHING;
	l->failures = 5; /* half a minute and more */
}

void repl_link_lost(struct repl_link *l, uint64_t now_ms, uint32_t random)
{
	bool had_caught_up = l->state == REPL_PERSISTING;
	uint64_t bound;

	if (l->state == REPL_DISABLED)
		return;
	if (!had_caught_up)
		l->failures++;
	l->is_hurried = false;
	bound = had_caught_up ? REPL_FIRST_RETRY_MS : backoff_bound_ms(l->failures);
	l->state = REPL_WAITING;
	l->next_ms = now_ms + random % (bound + 1);
}

void repl_link_ended(struct repl_link *l)
{
	if (l->state != REPL_DISABLED)
		l->state = REPL_SCHEDULED;
}

const char *repl_state_name(enum repl_state s)
{
	switch (s) {
	case REPL_DISABLED:
		return "disabled";
	case REPL_SCHEDULED:
		return "scheduled";
	case REPL_WAITING:
		return "waiting";
	case REPL_CONNECTING:
		return "connecting";
	case REPL_REFRESHING:
		return "refreshing";
	case REPL_PERSISTING:
		return "persisting";
	}
	return "unknown";
}
