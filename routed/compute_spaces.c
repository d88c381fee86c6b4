#include "routed/compute_work.h"

#include <stdlib.h>

static int cmp_offers(const void *a, const void *b)
{
	const struct model_space *x = ((const struct compute_offer *)a)->space;
	const struct model_space *y = ((const struct compute_offer *)b)->space;
	int c = span_cmp(x->type, y->type);

	if (c == 0)
		c = span_cmp(x->folded, y->folded);
	return c != 0 ? c : span_cmp(x->pattern, y->pattern);
}

static int cmp_groups(const void *a, const void *b)
{
	const struct model_space *x = ((const struct compute_group *)a)->offers->space;
	const struct model_space *y = ((const struct compute_group *)b)->offers->space;
	int c = span_cmp(x->type, y->type);

	return c != 0 ? c : span_cmp(x->pattern, y->pattern);
}

bool compute_has_offers(const struct model_connector *c, unsigned carry)
{
	return c->site != MODEL_NONE && c->enabled && c->sends && (c->carries & carry) != 0;
}

/* The spaces that apply here (R6): of reachable sites, `site` scope only of the own one. */
static int collect_offers(struct compute_work *w, unsigned cls, struct compute_offer **out,
			  uint32_t *n)
{
	const struct model *m = w->m;
	uint32_t i;
	unsigned k;

	*n = 0;
	*out = arena_alloc(&w->a, m->total_spaces * sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < m->nconnectors && m->total_spaces != 0; i++) {
		const struct model_connector *c = &m->connectors[i];

		if (c->nspaces == 0 || !compute_has_offers(c, compute_carry(cls)) ||
		    compute_run_of(w, cls)->dist[m->sites[c->site].name_id] == GRAPH_NONE)
			continue;
		for (k = 0; k < c->nspaces; k++) {
			if (!c->spaces[k].site_scope || c->site == w->site)
				(*out)[(*n)++] = (struct compute_offer){&c->spaces[k], i};
		}
	}
	if (*n != 0)
		qsort(*out, *n, sizeof(**out), cmp_offers);
	return RC_OK;
}

int compute_groups(struct compute_work *w, unsigned cls, struct compute_group **out,
		   uint32_t *ngroups)
{
	struct compute_offer *offers;
	uint32_t n, i;
	int rc = collect_offers(w, cls, &offers, &n);

	*ngroups = 0;
	if (rc != RC_OK)
		return rc;
	*out = arena_alloc(&w->a, n * sizeof(**out));
	if (*out == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		struct compute_group *last = *ngroups != 0 ? &(*out)[*ngroups - 1] : NULL;

		if (last != NULL && span_eq(last->offers->space->type, offers[i].space->type) &&
		    span_eq(last->offers->space->folded, offers[i].space->folded))
			last->n++;
		else
			(*out)[(*ngroups)++] = (struct compute_group){&offers[i], 1};
	}
	if (*ngroups != 0)
		qsort(*out, *ngroups, sizeof(**out), cmp_groups);
	return RC_OK;
}

static uint32_t offer_cost(const struct compute_work *w, const struct graph_run *r,
			   const struct compute_offer *o)
{
	return r->dist[w->m->sites[w->m->connectors[o->connector].site].name_id] + o->space->cost;
}

static int cmp_pairs(const void *a, const void *b, void *arg)
{
	const struct compute_way *x = a, *y = b;

	if (x->pair != y->pair)
		return x->pair < y->pair ? -1 : 1;
	return compute_cmp_ways(a, b, arg);
}

/* The candidates of the least total cost; of one pair, the best path. */
static int space_ways(struct compute_work *w, const struct graph_run *r,
		      const struct compute_group *g, uint32_t cost, struct compute_ways *ways)
{
	struct compute_order o = {w, r};
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
			rc = compute_add_way(
				w, ways, (struct compute_way){GRAPH_NONE, connector, GRAPH_NONE});
		else
			rc = compute_add_node_ways(w, r, w->m->sites[site].name_id, ways);
	}
	if (ways->n > 1)
		qsort_r(ways->items, ways->n, sizeof(*ways->items), cmp_pairs, &o);
	for (i = 0; i < ways->n; i++) {
		const struct compute_way *last = kept != 0 ? &ways->items[kept - 1] : NULL;

		if (last == NULL || last->pair != ways->items[i].pair ||
		    last->connector != ways->items[i].connector)
			ways->items[kept++] = ways->items[i];
	}
	ways->n = kept;
	compute_sort_ways(w, r, ways);
	return rc;
}

/* Out of this site's own connector: to the smart host, else to wherever the recipient's domain is.
 */
static int local_row(struct compute_work *w, unsigned cls, const struct model_space *space,
		     uint32_t connector, struct table_row *row)
{
	const struct model_connector *c = &w->m->connectors[connector];
	char *type;

	row->cls = (uint8_t)cls;
	row->mode = TABLE_LOCAL_SPACE;
	row->hops = 0;
	row->step = TABLE_NONE;
	row->next = TABLE_NONE;
	row->connector = compute_connector_text(w, connector);
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

static int put_row(struct compute_work *w, unsigned cls, const struct compute_way *way,
		   const struct model_space *own, uint32_t cost, struct table_row *row)
{
	int rc;

	if (way->label == GRAPH_NONE)
		rc = local_row(w, cls, own, way->connector, row);
	else
		rc = compute_chain_row(w, cls, way->label, row);
	row->cost = cost;
	row->reason = cls == TABLE_SYSTEM ? TABLE_IS_SYSTEM : TABLE_IS_SPACE;
	build_row(&w->b, row);
	return rc;
}

int compute_space_row(struct compute_work *w, unsigned cls, struct span type, struct span pattern,
		      const struct model_space *own, const struct compute_way *way, uint32_t cost)
{
	struct table_row row = {
		.type = build_text(&w->b, type, (struct span){NULL, 0}),
		.target = build_text(&w->b, pattern, (struct span){NULL, 0}),
	};

	return put_row(w, cls, way, own, cost, &row);
}

int compute_space_rows(struct compute_work *w, unsigned cls, const struct compute_group *g,
		       struct compute_ways *ways)
{
	const struct graph_run *r = compute_run_of(w, cls);
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
		rc = put_row(w, cls, &ways->items[i], space, cost, &row);
	}
	return rc;
}
