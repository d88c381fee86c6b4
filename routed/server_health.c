#include "routed/server_private.h"

#include "routed/dns.h"

#include <sys/random.h>

#define CHECKS_MAX 64
#define VIEWS_NAMED 10
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

/* Told when it begins, not at each check. */
static void tell_alias(const struct health_domain *d, const struct dnscheck_result *r)
{
	char name[LOG_TEXT_BYTES], alias[LOG_TEXT_BYTES];

	if (d != NULL && r->alias.n != 0 && !d->alias)
		log_warn(NULL, "dns.alias",
			 "domain=%s exchange=%s an MX should not name a CNAME (RFC 5321)",
			 log_text(d->name, name), log_text(r->alias, alias));
}

static void compare_views(struct server *s, struct span domain)
{
	char text[LOG_TEXT_BYTES];
	int rc;

	if (s->settings->dns_compare.n == 0 || s->dns == NULL)
		return;
	rc = dns_check(s->dns, domain, DNS_SECOND);
	if (rc != RC_OK)
		log_warn(NULL, "dns.failed", "domain=%s view=second why=\"%s\"",
			 log_text(domain, text), rc_text(rc));
}

static void on_second_view(struct server *s, struct span domain, const struct dnscheck_result *r)
{
	bool news = health_second_view(s->health, domain, r);
	const struct health_domain *d = health_find(s->health, domain);
	char name[LOG_TEXT_BYTES], own[LOG_TEXT_BYTES], second[LOG_TEXT_BYTES];

	if (!news)
		return;
	if (d->differs == DNSVIEW_SAME)
		log_info(NULL, "dns.views-agree", "domain=%s", log_text(domain, name));
	else
		log_warn(NULL, "dns.views-differ", "domain=%s what=%s own=%s:%s second=%s:%s",
			 log_text(domain, name), dnsview_text(d->differs),
			 dnscheck_text(d->own.verdict), log_text(span_of(d->own.target), own),
			 dnscheck_text(d->second.verdict),
			 log_text(span_of(d->second.target), second));
}

static void on_own_view(struct server *s, struct span domain, const struct dnscheck_result *r)
{
	char name[LOG_TEXT_BYTES];
	const struct health_domain *d;
	bool changed;

	tell_alias(health_find(s->health, domain), r);
	changed = health_verdict(s->health, domain, r, server_now_ms(), jitter());
	d = health_find(s->health, domain);
	if (changed && d != NULL) {
		log_verdict(domain, r, d->up ? "dns.up" : "dns.down");
		server_cause(s, "DNS of %s: %s", log_text(domain, name), dnscheck_text(d->known));
		server_recompute_soon(s);
	} else if (log_enabled(LOG_DEBUG)) {
		log_verdict(domain, r, "dns.checked");
	}
	if (r->verdict != DNSCHECK_NO_ANSWER)
		compare_views(s, domain);
	arm_checks(s);
}

static void on_verdict(void *arg, struct span domain, enum dns_view view,
		       const struct dnscheck_result *r)
{
	if (view == DNS_OWN)
		on_own_view(arg, domain, r);
	else
		on_second_view(arg, domain, r);
}

static void begin_check(struct server *s, struct health_domain *d)
{
	const struct dnscheck_result none = {.verdict = DNSCHECK_NO_ANSWER};
	int rc = dns_check(s->dns, d->name, DNS_OWN);
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
	s->dns_config = (struct dns_config){{&c->dns_servers, &c->dns_compare}, &c->dns_self};
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

/* How many domains look different from elsewhere, and the first of them. */
static void put_views(const struct server *s, unsigned long long differ, struct buf *out)
{
	char name[LOG_TEXT_BYTES];
	const struct health_domain *list;
	size_t n, i;
	unsigned named = 0;

	buf_printf(out, "dns_views_differ=%llu\n", differ);
	list = health_list(s->health, &n);
	for (i = 0; i < n && named < VIEWS_NAMED; i++) {
		if (list[i].differs == DNSVIEW_SAME)
			continue;
		buf_puts(out, named++ == 0 ? "dns_views=" : " ");
		buf_printf(out, "%s:%s", log_text(list[i].name, name),
			   dnsview_text(list[i].differs));
	}
	if (named != 0)
		buf_putc(out, '\n');
}

void server_put_health(const struct server *s, struct buf *out)
{
	unsigned long long asked = 0, up = 0, down = 0, unconfirmed = 0, suppressed = 0, differ = 0;
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
		differ += d->differs != DNSVIEW_SAME;
	}
	buf_printf(out,
		   "dns_domains=%llu\ndns_up=%llu\ndns_down=%llu\ndns_unconfirmed=%llu\n"
		   "dampened=%llu\n",
		   asked, up, down, unconfirmed, suppressed);
	if (s->settings->dns_compare.n != 0)
		put_views(s, differ, out);
}
