/* The schedule of a replication link, in virtual time (dird/repl.h). */
#include "tests/unit/unit.h"

#include "dird/repl.h"

#define HEARTBEAT 10000

enum event {
	TICK,
	PAUSED_TICK,
	HEARD,
	BOUND,
	REFRESHED,
	LOST,
	ENABLE,
	DISABLE,
	WITHIN,
	OUTSIDE,
	HURRY,
	ENDED
};

struct step {
	uint64_t at_ms;
	enum event event;
	uint32_t random;
	enum repl_action want;
	enum repl_state state;
	uint64_t due; /* repl_link_due() afterwards */
};

static enum repl_action play(struct repl_link *l, const struct step *s)
{
	switch (s->event) {
	case TICK:
		return repl_link_tick(l, s->at_ms, false);
	case PAUSED_TICK:
		return repl_link_tick(l, s->at_ms, true);
	case HEARD:
		repl_link_heard(l, s->at_ms);
		break;
	case BOUND:
		repl_link_bound(l);
		break;
	case REFRESHED:
		repl_link_refreshed(l);
		break;
	case LOST:
		repl_link_lost(l, s->at_ms, s->random);
		break;
	case ENABLE:
		repl_link_enable(l, true, s->at_ms);
		break;
	case DISABLE:
		repl_link_enable(l, false, s->at_ms);
		break;
	case WITHIN:
		repl_link_hours(l, true, s->at_ms, s->random);
		break;
	case OUTSIDE:
		repl_link_hours(l, false, s->at_ms, s->random);
		break;
	case HURRY:
		repl_link_hurry(l, s->at_ms);
		break;
	case ENDED:
		repl_link_ended(l);
		break;
	}
	return REPL_DO_NOTHING;
}

static void play_all(const struct step *steps, size_t n)
{
	struct repl_link l;
	size_t i;

	repl_link_init(&l, HEARTBEAT);
	for (i = 0; i < n; i++) {
		enum repl_action got = play(&l, &steps[i]);

		if (got != steps[i].want || l.state != steps[i].state ||
		    repl_link_due(&l) != steps[i].due)
			fail_msg("step %zu: action %d state %s due %llu", i, (int)got,
				 repl_state_name(l.state), (unsigned long long)repl_link_due(&l));
	}
}

static void good_session_then_probe(void **state)
{
	static const struct step steps[] = {
		{100, TICK, 0, REPL_DO_NOTHING, REPL_DISABLED, UINT64_MAX},
		{100, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 100},
		{100, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10100},
		{150, HEARD, 0, REPL_DO_NOTHING, REPL_CONNECTING, 10150},
		{150, BOUND, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10150},
		{200, HEARD, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10200},
		{200, REFRESHED, 0, REPL_DO_NOTHING, REPL_PERSISTING, 10200},
		{10199, TICK, 0, REPL_DO_NOTHING, REPL_PERSISTING, 10200},
		{10200, TICK, 0, REPL_DO_PROBE, REPL_PERSISTING, 20200},
		{10201, TICK, 0, REPL_DO_NOTHING, REPL_PERSISTING, 20200},
		{10300, HEARD, 0, REPL_DO_NOTHING, REPL_PERSISTING, 20300},
		{20300, TICK, 0, REPL_DO_PROBE, REPL_PERSISTING, 30300},
		{30300, TICK, 0, REPL_DO_DROP, REPL_PERSISTING, 30300},
		{30300, LOST, 17, REPL_DO_NOTHING, REPL_WAITING, 30317},
		{30317, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 40317},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

static void silence_while_connecting(void **state)
{
	static const struct step steps[] = {
		{0, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 0},
		{0, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10000},
		{10000, TICK, 0, REPL_DO_DROP, REPL_CONNECTING, 10000},
		{10000, LOST, 500, REPL_DO_NOTHING, REPL_WAITING, 10500},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

/* We do not read: no sign of life can come, so none is missed. */
static void paused(void **state)
{
	static const struct step steps[] = {
		{0, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 0},
		{0, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10000},
		{1, BOUND, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10000},
		{10000, PAUSED_TICK, 0, REPL_DO_NOTHING, REPL_REFRESHING, 20000},
		{20000, TICK, 0, REPL_DO_PROBE, REPL_REFRESHING, 30000},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

static void disabled_and_enabled(void **state)
{
	static const struct step steps[] = {
		{0, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 0},
		{0, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10000},
		{5, ENABLE, 0, REPL_DO_NOTHING, REPL_CONNECTING, 10000},
		{6, DISABLE, 0, REPL_DO_NOTHING, REPL_DISABLED, UINT64_MAX},
		{7, LOST, 9, REPL_DO_NOTHING, REPL_DISABLED, UINT64_MAX},
		{8, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 8},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

/* R22: full jitter below a bound that doubles from 1 s to 60 s; reset by a session that caught up.
 */
static void backoff(void **state)
{
	static const uint64_t bounds[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct repl_link l;
	uint64_t now = 1000;
	size_t i;

	(void)state;
	repl_link_init(&l, HEARTBEAT);
	repl_link_enable(&l, true, now);
	for (i = 0; i < UNIT_COUNT(bounds); i++) {
		assert_int_equal(repl_link_tick(&l, now, false), REPL_DO_CONNECT);
		repl_link_lost(&l, now, (uint32_t)bounds[i]);
		assert_int_equal(repl_link_due(&l), now + bounds[i]);
		now = repl_link_due(&l);
		assert_int_equal(repl_link_tick(&l, now, false), REPL_DO_CONNECT);
		l.failures--; /* the same bound again: one more than it wraps to no wait at all */
		repl_link_lost(&l, now, (uint32_t)bounds[i] + 1);
		assert_int_equal(repl_link_due(&l), now);
	}
	assert_int_equal(repl_link_tick(&l, now, false), REPL_DO_CONNECT);
	repl_link_bound(&l);
	repl_link_refreshed(&l);
	repl_link_lost(&l, now, REPL_FIRST_RETRY_MS);
	assert_int_equal(repl_link_due(&l), now + REPL_FIRST_RETRY_MS);
	assert_int_equal(repl_link_tick(&l, repl_link_due(&l), false), REPL_DO_CONNECT);
	repl_link_lost(&l, now, REPL_BACKOFF_MIN_MS);
	assert_int_equal(repl_link_due(&l), now + REPL_BACKOFF_MIN_MS);
}

static void hours(void **state)
{
	static const struct step steps[] = {
		{0, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 0},
		{0, OUTSIDE, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
		{0, TICK, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
		{500, WITHIN, 70, REPL_DO_NOTHING, REPL_WAITING, 570},
		{560, WITHIN, 9, REPL_DO_NOTHING, REPL_WAITING, 570},
		{570, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10570},
		{580, BOUND, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10570},
		{590, REFRESHED, 0, REPL_DO_NOTHING, REPL_PERSISTING, 10570},
		{600, OUTSIDE, 0, REPL_DO_NOTHING, REPL_PERSISTING, 0},
		{600, TICK, 0, REPL_DO_END, REPL_PERSISTING, 0},
		{600, ENDED, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

static void hours_that_end_while_the_partner_is_away(void **state)
{
	static const struct step steps[] = {
		{0, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 0},
		{0, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10000},
		{5, LOST, 900, REPL_DO_NOTHING, REPL_WAITING, 905},
		{6, OUTSIDE, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
		{7, DISABLE, 0, REPL_DO_NOTHING, REPL_DISABLED, UINT64_MAX},
		{8, ENDED, 0, REPL_DO_NOTHING, REPL_DISABLED, UINT64_MAX},
		{9, WITHIN, 0, REPL_DO_NOTHING, REPL_DISABLED, UINT64_MAX},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

/* Outside its hours a hurried link catches up once. */
static void hurried_outside_its_hours(void **state)
{
	static const struct step steps[] = {
		{0, ENABLE, 0, REPL_DO_NOTHING, REPL_WAITING, 0},
		{0, OUTSIDE, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
		{10, HURRY, 0, REPL_DO_NOTHING, REPL_WAITING, 10},
		{10, OUTSIDE, 0, REPL_DO_NOTHING, REPL_WAITING, 10},
		{10, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10010},
		{20, BOUND, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10010},
		{30, OUTSIDE, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10010},
		{30, TICK, 0, REPL_DO_NOTHING, REPL_REFRESHING, 10010},
		{40, REFRESHED, 0, REPL_DO_NOTHING, REPL_PERSISTING, 0},
		{40, TICK, 0, REPL_DO_END, REPL_PERSISTING, 0},
		{40, ENDED, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
		{50, HURRY, 0, REPL_DO_NOTHING, REPL_WAITING, 50},
		{50, TICK, 0, REPL_DO_CONNECT, REPL_CONNECTING, 10050},
		{60, LOST, 800, REPL_DO_NOTHING, REPL_WAITING, 860},
		{60, OUTSIDE, 0, REPL_DO_NOTHING, REPL_SCHEDULED, UINT64_MAX},
	};

	(void)state;
	play_all(steps, UNIT_COUNT(steps));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_session_then_probe),
		cmocka_unit_test(silence_while_connecting),
		cmocka_unit_test(paused),
		cmocka_unit_test(disabled_and_enabled),
		cmocka_unit_test(backoff),
		cmocka_unit_test(hours),
		cmocka_unit_test(hours_that_end_while_the_partner_is_away),
		cmocka_unit_test(hurried_outside_its_hours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
