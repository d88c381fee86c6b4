#include "routed/health.h"

#include "lib/buf.h"

#define DAMP_LINE_UNIT 1000 /* penalties are written in thousandths */
#define DAMP_LINE_DIGITS 15
#define JITTER_PARTS 10 /* a re-check comes up to a tenth of its interval early */

struct health {
	struct health_config config;
	struct map index; /* name -> place */
	struct health_domain *domains;
	size_t n, size;
	unsigned long changes; /* of penalties */
};

int health_new(const struct health_config *config, struct health **out)
{
	*out = mem_zalloc(1, sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	(*out)->config = *config;
	return RC_OK;
}

static void free_name(struct health_domain *d)
{
	mem_free((void *)(uintptr_t)d->name.p);
}

void health_free(struct health **ph)
{
	struct health *h = *ph;
	size_t i;

	*ph = NULL;
	if (h == NULL)
		return;
	for (i = 0; i < h->n; i++)
		free_name(&h->domains[i]);
	map_fini(&h->index);
	mem_free(h->domains);
	mem_free(h);
}

static struct health_domain *find(const struct health *h, struct span domain)
{
	uint32_t at = map_get(&h->index, domain);

	return at != MAP_NONE ? &h->domains[at] : NULL;
}

const struct health_domain *health_find(const struct health *h, struct span domain)
{
	return find(h, domain);
}

const struct health_domain *health_list(const struct health *h, size_t *n)
{
	*n = h->n;
	return h->domains;
}

static int grow(struct health *h)
{
	size_t size = h->size != 0 ? 2 * h->size : 64;
	struct health_domain *bigger;

	if (h->n < h->size)
		return RC_OK;
	bigger = mem_realloc(h->domains, size * sizeof(*bigger));
	if (bigger == NULL)
		return RC_NOMEM;
	h->domains = bigger;
	h->size = size;
	return RC_OK;
}

static int add(struct health *h, struct span domain, uint64_t now_ms, struct health_domain **out)
{
	uint8_t *name;
	int rc = grow(h);

	if (rc != RC_OK)
		return rc;
	name = mem_alloc(domain.n);
	if (name == NULL)
		return RC_NOMEM;
	memcpy(name, domain.p, domain.n);
	rc = map_put(&h->index, span_make(name, domain.n), (uint32_t)h->n);
	if (rc != RC_OK) {
		mem_free(name);
		return rc;
	}
	*out = &h->domains[h->n++];
	**out = (struct health_domain){.name = span_make(name, domain.n), .next_ms = now_ms};
	return RC_OK;
}

/* The last one takes its place. */
static void drop(struct health *h, size_t at)
{
	map_del(&h->index, h->domains[at].name);
	free_name(&h->domains[at]);
	h->domains[at] = h->domains[--h->n];
	/* Its key is there already, so this needs no memory. */
	if (at != h->n)
		must(map_put(&h->index, h->domains[at].name, (uint32_t)at) == RC_OK);
}

int health_seed(struct health *h, struct span domain, uint64_t now_ms)
{
	struct health_domain *d = find(h, domain);
	int rc = d == NULL ? add(h, domain, now_ms, &d) : RC_OK;

	if (rc != RC_OK)
		return rc;
	d->up = d->ever = d->wanted = true;
	d->definite_ms = now_ms;
	return RC_OK;
}

static bool forgettable(const struct health *h, const struct health_domain *d, uint64_t now_ms)
{
	return !d->wanted && !d->asking && !d->damp.suppressed &&
	       damp_penalty(&d->damp, &h->config.damp, now_ms) < 1;
}

static void flip(struct health *h, struct health_domain *d, uint64_t now_ms)
{
	damp_flip(&d->damp, &h->config.damp, now_ms);
	h->changes++;
}

/* Nobody asked for a while, so what was known of it in DNS is worth nothing. */
static void begin_anew(struct health_domain *d, uint64_t now_ms)
{
	d->up = d->ever = d->pending = false;
	d->seen = d->differs = DNSVIEW_SAME;
	d->second = (struct dnsview){0};
	d->next_ms = now_ms;
}

int health_want(struct health *h, const struct span *domains, size_t n, uint64_t now_ms,
		bool *changed)
{
	bool *before = mem_zalloc(h->n + n + 1, sizeof(*before));
	size_t known = h->n, i;
	int rc = before != NULL ? RC_OK : RC_NOMEM;

	*changed = false;
	for (i = 0; i < known && rc == RC_OK; i++) {
		before[i] = h->domains[i].wanted;
		h->domains[i].wanted = false;
	}
	for (i = 0; i < n && rc == RC_OK; i++) {
		struct health_domain *d = find(h, domains[i]);

		if (d == NULL)
			rc = add(h, domains[i], now_ms, &d);
		if (rc == RC_OK)
			d->wanted = true;
	}
	for (i = 0; i < known && rc == RC_OK; i++) {
		struct health_domain *d = &h->domains[i];
		bool held = d->damp.suppressed;

		if (d->wanted == before[i] || d->restored) {
			d->restored = false; /* what was wanted before is not known */
			continue;
		}
		begin_anew(d, now_ms);
		if (h->config.damping == HEALTH_DAMP_ALL)
			flip(h, d, now_ms);
		*changed = *changed || d->damp.suppressed != held;
	}
	for (i = h->n; i-- != 0 && rc == RC_OK;) {
		if (forgettable(h, &h->domains[i], now_ms))
			drop(h, i);
	}
	mem_free(before);
	return rc;
}

struct health_domain *health_due(struct health *h, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < h->n && h->config.check; i++) {
		struct health_domain *d = &h->domains[i];

		if (!d->wanted || d->asking || d->next_ms > now_ms)
			continue;
		d->asking = true;
		return d;
	}
	return NULL;
}

static uint64_t recheck_ms(const struct health_config *c, uint32_t ttl_s, uint32_t random)
{
	uint64_t ms = (uint64_t)ttl_s * 1000;

	if (ms > c->recheck_max_ms)
		ms = c->recheck_max_ms;
	if (ms < c->recheck_min_ms)
		ms = c->recheck_min_ms;
	return ms - random % (ms / JITTER_PARTS + 1);
}

/* DNS changed its mind for good. The first time is no flip. */
static bool settle(struct health *h, struct health_domain *d, bool up, uint64_t now_ms)
{
	d->up = up;
	d->pending = false;
	if (d->ever && h->config.damping != HEALTH_DAMP_NO)
		flip(h, d, now_ms);
	d->ever = true;
	return true;
}

static bool on_no_answer(struct health *h, struct health_domain *d, uint64_t now_ms)
{
	d->next_ms = now_ms + h->config.recheck_min_ms;
	if (!d->up || now_ms - d->definite_ms < h->config.hold_ms)
		return false;
	d->known = DNSCHECK_NO_ANSWER;
	return settle(h, d, false, now_ms);
}

static bool on_definite(struct health *h, struct health_domain *d, uint64_t now_ms, uint32_t random)
{
	bool good = d->verdict == DNSCHECK_GOOD;
	bool changed = false;

	d->definite_ms = now_ms;
	d->known = d->verdict;
	if (d->ever && good == d->up) {
		d->pending = false;
	} else if (!d->pending || good != d->pending_good) {
		d->pending = true;
		d->pending_good = good;
		d->pending_ms = now_ms;
	} else if (now_ms - d->pending_ms >= h->config.confirm_ms) {
		changed = settle(h, d, good, now_ms);
	}
	d->next_ms = d->pending ? d->pending_ms + h->config.confirm_ms
				: now_ms + recheck_ms(&h->config, d->ttl_s, random);
	if (d->next_ms <= now_ms)
		d->next_ms = now_ms + 1;
	return changed;
}

bool health_verdict(struct health *h, struct span domain, const struct dnscheck_result *r,
		    uint64_t now_ms, uint32_t random)
{
	struct health_domain *d = find(h, domain);
	size_t n = r->target.n;

	if (d == NULL)
		return false;
	d->asking = false;
	d->verdict = r->verdict;
	d->ttl_s = r->ttl_s;
	d->alias = r->alias.n != 0;
	dnsview_take(&d->own, r);
	if (n >= sizeof(d->target))
		n = sizeof(d->target) - 1;
	if (n != 0)
		memcpy(d->target, r->target.p, n);
	d->target[n] = '\0';
	return r->verdict == DNSCHECK_NO_ANSWER || r->verdict == DNSCHECK_NONE
		       ? on_no_answer(h, d, now_ms)
		       : on_definite(h, d, now_ms, random);
}

bool health_second_view(struct health *h, struct span domain, const struct dnscheck_result *r)
{
	struct health_domain *d = find(h, domain);
	enum dnsview_difference now, before;

	if (d == NULL)
		return false;
	dnsview_take(&d->second, r);
	if (r->verdict == DNSCHECK_NO_ANSWER || r->verdict == DNSCHECK_NONE)
		return false;
	now = dnsview_compare(&d->own, &d->second);
	before = d->seen;
	d->seen = now;
	if (now != before || now == d->differs)
		return false; /* a change of the zone under way is no difference */
	d->differs = now;
	return true;
}

bool health_release(struct health *h, uint64_t now_ms, struct span *domain)
{
	bool any = false;
	size_t i;

	for (i = 0; i < h->n; i++) {
		if (!damp_release(&h->domains[i].damp, &h->config.damp, now_ms))
			continue;
		*domain = h->domains[i].name;
		h->changes++;
		any = true;
	}
	return any;
}

uint64_t health_wait_ms(const struct health *h, uint64_t now_ms)
{
	uint64_t least = DAMP_NEVER;
	size_t i;

	for (i = 0; i < h->n; i++) {
		const struct health_domain *d = &h->domains[i];
		uint64_t wait = damp_wait_ms(&d->damp, &h->config.damp, now_ms);

		if (h->config.check && d->wanted && !d->asking) {
			uint64_t ask = d->next_ms > now_ms ? d->next_ms - now_ms : 0;

			wait = ask < wait ? ask : wait;
		}
		least = wait < least ? wait : least;
	}
	return least;
}

/* --- over a restart --- */

unsigned long health_changes(const struct health *h)
{
	return h->changes;
}

void health_write_damping(const struct health *h, uint64_t now_ms, struct buf *out)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		const struct health_domain *d = &h->domains[i];
		double penalty = damp_penalty(&d->damp, &h->config.damp, now_ms);

		if (penalty >= 1)
			buf_printf(out, "%.0f %s %.*s\n", penalty * DAMP_LINE_UNIT,
				   d->damp.suppressed ? "suppressed" : "free", SPAN_ARG(d->name));
	}
}

/* "2500000 suppressed s2.example.com" */
static bool parse_line(struct span line, double *penalty, bool *suppressed, struct span *domain)
{
	struct span number, word;
	size_t i;

	if (!span_cut(&line, ' ', &number) || !span_cut(&line, ' ', &word) || number.n == 0 ||
	    number.n > DAMP_LINE_DIGITS || line.n == 0)
		return false;
	*penalty = 0;
	for (i = 0; i < number.n; i++) {
		if (number.p[i] < '0' || number.p[i] > '9')
			return false;
		*penalty = *penalty * 10 + (number.p[i] - '0');
	}
	*penalty /= DAMP_LINE_UNIT;
	*suppressed = span_eq(word, SPAN_LIT("suppressed"));
	*domain = line;
	return *suppressed || span_eq(word, SPAN_LIT("free"));
}

static int restore(struct health *h, struct span line, uint64_t age_ms, uint64_t now_ms)
{
	struct health_domain *d;
	struct span domain;
	double penalty;
	bool suppressed;
	int rc = RC_OK;

	if (!parse_line(line, &penalty, &suppressed, &domain))
		return RC_CORRUPT;
	d = find(h, domain);
	if (d == NULL) {
		rc = add(h, domain, now_ms, &d);
		if (rc != RC_OK)
			return rc;
		d->restored = true;
	}
	damp_restore(&d->damp, &h->config.damp, penalty, suppressed, age_ms, now_ms);
	return rc;
}

int health_read_damping(struct health *h, struct span lines, uint64_t age_ms, uint64_t now_ms)
{
	struct span line;
	int rc = RC_OK;

	while (rc == RC_OK && lines.n != 0)
		rc = span_cut(&lines, '\n', &line) ? restore(h, line, age_ms, now_ms) : RC_CORRUPT;
	return rc;
}

/* --- for compute and people --- */

bool health_checks(const struct health *h)
{
	return h->config.check;
}

double health_penalty(const struct health *h, const struct health_domain *d, uint64_t now_ms)
{
	return damp_penalty(&d->damp, &h->config.damp, now_ms);
}

enum table_reason health_reason(const struct health *h, const struct health_domain *d)
{
	if (d->damp.suppressed)
		return TABLE_DAMPENED;
	if (!h->config.check || d->up)
		return TABLE_OK;
	return d->ever ? TABLE_DNS_UNHEALTHY : TABLE_DNS_UNCONFIRMED;
}

int health_holds(const struct health *h, struct holds *out)
{
	size_t i;
	int rc = RC_OK;

	holds_init(out, h->config.check ? TABLE_DNS_UNCONFIRMED : TABLE_OK);
	for (i = 0; i < h->n && rc == RC_OK; i++)
		rc = holds_set(out, h->domains[i].name, health_reason(h, &h->domains[i]));
	return rc;
}
