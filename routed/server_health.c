#include "routed/server_private.h"

#include "routed/dns.h"

#include <sys/random.h>

#define CHECKS_MAX 64
#define WAIT_MAX_MS 3600000u

static void arm_checks(struct server *s);

static struct health_config config_of(const struct settings *c)
{
	return (struct health_config){
		.check = c->dns_check,
		.confirm_ms = c->dns_confirm_ms,
		.hold_ms = c->dns_hold_ms,
		.recheck_min_ms = c->dns_recheck_min_ms,
		.recheck_max_ms = c->dns_recheck_max_ms,
		.damping = c->damping,
		.damp = c->damp,
	};
}

/* Restarts do not change routes: what was direct stays so until DNS says otherwise. */
static int seed(struct server *s)
{
	const struct table *t = s->table;
	uint32_t i;
	int rc = RC_OK;

	for (i = 0; t != NULL && i < t->ndomains && rc == RC_OK; i++) {
		uint32_t row = t->domains[i].row[TABLE_USER];

		if (row != TABLE_NONE && t->rows[row].mode == TABLE_DIRECT &&
		    t->rows[row].hop == TABLE_HOP_MX)
			rc = health_seed(s->health, table_text(t, t->domains[i].domain),
					 server_now_ms());
	}
	return rc;
}

static void log_verdict(struct span domain, const struct dnscheck_result *r, const char *event)
{
	char name[LOG_TEXT_BYTES], target[LOG_TEXT_BYTES];

	log_info(NULL, event, "domain=%s verdict=%s target=%s ttl_s=%u", log_text(domain, name),
		 dnscheck_text(r->verdict), log_text(r->target, target), r->ttl_s);
}

/* Daemons that began together shall not ask together for ever. */
static uint32_t jitter(void)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = (uint32_t)server_now_ms();
	return random;
}

static void on_verdict(void *arg, struct span domain, const struct dnscheck_result *r)
{
	struct server *s = arg;
	char name[LOG_TEXT_BYTES], alias[LOG_TEXT_BYTES];
	bool changed = health_verdict(s->health, domain, r, server_now_ms(), jitter());
	const struct health_domain *d = health_find(s->health, domain);

	if (r->alias.n != 0)
		log_warn(NULL, "dns.alias",
			 "domain=%s exchange=%s an MX should not name a CNAME (RFC 5321)",
			 log_text(domain, name), log_text(r->alias, alias));
	if (changed && d != NULL) {
		log_verdict(domain, r, d->up ? "dns.up" : "dns.down");
		server_cause(s, "DNS of %s: %s", log_text(domain, name), dnscheck_text(d->known));
		server_recompute_soon(s);
	} else if (log_enabled(LOG_DEBUG)) {
		log_verdict(domain, r, "dns.checked");
	}
	arm_checks(s);
}

static void begin_check(struct server *s, struct health_domain *d)
{
	const struct dnscheck_result none = {.verdict = DNSCHECK_NO_ANSWER};
	int rc = dns_check(s->dns, d->name);
	char text[LOG_TEXT_BYTES];

	if (rc == RC_OK)
		return;
	log_warn(NULL, "dns.failed", "domain=%s why=\"%s\"", log_text(d->name, text), rc_text(rc));
	(void)health_verdict(s->health, d->name, &none, server_now_ms(), 0);
}

static void on_check(uv_timer_t *timer)
{
	struct server *s = timer->data;
	struct health_domain *d;
	struct span domain;
	char text[LOG_TEXT_BYTES];

	if (health_release(s->health, server_now_ms(), &domain)) {
		server_cause(s, "dampening of %s has ended", log_text(domain, text));
		server_recompute_soon(s);
	}
	while (s->dns != NULL && dns_running(s->dns) < CHECKS_MAX) {
		d = health_due(s->health, server_now_ms());
		if (d == NULL)
			break;
		begin_check(s, d);
	}
	arm_checks(s);
}

static void arm_checks(struct server *s)
{
	uint64_t wait = health_wait_ms(s->health, server_now_ms());

	if (s->stopping || (wait == 0 && s->dns != NULL && dns_running(s->dns) >= CHECKS_MAX))
		return;
	if (wait == DAMP_NEVER)
		(void)uv_timer_stop(&s->check);
	else
		(void)uv_timer_start(&s->check, on_check, wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS,
				     0);
}

int server_health_start(struct server *s)
{
	const struct settings *c = s->settings;
	struct health_config config = config_of(c);
	int rc;

	if (!c->dns_check && c->damping != HEALTH_DAMP_ALL)
		return RC_OK; /* nothing holds a route back */
	s->dns_config = (struct dns_config){&c->dns_servers, &c->dns_self};
	rc = health_new(&config, &s->health);
	if (rc == RC_OK)
		rc = seed(s);
	if (rc == RC_OK)
		server_damping_load(s);
	if (rc == RC_OK && c->dns_check)
		rc = dns_new(&s->loop, &s->dns_config, on_verdict, s, &s->dns);
	if (rc != RC_OK)
		log_error(NULL, "dns.start", "why=\"%s\"", rc_text(rc));
	return rc;
}

void server_health_want(struct server *s, const struct buf *wanted)
{
	bool changed = false;
	int rc;

	if (s->health == NULL)
		return;
	rc = health_want(s->health, (const struct span *)(const void *)wanted->p,
			 wanted->n / sizeof(struct span), server_now_ms(), &changed);
	if (rc != RC_OK)
		log_error(NULL, "dns.domains", "why=\"%s\"", rc_text(rc));
	if (changed) {
		log_warn(NULL, "route.dampened", "a direct route has come and gone too often");
		server_cause(s, "a direct route has come and gone too often: dampened");
		server_recompute_soon(s);
	}
	arm_checks(s);
}

/* --- for people --- */

const char *server_health_state(const struct server *s, const struct health_domain *d)
{
	enum table_reason reason = health_reason(s->health, d);

	return reason == TABLE_OK ? "up" : table_reason_name(reason);
}

void server_put_health(const struct server *s, struct buf *out)
{
	unsigned long long asked = 0, up = 0, down = 0, unconfirmed = 0, suppressed = 0;
	const struct health_domain *list;
	size_t n, i;

	if (s->health == NULL)
		return;
	list = health_list(s->health, &n);
	for (i = 0; i < n; i++) {
		const struct health_domain *d = &list[i];

		suppressed += d->damp.suppressed;
		if (!d->wanted || !s->settings->dns_check)
			continue;
		asked++;
		up += d->up;
		down += !d->up && d->ever;
		unconfirmed += !d->up && !d->ever;
	}
	buf_printf(out,
		   "dns_domains=%llu\ndns_up=%llu\ndns_down=%llu\ndns_unconfirmed=%llu\n"
		   "dampened=%llu\n",
		   asked, up, down, unconfirmed, suppressed);
}
