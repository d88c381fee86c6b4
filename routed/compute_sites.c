#include "routed/compute_work.h"

/* R8, in the order of the reasons in docs/routing.md; TABLE_OK: direct. */
static enum table_reason own_reason(const struct compute_work *w, uint32_t node,
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

/* Once a site: its candidates come one after the other. */
static void want(struct compute_work *w, uint32_t node, uint32_t site)
{
	const struct table_domain *domains = (const struct table_domain *)(void *)w->b.domains.p;
	struct span domain = build_bytes(&w->b, domains[w->domain_of[site]].domain);

	if (w->last_wanted == node)
		return;
	w->last_wanted = node;
	buf_put(w->wanted, span_make(&domain, sizeof(domain)));
}

/*
 * The reason, with what holds the domain back for the moment. While a route is dampened nothing
 * else about it shows, or the table would change with every flip.
 */
static enum table_reason direct_reason(struct compute_work *w, uint32_t node,
				       const struct graph_label *label)
{
	const struct model_connector *c = &w->m->connectors[w->g.edges[label->first].connector];
	enum table_reason reason = own_reason(w, node, label);
	uint32_t site = w->m->names[node].site;
	const struct model_site *s;
	enum table_reason held;

	if (w->holds == NULL || site == MODEL_NONE)
		return reason;
	s = &w->m->sites[site];
	if (s->domain.n == 0 || compute_pinned(c, s->domain_folded).n != 0)
		return reason;
	if (reason == TABLE_OK && w->wanted != NULL)
		want(w, node, site);
	held = holds_reason(w->holds, s->domain_folded);
	return reason == TABLE_OK || held == TABLE_DAMPENED ? held : reason;
}

static void direct_nexthop(struct compute_work *w, uint32_t node, const struct model_connector *c,
			   struct table_row *row)
{
	const struct model_site *s = &w->m->sites[w->m->names[node].site];
	struct span host = compute_pinned(c, s->domain_folded);

	if (host.n != 0) {
		row->hop = TABLE_HOP_HOST;
		row->nexthop = build_text(&w->b, SPAN_LIT("host:"), host);
		return;
	}
	if (w->mx_text[node] == TABLE_NONE)
		w->mx_text[node] = w->mx_bytes[node].n != 0
					   ? build_alias(&w->b, w->mx_bytes[node])
					   : build_text(&w->b, SPAN_LIT("mx:"), s->domain);
	row->hop = TABLE_HOP_MX;
	row->nexthop = w->mx_text[node];
}

static int put_row(struct compute_work *w, unsigned cls, uint32_t node, uint32_t label,
		   uint32_t cost, enum table_reason reason)
{
	const struct graph_label *l = &compute_run_of(w, cls)->labels[label];
	struct table_row row = {.type = w->ex_text, .target = compute_target_text(w, node)};
	int rc = compute_chain_row(w, cls, label, &row);

	if (rc != RC_OK)
		return rc;
	row.cost = cost;
	row.reason = (uint8_t)reason;
	if (reason == TABLE_OK) {
		row.mode = TABLE_DIRECT;
		row.hops = 1;
		row.next = row.target;
		direct_nexthop(w, node, &w->m->connectors[w->g.edges[l->first].connector], &row);
	}
	build_row(&w->b, &row);
	return RC_OK;
}

int compute_site_row(struct compute_work *w, unsigned cls, uint32_t node, uint32_t label,
		     uint32_t cost)
{
	const struct graph_label *l = &compute_run_of(w, cls)->labels[label];

	return put_row(w, cls, node, label, cost,
		       cls == TABLE_USER ? direct_reason(w, node, l) : TABLE_IS_SYSTEM);
}

static void no_route_row(struct compute_work *w, unsigned cls, uint32_t node)
{
	struct table_row row = {
		.type = w->ex_text,
		.target = compute_target_text(w, node),
		.cost = TABLE_NONE,
		.hops = TABLE_NONE,
		.nexthop = TABLE_NONE,
		.connector = TABLE_NONE,
		.transport = TABLE_NONE,
		.step = TABLE_NONE,
		.next = TABLE_NONE,
		.cls = (uint8_t)cls,
		.mode = TABLE_NO_ROUTE,
		.reason = cls == TABLE_SYSTEM ? TABLE_IS_SYSTEM : TABLE_NO_PATH,
		.hop = TABLE_HOP_NONE,
	};

	build_row(&w->b, &row);
}

int compute_site_rows(struct compute_work *w, unsigned cls, const struct compute_target *target,
		      struct compute_ways *ways)
{
	const struct graph_run *r = compute_run_of(w, cls);
	bool direct = false;
	size_t i;
	int rc;

	ways->n = 0;
	w->first_row[cls][target->node] = build_nrows(&w->b);
	rc = compute_add_node_ways(w, r, target->node, ways);
	if (rc == RC_OK && ways->n == 0)
		no_route_row(w, cls, target->node);
	compute_sort_ways(w, r, ways);
	for (i = 0; i < ways->n && cls == TABLE_USER && !direct; i++)
		direct = direct_reason(w, target->node, &r->labels[ways->items[i].label]) ==
			 TABLE_OK;
	for (i = 0; i < ways->n && rc == RC_OK; i++) {
		uint32_t label = ways->items[i].label;
		enum table_reason reason = TABLE_IS_SYSTEM;

		if (cls == TABLE_USER)
			reason = direct_reason(w, target->node, &r->labels[label]);
		if (!direct || reason == TABLE_OK)
			rc = put_row(w, cls, target->node, label, r->dist[target->node], reason);
	}
	return rc;
}
