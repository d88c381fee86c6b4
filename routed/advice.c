#include "routed/advice.h"

#include "routed/compute.h"
#include "routed/explain.h"

#include <stdlib.h>

#define NAMES_SHOWN 5
#define TEXT_MAX_BYTES ((size_t)1 << 20)

struct list {
	const struct model *m;
	struct arena *a;
	struct arena scratch; /* until the next site */
	struct advice *items;
	size_t n, size;
	struct buf text; /* of the next piece */
};

const char *advice_code_name(enum advice_code code)
{
	static const char *const names[] = {
#define ADVICE_NAME(name, text) [name] = text,
		ADVICE_MAP(ADVICE_NAME)
#undef ADVICE_NAME
	};

	return names[code];
}

int advice_cmp(const struct advice *a, const struct advice *b)
{
	int c = span_cmp(a->dn, b->dn);

	if (c == 0)
		c = (int)a->code - (int)b->code;
	if (c == 0)
		c = span_cmp(a->other, b->other);
	return c != 0 ? c : span_cmp(a->text, b->text);
}

static int cmp_advice(const void *a, const void *b)
{
	return advice_cmp(a, b);
}

/* The text is what was written into l->text. */
static int add(struct list *l, enum advice_code code, uint32_t site, struct span dn,
	       struct span other)
{
	struct advice *bigger;
	struct span name = {NULL, 0}, text = arena_span(l->a, buf_span(&l->text));

	if (buf_rc(&l->text) != RC_OK || text.p == NULL)
		return RC_NOMEM;
	if (site != MODEL_NONE)
		name = l->m->sites[site].name;
	if (l->n == l->size) {
		l->size = l->size != 0 ? l->size * 2 : 16;
		bigger = arena_alloc(l->a, l->size * sizeof(*bigger));
		if (bigger == NULL)
			return RC_NOMEM;
		if (l->n != 0)
			memcpy(bigger, l->items, l->n * sizeof(*bigger));
		l->items = bigger;
	}
	l->items[l->n++] = (struct advice){code, name, dn, other, text};
	buf_clear(&l->text);
	return RC_OK;
}

static const struct model_site *site_of_name(const struct model *m, uint32_t name)
{
	uint32_t site = m->names[name].site;

	return site != MODEL_NONE ? &m->sites[site] : NULL;
}

static bool flag_is_on(const struct model *m, const struct model_connector *c)
{
	if (c->flag != MODEL_FLAG_ABSENT)
		return c->flag == MODEL_FLAG_TRUE;
	return m->sites[c->site].flag == MODEL_FLAG_TRUE;
}

/* An IMS that could send directly, as far as its own attributes say. */
static bool may_go_direct(const struct model *m, const struct model_connector *c)
{
	return c->enabled && c->sends && flag_is_on(m, c) && (c->carries & MODEL_CARRY_USER) != 0 &&
	       c->smart_host.n == 0;
}

/* --- connected domains --- */

static int check_address(struct list *l, const struct model_connector *c, const struct model_cd *cd)
{
	const struct model_site *to = site_of_name(l->m, cd->name);
	struct span folded;
	int rc;

	if (to == NULL) {
		buf_printf(&l->text, "a connected domain names the site %.*s, which has no object",
			   SPAN_ARG(cd->written));
		return add(l, ADVICE_UNKNOWN_SITE, c->site, c->dn, (struct span){NULL, 0});
	}
	if (c->kind != MODEL_IMS || !span_eq(cd->type, SPAN_LIT("SMTP")) || to->domain.n == 0)
		return RC_OK;
	rc = address_fold(l->a, cd->address, &folded);
	if (rc == RC_NOMEM || (rc == RC_OK && span_eq(folded, to->domain_folded)))
		return rc;
	buf_printf(&l->text, "the routing address of site %.*s is %.*s, but its own domain is %.*s",
		   SPAN_ARG(cd->written), SPAN_ARG(cd->address), SPAN_ARG(to->domain));
	return add(l, ADVICE_ADDRESS_DIFFERS, c->site, c->dn, to->dn);
}

static int check_connectors(struct list *l)
{
	uint32_t i;
	unsigned k;
	int rc = RC_OK;

	for (i = 0; i < l->m->nconnectors && rc == RC_OK; i++) {
		const struct model_connector *c = &l->m->connectors[i];

		if (c->site == MODEL_NONE) {
			buf_puts(&l->text, "the connector lies below no site and has no effect");
			rc = add(l, ADVICE_NO_SITE, MODEL_NONE, c->dn, (struct span){NULL, 0});
			continue;
		}
		for (k = 0; k < c->ncds && rc == RC_OK; k++)
			rc = check_address(l, c, &c->cds[k]);
	}
	return rc;
}

/* --- domains --- */

struct claim {
	struct span folded;
	const struct model_site *site;
	bool own; /* siteSmtpDomain, not siteSharedDomain */
};

static int cmp_claims(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int c = span_cmp(x->folded, y->folded);

	if (c == 0)
		c = (int)y->own - (int)x->own;
	return c != 0 ? c : span_cmp(x->site->dn_normal, y->site->dn_normal);
}

static int check_claims(struct list *l, const struct claim *claims, size_t n)
{
	const struct claim *first = claims;
	size_t i;
	int rc = RC_OK;

	for (i = 1; i < n && rc == RC_OK; i++) {
		if (!span_eq(claims[i].folded, first->folded)) {
			first = &claims[i];
			continue;
		}
		if (!first->own || claims[i].site == first->site)
			continue;
		buf_printf(&l->text,
			   "%.*s is the siteSmtpDomain of %.*s and the %s of %.*s; no route to "
			   "it is direct, recipients are looked up in the directory",
			   SPAN_ARG(first->folded), SPAN_ARG(first->site->name),
			   claims[i].own ? "siteSmtpDomain" : "siteSharedDomain",
			   SPAN_ARG(claims[i].site->name));
		rc = add(l, ADVICE_DOMAIN_TWICE, l->m->names[first->site->name_id].site,
			 first->site->dn, claims[i].site->dn);
	}
	return rc;
}

static int check_domains(struct list *l)
{
	struct claim *claims;
	size_t n = 0;
	uint32_t i;
	unsigned k;

	for (i = 0; i < l->m->nsites; i++)
		n += 1 + l->m->sites[i].nshared;
	claims = arena_alloc(l->a, n * sizeof(*claims));
	if (claims == NULL)
		return RC_NOMEM;
	n = 0;
	for (i = 0; i < l->m->nsites; i++) {
		const struct model_site *s = &l->m->sites[i];

		if (s->live && s->domain.n != 0)
			claims[n++] = (struct claim){s->domain_folded, s, true};
		for (k = 0; s->live && k < s->nshared; k++)
			claims[n++] = (struct claim){s->shared_folded[k], s, false};
	}
	if (n > 1)
		qsort(claims, n, sizeof(*claims), cmp_claims);
	return check_claims(l, claims, n);
}

/* --- the flag --- */

struct usage {
	unsigned direct, rows;
	unsigned reasons[TABLE_REASONS];
};

static void count_use(const struct table *t, struct span connector, struct usage *u)
{
	uint32_t i;

	for (i = 0; i < t->nrows; i++) {
		const struct table_row *row = &t->rows[i];

		if (row->cls != TABLE_USER || row->connector == TABLE_NONE ||
		    row->reason == TABLE_IS_SPACE || !span_eq(t->texts[row->connector], connector))
			continue;
		u->rows++;
		u->direct += row->mode == TABLE_DIRECT;
		u->reasons[row->reason]++;
	}
}

/* What keeps the connector out of every route; NULL: nothing of its own. */
static const char *own_obstacle(const struct model_connector *c)
{
	if (!c->enabled)
		return "it is disabled";
	if (!c->sends)
		return "its transferMode does not let it send";
	if ((c->carries & MODEL_CARRY_USER) == 0)
		return "its messageClassRestriction keeps user messages out";
	if (c->smart_host.n != 0)
		return "it forwards everything to a smart host";
	return c->ncds == 0 ? "it has no connected domains" : NULL;
}

static void say_reasons(struct list *l, const struct usage *u)
{
	enum table_reason reason;
	const char *between = "";

	if (u->rows == 0)
		buf_puts(&l->text, "no cheapest way to any site begins with it");
	for (reason = TABLE_OK; reason < TABLE_REASONS; reason++) {
		if (u->reasons[reason] == 0)
			continue;
		buf_printf(&l->text, "%s%u %s %s (%s)", between, u->reasons[reason],
			   u->reasons[reason] == 1 ? "route is" : "routes are",
			   table_reason_name(reason), explain_reason(reason));
		between = "; ";
	}
}

static int check_unused(struct list *l, const struct table *t, const struct model_connector *c)
{
	struct usage u = {0};
	const char *obstacle;

	if (c->kind != MODEL_IMS || !flag_is_on(l->m, c))
		return RC_OK;
	obstacle = own_obstacle(c);
	count_use(t, c->name, &u);
	if (u.direct != 0 && obstacle == NULL)
		return RC_OK;
	buf_puts(&l->text, "onlySystemMessagesUseCDs is TRUE and makes no route direct: ");
	if (obstacle != NULL)
		buf_puts(&l->text, obstacle);
	else
		say_reasons(l, &u);
	return add(l, ADVICE_FLAG_UNUSED, c->site, c->dn, (struct span){NULL, 0});
}

/* Sites whose own connected domain is this site: an answer is one hop either way. */
static void find_neighbours(const struct model *m, uint32_t name, bool *neighbours)
{
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		for (k = 0; c->site != MODEL_NONE && k < c->ncds; k++)
			neighbours[c->site] = neighbours[c->site] || c->cds[k].name == name;
	}
}

/* Sites that get mail directly and have nothing to answer directly with. */
static int check_one_way(struct list *l, uint32_t site, const struct table *t, const bool *answers)
{
	bool *neighbours = arena_zalloc(&l->scratch, l->m->nsites, sizeof(*neighbours));
	unsigned n = 0;
	uint32_t i, last = TABLE_NONE;

	if (neighbours == NULL)
		return RC_NOMEM;
	find_neighbours(l->m, l->m->sites[site].name_id, neighbours);

	for (i = 0; i < t->nrows; i++) {
		const struct table_row *row = &t->rows[i];
		uint32_t target = 0;
		int rc;

		if (row->mode != TABLE_DIRECT || row->target == last)
			continue;
		last = row->target;
		rc = model_find_site(l->m, t->texts[row->target], &target);
		if (rc == RC_NOTFOUND || (rc == RC_OK && (answers[target] || neighbours[target])))
			continue;
		if (rc != RC_OK)
			return rc;
		if (n < NAMES_SHOWN)
			buf_printf(&l->text, "%s%.*s", n != 0 ? ", " : "mail goes directly to ",
				   SPAN_ARG(l->m->sites[target].name));
		n++;
	}
	if (n == 0)
		return RC_OK;
	if (n > NAMES_SHOWN)
		buf_printf(&l->text, " and %u more", n - NAMES_SHOWN);
	buf_puts(&l->text, "; answers travel over the connected sites, as no IMS there has "
			   "onlySystemMessagesUseCDs TRUE");
	return add(l, ADVICE_FLAG_ONE_WAY, site, l->m->sites[site].dn, (struct span){NULL, 0});
}

static int check_flags_of(struct list *l, uint32_t site, const struct table *t, const bool *answers)
{
	uint32_t i;
	int rc = RC_OK;

	for (i = 0; i < l->m->nconnectors && rc == RC_OK; i++) {
		if (l->m->connectors[i].site == site)
			rc = check_unused(l, t, &l->m->connectors[i]);
	}
	return rc == RC_OK ? check_one_way(l, site, t, answers) : rc;
}

static int check_flags(struct list *l)
{
	const struct model *m = l->m;
	bool *answers = arena_zalloc(l->a, m->nsites, sizeof(*answers));
	bool *has_flag = arena_zalloc(l->a, m->nsites, sizeof(*has_flag));
	uint32_t i;
	int rc = RC_OK;

	if (answers == NULL || has_flag == NULL)
		return RC_NOMEM;
	arena_init(&l->scratch);
	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		if (c->site == MODEL_NONE || c->kind != MODEL_IMS)
			continue;
		has_flag[c->site] = has_flag[c->site] || flag_is_on(m, c);
		answers[c->site] = answers[c->site] || may_go_direct(m, c);
	}
	for (i = 0; i < m->nsites && rc == RC_OK; i++) {
		struct table *t = NULL;

		if (!has_flag[i] || !m->sites[i].live)
			continue;
		rc = compute_table(m, m->sites[i].name, &t);
		if (rc == RC_OK)
			rc = check_flags_of(l, i, t, answers);
		table_free(&t);
		arena_fini(&l->scratch);
	}
	return rc;
}

int advice_of_model(const struct model *m, struct arena *a, struct advice **out, size_t *n)
{
	struct list l = {.m = m, .a = a};
	int rc;

	buf_init(&l.text, TEXT_MAX_BYTES);
	rc = check_connectors(&l);
	if (rc == RC_OK)
		rc = check_domains(&l);
	if (rc == RC_OK)
		rc = check_flags(&l);
	if (l.n > 1)
		qsort(l.items, l.n, sizeof(*l.items), cmp_advice);
	buf_fini(&l.text);
	*out = l.items;
	*n = l.n;
	return rc;
}

/* --- words --- */

void advice_write(const struct advice *a, struct buf *out)
{
	buf_printf(out, "%s: ", advice_code_name(a->code));
	buf_put(out, a->text);
	buf_puts(out, "\n  ");
	buf_put(out, a->dn);
	if (a->other.n != 0) {
		buf_puts(out, "\n  ");
		buf_put(out, a->other);
	}
	buf_putc(out, '\n');
}

static void member(struct buf *out, const char *name, struct span s)
{
	buf_printf(out, ",\"%s\":", name);
	if (s.n == 0)
		buf_puts(out, "null");
	else
		table_json_string(s, out);
}

void advice_json(const struct advice *a, struct buf *out)
{
	buf_printf(out, "{\"warning\":\"%s\"", advice_code_name(a->code));
	member(out, "site", a->site);
	member(out, "dn", a->dn);
	member(out, "other", a->other);
	member(out, "text", a->text);
	buf_puts(out, "}\n");
}
