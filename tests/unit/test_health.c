#include "tests/unit/unit.h"

#include "routed/health.h"

#define SECOND 1000u
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DOMAIN SPAN_LIT("s2.example.com")

static const struct health_config defaults = {
	.check = true,
	.confirm_ms = 30 * SECOND,
	.hold_ms = HOUR,
	.recheck_min_ms = 30 * SECOND,
	.recheck_max_ms = 5 * MINUTE,
	.damping = HEALTH_DAMP_DNS,
	.damp = {1000, 15 * MINUTE, 3000, 750, 60 * MINUTE},
};

static struct health *begin(const struct health_config *config, uint64_t now)
{
	struct span one = DOMAIN;
	struct health *h = NULL;
	bool changed;

	assert_int_equal(health_new(config, &h), RC_OK);
	assert_int_equal(health_want(h, &one, 1, now, &changed), RC_OK);
	assert_false(changed);
	return h;
}

/* A check made now; true if the holds changed. */
static bool see(struct health *h, enum dnscheck_verdict v, uint64_t now)
{
	const struct dnscheck_result r = {.verdict = v, .ttl_s = 60};

	assert_non_null(health_due(h, now));
	return health_verdict(h, DOMAIN, &r, now, 0);
}

static enum table_reason hold(const struct health *h)
{
	struct holds holds;
	enum table_reason reason;

	assert_int_equal(health_holds(h, &holds), RC_OK);
	reason = holds_reason(&holds, DOMAIN);
	assert_int_equal(reason, health_reason(h, health_find(h, DOMAIN)));
	holds_fini(&holds);
	return reason;
}

static void test_two_checks_switch_on(void **state)
{
	const struct dnscheck_result early = {.verdict = DNSCHECK_GOOD, .ttl_s = 60};
	struct health *h = begin(&defaults, 1000);

	(void)state;
	assert_int_equal(hold(h), TABLE_DNS_UNCONFIRMED);
	assert_int_equal(health_wait_ms(h, 1000), 0);
	assert_false(see(h, DNSCHECK_GOOD, 1000));
	assert_int_equal(hold(h), TABLE_DNS_UNCONFIRMED);
	assert_null(health_due(h, 1000 + 29 * SECOND));
	assert_int_equal(health_wait_ms(h, 1000), 30 * SECOND);
	/* Two answers at once are one. */
	assert_false(health_verdict(h, DOMAIN, &early, 1000 + 10 * SECOND, 0));
	assert_int_equal(hold(h), TABLE_DNS_UNCONFIRMED);
	assert_true(see(h, DNSCHECK_GOOD, 1000 + 30 * SECOND));
	assert_int_equal(hold(h), TABLE_OK);
	/* The next one comes with the TTL. */
	assert_int_equal(health_wait_ms(h, 1000 + 30 * SECOND), 60 * SECOND);
	health_free(&h);
}

/* Consistent means: one bad check between two good ones begins the wait anew. */
static void test_inconsistent_checks(void **state)
{
	struct health *h = begin(&defaults, 0);

	(void)state;
	assert_false(see(h, DNSCHECK_GOOD, 0));
	assert_false(see(h, DNSCHECK_NULL_MX, 30 * SECOND));
	assert_false(see(h, DNSCHECK_GOOD, 60 * SECOND));
	assert_int_equal(hold(h), TABLE_DNS_UNCONFIRMED);
	assert_true(see(h, DNSCHECK_GOOD, 90 * SECOND));
	assert_int_equal(hold(h), TABLE_OK);
	health_free(&h);
}

static struct health *up(const struct health_config *config)
{
	struct health *h = begin(config, 0);

	assert_false(see(h, DNSCHECK_GOOD, 0));
	assert_true(see(h, DNSCHECK_GOOD, 30 * SECOND));
	return h;
}

static void test_confirmed_failure_switches_off(void **state)
{
	struct health *h = up(&defaults);

	(void)state;
	assert_false(see(h, DNSCHECK_NO_DOMAIN, 2 * MINUTE));
	assert_int_equal(hold(h), TABLE_OK);
	/* A good check in between: it was nothing. */
	assert_false(see(h, DNSCHECK_GOOD, 2 * MINUTE + 30 * SECOND));
	assert_false(see(h, DNSCHECK_NO_DOMAIN, 4 * MINUTE));
	assert_true(see(h, DNSCHECK_NULL_MX, 5 * MINUTE));
	assert_int_equal(hold(h), TABLE_DNS_UNHEALTHY);
	assert_int_equal(health_find(h, DOMAIN)->known, DNSCHECK_NULL_MX);
	/* And on again. */
	assert_false(see(h, DNSCHECK_GOOD, 6 * MINUTE));
	assert_true(see(h, DNSCHECK_GOOD, 7 * MINUTE));
	assert_int_equal(hold(h), TABLE_OK);
	health_free(&h);
}

static void test_no_answer_keeps_the_state_for_a_while(void **state)
{
	struct health *h = up(&defaults);
	uint64_t now;

	(void)state;
	for (now = 2 * MINUTE; now < HOUR + 30 * SECOND; now += MINUTE)
		assert_false(see(h, DNSCHECK_NO_ANSWER, now));
	assert_int_equal(hold(h), TABLE_OK);
	assert_true(see(h, DNSCHECK_NO_ANSWER, HOUR + 30 * SECOND));
	assert_int_equal(hold(h), TABLE_DNS_UNHEALTHY);
	assert_int_equal(health_find(h, DOMAIN)->known, DNSCHECK_NO_ANSWER);
	health_free(&h);
}

/* Silence confirms nothing, neither way. */
static void test_no_answer_confirms_nothing(void **state)
{
	struct health *h = begin(&defaults, 0);

	(void)state;
	assert_false(see(h, DNSCHECK_NO_ANSWER, 0));
	assert_false(see(h, DNSCHECK_NO_ANSWER, MINUTE));
	assert_int_equal(hold(h), TABLE_DNS_UNCONFIRMED);
	assert_false(see(h, DNSCHECK_GOOD, 2 * MINUTE));
	assert_false(see(h, DNSCHECK_NO_ANSWER, 3 * MINUTE));
	assert_true(see(h, DNSCHECK_GOOD, 4 * MINUTE));
	health_free(&h);
}

static void test_seed_keeps_a_route_over_a_restart(void **state)
{
	struct health *h = NULL;

	(void)state;
	assert_int_equal(health_new(&defaults, &h), RC_OK);
	assert_int_equal(health_seed(h, DOMAIN, 0), RC_OK);
	assert_int_equal(hold(h), TABLE_OK);
	assert_false(see(h, DNSCHECK_NO_DOMAIN, 0));
	assert_int_equal(hold(h), TABLE_OK);
	assert_true(see(h, DNSCHECK_NO_DOMAIN, 30 * SECOND));
	assert_int_equal(hold(h), TABLE_DNS_UNHEALTHY);
	health_free(&h);
}

static void test_interval_has_bounds_and_jitter(void **state)
{
	static const struct {
		uint32_t ttl_s, random;
		unsigned wait_ms;
	} table[] = {
		{0, 0, 30 * SECOND},       {120, 0, 2 * MINUTE},       {86400, 0, 5 * MINUTE},
		{120, 5000, 115 * SECOND}, {120, 12000, 108 * SECOND}, {120, 12001, 2 * MINUTE},
	};
	unsigned i;

	(void)state;
	for (i = 0; i < UNIT_COUNT(table); i++) {
		struct dnscheck_result r = {.verdict = DNSCHECK_GOOD, .ttl_s = table[i].ttl_s};
		struct health *h = up(&defaults);

		assert_non_null(health_due(h, HOUR));
		assert_false(health_verdict(h, DOMAIN, &r, HOUR, table[i].random));
		assert_int_equal(health_wait_ms(h, HOUR), table[i].wait_ms);
		health_free(&h);
	}
}

/* M21: on, off, on is a flip each but the first; at 3,000 the route is held back. */
static void test_dns_flips_are_dampened(void **state)
{
	struct health_config config = defaults;
	struct health *h;
	struct span domain;
	uint64_t now = MINUTE, wait;
	unsigned flips = 0;

	(void)state;
	config.confirm_ms = 0;
	h = begin(&config, 0);
	assert_false(see(h, DNSCHECK_GOOD, now));
	while (hold(h) != TABLE_DAMPENED && flips < 10) {
		const struct health_domain *d = health_find(h, DOMAIN);
		enum dnscheck_verdict v = d->up ? DNSCHECK_NULL_MX : DNSCHECK_GOOD;

		now += MINUTE;
		if (see(h, v, now))
			flips++;
	}
	assert_int_equal(flips, 5); /* on, then four: 3,000 needs a bit more, as it decays */
	wait = health_wait_ms(h, now);
	while (wait != DAMP_NEVER && !health_release(h, now, &domain)) {
		now += wait;
		if (health_due(h, now) != NULL) {
			const struct dnscheck_result r = {.verdict = DNSCHECK_GOOD, .ttl_s = 300};

			health_verdict(h, DOMAIN, &r, now, 0);
		}
		assert_true(now < 3 * HOUR);
		wait = health_wait_ms(h, now);
	}
	unit_assert_span(domain, DOMAIN);
	assert_int_not_equal(hold(h), TABLE_DAMPENED);
	health_free(&h);
}

static bool want(struct health *h, size_t n, uint64_t now)
{
	struct span one = DOMAIN;
	bool changed;

	assert_int_equal(health_want(h, &one, n, now, &changed), RC_OK);
	return changed;
}

/* dampen all: a flag that is set and cleared counts as well; dampen dns: it does not. */
static void test_directory_flips(void **state)
{
	struct health_config config = defaults;
	struct health *h;

	(void)state;
	config.check = false;
	h = begin(&config, 0);
	want(h, 0, 1000);
	assert_null(health_find(h, DOMAIN)); /* forgotten at once */
	health_free(&h);

	config.damping = HEALTH_DAMP_ALL;
	h = begin(&config, 0);
	assert_int_equal(hold(h), TABLE_OK);
	assert_false(want(h, 0, 10 * SECOND));
	assert_false(want(h, 1, 20 * SECOND));
	assert_false(want(h, 0, 30 * SECOND));
	assert_true(want(h, 1, 40 * SECOND)); /* a little below 3,000 before */
	assert_int_equal(hold(h), TABLE_DAMPENED);
	assert_false(want(h, 0, 50 * SECOND));
	assert_non_null(health_find(h, DOMAIN)); /* its penalty is not forgotten */
	assert_false(want(h, 0, 5 * HOUR));      /* until it is nothing */
	health_free(&h);
}

/* What DNS said before the route went away is too old to rely on. */
static void test_comes_back_unconfirmed(void **state)
{
	struct health_config config = defaults;
	struct health *h;

	(void)state;
	config.damping = HEALTH_DAMP_ALL;
	h = up(&config);
	want(h, 0, MINUTE);
	want(h, 1, 2 * MINUTE);
	assert_int_equal(hold(h), TABLE_DNS_UNCONFIRMED);
	health_free(&h);
}

/* Three flips of which the last was just now: DAMPENED. */
static struct health *dampened(const struct health_config *config)
{
	struct health *h = begin(config, 0);
	unsigned i;

	for (i = 0; i < 4; i++)
		(void)want(h, i % 2, (i + 1) * SECOND);
	assert_int_equal(hold(h), TABLE_DAMPENED);
	return h;
}

static struct health *restarted(const struct health_config *config, const struct health *before,
				uint64_t written, uint64_t age, uint64_t now)
{
	struct health *h = NULL;
	struct buf b;

	buf_init(&b, 4096);
	health_write_damping(before, written, &b);
	assert_int_equal(health_new(config, &h), RC_OK);
	assert_int_equal(health_read_damping(h, buf_span(&b), age, now), RC_OK);
	buf_fini(&b);
	return h;
}

/* M21: a restart is no way out of a suppression, and no flip either. */
static void test_dampening_survives_a_restart(void **state)
{
	struct health_config config = defaults;
	struct health *h, *again;
	uint64_t end;

	(void)state;
	config.damping = HEALTH_DAMP_ALL;
	config.check = false;
	h = dampened(&config);
	end = health_wait_ms(h, 4 * SECOND);
	/* A minute later, on a clock that began anew. */
	again = restarted(&config, h, 4 * SECOND, MINUTE, 10);
	assert_false(want(again, 1, 20));
	assert_int_equal(hold(again), TABLE_DAMPENED);
	assert_in_range(health_wait_ms(again, 10), end - MINUTE - 2, end - MINUTE + 2);
	assert_float_equal(health_penalty(again, health_find(again, DOMAIN), 10),
			   health_penalty(h, health_find(h, DOMAIN), 4 * SECOND + MINUTE), 1);
	health_free(&again);
	/* When its time is over while nobody runs. */
	again = restarted(&config, h, 4 * SECOND, end + 1, 10);
	assert_false(want(again, 1, 20));
	assert_int_equal(hold(again), TABLE_OK);
	assert_true(health_wait_ms(again, 20) == DAMP_NEVER);
	health_free(&again);
	health_free(&h);
}

/* What the settings allow now counts: nobody waits longer than `max`. */
static void test_restored_penalty_has_a_ceiling(void **state)
{
	struct health *h = NULL;

	(void)state;
	assert_int_equal(health_new(&defaults, &h), RC_OK);
	assert_int_equal(
		health_read_damping(h, SPAN_LIT("999999999999999 suppressed x.example\n"), 0, 1000),
		RC_OK);
	assert_in_range(health_wait_ms(h, 1000), HOUR - 1, HOUR + 1);
	health_free(&h);
}

static void test_changes_are_counted(void **state)
{
	struct health_config config = defaults;
	struct health *h;
	struct span domain;
	unsigned long before;

	(void)state;
	config.damping = HEALTH_DAMP_ALL;
	config.check = false;
	h = dampened(&config);
	before = health_changes(h);
	assert_int_equal(before, 4);
	assert_false(health_release(h, 5 * SECOND, &domain));
	assert_int_equal(health_changes(h), before);
	assert_true(health_release(h, HOUR + MINUTE, &domain));
	assert_int_equal(health_changes(h), before + 1);
	health_free(&h);
}

static void test_odd_lines(void **state)
{
	static const char *const rows[] = {
		"1000 free",
		"1000 free \n",
		"1000  a.example\n",
		"x free a.example\n",
		" free a.example\n",
		"1000 loose a.example\n",
		"1000 free a.example",
		"-1 free a.example\n",
		"1000000000000000 free a.example\n",
		"\n",
	};
	struct health *h = NULL;
	size_t i, n;

	(void)state;
	assert_int_equal(health_new(&defaults, &h), RC_OK);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(health_read_damping(h, span_of(rows[i]), 0, 0), RC_CORRUPT);
	health_list(h, &n);
	assert_int_equal(n, 0);
	health_free(&h);
}

static int restore_once(void *arg)
{
	struct health *h = NULL;
	int rc = health_new(&defaults, &h);

	(void)arg;
	if (rc == RC_OK)
		rc = health_read_damping(
			h, SPAN_LIT("3000000 suppressed a.example\n1 free b.example\n"), 0, 0);
	health_free(&h);
	return rc;
}

static void test_restore_without_memory(void **state)
{
	(void)state;
	unit_fail_allocations(restore_once, NULL);
}

static bool second(struct health *h, enum dnscheck_verdict verdict, uint64_t exchanges)
{
	const struct dnscheck_result r = {.verdict = verdict, .exchanges = exchanges};

	return health_second_view(h, DOMAIN, &r);
}

/* M20: split horizon is reported when it lasts, and changes no route. */
static void test_second_view(void **state)
{
	struct health *h = begin(&defaults, 0);
	const struct health_domain *d = health_find(h, DOMAIN);

	(void)state;
	assert_false(see(h, DNSCHECK_GOOD, 0));
	assert_true(see(h, DNSCHECK_GOOD, 30 * SECOND));
	assert_false(second(h, DNSCHECK_GOOD, 0));
	assert_false(second(h, DNSCHECK_GOOD, 0)); /* the same: nothing to tell */
	assert_false(second(h, DNSCHECK_NO_DOMAIN, 0));
	assert_int_equal(d->differs, DNSVIEW_SAME); /* seen once */
	assert_true(second(h, DNSCHECK_NO_DOMAIN, 0));
	assert_int_equal(d->differs, DNSVIEW_VERDICT);
	assert_int_equal(hold(h), TABLE_OK);
	assert_false(second(h, DNSCHECK_NO_DOMAIN, 0)); /* told once */
	assert_false(second(h, DNSCHECK_NO_ANSWER, 0));
	assert_int_equal(d->differs, DNSVIEW_VERDICT); /* silence says nothing */
	assert_int_equal(d->second.verdict, DNSCHECK_NO_ANSWER);
	assert_false(second(h, DNSCHECK_GOOD, 7));
	assert_true(second(h, DNSCHECK_GOOD, 7));
	assert_int_equal(d->differs, DNSVIEW_EXCHANGES);
	assert_false(second(h, DNSCHECK_GOOD, 0));
	assert_true(second(h, DNSCHECK_GOOD, 0));
	assert_int_equal(d->differs, DNSVIEW_SAME);
	assert_false(health_second_view(h, SPAN_LIT("gone.example"), &(struct dnscheck_result){0}));
	assert_int_equal(hold(h), TABLE_OK);
	health_free(&h);
}

static void test_many_domains(void **state)
{
	static char text[500][16];
	struct span list[500];
	struct health *h = NULL;
	unsigned i, due = 0;
	bool changed;
	size_t n;

	(void)state;
	for (i = 0; i < 500; i++) {
		snprintf(text[i], sizeof(text[i]), "d%u.example", i);
		list[i] = span_of(text[i]);
	}
	assert_int_equal(health_new(&defaults, &h), RC_OK);
	assert_int_equal(health_want(h, list, 500, 0, &changed), RC_OK);
	assert_int_equal(health_want(h, list + 250, 250, 1, &changed), RC_OK);
	health_list(h, &n);
	assert_int_equal(n, 250);
	assert_null(health_find(h, list[249]));
	for (i = 250; i < 500; i++)
		assert_non_null(health_find(h, list[i]));
	while (health_due(h, 10) != NULL)
		due++;
	assert_int_equal(due, 250);
	health_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_checks_switch_on),
		cmocka_unit_test(test_inconsistent_checks),
		cmocka_unit_test(test_confirmed_failure_switches_off),
		cmocka_unit_test(test_no_answer_keeps_the_state_for_a_while),
		cmocka_unit_test(test_no_answer_confirms_nothing),
		cmocka_unit_test(test_seed_keeps_a_route_over_a_restart),
		cmocka_unit_test(test_interval_has_bounds_and_jitter),
		cmocka_unit_test(test_dns_flips_are_dampened),
		cmocka_unit_test(test_directory_flips),
		cmocka_unit_test(test_comes_back_unconfirmed),
		unit_heap_test(test_dampening_survives_a_restart),
		unit_heap_test(test_restored_penalty_has_a_ceiling),
		unit_heap_test(test_changes_are_counted),
		unit_heap_test(test_odd_lines),
		unit_heap_test(test_restore_without_memory),
		unit_heap_test(test_second_view),
		cmocka_unit_test(test_many_domains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
