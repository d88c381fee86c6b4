#include "routed/compute.h"

#include "routed/compute_build.h"
#include "routed/graph.h"
#include "routed/map.h"

#include <stdlib.h>

static const unsigned carry_of[TABLE_CLASSES] = {
	[TABLE_SYSTEM] = MODEL_CARRY_SYSTEM,
	[TABLE_USER] = MODEL_CARRY_USER,
};

/* A site row's target: a site with an object, or a name that a connected domain mentions. */
struct target {
	struct span name; /* as printed */
	uint32_t node;
};

/* An address space that applies at this site. */
struct offer {
	const struct model_space *space;
	uint32_t connector;
};

/* One way to a space: a label of a run, or (label = GRAPH_NONE) a connector of the site itself. */
struct way {
	uint32_t label;
	uint32_t connector; /* the local connector */
	uint32_t pair;      /* first edge, or GRAPH_NONE: equal pairs are one candidate */
};

/* A next hop over the chain. */
struct hop {
	uint32_t text; /* TABLE_NONE: not made yet */
	enum table_hop kind;
};

struct work {
	const struct model *m;
	uint32_t site, root; /* the local site: index, node */
	struct arena a;
	struct graph g;
	struct graph_run run[TABLE_CLASSES]; /* run[TABLE_USER].g == NULL: the same as of system */
	struct target *targets;
	uint32_t ntargets;
	struct map domains;     /* folded -> index into build.domains */
	uint32_t *domain_sites; /* by that index: how many sites have it as siteSmtpDomain */
	uint32_t *domain_of;    /* by site: the place of its siteSmtpDomain */
	struct build b;
	/* Texts made so far, TABLE_NONE: not yet. */
	uint32_t *target_text, *mx_text;         /* by node */
	uint32_t *first_row[TABLE_CLASSES];      /* by node */
	uint32_t *connector_text, *element_text; /* by connector */
	uint32_t *transport_text;                /* by edge out of the root */
	struct hop *hops;                        /* the same */
	uint32_t *step[TABLE_CLASSES];           /* by label */
	uint32_t ex_text;
};

static const struct graph_run *run_of(const struct work *w, unsigned cls)
{
	return w->run[cls].g != NULL ? &w->run[cls] : &w->run[TABLE_SYSTEM];
}

static uint32_t *numbers(struct work *w, size_t n)
{
	uint32_t *p = arena_alloc(&w->a, (n + 1) * sizeof(*p));

	if (p != NULL)
		memset(p, 0xff, (n + 1) * sizeof(*p));
	return p;
}

static int cmp_targets(const void *a, const void *b)
{
	return span_cmp(((const struct target *)a)->name, ((const struct target *)b)->name);
}

/* Names as printed: the object's, or the bytewise first spelling in a connected domain. */
static void collect_names(const struct model *m, struct span *names)
{
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];

		for (k = 0; c->site != MODEL_NONE && k < c->ncds; k++) {
			struct span *name = &names[c->cds[k].name];

			if (m->names[c->cds[k].name].site == MODEL_NONE &&
			    (name->n == 0 || span_cmp(c->cds[k].written, *name) < 0))
				*name = c->cds[k].written;
		}
	}
	for (i = 0; i < m->nsites; i++) {
		if (m->sites[i].live)
			names[m->sites[i].name_id] = m->sites[i].name;
	}
}

static int collect_targets(struct work *w)
{
	const struct model *m = w->m;
	struct span *names = arena_zalloc(&w->a, m->nnames, sizeof(*names));
	uint32_t i;

	w->targets = arena_zalloc(&w->a, m->nnames, sizeof(*w->targets));
	if (names == NULL || w->targets == NULL)
		return RC_NOMEM;
	collect_names(m, names);
	for (i = 0; i < m->nnames; i++) {
		if (names[i].n != 0 && i != w->root)
			w->targets[w->ntargets++] = (struct target){names[i], i};
	}
	qsort(w->targets, w->ntargets, sizeof(*w->targets), cmp_targets);
	return RC_OK;
}

/* The domain's place among those of the table; a new one gets its place now. */
static int claim_domain(struct work *w, struct span folded, bool shared, uint32_t site,
			uint32_t *place)
{
	uint32_t at = map_get(&w->domains, folded);
	struct table_domain *domains;
	struct table_domain new = {
		.row = {TABLE_NONE, TABLE_NONE},
		.owner = shared ? TABLE_OWNER_MANY
				: (site == w->site ? TABLE_OWNER_LOCAL : TABLE_OWNER_SITE),
	};
	int rc = RC_OK;

	if (at == MAP_NONE) {
		at = (uint32_t)(w->b.domains.n / sizeof(new));
		new.domain = build_text(&w->b, folded, (struct span){NULL, 0});
		buf_put(&w->b.domains, span_make(&new, sizeof(new)));
		rc = buf_rc(&w->b.domains);
		if (rc == RC_OK)
			rc = map_put(&w->domains, folded, at);
	} else {
		domains = (struct table_domain *)(void *)w->b.domains.p;
		domains[at].owner = TABLE_OWNER_MANY;
	}
	if (rc == RC_OK && !shared)
		w->domain_sites[at]++;
	*place = at;
	return rc;
}

static int claim_site(struct work *w, uint32_t site)
{
	const struct model_site *s = &w->m->sites[site];
	uint32_t shared;
	unsigned k;
	int rc = RC_OK;

	if (s->domain.n != 0)
		rc = claim_domain(w, s->domain_folded, false, site, &w->domain_of[site]);
	for (k = 0; k < s->nshared && rc == RC_OK; k++)
		rc = claim_domain(w, s->shared_folded[k], true, site, &shared);
	for (k = 0; k < s->nsystem && rc == RC_OK; k++) {
		uint32_t text = build_text(&w->b, s->system_folded[k], (struct span){NULL, 0});

		buf_put(&w->b.systems, span_make(&text, sizeof(text)));
	}
	return rc;
}

/* In the order of targets, the local site first, so that numbers do not depend on the input's
 * order. */
static int collect_domains(struct work *w)
{
	size_t total = 1;
	uint32_t i;
	int rc;

	for (i = 0; i < w->m->nsites; i++)
		total += 1 + w->m->sites[i].nshared;
	w->domain_sites = arena_zalloc(&w->a, total, sizeof(*w->domain_sites));
	w->domain_of = numbers(w, w->m->nsites);
	if (w->domain_sites == NULL || w->domain_of == NULL)
		return RC_NOMEM;
	rc = map_reserve(&w->domains, w->m->nsites);
	if (rc == RC_OK)
		rc = claim_site(w, w->site);
	for (i = 0; i < w->ntargets && rc == RC_OK; i++) {
		uint32_t site = w->m->names[w->targets[i].node].site;

		if (site != MODEL_NONE)
			rc = claim_site(w, site);
	}
	return rc;
}

/* The host that a domainRoute of the connector names for this domain, or an empty span. */
static struct span pinned(const struct model_connector *c, struct span folded)
{
	unsigned lo = 0, hi = c->npins;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (span_cmp(c->pins[mid].folded, folded) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < c->npins && span_eq(c->pins[lo].folded, folded))
		return c->pins[lo].host;
	return (struct span){NULL, 0};
}

static uint32_t connector_text(struct work *w, uint32_t connector)
{
	uint32_t *memo = &w->connector_text[connector];

	if (*memo == TABLE_NONE)
		*memo = build_text(&w->b, w->m->connectors[connector].name, (struct span){NULL, 0});
	return *memo;
}

static uint32_t element_text(struct work *w, uint32_t connector)
{
	const struct model_connector *c = &w->m->connectors[connector];
	uint32_t *memo = &w->element_text[connector];

	if (*memo == TABLE_NONE)
		*memo = build_element(&w->b, w->m->sites[c->site].name, c->name);
	return *memo;
}

/* The steps of a label's path; beginnings that other rows have made already are shared. */
static int path_step(struct work *w, unsigned cls, uint32_t label, uint32_t *out)
{
	const struct graph_run *r = run_of(w, cls);
	uint32_t *memo = w->step[r == &w->run[cls] ? cls : TABLE_SYSTEM];
	uint32_t at, n = 0, parent = TABLE_NONE, i, *todo;

	for (at = label; at != GRAPH_NONE && memo[at] == TABLE_NONE; at = r->labels[at].parent)
		n++;
	if (at != GRAPH_NONE)
		parent = memo[at];
	if (n != 0) {
		todo = arena_alloc(&w->a, n * sizeof(*todo));
		if (todo == NULL)
			return RC_NOMEM;
		for (at = label, i = n; i-- != 0; at = r->labels[at].parent)
			todo[i] = at;
		for (i = 0; i < n; i++) {
			uint32_t edge = r->labels[todo[i]].edge;

			parent = build_step(&w->b, parent,
					    element_text(w, r->g->edges[edge].connector));
			memo[todo[i]] = parent;
		}
	}
	*out = parent;
	return RC_OK;
}

/* The host that the connector forwards this connected domain to, or an empty span. */
static int connected_host(struct work *w, const struct model_connector *c,
			  const struct model_cd *cd, struct span *out)
{
	struct span folded;
	int rc = RC_OK;

	*out = c->smart_host;
	if (out->n == 0 && c->npins != 0) {
		rc = address_fold(&w->a, cd->address, &folded);
		if (rc == RC_OK)
			*out = pinned(c, folded);
	}
	return rc != RC_INVALID ? rc : RC_OK;
}

/* Next hop of the chain over this first edge: smart host, else domain route, else MX. */
static int make_nexthop(struct work *w, const struct graph_edge *e, struct hop *hop)
{
	const struct model_connector *c = &w->m->connectors[e->connector];
	const struct model_cd *cd = &c->cds[e->cd];
	struct span host;
	char *type;
	int rc;

	if (c->kind != MODEL_IMS || !span_eq(cd->type, SPAN_LIT("SMTP"))) {
		type = arena_printf(&w->a, "%.*s:", SPAN_ARG(cd->type));
		if (type == NULL)
			return RC_NOMEM;
		*hop = (struct hop){build_text(&w->b, span_of(type), cd->address), TABLE_HOP_TYPE};
		return RC_OK;
	}
	rc = connected_host(w, c, cd, &host);
	if (rc != RC_OK)
		return rc;
	if (host.n != 0)
		*hop = (struct hop){build_text(&w->b, SPAN_LIT("host:"), host), TABLE_HOP_HOST};
	else
		*hop = (struct hop){build_text(&w->b, SPAN_LIT("mx:"), cd->address), TABLE_HOP_MX};
	return RC_OK;
}

static int connected_nexthop(struct work *w, uint32_t edge, struct table_row *row)
{
	struct hop *hop = &w->hops[edge - w->g.first[w->root]];
	int rc = RC_OK;

	if (hop->text == TABLE_NONE)
		rc = make_nexthop(w, &w->g.edges[edge], hop);
	row->nexthop = hop->text;
	row->hop = (uint8_t)hop->kind;
	return rc;
}

/* R8, in the order of the reasons of design.md section 2; TABLE_OK: direct. */
static enum table_reason direct_reason(const struct work *w, uint32_t node,
				       const struct graph_label *label)
{
	const struct model_connector *c = &w->m->connectors[w->g.edges[label->first].connector];
	enum model_flag flag = c->flag != MODEL_FLAG_ABSENT ? c->flag : w->m->sites[w->site].flag;
	uint32_t site = w->m->names[node].site;
	const struct model_site *s;

	if (c->kind != MODEL_IMS)
		return TABLE_FIRST_HOP_NOT_IMS;
	if (flag != MODEL_FLAG_TRUE)
		return TABLE_FLAG_OFF;
	if (c->smart_host.n != 0)
		return TABLE_SMART_HOST;
	if (!label->all_ims)
		return TABLE_MIXED_PATH;
	if (site == MODEL_NONE)
		return TABLE_SITE_NOT_LIVE;
	s = &w->m->sites[site];
	if (!s->inbound_ims)
		return TABLE_NO_INBOUND_IMS;
	if (s->domain.n == 0)
		return TABLE_NO_SITE_DOMAIN;
	if (w->domain_sites[w->domain_of[site]] > 1)
		return TABLE_SHARED_DOMAIN;
	return TABLE_OK;
}

static void direct_nexthop(struct work *w, uint32_t node, const struct model_connector *c,
			   struct table_row *row)
{
	const struct model_site *s = &w->m->sites[w->m->names[node].site];
	struct span host = pinned(c, s->domain_folded);

	if (host.n != 0) {
		row->hop = TABLE_HOP_HOST;
		row->nexthop = build_text(&w->b, SPAN_LIT("host:"), host);
		return;
	}
	if (w->mx_text[node] == TABLE_NONE)
		w->mx_text[node] = build_text(&w->b, SPAN_LIT("mx:"), s->domain);
	row->hop = TABLE_HOP_MX;
	row->nexthop = w->mx_text[node];
}

/* The row of a label, as far as sites and spaces have it in common: over the chain. */
static int chain_row(struct work *w, unsigned cls, uint32_t label, struct table_row *row)
{
	const struct graph_label *l = &run_of(w, cls)->labels[label];
	uint32_t connector = w->g.edges[l->first].connector;
	const struct model_connector *c = &w->m->connectors[connector];
	uint32_t *transport = &w->transport_text[l->first - w->g.first[w->root]];
	int rc;

	row->cls = (uint8_t)cls;
	row->mode = TABLE_CONNECTED;
	row->hops = l->hops;
	row->connector = connector_text(w, connector);
	if (c->transport.n != 0 && *transport == TABLE_NONE)
		*transport = build_text(&w->b, c->transport, (struct span){NULL, 0});
	row->transport = *transport;
	rc = path_step(w, cls, label, &row->step);
	if (rc == RC_OK)
		rc = connected_nexthop(w, l->first, row);
	return rc;
}

static int site_row(struct work *w, unsigned cls, uint32_t node, uint32_t label,
		    enum table_reason reason)
{
	const struct graph_run *r = run_of(w, cls);
	const struct graph_label *l = &r->labels[label];
	struct table_row row = {.type = w->ex_text, .target = w->target_text[node]};
	int rc = chain_row(w, cls, label, &row);

	if (rc != RC_OK)
		return rc;
	row.cost = r->dist[node];
	row.reason = (uint8_t)reason;
	if (reason == TABLE_OK) {
		row.mode = TABLE_DIRECT;
		row.hops = 1;
		direct_nexthop(w, node, &w->m->connectors[w->g.edges[l->first].connector], &row);
	}
	build_row(&w->b, &row);
	return RC_OK;
}

static void no_route_row(struct work *w, unsigned cls, uint32_t node)
{
	struct table_row row = {
		.type = w->ex_text,
		.target = w->target_text[node],
		.cost = TABLE_NONE,
		.hops = TABLE_NONE,
		.nexthop = TABLE_NONE,
		.connector = TABLE_NONE,
		.transport = TABLE_NONE,
		.step = TABLE_NONE,
		.cls = (uint8_t)cls,
		.mode = TABLE_NO_ROUTE,
		.reason = cls == TABLE_SYSTEM ? TABLE_IS_SYSTEM : TABLE_NO_PATH,
		.hop = TABLE_HOP_NONE,
	};

	build_row(&w->b, &row);
}

struct ways {
	struct way *items;
	size_t n, size;
};

static int add_way(struct work *w, struct ways *ways, struct way way)
{
	size_t size = ways->size != 0 ? ways->size * 2 : 16;
	struct way *bigger;

	if (ways->n == ways->size) {
		bigger = arena_alloc(&w->a, size * sizeof(*bigger));
		if (bigger == NULL)
			return RC_NOMEM;
		if (ways->n != 0)
			memcpy(bigger, ways->items, ways->n * sizeof(*bigger));
		ways->items = bigger;
		ways->size = size;
	}
	ways->items[ways->n++] = way;
	return RC_OK;
}

/* All candidates of a node. */
static int add_node_ways(struct work *w, const struct graph_run *r, uint32_t node,
			 struct ways *ways)
{
	uint32_t at;
	int rc = RC_OK;

	for (at = r->head[node]; at != GRAPH_NONE && rc == RC_OK; at = r->labels[at].next) {
		uint32_t first = r->labels[at].first;

		rc = add_way(w, ways, (struct way){at, w->g.edges[first].connector, first});
	}
	return rc;
}

struct order {
	const struct work *w;
	const struct graph_run *r;
};

/* The site to which a label's path leads. */
static struct span end_of(const struct order *o, uint32_t label)
{
	return o->w->m->names[o->r->g->edges[o->r->labels[label].edge].to].folded;
}

/* In the order in which candidates are tried; an own connector is no hop at all. */
static int cmp_ways(const void *a, const void *b, void *arg)
{
	const struct way *x = a, *y = b;
	const struct order *o = arg;
	const struct model *m = o->w->m;
	int c;

	if ((x->label == GRAPH_NONE) != (y->label == GRAPH_NONE))
		return x->label == GRAPH_NONE ? -1 : 1;
	if (x->label != GRAPH_NONE) {
		c = graph_label_cmp(o->r, x->label, y->label);
		return c != 0 ? c : span_cmp(end_of(o, x->label), end_of(o, y->label));
	}
	c = graph_connector_cmp(m, x->connector, y->connector);
	return c != 0 ? c
		      : span_cmp(m->connectors[x->connector].dn_normal,
				 m->connectors[y->connector].dn_normal);
}

static void sort_ways(const struct work *w, const struct graph_run *r, struct ways *ways)
{
	struct order o = {w, r};

	if (ways->n > 1)
		qsort_r(ways->items, ways->n, sizeof(*ways->items), cmp_ways, &o);
}

static int site_rows(struct work *w, unsigned cls, const struct target *target, struct ways *ways)
{
	const struct graph_run *r = run_of(w, cls);
	bool direct = false;
	size_t i;
	int rc;

	ways->n = 0;
	w->first_row[cls][target->node] = build_nrows(&w->b);
	if (w->target_text[target->node] == TABLE_NONE)
		w->target_text[target->node] =
			build_text(&w->b, target->name, (struct span){NULL, 0});
	rc = add_node_ways(w, r, target->node, ways);
	if (rc == RC_OK && ways->n == 0)
		no_route_row(w, cls, target->node);
	sort_ways(w, r, ways);
	for (i = 0; i < ways->n && cls == TABLE_USER && !direct; i++)
		direct = direct_reason(w, target->node, &r->labels[ways->items[i].label]) ==
			 TABLE_OK;
	for (i = 0; i < ways->n && rc == RC_OK; i++) {
		uint32_t label = ways->items[i].label;
		enum table_reason reason = TABLE_IS_SYSTEM;

		if (cls == TABLE_USER)
			reason = direct_reason(w, target->node, &r->labels[label]);
		if (!direct || reason == TABLE_OK)
			rc = site_row(w, cls, target->node, label, reason);
	}
	return rc;
}

static int cmp_offers(const void *a, const void *b)
{
	const struct model_space *x = ((const struct offer *)a)->space;
	const struct model_space *y = ((const struct offer *)b)->space;
	int c = span_cmp(x->type, y->type);

	if (c == 0)
		c = span_cmp(x->folded, y->folded);
	return c != 0 ? c : span_cmp(x->pattern, y->pattern);
}

/* A group of offers with one type and folded pattern; printed as its bytewise first spelling. */
struct group {
	const struct offer *offers;
	uint32_t n;
};

static int cmp_groups(const void *a, const void *b)
{
	const struct model_space *x = ((const struct group *)a)->offers->space;
	const struct model_space *y = ((const struct group *)b)->offers->space;
	int c = span_cmp(x->type, y->type);

	return c != 0 ? c : span_cmp(x->pattern, y->pattern);
}

static bool has_offers(const struct model_connector *c, unsigned carry)
{
	return c->site != MODEL_NONE && c->enabled && c->sends && (c->carries & carry) != 0;
}

/* The spaces that apply here (R6): of reachable sites, `site` scope only of the own one. */
static int collect_offers(struct work *w, unsigned cls, struct offer **out, uint32_t *n)
{
	const struct model *m = w->m;
	size_t total = 0;
	uint32_t i;
	unsigned k;

	for (i = 0; i < m->nconnectors; i++)
		total += m->connectors[i].nspaces;
	*n = 0;
	*out = arena_alloc(&w->a, total * sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nconnectors && total != 0; i++) {
		const struct model_connector *c = &m->connectors[i];

		if (c->nspaces == 0 || !has_offers(c, carry_of[cls]) ||
		    run_of(w, cls)->dist[m->sites[c->site].name_id] == GRAPH_NONE)
			continue;
		for (k = 0; k < c->nspaces; k++) {
			if (!c->spaces[k].site_scope || c->site == w->site)
				(*out)[(*n)++] = (struct offer){&c->spaces[k], i};
		}
	}
	if (*n != 0)
		qsort(*out, *n, sizeof(**out), cmp_offers);
	return RC_OK;
}

static int collect_groups(struct work *w, unsigned cls, struct group **out, uint32_t *ngroups)
{
	struct offer *offers;
	uint32_t n, i;
	int rc = collect_offers(w, cls, &offers, &n);

	*ngroups = 0;
	if (rc != RC_OK)
		return rc;
	*out = arena_alloc(&w->a, n * sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		struct group *last = *ngroups != 0 ? &(*out)[*ngroups - 1] : NULL;

		if (last != NULL && span_eq(last->offers->space->type, offers[i].space->type) &&
		    span_eq(last->offers->space->folded, offers[i].space->folded))
			last->n++;
		else
			(*out)[(*ngroups)++] = (struct group){&offers[i], 1};
	}
	if (*ngroups != 0)
		qsort(*out, *ngroups, sizeof(**out), cmp_groups);
	return RC_OK;
}

static uint32_t offer_cost(const struct work *w, const struct graph_run *r, const struct offer *o)
{
	return r->dist[w->m->sites[w->m->connectors[o->connector].site].name_id] + o->space->cost;
}

static int cmp_pairs(const void *a, const void *b, void *arg)
{
	const struct way *x = a, *y = b;

	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	return cmp_ways(a, b, arg);
}

/* The candidates of the least total cost; of one pair, the best path. */
static int space_ways(struct work *w, const struct graph_run *r, const struct group *g,
		      uint32_t cost, struct ways *ways)
{
	struct order o = {w, r};
	size_t i, kept = 0;
	uint32_t k;
	int rc = RC_OK;

	ways->n = 0;
	for (k = 0; k < g->n && rc == RC_OK; k++) {
		uint32_t connector = g->offers[k].connector;
		uint32_t site = w->m->connectors[connector].site;

		if (offer_cost(w, r, &g->offers[k]) != cost)
			continue;
		if (site == w->site)
			rc = add_way(w, ways, (struct way){GRAPH_NONE, connector, GRAPH_NONE});
		else
			rc = add_node_ways(w, r, w->m->sites[site].name_id, ways);
	}
	if (ways->n > 1)
		qsort_r(ways->items, ways->n, sizeof(*ways->items), cmp_pairs, &o);
	for (i = 0; i < ways->n; i++) {
		const struct way *last = kept != 0 ? &ways->items[kept - 1] : NULL;

		if (last == NULL || last->pair != ways->items[i].pair ||
		    last->connector != ways->items[i].connector)
			ways->items[kept++] = ways->items[i];
	}
	ways->n = kept;
	sort_ways(w, r, ways);
	return rc;
}

/* Out of this site's own connector: to the smart host, else to wherever the recipient's domain is.
 */
static int local_row(struct work *w, unsigned cls, const struct model_space *space,
		     uint32_t connector, struct table_row *row)
{
	const struct model_connector *c = &w->m->connectors[connector];
	char *type;

	row->cls = (uint8_t)cls;
	row->mode = TABLE_LOCAL_SPACE;
	row->hops = 0;
	row->step = TABLE_NONE;
	row->connector = connector_text(w, connector);
	row->transport = TABLE_NONE;
	if (c->transport.n != 0)
		row->transport = build_text(&w->b, c->transport, (struct span){NULL, 0});
	if (c->kind != MODEL_IMS) {
		type = arena_printf(&w->a, "%.*s:", SPAN_ARG(space->type));
		if (type == NULL)
			return RC_NOMEM;
		row->hop = TABLE_HOP_TYPE;
		row->nexthop = build_text(&w->b, span_of(type), (struct span){NULL, 0});
	} else if (c->smart_host.n != 0) {
		row->hop = TABLE_HOP_HOST;
		row->nexthop = build_text(&w->b, SPAN_LIT("host:"), c->smart_host);
	} else {
		row->hop = TABLE_HOP_MX;
		row->nexthop = build_text(&w->b, SPAN_LIT("mx:"), (struct span){NULL, 0});
	}
	return RC_OK;
}

static int space_rows(struct work *w, unsigned cls, const struct group *g, struct ways *ways)
{
	const struct graph_run *r = run_of(w, cls);
	const struct model_space *space = g->offers->space;
	struct table_row row = {0};
	uint32_t cost = UINT32_MAX, k;
	size_t i;
	int rc;

	for (k = 0; k < g->n; k++) {
		uint32_t one = offer_cost(w, r, &g->offers[k]);

		cost = one < cost ? one : cost;
	}
	rc = space_ways(w, r, g, cost, ways);
	row.type = build_text(&w->b, space->type, (struct span){NULL, 0});
	row.target = build_text(&w->b, space->pattern, (struct span){NULL, 0});
	for (i = 0; i < ways->n && rc == RC_OK; i++) {
		const struct way *way = &ways->items[i];

		if (way->label == GRAPH_NONE)
			rc = local_row(w, cls, space, way->connector, &row);
		else
			rc = chain_row(w, cls, way->label, &row);
		row.cost = cost;
		row.reason = cls == TABLE_SYSTEM ? TABLE_IS_SYSTEM : TABLE_IS_SPACE;
		build_row(&w->b, &row);
	}
	return rc;
}

/* Rows are sorted by type: spaces before EX, sites, spaces behind EX. */
static int class_rows(struct work *w, unsigned cls)
{
	struct ways ways = {NULL, 0, 0};
	struct group *groups;
	uint32_t ngroups, i = 0, k;
	int rc = collect_groups(w, cls, &groups, &ngroups);

	for (; rc == RC_OK && i < ngroups &&
	       span_cmp(groups[i].offers->space->type, SPAN_LIT("EX")) < 0;
	     i++)
		rc = space_rows(w, cls, &groups[i], &ways);
	for (k = 0; rc == RC_OK && k < w->ntargets; k++)
		rc = site_rows(w, cls, &w->targets[k], &ways);
	for (; rc == RC_OK && i < ngroups; i++)
		rc = space_rows(w, cls, &groups[i], &ways);
	return rc;
}

static int cmp_connectors(const void *a, const void *b, void *arg)
{
	const struct model *m = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = graph_connector_cmp(m, x, y);

	return c != 0 ? c : span_cmp(m->connectors[x].dn_normal, m->connectors[y].dn_normal);
}

/* The domain routes that a lookup applies to the recipient's own domain. */
static int add_pins(struct work *w)
{
	const struct model *m = w->m;
	uint32_t *local = numbers(w, m->nconnectors), n = 0, i;
	unsigned k;

	if (local == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nconnectors; i++) {
		if (m->connectors[i].site == w->site && m->connectors[i].npins != 0 &&
		    w->connector_text[i] != TABLE_NONE)
			local[n++] = i;
	}
	if (n > 1)
		qsort_r(local, n, sizeof(*local), cmp_connectors, (void *)(uintptr_t)m);
	for (i = 0; i < n; i++) {
		const struct model_connector *c = &m->connectors[local[i]];

		for (k = 0; k < c->npins; k++) {
			struct table_pin pin = {w->connector_text[local[i]], 0, 0};

			if (k != 0 && span_eq(c->pins[k].folded, c->pins[k - 1].folded))
				continue;
			pin.domain = build_text(&w->b, c->pins[k].folded, (struct span){NULL, 0});
			pin.host = build_text(&w->b, c->pins[k].host, (struct span){NULL, 0});
			buf_put(&w->b.pins, span_make(&pin, sizeof(pin)));
		}
	}
	return RC_OK;
}

/* Now that rows have numbers, every domain of one other site points at its site's rows. */
static void point_domains(struct work *w)
{
	struct table_domain *domains = (struct table_domain *)(void *)w->b.domains.p;
	unsigned cls;
	uint32_t i;

	for (i = 0; i < w->ntargets; i++) {
		uint32_t node = w->targets[i].node, site = w->m->names[node].site, at;

		if (site == MODEL_NONE || w->m->sites[site].domain.n == 0)
			continue;
		at = w->domain_of[site];
		for (cls = 0; cls < TABLE_CLASSES && domains[at].owner == TABLE_OWNER_SITE; cls++)
			domains[at].row[cls] = w->first_row[cls][node];
	}
}

static int run_classes(struct work *w)
{
	unsigned cls;
	int rc = graph_build(w->m, &w->a, &w->g);

	if (rc == RC_OK && w->m->all_carry_all)
		return graph_run(&w->g, w->root, MODEL_CARRY_ALL, &w->run[TABLE_SYSTEM]);
	for (cls = 0; cls < TABLE_CLASSES && rc == RC_OK; cls++)
		rc = graph_run(&w->g, w->root, carry_of[cls], &w->run[cls]);
	return rc;
}

static int make_memos(struct work *w)
{
	size_t degree = w->g.first[w->root + 1] - w->g.first[w->root], i;
	unsigned cls;

	w->target_text = numbers(w, w->m->nnames);
	w->mx_text = numbers(w, w->m->nnames);
	w->connector_text = numbers(w, w->m->nconnectors);
	w->element_text = numbers(w, w->m->nconnectors);
	w->hops = arena_alloc(&w->a, (degree + 1) * sizeof(*w->hops));
	w->transport_text = numbers(w, degree);
	if (w->target_text == NULL || w->mx_text == NULL || w->connector_text == NULL ||
	    w->element_text == NULL || w->hops == NULL || w->transport_text == NULL)
		return RC_NOMEM;
	for (i = 0; i < degree; i++)
		w->hops[i] = (struct hop){TABLE_NONE, TABLE_HOP_NONE};
	for (cls = 0; cls < TABLE_CLASSES; cls++) {
		w->first_row[cls] = numbers(w, w->m->nnames);
		w->step[cls] = numbers(w, w->run[cls].nlabels);
		if (w->first_row[cls] == NULL || w->step[cls] == NULL)
			return RC_NOMEM;
	}
	return RC_OK;
}

static int fill(struct work *w, struct table **out)
{
	uint32_t site_text;
	unsigned cls;
	int rc = run_classes(w);

	if (rc == RC_OK)
		rc = collect_targets(w);
	if (rc == RC_OK)
		rc = make_memos(w);
	if (rc != RC_OK)
		return rc;
	site_text = build_text(&w->b, w->m->sites[w->site].name, (struct span){NULL, 0});
	w->ex_text = build_text(&w->b, SPAN_LIT("EX"), (struct span){NULL, 0});
	rc = collect_domains(w);
	for (cls = 0; cls < TABLE_CLASSES && rc == RC_OK; cls++)
		rc = class_rows(w, cls);
	if (rc == RC_OK)
		rc = add_pins(w);
	if (rc != RC_OK)
		return rc;
	point_domains(w);
	return build_finish(&w->b, site_text, out);
}

int compute_table(const struct model *m, struct span site, struct table **out)
{
	struct work w = {.m = m};
	int rc;

	*out = NULL;
	must(m->committed);
	rc = model_find_site(m, site, &w.site);
	if (rc != RC_OK)
		return rc;
	w.root = m->sites[w.site].name_id;
	arena_init(&w.a);
	rc = build_init(&w.b);
	if (rc == RC_OK)
		rc = fill(&w, out);
	graph_run_fini(&w.run[TABLE_SYSTEM]);
	graph_run_fini(&w.run[TABLE_USER]);
	map_fini(&w.domains);
	build_fini(&w.b);
	arena_fini(&w.a);
	return rc;
}
