#include "routed/compute_work.h"

#include <stdlib.h>

/* The host that a domainRoute of the connector names for this domain, or an empty span. */
struct span compute_pinned(const struct model_connector *c, struct span folded)
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

uint32_t compute_target_text(struct compute_work *w, uint32_t node)
{
	uint32_t *memo = &w->target_text[node];

	if (*memo == TABLE_NONE)
		*memo = build_text(&w->b, w->names[node], (struct span){NULL, 0});
	return *memo;
}

uint32_t compute_connector_text(struct compute_work *w, uint32_t connector)
{
	uint32_t *memo = &w->connector_text[connector];

	if (*memo == TABLE_NONE)
		*memo = build_text(&w->b, w->m->connectors[connector].name, (struct span){NULL, 0});
	return *memo;
}

static uint32_t element_text(struct compute_work *w, uint32_t connector)
{
	const struct model_connector *c = &w->m->connectors[connector];
	uint32_t *memo = &w->element_text[connector];

	if (*memo == TABLE_NONE)
		*memo = build_element(&w->b, w->m->sites[c->site].name, c->name);
	return *memo;
}

/* The steps of a label's path; beginnings that other rows have made already are shared. */
static int path_step(struct compute_work *w, unsigned cls, uint32_t label, uint32_t *out)
{
	const struct graph_run *r = compute_run_of(w, cls);
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
static int connected_host(struct compute_work *w, const struct model_connector *c,
			  const struct model_cd *cd, struct span *out)
{
	struct span folded;
	int rc = RC_OK;

	*out = c->smart_host;
	if (out->n == 0 && c->npins != 0) {
		rc = address_fold(&w->a, cd->address, &folded);
		if (rc == RC_OK)
			*out = compute_pinned(c, folded);
	}
	return rc != RC_INVALID ? rc : RC_OK;
}

/* Next hop of the chain over this first edge: smart host, else domain route, else MX. */
static int make_nexthop(struct compute_work *w, const struct graph_edge *e, struct compute_hop *hop)
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
		*hop = (struct compute_hop){build_text(&w->b, span_of(type), cd->address),
					    TABLE_HOP_TYPE};
		return RC_OK;
	}
	rc = connected_host(w, c, cd, &host);
	if (rc != RC_OK)
		return rc;
	if (host.n != 0)
		*hop = (struct compute_hop){build_text(&w->b, SPAN_LIT("host:"), host),
					    TABLE_HOP_HOST};
	else
		*hop = (struct compute_hop){build_text(&w->b, SPAN_LIT("mx:"), cd->address),
					    TABLE_HOP_MX};
	return RC_OK;
}

static int connected_nexthop(struct compute_work *w, uint32_t edge, struct table_row *row)
{
	struct compute_hop *hop = &w->hops[edge - w->g.first[w->root]];
	int rc = RC_OK;

	if (hop->text == TABLE_NONE)
		rc = make_nexthop(w, &w->g.edges[edge], hop);
	row->nexthop = hop->text;
	row->hop = (uint8_t)hop->kind;
	return rc;
}

/* The row of a label, as far as sites and spaces have it in common: over the chain. */
int compute_chain_row(struct compute_work *w, unsigned cls, uint32_t label, struct table_row *row)
{
	const struct graph_label *l = &compute_run_of(w, cls)->labels[label];
	uint32_t connector = w->g.edges[l->first].connector;
	const struct model_connector *c = &w->m->connectors[connector];
	uint32_t *transport = &w->transport_text[l->first - w->g.first[w->root]];
	int rc;

	row->cls = (uint8_t)cls;
	row->mode = TABLE_CONNECTED;
	row->hops = l->hops;
	row->connector = compute_connector_text(w, connector);
	row->next = compute_target_text(w, w->g.edges[l->first].to);
	if (c->transport.n != 0 && *transport == TABLE_NONE)
		*transport = build_text(&w->b, c->transport, (struct span){NULL, 0});
	row->transport = *transport;
	rc = path_step(w, cls, label, &row->step);
	if (rc == RC_OK)
		rc = connected_nexthop(w, l->first, row);
	return rc;
}

int compute_add_way(struct compute_work *w, struct compute_ways *ways, struct compute_way way)
{
	size_t size = ways->size != 0 ? ways->size * 2 : 16;
	struct compute_way *bigger;

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
int compute_add_node_ways(struct compute_work *w, const struct graph_run *r, uint32_t node,
			  struct compute_ways *ways)
{
	uint32_t at;
	int rc = RC_OK;

	for (at = r->head[node]; at != GRAPH_NONE && rc == RC_OK; at = r->labels[at].next) {
		uint32_t first = r->labels[at].first;

		rc = compute_add_way(w, ways,
				     (struct compute_way){at, w->g.edges[first].connector, first});
	}
	return rc;
}

/* The site to which a label's path leads. */
static struct span end_of(const struct compute_order *o, uint32_t label)
{
	return o->w->m->names[o->r->g->edges[o->r->labels[label].edge].to].folded;
}

/* In the order in which candidates are tried; an own connector is no hop at all. */
int compute_cmp_ways(const void *a, const void *b, void *arg)
{
	const struct compute_way *x = a, *y = b;
	const struct compute_order *o = arg;
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

void compute_sort_ways(const struct compute_work *w, const struct graph_run *r,
		       struct compute_ways *ways)
{
	struct compute_order o = {w, r};

	if (ways->n > 1)
		qsort_r(ways->items, ways->n, sizeof(*ways->items), compute_cmp_ways, &o);
}
